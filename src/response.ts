import { constants, type Http2Stream } from 'node:http2';
import type { Context } from 'koa';
import { propertyOf } from './guard/own-properties.js';

/** Whether somebody set a status, as opposed to Koa's 404 for no answer at all. */
export function isAnswered(ctx: Context): boolean {
  // Koa keeps under this name whether a status was set. If Koa drops it, every response counts as unanswered: we fail closed.
  return propertyOf(ctx.response, '_explicitStatus') === true;
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
  return (
    ctx.respond !== false && ctx.status >= 400 && (isAnswered(ctx) || (!ctx.headerSent && isBodiless(ctx)))
  );
}

/** Whether Koa has nothing to send. */
export function isBodiless({ body }: Context): boolean {
  return body === undefined || body === null || body === '';
}

/** Whether the connection was upgraded: then the response has no socket, and the handler writes to that of the request. */
export function isUpgraded({ req, res }: Context): boolean {
  // Without an upgrade a response has no socket before its turn on the connection, and after it.
  return (req as { upgrade?: boolean }).upgrade === true && !res.socket;
}

/** Ends the connection so that the client sees that it was cut: a stream of HTTP/2 that is just destroyed ends well. */
export function cut(ctx: Context): void {
  const { req, res } = ctx;
  const stream = propertyOf(res, 'stream') as Http2Stream | undefined;
  // Of a request that is through, the connection belongs to the next one: its socket is left alone.
  if (stream !== undefined) stream.close(constants.NGHTTP2_INTERNAL_ERROR);
  else if (isUpgraded(ctx)) req.socket.destroy();
  dropQueued(res);
  res.destroy();
}

/**
 * Drops what was written to a response whose turn on the connection has not come. Node keeps it under this name, and from
 * version 24 on sends it even if the response is destroyed by then.
 */
function dropQueued(res: Context['res']): void {
  const { outputData } = res as { outputData?: unknown[] };
  if (Array.isArray(outputData)) outputData.length = 0;
}

/** Takes back the trailers that were set. No more are sent: nothing says who would set them. */
export function takeBackTrailers({ res }: Context): void {
  const stream = propertyOf(res, 'stream') as Http2Stream | undefined;
  // HTTP/2 asks for them when the body is through, and sends none if nobody listens.
  if (stream !== undefined) stream.removeAllListeners('wantTrailers');
  else if (!Object.hasOwn(res, 'addTrailers')) {
    res.addTrailers({});
    res.addTrailers = () => {};
  }
}
