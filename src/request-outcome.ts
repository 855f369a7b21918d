import { answerWith, errors } from './errors.js';
import type { ResponseGuard } from './response-guard.js';
import { WatchedPromise } from './watched-promise.js';

/**
 * How the checks of one request force it to end, whatever its handler makes of them: which are still running, which
 * was refused, which answer nobody looked at.
 */
export class RequestOutcome {
  #running = 0;
  #waiting: (() => void)[] = [];
  #refusal: Error | undefined;
  readonly #refused: WatchedPromise<unknown>[] = [];
  readonly #unread: { promise: WatchedPromise<unknown>; refusal: () => Error | undefined }[] = [];
  readonly #outer: RequestOutcome | undefined;
  #isClosed = false;
  #isError = false;
  #isEveryRefusalHandled = true;

  /** What keeps the response to the refusal. */
  readonly guard: ResponseGuard;

  /** @param outer that of another KoaOso around this one: what ends the one ends both */
  constructor(guard: ResponseGuard, outer?: RequestOutcome) {
    this.guard = guard;
    this.#outer = outer;
  }

  /** Whether all checks are through. */
  get isSettled(): boolean {
    return this.#running === 0;
  }

  /** Waits for the checks that nobody awaited. */
  async settle(): Promise<void> {
    while (this.#running > 0) {
      await new Promise<void>(resolve => {
        this.#waiting.push(resolve);
      });
    }
  }

  /** The error that the request has to end with, once it is settled. */
  get refusal(): Error | undefined {
    if (this.#refusal !== undefined) return this.#refusal;
    for (const { promise, refusal } of this.#unread) {
      const error = promise.isRead ? undefined : refusal();
      if (error !== undefined) return error;
    }
    return undefined;
  }

  /** Whether a check was refused. */
  get isRefused(): boolean {
    return this.#refusal !== undefined;
  }

  /** Whether the application has looked at every check that was refused, and so may have answered in its own way. */
  get isEveryRefusalSeen(): boolean {
    return this.#isEveryRefusalHandled && this.#refused.every(check => check.isRead);
  }

  /** Makes the request end with an error, even if somebody on the way back swallows it. */
  refuse(refusal: Error): void {
    if (this.#isClosed && this.#outer !== undefined) {
      this.#outer.refuse(refusal);
      return;
    }
    const isFirst = this.#refusal === undefined;
    this.#refusal ??= refusal;
    if (!this.#isClosed) {
      if (isFirst) this.guard.refuse(refusal);
    } else if (!this.#isError || this.guard.isHeadSent) this.guard.refuseLate(refusal);
    this.#outer?.refuse(refusal);
  }

  /** Says that the answer stands. A check that is refused from now on is told, and cuts what is still being sent. */
  close(): void {
    this.#isClosed = true;
  }

  /** Says that the request ends in an error. A check that is refused before this is sent changes nothing any more. */
  closeWithError(): void {
    this.#isClosed = true;
    this.#isError = true;
  }

  /** Whether the answer stands, so that nothing needs to be remembered any more: a connection may stay open for days. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Makes a check that fails end the request, even if the handler forgot it or swallows the error. */
  enforce<Result>(check: Promise<Result>): WatchedPromise<Result> {
    const enforced = this.#await(
      check,
      error => {
        const answer = answerWith(error);
        if (!this.#isClosed) this.#refused.push(enforced);
        this.refuse(answer);
        return answer;
      },
      () => {
        this.#isEveryRefusalHandled = false;
      },
    );
    return enforced;
  }

  /** The same for a list, and for one that nobody looks at: its promise was taken for it. */
  enforceList<Result>(verb: string, list: Promise<Result>): WatchedPromise<Result> {
    return this.#expectRead(this.enforce(list), () => notAwaited(verb));
  }

  /** Makes a check that fails end the request, unless its error is handled. */
  expectHandled(check: Promise<void>): WatchedPromise<void> {
    let refusal: Error | undefined;
    const watched = this.#await(
      check,
      error => {
        refusal = answerWith(error);
        return refusal;
      },
      error => this.refuse(error as Error),
    );
    return this.#expectRead(watched, () => refusal);
  }

  /** Makes an answer that nobody looks at end the request: its promise was taken for it, and is always true. */
  watch<Result>(verb: string, answer: Promise<Result>): WatchedPromise<Result> {
    // A question refuses nothing. But a handler that hands on its answer counts on it, and has to hear of an error.
    const watched = this.#await(
      answer,
      error => error,
      error => this.refuse(answerWith(error)),
    );
    return this.#expectRead(watched, () => notAwaited(verb));
  }

  /** @param refusal what the request ends with if nobody looks at the promise */
  #expectRead<Result>(
    promise: WatchedPromise<Result>,
    refusal: () => Error | undefined,
  ): WatchedPromise<Result> {
    if (!this.#isClosed) {
      this.#unread.push({ promise, refusal });
      return promise;
    }
    // When the answer stands, nobody waits for the handler. By the time that it is settled, somebody should have looked.
    promise.whenSettled(() => {
      const error = promise.isRead ? undefined : refusal();
      if (error !== undefined) this.refuse(error);
    });
    return promise;
  }

  /**
   * Makes the response wait. Every request comes by here: it makes no promise more than it has to.
   *
   * @param onUnhandled hears of the error if it comes to the end of a chain and nobody handles it
   */
  #await<Result>(
    check: Promise<Result>,
    onError: (error: unknown) => unknown,
    onUnhandled: (error: unknown) => void,
  ): WatchedPromise<Result> {
    this.#running++;
    const watched = new WatchedPromise<Result>((resolve, reject) => {
      check.then(
        result => {
          resolve(result);
          this.#finish();
        },
        error => {
          const answer = this.#answerTo(error, onError);
          watched.tolerate(unhandled => {
            // Of an error that came up on the way Node has to hear.
            if (unhandled !== answer) void Promise.reject(unhandled);
            else if (watched.isRead) onUnhandled(answer);
          });
          reject(answer);
          // By then it has come to the end of every chain.
          setImmediate(() => this.#finish());
        },
      );
    });
    return watched;
  }

  /** A check settles whatever happens: the handler waits for it. */
  #answerTo(error: unknown, onError: (error: unknown) => unknown): unknown {
    try {
      return onError(error);
    } catch (failure) {
      return failure;
    }
  }

  #finish(): void {
    this.#running--;
    if (this.#running > 0) return;
    for (const resume of this.#waiting.splice(0)) resume();
  }
}

function notAwaited(verb: string): Error {
  return errors.notAwaited(`ctx.oso.${verb}`, ', so the response was withheld');
}
