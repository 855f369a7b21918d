import { constants, type Http2Stream } from 'node:http2';
import type { Context } from 'koa';

/** Whether somebody set a status, as opposed to Koa's 404 for no answer at all. */
function isAnswered(ctx: Context): boolean {
  // Koa keeps under this name whether a status was set. Where it ever stops to, nothing passes for an answer.
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

/**
 * Puts an error in place of the response; where that is on its way already, cuts the connection, so that the client
 * sees a failure and not a complete answer. Either way the app's `error` event tells.
 */
export function refuse(ctx: Context, error: Error): never {
  // With ctx.respond = false a handler may still write to the response: destroyed, it ignores that.
  if (isOnItsWay(ctx)) cut(ctx);
  else discardResponse(ctx, error);
  throw error;
}

/** Takes back what the handler answered, and answers with an error: a handler of errors might send what it finds. */
export function discardResponse(ctx: Context, error: unknown): void {
  if (isOnItsWay(ctx)) return;
  discardBody(ctx);
  const { status } = error as { status?: unknown };
  ctx.status = typeof status === 'number' && status >= 400 ? status : 500;
}

/** Takes back the body that there is so far. */
export function discardBody(ctx: Context): void {
  if (isOnItsWay(ctx) || ctx.body === undefined || ctx.body === null) return;
  // Koa makes the text 'null' of an absent JSON body.
  ctx.remove('Content-Type');
  ctx.body = undefined;
}

/** Refuses a request whose response is out: all that is left is to tell, and to cut what has not arrived. */
export function cutOff(ctx: Context, error: Error): void {
  if (!ctx.res.writableFinished) cut(ctx);
  ctx.app.emit('error', error, ctx);
}

/** Ends the connection so that the client sees that it was cut: a stream of HTTP/2 that is just destroyed ends well. */
function cut({ req, res }: Context): void {
  const { stream } = res as { stream?: Http2Stream };
  if (stream !== undefined) stream.close(constants.NGHTTP2_INTERNAL_ERROR);
  // Where a connection is upgraded, the response has no socket, and the handler writes to that of the request.
  else if (!res.socket) req.socket.destroy();
  res.destroy();
}
