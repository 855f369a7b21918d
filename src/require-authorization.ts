import type { Context, Middleware } from 'koa';
import { errors } from './errors.js';
import { requestOso } from './request-oso.js';
import { discardResponse, isErrorOrNothing, isOnItsWay, refuse } from './response.js';

/** See {@link KoaOso.requireAuthorization}. */
export function requireAuthorization(): Middleware {
  return async (ctx, next) => {
    const { outcome, state } = requestOso(ctx);
    try {
      await next();
    } catch (error) {
      if (!state.authorized && !state.skipped) discardResponse(ctx, error);
      throw error;
    }
    if (!outcome.isSettled) await outcome.settle();
    if (state.authorized || state.skipped || outcome.refusal !== undefined || needsNone(ctx)) return;
    const refusal = errors.authorizationMissing(ctx.method, ctx._matchedRoute);
    outcome.refuse(refusal);
    refuse(ctx, refusal);
  };
}

/**
 * A route is known by its answer, so that handlers without a router are held to the rule as well. Without one there
 * are: errors, 404 for an unknown path among them, and the OPTIONS that a router or CORS answers by itself.
 */
function needsNone(ctx: Context): boolean {
  if (isErrorOrNothing(ctx)) return true;
  const isAutomatic = ctx._matchedRoute === undefined && !isOnItsWay(ctx) && !ctx.body;
  return ctx.method === 'OPTIONS' && isAutomatic;
}
