import type { Context } from 'koa';
import type { Class } from 'oso';
import {
  AuthorizationRecord,
  type AuthorizationState,
  type Decision,
  type DecisionKind,
  type Denial,
} from './authorization-state.js';
import { answerWith, type ErrorCode, errors, isClientError } from './errors.js';
import { HttpRequest } from './http-request.js';
import { given } from './options.js';
import { defineHidden, propertyOf } from './own-properties.js';
import { engineError, type HeldPolicy, type PolicyEngine, policyInForce } from './policy-engine.js';
import type { RequestOutcome } from './request-outcome.js';
import type { Settings } from './settings.js';
import type { DefaultAction, DefaultActor, ListQuery } from './types.js';

/** Who asks, and what for. What is left out is the default. */
export interface DecisionOptions<Actor = DefaultActor, Action = DefaultAction> {
  /**
   * Default: what `getActor` gives for the request. `null` is the anonymous visitor, `nil` in the policy; `undefined` is
   * an error, lest a look-up that found nothing be decided for somebody else.
   */
  actor?: Actor | null;
  /**
   * Default: the request's method, `"GET"`. A string, a number or another single value; or an instance of a class that the
   * policy knows. `undefined` is an error, as it is for the actor. So are arrays and plain objects: a client can send them in
   * place of a name, they are on no list of what is denied, and `['delete']` is `delete` as the name of a property.
   */
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
export type ResourceClass<Resource = unknown> = abstract new (...args: never[]) => Resource;

interface Verb {
  /** The rule of the policy that it asks. */
  rule: string;
  /** Whether the question names an action. */
  hasAction: boolean;
  /** Whether it asks for a collection, and not for yes or no. */
  collects: boolean;
}

const VERBS: Record<DecisionKind, Verb> = {
  authorize: { rule: 'allow', hasAction: true, collects: false },
  isAllowed: { rule: 'allow', hasAction: true, collects: false },
  authorizeRequest: { rule: 'allow_request', hasAction: false, collects: false },
  authorizeField: { rule: 'allow_field', hasAction: true, collects: false },
  authorizedActions: { rule: 'allow', hasAction: false, collects: true },
  authorizedFields: { rule: 'allow_field', hasAction: true, collects: true },
  authorizedQuery: { rule: 'allow', hasAction: true, collects: true },
  authorizedResources: { rule: 'allow', hasAction: true, collects: true },
};

type Ask<Answer> = (oso: PolicyEngine, actor: unknown, action: unknown, resource: unknown) => Promise<Answer>;

/**
 * What a handler meets as `ctx.oso`: the verbs of authorization, for one request.
 *
 * A denial ends the request even where the handler forgot to `await` it or swallowed the error. To ask without
 * consequences there is {@link RequestOso.isAllowed}.
 */
export class RequestOso<Actor = DefaultActor, Action = DefaultAction> {
  readonly #ctx: Context;
  readonly #settings: Settings;
  readonly #record: AuthorizationRecord;
  readonly #outer: RequestOso | undefined;
  #request: HttpRequest | undefined;
  /** Which policy of an Oso this request goes by; kept by the outermost for those within. */
  #policies: Map<PolicyEngine, HeldPolicy> | undefined;
  #actor: Actor | null | Promise<Actor | null> | undefined;
  /** How many denials the unauthorized action is answering. */
  #answering = 0;

  /** @internal How the checks of this request force it to end. */
  readonly outcome: RequestOutcome;

  /**
   * Made by `koaOso.middleware()`, once a request.
   *
   * @param outer that of another KoaOso around this one, as in mounted apps: what one has authorized counts for both
   * @internal
   */
  constructor(ctx: Context, settings: Settings, outcome: RequestOutcome, outer?: RequestOso) {
    this.#ctx = ctx;
    this.#settings = settings;
    this.outcome = outcome;
    this.#outer = outer;
    this.#record = outer === undefined ? new AuthorizationRecord() : outer.#record;
  }

