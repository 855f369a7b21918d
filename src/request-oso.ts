import type { Context } from 'koa';
import { isPromise, requireResource } from './arguments.js';
import { AuthorizationRecord, type Decision, type Denial } from './authorization-state.js';
import { denyByDefault, endWith } from './end-with.js';
import { answerWith, errors, isClientError } from './errors.js';
import { propertyOf } from './guard/own-properties.js';
import { HttpRequest } from './http-request.js';
import { type HeldPolicy, type PolicyEngine, policyInForce } from './policy-engine.js';
import type { RequestOutcome } from './request-outcome.js';
import type { Settings } from './settings.js';
import type { DefaultAction, DefaultActor } from './types.js';
import { type ActorOption, type Asker, Verbs } from './verbs.js';

/**
 * What a handler meets as `ctx.oso`: the verbs of authorization, for one request.
 *
 * A denial ends the request even if the handler forgot to `await` it or swallowed the error. To ask without
 * consequences there is {@link Verbs.isAllowed}; to answer in part, {@link Verbs.check}.
 */
export class RequestOso<Actor = DefaultActor, Action = DefaultAction> extends Verbs<Actor, Action, true> {
  readonly #asker: RequestAsker;
  readonly #outer: RequestOso | undefined;

  /**
   * Made by `koaOso.middleware()`, once a request.
   *
   * @param outer that of another KoaOso around this one, as in mounted apps: what one has authorized counts for both
   * @internal
   */
  constructor(ctx: Context, settings: Settings, outcome: RequestOutcome, outer?: RequestOso) {
    const asker = new RequestAsker(ctx, settings, outcome, outer === undefined ? undefined : outer.#asker);
    super(asker);
    this.#asker = asker;
    this.#outer = outer;
  }

  /** @internal How the checks of this request force it to end. */
  get outcome(): RequestOutcome {
    return this.#asker.outcome;
  }

  /** The request as policies see it. */
  get request(): HttpRequest {
    return this.#asker.request;
  }

  /**
   * Who sent the request: what `getActor` gives, asked once a request; `null` for nobody.
   *
   * @throws {KoaOsoError} (rejects) `ERR_KOA_OSO_GET_ACTOR_FAILED` if `getActor` throws; an error that it made for
   *   the client, as `ctx.throw(401)`, passes unchanged
   */
  get currentActor(): Promise<Actor | null> {
    const actor = async () => this.#asker.findActor() as Promise<Actor | null>;
    return this.outcome.watch('currentActor', actor());
  }

  /**
   * Decides whether the actor may send this request at all (`allow_request` in the policy), and if not, stops it.
   * Counts as having authorized.
   *
   * @throws as {@link Verbs.authorize}
   */
  authorizeRequest(options: ActorOption<Actor> = {}): Promise<void> {
    return this.askAboutRequest(this.request, options);
  }

  /**
   * Says that this request needs no authorization, so that `requireAuthorization` lets it pass.
   *
   * @param reason for the reader, and for `ctx.state.oso.skipReason`
   */
  skipAuthorization(reason?: string): void {
    const { record } = this.#asker;
    record.skipped = true;
    record.skipReason = reason;
  }

  /** @internal The RequestOso by these settings: this one, or one around it. */
  ofSettings(settings: Settings): RequestOso | undefined {
    return this.#asker.settings === settings
      ? (this as unknown as RequestOso)
      : this.#outer?.ofSettings(settings);
  }
}

/** A request that asks. */
class RequestAsker implements Asker {
  readonly settings: Settings;
  readonly record: AuthorizationRecord;
  readonly outcome: RequestOutcome;
  readonly #ctx: Context;
  readonly #outer: RequestAsker | undefined;
  #request: HttpRequest | undefined;
  /** Which policy of an Oso this request goes by; kept by the outermost for those within. */
  #policies: Map<PolicyEngine, HeldPolicy> | undefined;
  #actor: unknown;
  /** How many denials the unauthorized action is answering. */
  #answering = 0;

  constructor(ctx: Context, settings: Settings, outcome: RequestOutcome, outer: RequestAsker | undefined) {
    this.#ctx = ctx;
    this.settings = settings;
    this.outcome = outcome;
    this.#outer = outer;
    this.record = outer === undefined ? new AuthorizationRecord() : outer.record;
  }

  get request(): HttpRequest {
    this.#request ??= new HttpRequest(this.#ctx);
    return this.#request;
  }

  defaultAction(): string {
    return this.#ctx.method;
  }

  resourceOf(resource: unknown): unknown {
    const isRequest = resource === this.#ctx.request || resource === this.#ctx.req;
    return isRequest ? this.request : requireResource(resource);
  }

  /**
   * The policy that was in force at the first question of the request, so that no request is answered by a mixture of two.
   * After its answer (events of a stream, messages of a socket) it is the one that is in force.
   */
  policyOf(oso: PolicyEngine): HeldPolicy {
    if (this.outcome.isClosed) return policyInForce(oso);
    let root: RequestAsker = this;
    while (root.#outer !== undefined) root = root.#outer;
    root.#policies ??= new Map();
    let held = root.#policies.get(oso);
    if (held === undefined) {
      held = policyInForce(oso);
      root.#policies.set(oso, held);
    }
    return held;
  }

  note(decision: Decision): void {
    if (!this.outcome.isClosed) this.record.add(decision);
  }

  /** The actor of the request, asked for once; a promise if it has to be waited for. */
  findActor(): unknown {
    if (this.#actor === undefined) this.#actor = this.#getActor();
    return this.#actor;
  }

  #getActor(): unknown {
    const failed = (error: unknown): never => {
      throw answerWith(isClientError(error) ? error : errors.getActorFailed(error));
    };
    try {
      const actor: unknown = this.settings.getActor(this.#ctx);
      // What is absent is nobody; Oso takes undefined for some other thing than nil.
      return isPromise(actor) ? Promise.resolve(actor).then(found => found ?? null, failed) : (actor ?? null);
    } catch (error) {
      return failed(error);
    }
  }

  /** Ends a denied check with the error of the unauthorized action, or with koa-oso's own if that throws none. */
  async deny(denial: Denial<never, never>): Promise<never> {
    // One that asks for what is denied as well would call itself for ever, and nothing else would have its turn.
    if (this.#answering >= MAX_ANSWERING) return denyByDefault(this.#ctx);
    this.#answering++;
    try {
      await this.settings.unauthorizedAction(this.#ctx, denial);
    } finally {
      this.#answering--;
    }
    // It returned, perhaps after a redirect, which must not be followed.
    this.#ctx.remove('Location');
    return denyByDefault(this.#ctx);
  }

  notFound(): never {
    return endWith(this.#ctx, 404);
  }
}

/** How many denials of one request the unauthorized action answers at a time. */
const MAX_ANSWERING = 100;

/**
 * The RequestOso of a request, for what is made before there is one.
 *
 * @throws {KoaOsoError} `ERR_KOA_OSO_MIDDLEWARE_MISSING` if the middleware did not run
 */
export function requestOso(ctx: Context): RequestOso<unknown, unknown> {
  const oso = propertyOf(ctx, 'oso') as RequestOso<unknown, unknown> | undefined;
  if (oso === undefined) throw errors.middlewareMissing();
  return oso;
}
