import 'reflect-metadata';
import Koa from 'koa';
import type { KoaOso } from 'koa-oso';
import { useKoaServer } from 'routing-controllers';
import { ExpenseController } from './controllers/expense-controller.js';
import { OrganizationController } from './controllers/organization-controller.js';
import { ReminderController } from './controllers/reminder-controller.js';
import { SessionController } from './controllers/session-controller.js';
import { TeamController } from './controllers/team-controller.js';
import { errorsAsJson } from './errors-as-json.js';
import { reportRouter } from './report-router.js';
import { session } from './session.js';

/** The expense tracker, ready to listen once the database is open. */
export function createApp(koaOso: KoaOso): Koa {
  const app = new Koa();

  app.use(errorsAsJson);
  app.use(session(app));
  app.use(koaOso.middleware());
  app.use(koaOso.requireAuthorization());

  app.use(reportRouter.routes());
  useKoaServer(app, {
    controllers: [
      ExpenseController,
      OrganizationController,
      ReminderController,
      SessionController,
      TeamController,
    ],
    // Errors go on to errorsAsJson.
    defaultErrorHandler: false,
    validation: { whitelist: true, forbidNonWhitelisted: true },
  });
  return app;
}
