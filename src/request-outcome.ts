import { answerWith, errors } from './errors.js';
import { WatchedPromise } from './watched-promise.js';

const ignore = () => {};

/**
 * How the checks of one request force it to end, whatever its handler makes of them: which are still running, which
 * was refused, which answer nobody looked at.
 */
export class RequestOutcome {
  #running = 0;
  #unread = 0;
  #refused: Error | undefined;
  #whenSettled: (() => void) | undefined;

  /** Whether all checks are through. */
  get isSettled(): boolean {
    return this.#running === 0;
  }

  /** Waits for the checks that nobody awaited. */
  async settle(): Promise<void> {
    while (this.#running > 0) {
      await new Promise<void>(resolve => {
        this.#whenSettled = resolve;
      });
    }
  }

  /** The error that the request has to end with, once it is settled. */
  get refusal(): Error | undefined {
    return this.#refused ?? (this.#unread > 0 ? errors.notAwaited() : undefined);
  }

  /** Makes a check that fails end the request, also where the handler forgot it or swallows the error. */
  enforce<Result>(check: Promise<Result>): Promise<Result> {
    this.#running++;
    const enforced = check.then(
      result => {
        this.#finish();
        return result;
      },
      error => {
        const answer = answerWith(error);
        this.#refused ??= answer;
        this.#finish();
        throw answer;
      },
    );
    // Nobody may be awaiting it, and a rejection that nobody handles would end the process.
    enforced.catch(ignore);
    return enforced;
  }

  /** Makes the response wait for an answer that has no consequences by itself. */
  await<Result>(answer: Promise<Result>): Promise<Result> {
    this.#running++;
    const finish = () => this.#finish();
    answer.then(finish, finish);
    return answer;
  }

  /** The same for an answer that is dangerous to take for true without looking at it. */
  watch(answer: Promise<boolean>): Promise<boolean> {
    this.#unread++;
    return new WatchedPromise(this.await(answer), () => {
      this.#unread--;
    });
  }

  #finish(): void {
    this.#running--;
    if (this.#running === 0) this.#whenSettled?.();
  }
}
