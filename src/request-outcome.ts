import { answerWith, errors } from './errors.js';
import { WatchedPromise } from './watched-promise.js';

const ignore = () => {};

/**
 * How the checks of one request force it to end, whatever its handler makes of them: which are still running, which
 * was refused, which answer nobody looked at.
 */
export class RequestOutcome {
  #running = 0;
  #waiting: (() => void)[] = [];
  #refusal: Error | undefined;
  readonly #refused: WatchedPromise<unknown>[] = [];
  readonly #answers: { verb: string; answer: WatchedPromise<unknown> }[] = [];
  #onRefusal: (refusal: Error) => void;
  #isClosed = false;

  /** @param onRefusal hears of the first check that is refused, at once */
  constructor(onRefusal: (refusal: Error) => void) {
    this.#onRefusal = onRefusal;
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
    const unread = this.#answers.find(({ answer }) => !answer.isRead);
    return unread && errors.notAwaited(unread.verb);
  }

  /** Whether the application has looked at every check that was refused, and so may have answered in its own way. */
  get isEveryRefusalSeen(): boolean {
    return this.#refused.every(check => check.isRead);
  }

  /** Makes the request end with an error, also where somebody on the way back swallows it. */
  refuse(refusal: Error): void {
    const isFirst = this.#refusal === undefined;
    this.#refusal ??= refusal;
    if (isFirst || this.#isClosed) this.#onRefusal(refusal);
  }

  /**
   * Says that the answer stands.
   *
   * @param onLateRefusal hears of the checks that are refused from now on
   */
  close(onLateRefusal: (refusal: Error) => void = ignore): void {
    this.#isClosed = true;
    this.#onRefusal = onLateRefusal;
  }

  /** Whether the answer stands, so that nothing needs to be remembered any more: a connection may stay open for days. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Makes a check that fails end the request, also where the handler forgot it or swallows the error. */
  enforce<Result>(check: Promise<Result>): WatchedPromise<Result> {
    const enforced = this.#await(check, error => {
      const answer = answerWith(error);
      if (!this.#isClosed) this.#refused.push(enforced);
      this.refuse(answer);
      return answer;
    });
    return enforced;
  }

  /** Makes an answer that nobody looks at end the request: its promise was taken for it, and is always true. */
  expectRead<Result>(verb: string, answer: WatchedPromise<Result>): WatchedPromise<Result> {
    if (!this.#isClosed) this.#answers.push({ verb, answer });
    return answer;
  }

  /** The same for an answer that refuses nothing by itself. */
  watch<Result>(verb: string, answer: Promise<Result>): WatchedPromise<Result> {
    return this.expectRead(
      verb,
      this.#await(answer, error => error),
    );
  }

  /** Makes the response wait. Every request comes by here: it makes no promise more than it has to. */
  #await<Result>(check: Promise<Result>, onError: (error: unknown) => unknown): WatchedPromise<Result> {
    this.#running++;
    const watched = new WatchedPromise<Result>((resolve, reject) => {
      check.then(
        result => {
          resolve(result);
          this.#finish();
        },
        error => {
          watched.tolerate();
          reject(onError(error));
          this.#finish();
        },
      );
    });
    return watched;
  }

  #finish(): void {
    this.#running--;
    if (this.#running > 0) return;
    for (const resume of this.#waiting.splice(0)) resume();
  }
}
