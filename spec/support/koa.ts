// The specs of the core run on every version that is promised: npm test takes the newest of Koa and @koa/router, and
// npm run test:oldest names the others by these variables.

import type RouterNewest from '@koa/router';
import type KoaNewest from 'koa';

export type { Context, Middleware } from 'koa';

const koa = await import(process.env.KOA_PACKAGE ?? 'koa');
const router = await import(process.env.ROUTER_PACKAGE ?? '@koa/router');

export const Koa: typeof KoaNewest = koa.default;
export type Koa = KoaNewest;
export const Router: typeof RouterNewest = router.default;
export type Router = RouterNewest;
