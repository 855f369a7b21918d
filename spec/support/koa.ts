// The newest Koa and @koa/router, or the oldest that are promised: npm run test:oldest puts those in their place for
// all that require them, routing-controllers included.
import { createRequire } from 'node:module';
import type RouterClass from '@koa/router';
import type KoaClass from 'koa';

export type { Context, Middleware } from 'koa';

const require = createRequire(import.meta.url);

export const Koa: typeof KoaClass = require('koa');
export type Koa = KoaClass;
export const Router: typeof RouterClass = require('@koa/router');
export type Router = RouterClass;
