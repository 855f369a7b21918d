import { requireActor, requireResource } from './arguments.js';
import { AuthorizationRecord, type Decision } from './authorization-state.js';
import { endWith } from './end-with.js';
import { errors } from './errors.js';
import { policyInForce } from './policy-engine.js';
import type { Settings } from './settings.js';
import type { DefaultAction, DefaultActor } from './types.js';
import { type Asker, type AskerOutcome, Verbs } from './verbs.js';

/**
 * What `koaOso.for(actor)` gives: the verbs of `ctx.oso` outside of a request, with the same guards.
 *
 * There is no request to stop, so a denial is thrown. There is no method either, so every question names its action. Each
 * question goes by the policy that is in force when it is asked.
 */
export class ActorOso<Actor = DefaultActor, Action = DefaultAction> extends Verbs<Actor, Action> {
  /** @internal Made by `koaOso.for(actor)`. */
  constructor(settings: Settings, actor: Actor | null) {
    super(askerFor(settings, requireActor(actor, 'Check what the look-up gave')));
  }
}

/** A worker may keep one for days: it remembers the latest decisions, not all. */
const MAX_DECISIONS = 1000;

function askerFor(settings: Settings, actor: unknown): Asker {
  const record = new AuthorizationRecord(MAX_DECISIONS);
  return {
    settings,
    record,
    outcome: LOOKED_AT,
    findActor: () => actor,
    resourceOf: requireResource,
    policyOf: policyInForce,
    defaultAction: () => {
      throw errors.invalidArgument(
        "The question names no action, and outside of a request there is no method to take for it. Pass one: { action: 'read' }.",
      );
    },
    note: (decision: Decision) => record.add(decision),
    deny: async () => endWith(undefined, 403),
    notFound: () => endWith(undefined, 404),
  };
}

/**
 * Outside of a request nothing waits for a check, and there is no response to withhold. Of a rejection that nobody handles
 * Node itself hears. Of an answer that nobody looked at the process is warned.
 */
const LOOKED_AT: AskerOutcome = {
  enforce: check => check,
  expectHandled: check => check,
  enforceList: expectRead,
  watch: expectRead,
};

function expectRead<Result>(verb: string, answer: Promise<Result>): Promise<Result> {
  const read = new ReadPromise<Result>((resolve, reject) => void answer.then(resolve, reject));
  unread.register(read, `koaOso.for(…).${verb}`, read);
  return read;
}

/** Hears of promises that nobody can look at any more. Before that somebody might: there is no end, as a request has one. */
const unread = new FinalizationRegistry<string>(question => {
  process.emitWarning(errors.notAwaited(question));
});

class ReadPromise<Result> extends Promise<Result> {
  static override get [Symbol.species]() {
    return Promise;
  }

  // biome-ignore lint/suspicious/noThenProperty: this is a promise
  override then<Value = Result, Reason = never>(
    onFulfilled?: ((value: Result) => Value | PromiseLike<Value>) | null,
    onRejected?: ((reason: unknown) => Reason | PromiseLike<Reason>) | null,
  ): Promise<Value | Reason> {
    unread.unregister(this);
    return super.then(onFulfilled, onRejected);
  }
}
