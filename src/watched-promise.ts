/** A promise that tells when somebody first looks at it, so that an answer that nobody awaited can be noticed. */
export class WatchedPromise<Result> extends Promise<Result> {
  // What then() and catch() make is an ordinary promise.
  static override get [Symbol.species]() {
    return Promise;
  }

  #onRead: (() => void) | undefined;

  constructor(source: PromiseLike<Result>, onRead: () => void) {
    super((resolve, reject) => void source.then(resolve, reject));
    // Unread, it must not end the process where it rejects.
    super.then(undefined, () => {});
    this.#onRead = onRead;
  }

  // biome-ignore lint/suspicious/noThenProperty: this is a promise
  override then<Value = Result, Reason = never>(
    onFulfilled?: ((value: Result) => Value | PromiseLike<Value>) | null,
    onRejected?: ((reason: unknown) => Reason | PromiseLike<Reason>) | null,
  ): Promise<Value | Reason> {
    this.#onRead?.();
    this.#onRead = undefined;
    return super.then(onFulfilled, onRejected);
  }
}
