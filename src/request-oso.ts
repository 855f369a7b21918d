import type { Context } from 'koa';
import type { AuthorizationState, Decision, DecisionKind, Denial } from './authorization-state.js';
import { answerWith, errors, isClientError, KoaOsoError } from './errors.js';
import { HttpRequest } from './http-request.js';
import type { Settings } from './koa-oso.js';
import { engineError, type PolicyEngine } from './policy-engine.js';
import type { DefaultAction, DefaultActor } from './types.js';

/** Who asks, and what for. What is left out (or `undefined`) is the default. */
export interface DecisionOptions<Actor = DefaultActor, Action = DefaultAction> {
  /** Default: what `getActor` gives for the request. `null` is the anonymous visitor, `nil` in the policy. */
  actor?: Actor | null;
  /** Default: the request's method, `"GET"`. */
  action?: Action;
}

export interface AuthorizeOptions<Actor = DefaultActor, Action = DefaultAction>
  extends DecisionOptions<Actor, Action> {
  /** Answer 404 instead of 403 where the actor may not even read the resource. Default: as given to `KoaOso`. */
  checkRead?: boolean;
}

export interface ActorOption<Actor = DefaultActor> {
  /** Default: what `getActor` gives for the request. */
  actor?: Actor | null;
}

export interface WildcardOption {
  /** Give `"*"` where a rule leaves the action or field open. Default: such a rule is an error. */
  allowWildcard?: boolean;
}

/** A class that is registered with Oso. */
export type ResourceClass<Resource = unknown> = new (...args: never[]) => Resource;

type Question = Pick<Decision, 'kind' | 'actor' | 'action' | 'resource' | 'field'>;

/**
 * What a handler meets as `ctx.oso`: the verbs of authorization, for one request.
 *
 * A denial ends the request even where the handler forgot to `await` it or swallowed the error. To ask without
 * consequences there is {@link RequestOso.isAllowed}.
 */
