import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import Router from '@koa/router';
import Koa from 'koa';
import { KoaOso } from 'koa-oso';
import { expense, InstantOso, loadedOso, owner } from './policy.js';

export const VARIANTS = [
  'bare route',
  'koa-oso, engine that answers at once',
  'oso called directly',
  'koa-oso with oso',
] as const;
export type Variant = (typeof VARIANTS)[number];

async function appOf(variant: Variant): Promise<Koa> {
  const app = new Koa();
  app.use((ctx, next) => {
    ctx.state.user = owner;
    return next();
  });
  const router = new Router();
  if (variant === 'bare route') {
    router.get('/', ctx => {
      ctx.body = expense;
    });
  } else if (variant === 'oso called directly') {
    const oso = await loadedOso();
    router.get('/', async ctx => {
      if (!(await oso.isAllowed(ctx.state.user, 'read', expense))) ctx.throw(403);
      ctx.body = expense;
    });
  } else {
    const oso = variant === 'koa-oso with oso' ? await loadedOso() : new InstantOso();
    const koaOso = new KoaOso({ oso });
    app.use(koaOso.middleware()).use(koaOso.requireAuthorization());
    router.get('/', async ctx => {
      await ctx.oso.authorize(expense, { action: 'read' });
      ctx.body = expense;
    });
  }
  app.use(router.routes());
  return app;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const app = await appOf(process.argv[2] as Variant);
  const server = app.listen(0, '127.0.0.1', () => {
    process.send?.(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  });
}
