function rethrowUnless(isKnown: boolean, error: unknown): void {
  if (!isKnown) throw error;
}

/** A promise that knows whether anybody has looked at it, so that one that was not awaited can be noticed. */
export class WatchedPromise<Result> extends Promise<Result> {
  // What then() and catch() make is an ordinary promise.
  static override get [Symbol.species]() {
    return Promise;
  }

  #isRead = false;

  /** Keeps a rejection from ending the process that nobody handles. To be called before it rejects. */
  tolerate(): void {
    super.then(undefined, () => {});
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
    const next = super.then(onFulfilled, onRejected);
    // A chain that nobody handles would end the process by an error that the request answers anyway. Others it may.
    if (!onRejected)
      super.then(undefined, error => void next.catch(other => rethrowUnless(other === error, other)));
    return next;
  }
}