export class RequestOso<Actor = DefaultActor, Action = DefaultAction> {
  readonly #ctx: Context;
  readonly #settings: Settings;
  readonly #state: { -readonly [Key in keyof AuthorizationState]: AuthorizationState[Key] } & {
    decisions: Decision[];
  };
  #request: HttpRequest | undefined;
  #actor: Promise<Actor | null> | undefined;
  #refusal: Error | undefined;
  #unread = 0;
  #running = 0;
  #whenSettled: (() => void) | undefined;

  /**
   * Made by `koaOso.middleware()`, once a request.
   *
   * @param outer that of another KoaOso around this one, as in mounted apps: what one has authorized counts for both
   */
  constructor(ctx: Context, settings: Settings, outer?: RequestOso) {
    this.#ctx = ctx;
    this.#settings = settings;
    this.#state = outer === undefined ? { authorized: false, skipped: false, decisions: [] } : outer.#state;
  }

  /** What has been decided so far; the same object as `ctx.state.oso`. */
  get state(): AuthorizationState {
    return this.#state;
  }

  /** The request as policies see it. */
  get request(): HttpRequest {
    this.#request ??= new HttpRequest(this.#ctx);
    return this.#request;
  }

  /**
   * Who sent the request: what `getActor` gives, asked once a request; `null` for nobody.
   *
   * @throws {KoaOsoError} (rejects) `ERR_KOA_OSO_GET_ACTOR_FAILED` where `getActor` throws; an error that it made for
   *   the client, as `ctx.throw(401)`, passes unchanged
   */
  get currentActor(): Promise<Actor | null> {
    this.#actor ??= this.#getActor();
    return this.#actor;
  }

  /**
   * Decides whether the actor may do the action to the resource (`allow` in the policy), and stops the request where
   * not. Counts as having authorized.
   *
   * @param resource what is acted on. `ctx.request` means the HTTP request; `null` is `nil` in the policy
   * @throws the error of the unauthorized action where the policy denies, by default 403 Forbidden
   * @throws {KoaOsoError} `ERR_KOA_OSO_INVALID_ARGUMENT` where the resource is `undefined` or a promise, and the other
   *   codes where no decision could be made
   * @example
   * const expense = await expenses.find(ctx.params.id);
   * await ctx.oso.authorize(expense, { action: 'read' });
   */
  authorize(resource: unknown, options: AuthorizeOptions<Actor, Action> = {}): Promise<void> {
    return this.#enforce(async () => {
      const question = await this.#question('authorize', resource, options);
      const { actor, action, resource: asked } = question;
      const decision = await this.#decide(question, 'allow', oso => oso.isAllowed(actor, action, asked));
      if (!decision.allowed) await this.#deny(decision, options.checkRead);
    });
  }

  /**
   * Decides whether the actor may send this request at all (`allow_request` in the policy), and stops it where not.
   * Counts as having authorized.
   *
   * @throws as {@link RequestOso.authorize}
   */
  authorizeRequest(options: ActorOption<Actor> = {}): Promise<void> {
    return this.#enforce(async () => {
      const { request } = this;
      const actor = await this.#actorOf(options);
      const decision = await this.#decide(
        { kind: 'authorizeRequest', actor, resource: request },
        'allow_request',
        oso => oso.queryRuleOnce('allow_request', actor, request),
      );
      if (!decision.allowed) await this.#deny(decision, false);
    });
  }

  /**
   * Decides whether the actor may do the action to one field of the resource (`allow_field` in the policy), and stops
   * the request where not. Counts as having authorized.
   *
   * @throws as {@link RequestOso.authorize}
   * @example
   * for (const field of Object.keys(changes)) await ctx.oso.authorizeField(expense, field, { action: 'update' });
   */
  authorizeField(
    resource: unknown,
    field: string,
    options: AuthorizeOptions<Actor, Action> = {},
  ): Promise<void> {
    return this.#enforce(async () => {
      const question = { ...(await this.#question('authorizeField', resource, options)), field };
      const { actor, action, resource: asked } = question;
      const decision = await this.#decide(question, 'allow_field', oso =>
        oso.queryRuleOnce('allow_field', actor, action, asked, field),
      );
      if (!decision.allowed) await this.#deny(decision, options.checkRead);
    });
  }

  /**
   * Asks whether the actor may do the action to the resource, without consequences: it stops nothing, and does not
   * count as having authorized.
   *
   * @returns the policy's answer. It must be awaited: a request that takes the promise for the answer gets 500
   *   (`ERR_KOA_OSO_NOT_AWAITED`) instead of its response
   * @throws {KoaOsoError} where no decision could be made
   * @example
   * ctx.body = { ...expense, mayApprove: await ctx.oso.isAllowed(expense, { action: 'approve' }) };
   */
  isAllowed(resource: unknown, options: DecisionOptions<Actor, Action> = {}): Promise<boolean> {
    this.#unread++;
    const answer = this.#track(this.#isAllowed(resource, options));
    return new WatchedPromise(answer, () => this.#unread--);
  }

  /**
   * The actions that the actor may do to the resource. Does not count as having authorized.
   *
   * @returns the actions that the policy names; `"*"` for any, where `allowWildcard` is set
   * @throws {KoaOsoError} where no decision could be made
   */
  authorizedActions(
    resource: unknown,
    options: ActorOption<Actor> & WildcardOption = {},
  ): Promise<Set<Action | '*'>> {
    const { allowWildcard = false } = options;
    return this.#track(
      this.#collect('authorizedActions', 'allow', resource, options, (oso, { actor, resource: asked }) =>
        oso.authorizedActions(actor, asked, { allowWildcard }),
      ),
    ) as Promise<Set<Action | '*'>>;
  }

  /**
   * The fields of the resource on which the actor may do the action. Does not count as having authorized.
   *
   * @returns the fields that the policy names; `"*"` for any, where `allowWildcard` is set
   * @throws {KoaOsoError} where no decision could be made
   */
  authorizedFields(
    resource: unknown,
    options: DecisionOptions<Actor, Action> & WildcardOption = {},
  ): Promise<Set<string>> {
    const { allowWildcard = false } = options;
    return this.#track(
      this.#collect(
        'authorizedFields',
        'allow_field',
        resource,
        options,
        (oso, { actor, action, resource: asked }) =>
          oso.authorizedFields(actor, action, asked, { allowWildcard }),
      ),
    ) as Promise<Set<string>>;
  }

  /**
   * A query for the resources of a class on which the actor may do the action, made by the data filtering adapter
   * that was given to `oso.setDataFilteringAdapter`. Counts as having authorized.
   *
   * @typeParam Query what the adapter builds
   * @throws {KoaOsoError} where the policy cannot be turned into a query
   */
  authorizedQuery<Query = unknown>(
    resourceClass: ResourceClass,
    options: DecisionOptions<Actor, Action> = {},
  ): Promise<Query> {
    return this.#enforce(() =>
      this.#collect('authorizedQuery', 'allow', resourceClass, options, (oso, { actor, action }) =>
        oso.authorizedQuery(actor, action, resourceClass),
      ),
    ) as Promise<Query>;
  }

  /**
   * The resources of a class on which the actor may do the action, loaded by the data filtering adapter that was given
   * to `oso.setDataFilteringAdapter`. Counts as having authorized.
   *
   * @throws {KoaOsoError} where the policy cannot be turned into a query, or the query fails
   * @example
   * ctx.body = await ctx.oso.authorizedResources(Expense, { action: 'read' });
   */
  authorizedResources<Resource>(
    resourceClass: ResourceClass<Resource>,
    options: DecisionOptions<Actor, Action> = {},
  ): Promise<Resource[]> {
    return this.#enforce(() =>
      this.#collect('authorizedResources', 'allow', resourceClass, options, (oso, { actor, action }) =>
        oso.authorizedResources(actor, action, resourceClass),
      ),
    ) as Promise<Resource[]>;
  }

  /**
   * Says that this request needs no authorization, so that `requireAuthorization` lets it pass.
   *
   * @param reason for the reader, and for `ctx.state.oso.skipReason`
   */
  skipAuthorization(reason?: string): void {
    this.#state.skipped = true;
    this.#state.skipReason = reason;
  }

  /** @internal Whether these are the settings that the request is decided by. */
  isOf(settings: Settings): boolean {
    return this.#settings === settings;
  }

  /** @internal Waits for the checks that nobody awaited; then tells how they force the request to end, if they do. */
  async outcome(): Promise<Error | undefined> {
    while (this.#running > 0) {
      await new Promise<void>(resolve => {
        this.#whenSettled = resolve;
      });
    }
    if (this.#refusal === undefined && this.#unread > 0) return errors.notAwaited();
    return this.#refusal;
  }

  /** Runs a check whose failure must end the request, also where the handler never looks at it. */
  #enforce<Result>(check: () => Promise<Result>): Promise<Result> {
    const run = async () => {
      try {
        const result = await check();
        this.#state.authorized = true;
        return result;
      } catch (error) {
        const answer = answerWith(error);
        this.#refusal ??= answer;
        throw answer;
      }
    };
    return this.#track(run());
  }

  /** Keeps the response waiting for the check, and a rejection that nobody handles from ending the process. */
  #track<Result>(check: Promise<Result>): Promise<Result> {
    this.#running++;
    const settle = () => {
      this.#running--;
      if (this.#running === 0) this.#whenSettled?.();
    };
    check.then(settle, settle);
    return check;
  }

  async #isAllowed(resource: unknown, options: DecisionOptions<Actor, Action>): Promise<boolean> {
    const question = await this.#question('isAllowed', resource, options);
    const { actor, action, resource: asked } = question;
    const { allowed } = await this.#decide(question, 'allow', oso => oso.isAllowed(actor, action, asked));
    return allowed;
  }

  async #question(
    kind: DecisionKind,
    resource: unknown,
    options: DecisionOptions<Actor, Action>,
  ): Promise<Question> {
    const asked = this.#resourceOf(resource);
    return {
      kind,
      actor: await this.#actorOf(options),
      action: options.action ?? this.#ctx.method,
      resource: asked,
    };
  }

  #resourceOf(resource: unknown): unknown {
    if (resource === this.#ctx.request || resource === this.#ctx.req) return this.request;
    if (resource === undefined) {
      throw errors.invalidArgument(
        'The resource is undefined: a look-up that found nothing, or a property of a promise that was not awaited. ' +
          'Answer 404 where a resource may be missing; pass null to ask about nil.',
      );
    }
    if (isPromise(resource))
      throw errors.invalidArgument('The resource is a promise. Await it before authorizing.');
    return resource;
  }

  async #actorOf(options: ActorOption<Actor>): Promise<Actor | null> {
    if (options.actor === undefined) return this.currentActor;
    if (isPromise(options.actor)) {
      throw errors.invalidArgument('The actor is a promise. Await it before authorizing.');
    }
    return options.actor;
  }

  async #getActor(): Promise<Actor | null> {
    try {
      // What is absent is nobody; Oso takes undefined for some other thing than nil.
      return ((await this.#settings.getActor(this.#ctx)) ?? null) as Actor | null;
    } catch (error) {
      throw isClientError(error) || error instanceof KoaOsoError ? error : errors.getActorFailed(error);
    }
  }

  /** Asks the policy a question of yes or no. Anything but true is no. */
  async #decide(
    question: Question,
    rule: string,
    ask: (oso: PolicyEngine) => Promise<boolean>,
  ): Promise<Decision> {
    const { value, duration } = await this.#ask(rule, ask);
    const decision = { ...question, allowed: value === true, duration };
    this.#state.decisions.push(decision);
    return decision;
  }

  /** Asks the policy for a collection, or for the query that finds it. */
  async #collect<Result>(
    kind: DecisionKind,
    rule: string,
    resource: unknown,
    options: DecisionOptions<Actor, Action>,
    ask: (oso: PolicyEngine, question: Question) => Promise<Result>,
  ): Promise<Result> {
    const question = await this.#question(kind, resource, options);
    const { value, duration } = await this.#ask(rule, oso => ask(oso, question));
    this.#state.decisions.push({ ...question, allowed: true, duration });
    return value;
  }

  async #ask<Result>(
    rule: string,
    ask: (oso: PolicyEngine) => Promise<Result>,
  ): Promise<{ value: Result; duration: number }> {
    const { oso } = this.#settings;
    if (oso === undefined) throw errors.noOso();
    const start = performance.now();
    try {
      const value = await ask(oso);
      return { value, duration: performance.now() - start };
    } catch (error) {
      throw engineError(rule, error);
    }
  }

  /** Ends a denied check with the error of the unauthorized action, or with koa-oso's own where that throws none. */
  async #deny(decision: Decision, checkRead = this.#settings.checkRead): Promise<never> {
    const status = checkRead && !(await this.#mayRead(decision)) ? 404 : 403;
    const denial: Denial = { ...decision, allowed: false, status };
    await this.#settings.unauthorizedAction(this.#ctx, denial);
    return denyByDefault(this.#ctx, denial);
  }

  async #mayRead({ actor, action, resource }: Decision): Promise<boolean> {
    const { readAction } = this.#settings;
    if (action === readAction) return false;
    const { allowed } = await this.#decide(
      { kind: 'isAllowed', actor, action: readAction, resource },
      'allow',
      oso => oso.isAllowed(actor, readAction, resource),
    );
    return allowed;
  }
}

/** The default unauthorized action: 403 Forbidden, or 404 Not Found where the denial says so. */
export function denyByDefault(ctx: Context, denial: Denial): never {
  const code = denial.status === 404 ? 'ERR_KOA_OSO_NOT_FOUND' : 'ERR_KOA_OSO_FORBIDDEN';
  return ctx.throw(denial.status, { code });
}

export function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}

/** A promise that tells when somebody first looks at it, so that an answer that nobody awaited can be noticed. */
class WatchedPromise<Result> extends Promise<Result> {
  // What then() and catch() make is an ordinary promise.
  static override get [Symbol.species]() {
    return Promise;
  }

  #onRead: (() => void) | undefined;

  constructor(source: PromiseLike<Result>, onRead: () => void) {
    super((resolve, reject) => void source.then(resolve, reject));
    // Unread, it must not end the process where it rejects: the request's outcome tells.
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
