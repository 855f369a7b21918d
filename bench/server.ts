import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import Router from '@koa/router';
import Koa from 'koa';
import { KoaOso } from 'koa-oso';
import { CompiledOso } from 'koa-oso/polar';
import { Oso } from 'oso';
import { ATTRIBUTE_POLICY, alice, expense, InstantOso, load, ROLE_POLICY, repository } from './policy.js';

interface Question {
  policy: string;
  action: string;
  resource: object;
}

const attributes: Question = { policy: ATTRIBUTE_POLICY, action: 'approve', resource: expense };
const roles: Question = { policy: ROLE_POLICY, action: 'push', resource: repository };

/** The apps to compare: each serves the same answer, protected in another way. */
const APPS = {
  'bare route': () => appOf(),
  'koa-oso, engine that answers at once': () => protectedApp(new InstantOso(), attributes),
  'attributes: oso called directly': async () => {
    const oso = await load(new Oso(), attributes.policy);
    return appOf([], async ctx => {
      if (!(await oso.isAllowed(ctx.state.user, 'approve', expense))) ctx.throw(403);
    });
  },
  'attributes: koa-oso with oso': () => protectedApp(new Oso(), attributes),
  'attributes: koa-oso with CompiledOso': () => protectedApp(new CompiledOso(), attributes),
  'roles: koa-oso with oso': () => protectedApp(new Oso(), roles),
  'roles: koa-oso with CompiledOso': () => protectedApp(new CompiledOso(), roles),
} satisfies Record<string, () => Koa | Promise<Koa>>;

export type Variant = keyof typeof APPS;
export const VARIANTS = Object.keys(APPS) as Variant[];

async function protectedApp(oso: Oso, { policy, action, resource }: Question): Promise<Koa> {
  const koaOso = new KoaOso({ oso });
  await load(oso, policy);
  return appOf([koaOso.middleware(), koaOso.requireAuthorization()], ctx =>
    ctx.oso.authorize(resource, { action }),
  );
}

function appOf(middleware: Koa.Middleware[] = [], check?: (ctx: Koa.Context) => Promise<void>): Koa {
  const app = new Koa();
  app.use((ctx, next) => {
    ctx.state.user = alice;
    return next();
  });
  for (const each of middleware) app.use(each);
  const router = new Router();
  const answer = (ctx: Koa.Context): void => {
    ctx.body = expense;
  };
  router.get('/', check === undefined ? answer : ctx => check(ctx).then(() => answer(ctx)));
  app.use(router.routes());
  return app;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const app = await APPS[process.argv[2] as Variant]();
  const server = app.listen(0, '127.0.0.1', () => {
    process.send?.(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  });
}
