import { AsyncLocalStorage } from 'node:async_hooks';
import type { Context } from 'koa';

/** As much of a RequestOso as has to be known here. */
interface CurrentRequest {
  readonly outcome: { readonly guard: object };
}

const running = new AsyncLocalStorage<CurrentRequest>();

/** The RequestOso of the request that is running: the innermost, if a request is handled inside of another one. */
export function currentOso<RequestOso extends CurrentRequest>(): RequestOso | undefined {
  return running.getStore() as RequestOso | undefined;
}

/**
 * Runs the rest of a request with its RequestOso as the current one.
 *
 * Koa keeps the running request by app, and one app may call another in process: `inner.callback()(req, res)`. Asked for
 * their contexts, both answer, and do not say which one is around the other. So it is kept here. That costs something on
 * every promise, which is why an app has to want it, by `asyncLocalStorage: true`; unless it runs inside of a request
 * that is kept, and would be taken for that.
 */
export function runAsCurrent<Result>(ctx: Context, oso: CurrentRequest, run: () => Result): Result {
  const isKept = ctx.app.currentContext !== undefined || running.getStore() !== undefined;
  return isKept ? running.run(oso, run) : run();
}
