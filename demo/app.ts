import 'reflect-metadata';
import Koa from 'koa';
import type { Oso } from 'oso';
import { useKoaServer } from 'routing-controllers';
import { expenseOso } from './authorization.js';
import { ExpenseController } from './controllers/expense-controller.js';
import { OrganizationController } from './controllers/organization-controller.js';
import { SessionController } from './controllers/session-controller.js';
import { errorsAsJson } from './errors-as-json.js';
import { reportRouter } from './report-router.js';
import { session } from './session.js';

/** The expense tracker, ready to listen once the database is open. `oso` is what decides, in place of CompiledOso. */
export async function createApp(oso?: Oso): Promise<Koa> {
  const app = new Koa();
  const koaOso = await expenseOso(oso);

  app.use(errorsAsJson);
  app.use(session(app));
  app.use(koaOso.middleware());
  app.use(koaOso.requireAuthorization());

  app.use(reportRouter.routes());
  useKoaServer(app, {
    controllers: [ExpenseController, OrganizationController, SessionController],
    // Errors go on to errorsAsJson.
    defaultErrorHandler: false,
    validation: { whitelist: true, forbidNonWhitelisted: true },
  });
  return app;
}
