import type { Context } from 'koa';

/** Whether somebody has answered with an error already, as opposed to Koa's 404 for no answer at all. */
export function isAnsweredWithError(ctx: Context): boolean {
  // Koa keeps under this name whether a status was set; where it ever stops to, the error is put in place of the answer.
  const { _explicitStatus: explicit } = ctx.response as { _explicitStatus?: boolean };
  return explicit === true && ctx.status >= 400;
}

/**
 * Puts an error in place of the response; where that is on its way already, cuts the connection, so that the client
 * sees a failure and not a complete answer. Either way the app's `error` event tells.
 */
export function refuse(ctx: Context, error: Error): never {
  // With ctx.respond = false a handler may still write to the response: destroyed, it ignores that.
  if (ctx.headerSent || ctx.respond === false) ctx.res.destroy();
  throw error;
}
