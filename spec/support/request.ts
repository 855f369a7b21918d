import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { HttpRequest } from 'koa-oso';
import { Koa } from './koa.js';

interface Given {
  headers?: Record<string, string>;
  params?: Record<string, string>;
}

/** A request as policies see it, without a client that has sent it. */
export function requestOf(
  method: string,
  url: string,
  { headers = {}, params = {} }: Given = {},
): HttpRequest {
  const message = Object.assign(new IncomingMessage(new Socket()), { method, url, headers });
  const ctx = new Koa().createContext(message, new ServerResponse(message));
  return new HttpRequest(ctx, { route: url, params });
}