  /** What has been decided so far; the same object as `ctx.state.oso`. */
  get state(): AuthorizationState {
    return this.#record.view;
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
    return this.outcome.watch('currentActor', this.#awaitActor());
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
    return this.outcome.enforce(this.#authorize('authorize', resource, options, ALLOW));
  }

  /**
   * Decides whether the actor may send this request at all (`allow_request` in the policy), and stops it where not.
   * Counts as having authorized.
   *
   * @throws as {@link RequestOso.authorize}
   */
  authorizeRequest(options: ActorOption<Actor> = {}): Promise<void> {
    return this.outcome.enforce(
      this.#authorize('authorizeRequest', this.request, options, (oso, actor, _, request) =>
        oso.queryRuleOnce('allow_request', actor, request),
      ),
    );
  }

  /**
   * Decides whether the actor may do the action to one field of the resource (`allow_field` in the policy), and stops
   * the request where not. Counts as having authorized.
   *
   * @param field the name of the field. Anything but a string is an error: it would be on no list of fields that are denied
   * @throws as {@link RequestOso.authorize}
   * @example
   * for (const field of Object.keys(changes)) await ctx.oso.authorizeField(expense, field, { action: 'update' });
   */
  authorizeField(
    resource: unknown,
    field: string,
    options: AuthorizeOptions<Actor, Action> = {},
  ): Promise<void> {
    return this.outcome.enforce(
      this.#authorize(
        'authorizeField',
        resource,
        options,
        async (oso, actor, action, asked) =>
          oso.queryRuleOnce('allow_field', actor, action, asked, requireField(field)),
        field,
      ),
    );
  }

  /**
   * Stops the request, because there is no such resource: 404, the same answer as for one that `checkRead` hides. A handler
   * that answers itself may tell the two apart, by its message or form, and so tells which ids exist.
   *
   * The actor is found first: if that fails, as for a token that has expired, it fails for every id alike.
   *
   * @throws 404 Not Found (rejects, always); what `getActor` throws, if it does
   * @example
   * const expense = (await expenses.find(ctx.params.id)) ?? (await ctx.oso.notFound());
   * await ctx.oso.authorize(expense, { action: 'read', checkRead: true });
   */
  notFound(options: ActorOption<Actor> = {}): Promise<never> {
    return this.outcome.enforce(this.#notFound(options));
  }

  async #notFound(options: ActorOption<Actor>): Promise<never> {
    await this.#actorOf(given(options));
    return endWith(this.#ctx, 404);
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
    return this.outcome.watch('isAllowed(…)', this.#isAllowed(resource, options));
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
    const { allowWildcard = false } = given(options);
    return this.outcome.watch(
      'authorizedActions(…)',
      this.#collect('authorizedActions', resource, options, (oso, actor, _, asked) =>
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
    const { allowWildcard = false } = given(options);
    return this.outcome.watch(
      'authorizedFields(…)',
      this.#collect('authorizedFields', resource, options, (oso, actor, action, asked) =>
        oso.authorizedFields(actor, action, asked, { allowWildcard }),
      ),
    ) as Promise<Set<string>>;
  }

  /**
   * A query for the resources of a class on which the actor may do the action, made by the data filtering adapter
   * that was given to `oso.setDataFilteringAdapter`. Counts as having authorized: where the actor may see none, it is a
   * query that finds none.
   *
   * @throws {KoaOsoError} `ERR_KOA_OSO_UNFILTERABLE_POLICY` where the policy cannot be turned into a query
   * @example
   * const expenses = await ctx.oso.authorizedQuery(Expense, { action: 'read' });
   * ctx.body = await expenses.orderBy('Expense.id').take(20).getMany();
   */
  authorizedQuery<Resource>(
    resourceClass: ResourceClass<Resource>,
    options?: DecisionOptions<Actor, Action>,
  ): Promise<ListQuery<Resource>>;
  /**
   * The same for an adapter that does not say what its queries are.
   *
   * @typeParam Query what the adapter builds
   */
  authorizedQuery<Query>(
    resourceClass: ResourceClass,
    options?: DecisionOptions<Actor, Action>,
  ): Promise<Query>;
  authorizedQuery(
    resourceClass: ResourceClass,
    options: DecisionOptions<Actor, Action> = {},
  ): Promise<unknown> {
    return this.outcome.expectRead(
      'authorizedQuery(…)',
      this.outcome.enforce(
        this.#authorizeList('authorizedQuery', resourceClass, options, async (oso, actor, action) =>
          oso.authorizedQuery(actor, action, requireClass(resourceClass)),
        ),
      ),
    );
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
    return this.outcome.expectRead(
      'authorizedResources(…)',
      this.outcome.enforce(
        this.#authorizeList('authorizedResources', resourceClass, options, async (oso, actor, action) =>
          oso.authorizedResources(actor, action, requireClass(resourceClass)),
        ),
      ),
    ) as Promise<Resource[]>;
  }

  /**
   * Says that this request needs no authorization, so that `requireAuthorization` lets it pass.
   *
   * @param reason for the reader, and for `ctx.state.oso.skipReason`
   */
  skipAuthorization(reason?: string): void {
    this.#record.skipped = true;
    this.#record.skipReason = reason;
  }

  /** @internal The RequestOso by these settings: this one, or one around it. */
  ofSettings(settings: Settings): RequestOso | undefined {
    return this.#settings === settings ? (this as unknown as RequestOso) : this.#outer?.ofSettings(settings);
  }

