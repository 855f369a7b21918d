import type { Context, Middleware } from 'koa';
import { errors } from './errors.js';
import { refuse } from './response.js';
import { requestOso } from './route-check.js';

/** See {@link KoaOso.requireAuthorization}. */
export function requireAuthorization(): Middleware {
  return async (ctx, next) => {
    const { outcome, state } = requestOso(ctx);
    await next();
    if (!outcome.isSettled) await outcome.settle();
    if (state.authorized || state.skipped || outcome.refusal !== undefined || needsNone(ctx)) return;
    refuse(ctx, errors.authorizationMissing(ctx.method, ctx._matchedRoute));
  };
}

/**
 * A route is known by its answer, so that handlers without a router are held to the rule as well. Without one there
 * are: errors, 404 for an unknown path among them, and the OPTIONS that a router or CORS answers by itself.
 */
function needsNone(ctx: Context): boolean {
  if (ctx.respond === false) return false;
  if (ctx.status >= 400) return true;
  return ctx.method === 'OPTIONS' && ctx._matchedRoute === undefined && !ctx.body;
}
