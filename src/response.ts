import { constants, type Http2Stream } from 'node:http2';
import type { Context } from 'koa';

/** Whether somebody set a status, as opposed to Koa's 404 for no answer at all. */
export function isAnswered(ctx: Context): boolean {
  // Koa keeps under this name whether a status was set. If Koa drops it, every response counts as unanswered: we fail closed.
  return (ctx.response as { _explicitStatus?: boolean })._explicitStatus === true;
}

/** Whether the response is out of Koa's hands: begun, or left to the handler. */
export function isOnItsWay(ctx: Context): boolean {
  return ctx.headerSent || ctx.respond === false;
}

/** Whether the application has answered with an error that still can be taken back. */
export function isAnsweredWithError(ctx: Context): boolean {
  return isAnswered(ctx) && ctx.status >= 400 && !isOnItsWay(ctx);
}

/** Whether the response tells of an error or of nothing, Koa's 404; without a word from the application, that is. */
export function isErrorOrNothing(ctx: Context): boolean {
  return ctx.respond !== false && ctx.status >= 400 && (isAnswered(ctx) || !ctx.headerSent);
}

/** Whether the connection was upgraded: then the response has no socket, and the handler writes to that of the request. */
export function isUpgraded({ req, res }: Context): boolean {
  // Without an upgrade a response has no socket before its turn on the connection, and after it.
  return (req as { upgrade?: boolean }).upgrade === true && !res.socket;
}

/** Ends the connection so that the client sees that it was cut: a stream of HTTP/2 that is just destroyed ends well. */
export function cut(ctx: Context): void {
  const { req, res } = ctx;
  const { stream } = res as { stream?: Http2Stream };
  // Of a request that is through, the connection belongs to the next one: its socket is left alone.
  if (stream !== undefined) stream.close(constants.NGHTTP2_INTERNAL_ERROR);
  else if (isUpgraded(ctx)) req.socket.destroy();
  res.destroy();
}
