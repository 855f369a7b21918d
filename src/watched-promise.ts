/** Hears of a rejection that came to the end of a chain without anybody to handle it. */
type OnUnhandled = (error: unknown) => void;

/**
 * A promise that knows whether anybody has looked at it, so that one that was not awaited can be noticed.
 *
 * Once it is `tolerate`d, its rejection does not end the process, nor does that of a promise that was made of it by
 * `then`, `catch` or `finally`, and so on down the chain. Other errors that come up on the way may.
 */
export class WatchedPromise<Result> extends Promise<Result> {
  static override get [Symbol.species]() {
    return WatchedPromise;
  }

  #isRead = false;
  #next: WatchedPromise<unknown>[] | undefined;
  #onUnhandled: OnUnhandled | undefined;

  /**
   * Keeps a rejection from ending the process that nobody handles. To be called before it rejects.
   *
   * @param onUnhandled hears of it in place of the process
   */
  tolerate(onUnhandled: OnUnhandled = () => {}): void {
    if (this.#onUnhandled !== undefined) return;
    this.#onUnhandled = onUnhandled;
    super.then(undefined, error => {
      if (!this.#isRead) onUnhandled(error);
    });
    for (const next of this.#next ?? []) next.tolerate(onUnhandled);
  }

  /** Calls a function once the promise is settled, without having looked at it. */
  whenSettled(call: () => void): void {
    super.then(call, call);
  }

  get isRead(): boolean {
    return this.#isRead;
  }

  // biome-ignore lint/suspicious/noThenProperty: this is a promise
  override then<Value = Result, Reason = never>(
    onFulfilled?: ((value: Result) => Value | PromiseLike<Value>) | null,
    onRejected?: ((reason: unknown) => Reason | PromiseLike<Reason>) | null,
  ): Promise<Value | Reason> {
    this.#isRead = true;
    const next = super.then(onFulfilled, onRejected) as WatchedPromise<Value | Reason>;
    if (this.#onUnhandled !== undefined) next.tolerate(this.#onUnhandled);
    else if (this.#next === undefined) this.#next = [next];
    else this.#next.push(next);
    return next;
  }
}
