import type { Context, Middleware } from 'koa';
import { errors, statusOf, thrownBy } from './errors.js';
import { requestOso } from './request-oso.js';
import { isAnswered, isBodiless, isErrorOrNothing, isOnItsWay } from './response.js';

/** See {@link KoaOso.requireAuthorization}. */
export function requireAuthorization(): Middleware {
  return async function requireAuthorization(ctx, next) {
    const { outcome, state } = requestOso(ctx);
    const isDecided = () => state.authorized || state.skipped;
    const missing = () => errors.authorizationMissing(ctx.method, ctx._matchedRoute);
    const { guard } = outcome;
    // What is answered when the handler is done is seen on the way back, what is answered before or later at the head.
    guard.watch((status, isKoas) => {
      const isFine = isDecided() || outcome.isRefused || headNeedsNone(ctx, status, isKoas);
      return isFine ? undefined : missing();
    });
    try {
      await next();
    } catch (error) {
      const reason = error instanceof Error ? error : (outcome.refusal ?? missing());
      if (!isDecided()) guard.withhold(reason, statusOf(error));
      throw error === undefined || error === null ? reason : thrownBy(error);
    }
    if (!outcome.isSettled) await outcome.settle();
    if (guard.isOver || isDecided() || outcome.refusal !== undefined || needsNone(ctx)) return;
    const refusal = missing();
    outcome.refuse(refusal);
    throw guard.takeBack(refusal);
  };
}

/**
 * A route is known by its answer, so that handlers without a router are held to the rule as well. Without one there
 * are: errors, 404 for an unknown path among them, and the OPTIONS that a router or CORS answers by itself.
 */
function needsNone(ctx: Context): boolean {
  return isErrorOrNothing(ctx) || isAutomatic(ctx);
}

/** The same of the head that is about to be written. A status alone is not a word of the application: it begins as 404. */
function headNeedsNone(ctx: Context, status: number, isKoas: () => boolean): boolean {
  if (status >= 400) return isAnswered(ctx) || (isBodiless(ctx) && isKoas());
  return isAutomatic(ctx) && isKoas();
}

function isAutomatic(ctx: Context): boolean {
  const { method, _matchedRoute } = ctx;
  return method === 'OPTIONS' && _matchedRoute === undefined && !isOnItsWay(ctx) && isBodiless(ctx);
}