  /** @internal Whether resources that may not be read are hidden. */
  checksRead(options: AuthorizeOptions<Actor, Action>): boolean {
    return given(options).checkRead ?? this.#settings.checkRead;
  }

  #authorize(
    kind: DecisionKind,
    resource: unknown,
    options: AuthorizeOptions<Actor, Action>,
    ask: Ask<boolean>,
    field?: string,
  ): Promise<void> {
    const conclude = (_answer: boolean, decision: Decision): undefined | Promise<never> => {
      if (!decision.allowed) return this.#deny(decision, this.checksRead(options));
      this.#record.authorized = true;
    };
    return this.#ask(kind, resource, options, ask, conclude, field);
  }

  #isAllowed(resource: unknown, options: DecisionOptions<Actor, Action>): Promise<boolean> {
    return this.#ask('isAllowed', resource, options, ALLOW, (_answer, { allowed }) => allowed);
  }

  #collect<Answer>(
    kind: DecisionKind,
    resource: unknown,
    options: DecisionOptions<Actor, Action>,
    ask: Ask<Answer>,
  ): Promise<Answer> {
    return this.#ask(kind, resource, options, ask, answer => answer);
  }

  #authorizeList<Answer>(
    kind: DecisionKind,
    resourceClass: ResourceClass,
    options: DecisionOptions<Actor, Action>,
    ask: Ask<Answer>,
  ): Promise<Answer> {
    return this.#ask(kind, resourceClass, options, ask, answer => {
      this.#record.authorized = true;
      return answer;
    });
  }

  /**
   * Puts a question to the policy, and records the decision. To a question of yes or no, anything but true is no.
   *
   * Every decision comes by here, so that what makes a promise is kept to what has to wait.
   */
  async #ask<Answer, Result>(
    kind: DecisionKind,
    resource: unknown,
    options: DecisionOptions<Actor, Action>,
    ask: Ask<Answer>,
    conclude: (answer: Answer, decision: Decision) => Result | Promise<Result>,
    field?: string,
  ): Promise<Result> {
    const { rule, hasAction, collects } = VERBS[kind];
    const asking = given(options);
    const asked = this.#resourceOf(resource);
    const action = hasAction ? this.#actionOf(asking) : undefined;
    const found = this.#actorOf(asking);
    const actor = isPromise(found) ? await found : found;
    const { oso, seat } = this.#policy();
    const { engine } = seat;

    const start = performance.now();
    let answer: Answer;
    try {
      answer = await ask(oso, actor, action, asked);
    } catch (error) {
      throw engineError(rule, error, engine);
    }
    const duration = performance.now() - start;
    const allowed = collects || answer === true;
    const policyVersion = engine.policy?.version;
    const decision = { kind, actor, action, resource: asked, field, allowed, duration, policyVersion };
    if (!this.outcome.isClosed) this.#record.add(decision);
    return conclude(answer, decision);
  }

  /**
   * The policy that decides: of a request, the one that was in force at its first question, so that no request is answered
   * by a mixture of two. After its answer (events of a stream, messages of a socket) it is the one that is in force.
   */
  #policy(): HeldPolicy {
    const { oso } = this.#settings;
    if (oso === undefined) throw errors.noOso();
    if (this.outcome.isClosed) return policyInForce(oso);
    let root = this as unknown as RequestOso;
    while (root.#outer !== undefined) root = root.#outer;
    root.#policies ??= new Map();
    let held = root.#policies.get(oso);
    if (held === undefined) {
      held = policyInForce(oso);
      root.#policies.set(oso, held);
    }
    return held;
  }

  #actorOf(options: ActorOption<Actor>): Actor | null | Promise<Actor | null> {
    return 'actor' in options ? actorOf(options.actor) : this.#findActor();
  }

  #actionOf(options: DecisionOptions<Actor, Action>): unknown {
    if (!('action' in options)) return this.#ctx.method;
    requireAction('action', options.action);
    return options.action;
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

  async #awaitActor(): Promise<Actor | null> {
    return this.#findActor();
  }

  /** The actor of the request, asked for once; a promise where it has to be waited for. */
  #findActor(): Actor | null | Promise<Actor | null> {
    if (this.#actor === undefined) this.#actor = this.#getActor();
    return this.#actor;
  }

  #getActor(): Actor | null | Promise<Actor | null> {
    const failed = (error: unknown): never => {
      throw answerWith(isClientError(error) ? error : errors.getActorFailed(error));
    };
    try {
      const actor = this.#settings.getActor(this.#ctx) as
        | Actor
        | null
        | undefined
        | Promise<Actor | null | undefined>;
      // What is absent is nobody; Oso takes undefined for some other thing than nil.
      return isPromise(actor) ? Promise.resolve(actor).then(found => found ?? null, failed) : (actor ?? null);
    } catch (error) {
      return failed(error);
    }
  }

  /** Ends a denied check with the error of the unauthorized action, or with koa-oso's own where that throws none. */
  async #deny(decision: Decision, checkRead: boolean): Promise<never> {
    // Requests are not read; and that a path exists is no secret of the policy's.
    const hides =
      checkRead && !(decision.resource instanceof HttpRequest) && !(await this.#mayRead(decision));
    // Whatever the unauthorized action did would tell the resource from one that is missing.
    if (hides) return endWith(this.#ctx, 404);
    const denial = { ...decision, allowed: false, status: 403 } as Denial<never, never>;
    // One that asks for what is denied as well would call itself for ever, and nothing else would have its turn.
    if (this.#answering >= MAX_ANSWERING) return denyByDefault(this.#ctx);
    this.#answering++;
    try {
      await this.#settings.unauthorizedAction(this.#ctx, denial);
    } finally {
      this.#answering--;
    }
    // It returned, perhaps after a redirect, which must not be followed.
    this.#ctx.remove('Location');
    return denyByDefault(this.#ctx);
  }

  async #mayRead({ kind, actor, action, resource }: Decision): Promise<boolean> {
    const { readAction } = this.#settings;
    if (kind === 'authorize' && action === readAction) return false;
    return this.#isAllowed(resource, { actor, action: readAction } as DecisionOptions<Actor, Action>);
  }
}

/**
 * The RequestOso of a request, for what is made before there is one.
 *
 * @throws {KoaOsoError} `ERR_KOA_OSO_MIDDLEWARE_MISSING` where the middleware did not run
 */
export function requestOso(ctx: Context): RequestOso<unknown, unknown> {
  const oso = propertyOf(ctx, 'oso') as RequestOso<unknown, unknown> | undefined;
  if (oso === undefined) throw errors.middlewareMissing();
  return oso;
}

/** How many denials of one request the unauthorized action answers at a time. */
const MAX_ANSWERING = 100;

const ALLOW: Ask<boolean> = (oso, actor, action, resource) => oso.isAllowed(actor, action, resource);

/**
 * Ends a request as koa-oso does by itself. A resource that is hidden and one that is missing both come by here, and look the
 * same to whatever handles the error. So does the `ctx.throw(404)` of an application, for the code is not enumerable.
 */
function endWith(ctx: Context, status: 403 | 404): never {
  try {
    return ctx.throw(status);
  } catch (error) {
    const code: ErrorCode = status === 404 ? 'ERR_KOA_OSO_NOT_FOUND' : 'ERR_KOA_OSO_FORBIDDEN';
    defineHidden(error as Error, { code });
    throw error;
  }
}

/** The default unauthorized action: 403 Forbidden. */
export function denyByDefault(ctx: Context): never {
  return endWith(ctx, 403);
}

/**
 * Refuses what cannot be meant as an action: nothing, a promise, and what a client can send in place of a name.
 *
 * @throws {KoaOsoError} `ERR_KOA_OSO_INVALID_ARGUMENT`
 */
export function requireAction(option: 'action' | 'readAction', action: unknown): void {
  if (typeof action === 'string') return;
  if (action === undefined || action === null) {
    throw errors.invalidArgument(
      `The ${option} is ${action}: a name that is not there? Leave the option out for the default.`,
    );
  }
  const mistaken = isPromise(action)
    ? 'a promise'
    : Array.isArray(action)
      ? 'an array'
      : isPlainObject(action)
        ? 'a plain object'
        : typeof action === 'function' && 'a function';
  if (mistaken) {
    throw errors.invalidArgument(
      `The ${option} is ${mistaken}. Pass the name of one; check first what a client has sent.`,
    );
  }
}

function requireField(field: unknown): string {
  if (typeof field === 'string') return field;
  throw errors.invalidArgument(
    'The field is not a string. Pass the name of one field; check first what a client has sent.',
  );
}

/** Lists are asked for by a class: a name may have come from a client. */
function requireClass(resourceClass: unknown): Class {
  if (typeof resourceClass === 'function') return resourceClass as Class;
  throw errors.invalidArgument('Lists are asked for by a class, and what was given is none.');
}

/** An object as JSON and queries have it: of no class. */
function isPlainObject(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}

function actorOf<Actor>(actor: Actor | null | undefined): Actor | null {
  if (actor === undefined) {
    throw errors.invalidArgument(
      'The actor is undefined: a look-up that found nothing? Leave the option out for the actor of the request, or ' +
        'pass null for nobody.',
    );
  }
  if (isPromise(actor)) throw errors.invalidArgument('The actor is a promise. Await it before authorizing.');
  return actor;
}
