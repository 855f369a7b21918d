import Koa, { type Context } from 'koa';
import type { ErrorCode } from './errors.js';
import { defineHidden } from './guard/own-properties.js';

/** What throws HTTP errors. Every `ctx` does. */
type Throws = Pick<Context, 'throw'>;

let koas: Throws | undefined;

/**
 * Ends what asked, as koa-oso does by itself. A resource that is hidden and one that is missing both come by here, and look
 * the same to whatever handles the error. So does the `ctx.throw(404)` of an application, for the code is not enumerable.
 *
 * @param ctx of the request. Outside of one, Koa makes the same error
 */
export function endWith(ctx: Throws | undefined, status: 403 | 404): never {
  koas ??= new Koa().context as unknown as Throws;
  try {
    return (ctx ?? koas).throw(status);
  } catch (error) {
    const code: ErrorCode = status === 404 ? 'ERR_KOA_OSO_NOT_FOUND' : 'ERR_KOA_OSO_FORBIDDEN';
    defineHidden(error as Error, { code });
    throw error;
  }
}

/** The default unauthorized action: 403 Forbidden. */
export function denyByDefault(ctx: Throws): never {
  return endWith(ctx, 403);
}
