import type { DefaultAction, DefaultActor } from './types.js';

/** The verb by which a question was asked. */
export type DecisionKind =
  | 'authorize'
  | 'check'
  | 'isAllowed'
  | 'authorizeRequest'
  | 'authorizeField'
  | 'authorizedActions'
  | 'authorizedFields'
  | 'authorizedQuery'
  | 'authorizedResources'
  | 'authorizedActors';

/** One answered question. */
export interface Decision {
  readonly kind: DecisionKind;
  /** Who asked; for `authorizedActors`, the class of those who may. */
  readonly actor: unknown;
  /** Absent if the question has no action: `authorizeRequest` and `authorizedActions`. */
  readonly action?: unknown;
  /** What the question was about; for `authorizedQuery` and `authorizedResources`, the class. */
  readonly resource: unknown;
  /** Only for `authorizeField`. */
  readonly field?: unknown;
  /** For the kinds that ask for a collection: whether there was an answer at all. */
  readonly allowed: boolean;
  /** Milliseconds that the policy took. */
  readonly duration: number;
  /** Which policy decided: a hash of its texts. Undefined if it was loaded before KoaOso was given the Oso. */
  readonly policyVersion: string | undefined;
}

/** Why a question was answered as it was. It is for developers; {@link Why.message} alone is for users. */
export interface Why {
  readonly allowed: boolean;
  /** What the policy says to users by `# @reason code: text` of the rules that refuse, the nearest to a yes first. */
  readonly reasons: readonly { readonly code: string; readonly message: string }[];
  /** The text of the first reason; undefined if the policy gives none. */
  readonly message: string | undefined;
  /** The explanation as text, with the policy's own lines. By default no text of the actor or the resource is in it. */
  toString(): string;
  toJSON(): object;
}

/** A decision that was not allowed, as the unauthorized action receives it. */
export interface Denial<Actor = DefaultActor, Action = DefaultAction> extends Decision {
  readonly actor: Actor | null;
  /** One of the application's, or the request's method. */
  readonly action?: Action | string | undefined;
  readonly allowed: false;
  /**
   * The status that koa-oso would answer with. If `checkRead` finds that the actor may not even read the resource, koa-oso
   * answers 404 by itself, as for one that is missing, and the unauthorized action is not asked.
   */
  readonly status: 403;
  /**
   * Says why, with CompiledOso. The policy is asked once more, and nothing is decided by that.
   *
   * @throws {KoaOsoError} (rejects) `ERR_KOA_OSO_INVALID_ARGUMENT` if the Oso cannot tell why
   * @example
   * koaOso.setUnauthorizedAction(async (ctx, denial) => {
   *   ctx.throw(403, (await denial.explain()).message ?? 'Forbidden');
   * });
   */
  explain(): Promise<Why>;
}

/**
 * What is known about the authorization of a request: `ctx.state.oso`. To be read; only the verbs of `ctx.oso` change it.
 * It cannot be written or replaced: that throws a TypeError in strict code, and does nothing in other code. What its
 * properties hold now is what is known now; a list of decisions that was read does not grow.
 *
 * @example
 * app.use(async (ctx, next) => {
 *   await next();
 *   ctx.set('Server-Timing', ctx.state.oso.decisions.map(d => `oso;dur=${d.duration}`).join(', '));
 * });
 */
export interface AuthorizationState {
  /** Whether a check that counts as authorizing was allowed (`isAllowed` does not count). */
  readonly authorized: boolean;
  /** Whether the request was said to need no authorization. */
  readonly skipped: boolean;
  /** Why, as given to `skipAuthorization`. */
  readonly skipReason?: string | undefined;
  /** Every question that was answered for this request, in the order of the answers. */
  readonly decisions: readonly Decision[];
}

/** What is decided for one request or actor, as koa-oso keeps it. Everybody else gets the {@link AuthorizationRecord.view}. */
export class AuthorizationRecord {
  authorized = false;
  skipped = false;
  skipReason: string | undefined;
  readonly view: AuthorizationState = new AuthorizationView(this);
  readonly #decisions: Decision[] = [];
  readonly #most: number;
  #seen: readonly Decision[] | undefined;

  /** @param most how many decisions are kept, the latest */
  constructor(most = Number.POSITIVE_INFINITY) {
    this.#most = most;
  }

  add(decision: Decision): void {
    if (this.#decisions.length >= this.#most) this.#decisions.shift();
    this.#decisions.push(decision);
    this.#seen = undefined;
  }

  /** What others see of the decisions. Few requests look at them, so they are frozen when they are asked for. */
  get decisions(): readonly Decision[] {
    this.#seen ??= Object.freeze(this.#decisions.map(decision => Object.freeze(decision)));
    return this.#seen;
  }
}

/** A record as others see it. Nothing of it can be written, also not by code that merges into `ctx.state` what a client sent. */
class AuthorizationView implements AuthorizationState {
  static {
    Object.freeze(AuthorizationView.prototype);
  }

  readonly #record: AuthorizationRecord;

  constructor(record: AuthorizationRecord) {
    this.#record = record;
    Object.freeze(this);
  }

  get authorized(): boolean {
    return this.#record.authorized;
  }

  get skipped(): boolean {
    return this.#record.skipped;
  }

  get skipReason(): string | undefined {
    return this.#record.skipReason;
  }

  get decisions(): readonly Decision[] {
    return this.#record.decisions;
  }

  toJSON(): AuthorizationState {
    const { authorized, skipped, skipReason, decisions } = this;
    return { authorized, skipped, skipReason, decisions };
  }
}
