import {
  isPromise,
  requireAction,
  requireActions,
  requireActor,
  requireClass,
  requireField,
  requireRows,
} from './arguments.js';
import type {
  AuthorizationRecord,
  AuthorizationState,
  Decision,
  DecisionKind,
  Denial,
  Why,
} from './authorization-state.js';
import { errors } from './errors.js';
import { defineHidden, propertyOf } from './guard/own-properties.js';
import { HttpRequest } from './http-request.js';
import { given } from './options.js';
import {
  engineError,
  explain,
  type HeldPolicy,
  manyQuestions,
  type PolicyEngine,
  type Questions,
  type RunWithin,
  runWithin,
} from './policy-engine.js';
import type { Settings } from './settings.js';
import type { DefaultAction, DefaultActor, ListQuery } from './types.js';

/** Who asks, and what for. What is left out is the default. */
export interface DecisionOptions<Actor = DefaultActor, Action = DefaultAction> {
  /**
   * Default: what `getActor` gives for the request, or the actor of `koaOso.for(actor)`. `null` is the anonymous visitor,
   * `nil` in the policy; `undefined` is an error, lest a look-up that found nothing be decided for somebody else.
   */
  actor?: Actor | null;
  /**
   * Default: the request's method, `"GET"`; outside of a request there is none. A string, a number or another single value;
   * or an instance of a class that the policy knows. `undefined` is an error, as it is for the actor. So are arrays and plain
   * objects: a client can send them in place of a name, they are on no list of what is denied, and `['delete']` is `delete`
   * as the name of a property.
   */
  action?: Action;
}

export interface AuthorizeOptions<Actor = DefaultActor, Action = DefaultAction>
  extends DecisionOptions<Actor, Action> {
  /** Answer 404 instead of 403 if the actor may not even read the resource. Default: as given to `KoaOso`. */
  checkRead?: boolean;
}

export interface ActorOption<Actor = DefaultActor> {
  /** Default: what `getActor` gives for the request, or the actor of `koaOso.for(actor)`. */
  actor?: Actor | null;
}

/** What `authorizedActors` asks. */
export interface ActorsOptions<Action = DefaultAction> {
  /** What is acted on. If it is a row of an entity, only its key is read: all else is asked of the database. */
  resource: unknown;
  /** Default: the request's method; outside of a request there is none. */
  action?: Action;
}

export interface WildcardOption {
  /** Give `"*"` if a rule leaves the action or field open. Default: such a rule is an error. */
  allowWildcard?: boolean;
}

/** Which actions are asked about. */
export interface ActionsOption<Action = DefaultAction> {
  /** Each as the option `action` of a single question has it. */
  actions: readonly Action[];
}

/** A class that is registered with Oso. */
export type ResourceClass<Resource = unknown> = abstract new (...args: never[]) => Resource;

/** The options of a question that names an action. In a request they may be left out: its method is the default action. */
export type Asking<InRequest extends boolean, Action, Options> = InRequest extends true
  ? [options?: Options]
  : [options: Options & { action: Action }];

/** The same for the question who may, which names a resource in any case. */
export type AskingWho<InRequest extends boolean, Action> = InRequest extends true
  ? ActorsOptions<Action>
  : ActorsOptions<Action> & { action: Action };

/**
 * On whose behalf the verbs ask, and what becomes of the answers: a request ({@link RequestOso}), or what an application does
 * for an actor outside of one ({@link ActorOso}).
 */
export interface Asker {
  readonly settings: Settings;
  readonly record: AuthorizationRecord;
  /** What makes it hard to overlook an answer. */
  readonly outcome: AskerOutcome;
  /** The action of a question that names none. */
  readonly defaultAction: () => unknown;
  /** The actor of a question that names none. */
  readonly findActor: () => unknown;
  /** What is asked about, as policies see it. */
  readonly resourceOf: (resource: unknown) => unknown;
  /** The policy that decides. */
  readonly policyOf: (oso: PolicyEngine) => HeldPolicy;
  readonly note: (decision: Decision) => void;
  /** Ends a check that was denied with the error that this is answered with. */
  readonly deny: (denial: Denial<never, never>) => Promise<never>;
  /** Ends as if the resource was not there. */
  readonly notFound: () => never;
}

/** What becomes of the promises that the verbs answer with. */
export interface AskerOutcome {
  /** Of a check that must not fail. */
  enforce<Result>(check: Promise<Result>): Promise<Result>;
  /** Of a list: its query must not fail, and is of no use to somebody who does not look at it. */
  enforceList<Result>(verb: string, list: Promise<Result>): Promise<Result>;
  /** Of a check whose error may be handled. */
  expectHandled(check: Promise<void>): Promise<void>;
  /** Of a question: an answer that nobody looks at is a mistake. */
  watch<Result>(verb: string, answer: Promise<Result>): Promise<Result>;
}

/** What the policy is asked. */
interface Question {
  readonly actor: unknown;
  readonly action: unknown;
  readonly resource: unknown;
  readonly field: string | undefined;
  readonly allowWildcard: boolean;
}

type Ask = (oso: PolicyEngine, question: Question) => Promise<unknown>;

/** The kinds of questions that are asked of many rows at once. */
type KindOfMany = 'authorize' | 'isAllowed' | 'authorizedActions' | 'authorizedFields';

/** A question of many, and what came of it. */
interface OneOfMany {
  readonly row: unknown;
  readonly question: Question;
  answer: unknown;
  decision: Decision | undefined;
  error: unknown;
}

interface Verb {
  /** The rule of the policy that it asks. */
  readonly rule: string;
  /** Whether the question names an action. */
  readonly hasAction: boolean;
  /** Whether it asks for a collection, and not for yes or no. */
  readonly collects: boolean;
  readonly ask: Ask;
}

const isAllowed: Ask = (oso, { actor, action, resource }) => oso.isAllowed(actor, action, resource);

const VERBS: Record<DecisionKind, Verb> = {
  authorize: { rule: 'allow', hasAction: true, collects: false, ask: isAllowed },
  check: { rule: 'allow', hasAction: true, collects: false, ask: isAllowed },
  isAllowed: { rule: 'allow', hasAction: true, collects: false, ask: isAllowed },
  authorizeRequest: {
    rule: 'allow_request',
    hasAction: false,
    collects: false,
    ask: (oso, { actor, resource }) => oso.queryRuleOnce('allow_request', actor, resource),
  },
  authorizeField: {
    rule: 'allow_field',
    hasAction: true,
    collects: false,
    ask: (oso, { actor, action, resource, field }) =>
      oso.queryRuleOnce('allow_field', actor, action, resource, requireField(field)),
  },
  authorizedActions: {
    rule: 'allow',
    hasAction: false,
    collects: true,
    ask: (oso, { actor, resource, allowWildcard }) =>
      oso.authorizedActions(actor, resource, { allowWildcard }),
  },
  authorizedFields: {
    rule: 'allow_field',
    hasAction: true,
    collects: true,
    ask: (oso, { actor, action, resource, allowWildcard }) =>
      oso.authorizedFields(actor, action, resource, { allowWildcard }),
  },
  authorizedQuery: {
    rule: 'allow',
    hasAction: true,
    collects: true,
    ask: (oso, { actor, action, resource }) => oso.authorizedQuery(actor, action, requireClass(resource)),
  },
  authorizedResources: {
    rule: 'allow',
    hasAction: true,
    collects: true,
    ask: (oso, { actor, action, resource }) => oso.authorizedResources(actor, action, requireClass(resource)),
  },
  authorizedActors: {
    rule: 'allow',
    hasAction: true,
    collects: true,
    ask: async (oso, { actor, action, resource }) => {
      // An Oso has it once entities are registered with it.
      const authorizedActors = propertyOf(oso, 'authorizedActors');
      if (typeof authorizedActors !== 'function') throw errors.noEntities();
      return authorizedActors.call(oso, actor, action, resource);
    },
  },
};

/**
 * The verbs of authorization. A handler meets them as `ctx.oso`, which is a {@link RequestOso}; what runs outside of a request
 * as `koaOso.for(actor)`, which is an {@link ActorOso}. A function of yours that is called by both takes `Verbs`.
 *
 * @typeParam InRequest whether there is a request, whose method is the default action
 * @example
 * async function pay(expense: Expense, oso: Verbs) {
 *   await oso.authorize(expense, { action: 'pay' });
 * }
 */
export class Verbs<Actor = DefaultActor, Action = DefaultAction, InRequest extends boolean = false> {
  readonly #asker: Asker;
  /** What runs questions inside of a transaction. */
  readonly #within: RunWithin | undefined;

  /** @internal Made by `koaOso.middleware()`, and by `koaOso.for(actor)`. */
  constructor(asker: Asker, within?: RunWithin) {
    this.#asker = asker;
    this.#within = within;
  }

  /** What has been decided so far; in a request the same object as `ctx.state.oso`. */
  get state(): AuthorizationState {
    return this.#asker.record.view;
  }

  /**
   * The same verbs inside of a transaction: relations that the policy follows are loaded in it, and lists are its queries. So the
   * policy sees what the transaction has changed, and needs no second connection. What is asked counts as if it was asked here.
   *
   * The data source has to be known: `registerEntities` of `koa-oso/typeorm`, `koa-oso/kysely` or `koa-oso/drizzle`. The actor
   * is found as ever. Ask while the transaction is open: of Drizzle's, it cannot be told that it has ended.
   *
   * @param transaction what the callback of the transaction is given: TypeORM's `EntityManager`, Kysely's `Transaction`,
   *   Drizzle's `tx`
   * @throws {KoaOsoError} `ERR_KOA_OSO_INVALID_ARGUMENT` if it is none of these, or the data source is not known;
   *   `ERR_KOA_OSO_NO_OSO` if there is no Oso
   * @example
   * await dataSource.transaction(async manager => {
   *   const expense = await manager.findOneByOrFail(Expense, { id });
   *   await ctx.oso.using(manager).authorize(expense, { action: 'approve' });
   *   await manager.update(Expense, id, { status: 'approved' });
   * });
   */
  using(transaction: unknown): Verbs<Actor, Action, InRequest> {
    const { oso } = this.#asker.settings;
    if (oso === undefined) throw errors.noOso();
    return new Verbs<Actor, Action, InRequest>(this.#asker, runWithin(oso, transaction));
  }

  /**
   * Decides whether the actor may do the action to the resource (`allow` in the policy), and if not, stops the request. Counts
   * as having authorized.
   *
   * Outside of a request it throws the denial: 403 Forbidden, with the code `ERR_KOA_OSO_FORBIDDEN`; or with `checkRead` 404,
   * with `ERR_KOA_OSO_NOT_FOUND`.
   *
   * @param resource what is acted on. `ctx.request` means the HTTP request; `null` is `nil` in the policy
   * @throws the error of the unauthorized action if the policy denies, by default 403 Forbidden
   * @throws {KoaOsoError} `ERR_KOA_OSO_INVALID_ARGUMENT` if the resource is `undefined` or a promise, and the other
   *   codes if no decision could be made
   * @example
   * const expense = await expenses.find(ctx.params.id);
   * await ctx.oso.authorize(expense, { action: 'read' });
   */
  authorize(
    resource: unknown,
    ...[options]: Asking<InRequest, Action, AuthorizeOptions<Actor, Action>>
  ): Promise<void> {
    return this.#asker.outcome.enforce(this.#authorize('authorize', resource, options));
  }

  /**
   * Decides as {@link Verbs.authorize}, and throws the same error if the policy denies; but the error may be caught, and the
   * request answered in part, as GraphQL does. If it is allowed, it counts as having authorized; if it is denied, it
   * counts for nothing.
   *
   * In a request, an error that nobody handles ends it, also if the check was not awaited. The unauthorized action makes the
   * error. What it does to the response besides stays there, so let it throw.
   *
   * @throws as {@link Verbs.authorize}
   * @example
   * const Expense = {
   *   async amount(expense, _, { oso }) {
   *     await oso.check(expense, { action: 'read amount' }); // or else this field is null, with an error beside it
   *     return expense.amount;
   *   },
   * };
   */
  check(
    resource: unknown,
    ...[options]: Asking<InRequest, Action, AuthorizeOptions<Actor, Action>>
  ): Promise<void> {
    return this.#asker.outcome.expectHandled(this.#authorize('check', resource, options));
  }

  /**
   * Decides whether the actor may do the action to one field of the resource (`allow_field` in the policy), and if not, stops
   * the request. Counts as having authorized.
   *
   * @param field the name of the field. Anything but a string is an error: it would be on no list of fields that are denied
   * @throws as {@link Verbs.authorize}
   * @example
   * for (const field of Object.keys(changes)) await ctx.oso.authorizeField(expense, field, { action: 'update' });
   */
  authorizeField(
    resource: unknown,
    field: string,
    ...[options]: Asking<InRequest, Action, AuthorizeOptions<Actor, Action>>
  ): Promise<void> {
    return this.#asker.outcome.enforce(this.#authorize('authorizeField', resource, options, field));
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
    return this.#asker.outcome.enforce(this.#notFound(options));
  }

  async #notFound(options: ActorOption<Actor>): Promise<never> {
    await this.#actorOf(given(options));
    return this.#asker.notFound();
  }

  /**
   * Asks whether the actor may do the action to the resource, without consequences: it stops nothing, and does not
   * count as having authorized.
   *
   * @returns the policy's answer. It must be awaited: a request that takes the promise for the answer gets 500
   *   (`ERR_KOA_OSO_NOT_AWAITED`) instead of its response. Outside of a request the process emits a warning with this code
   * @throws {KoaOsoError} if no decision could be made
   * @example
   * ctx.body = { ...expense, mayApprove: await ctx.oso.isAllowed(expense, { action: 'approve' }) };
   */
  isAllowed(
    resource: unknown,
    ...[options]: Asking<InRequest, Action, DecisionOptions<Actor, Action>>
  ): Promise<boolean> {
    return this.#asker.outcome.watch('isAllowed(…)', this.#isAllowed(resource, options));
  }

  /**
   * Says why the actor may do the action to the resource, or may not; with `field`, to that field. Without consequences, as
   * {@link Verbs.isAllowed}: it stops nothing, and does not count as having authorized. `ctx.state.oso` does not hear of it.
   *
   * @returns for developers; only its `message` is meant to be shown to users
   * @throws {KoaOsoError} `ERR_KOA_OSO_INVALID_ARGUMENT` if the Oso cannot tell why (CompiledOso can)
   * @example
   * console.log(String(await ctx.oso.explain(expense, { action: 'approve' })));
   */
  explain(
    resource: unknown,
    ...[options]: Asking<InRequest, Action, DecisionOptions<Actor, Action> & { field?: string }>
  ): Promise<Why> {
    return this.#asker.outcome.watch('explain(…)', this.#explainAnswer(resource, options));
  }

  async #explainAnswer(
    resource: unknown,
    options: DecisionOptions<Actor, Action> & { field?: string } = {},
  ): Promise<Why> {
    const asking = given(options);
    const kind = 'field' in asking ? 'authorizeField' : 'isAllowed';
    const asked = this.#asker.resourceOf(resource);
    const action = this.#actionOf(asking);
    const actor: unknown = await this.#actorOf(asking);
    return this.#explain({ kind, actor, action, resource: asked, field: asking.field });
  }

  /**
   * The actions that the actor may do to the resource. Does not count as having authorized.
   *
   * @returns the actions that the policy names; `"*"` for any, if `allowWildcard` is set
   * @throws {KoaOsoError} if no decision could be made
   */
  authorizedActions(
    resource: unknown,
    options: ActorOption<Actor> & WildcardOption = {},
  ): Promise<Set<Action | '*'>> {
    return this.#asker.outcome.watch(
      'authorizedActions(…)',
      this.#collect<Set<Action | '*'>>('authorizedActions', resource, options),
    );
  }

  /**
   * The fields of the resource on which the actor may do the action. Does not count as having authorized.
   *
   * @returns the fields that the policy names; `"*"` for any, if `allowWildcard` is set
   * @throws {KoaOsoError} if no decision could be made
   */
  authorizedFields(
    resource: unknown,
    ...[options]: Asking<InRequest, Action, DecisionOptions<Actor, Action> & WildcardOption>
  ): Promise<Set<string>> {
    return this.#asker.outcome.watch(
      'authorizedFields(…)',
      this.#collect<Set<string>>('authorizedFields', resource, options),
    );
  }

  /**
   * The actions that the actor may do to each of some rows. All are decided side by side, and what the policy loads of them, it
   * loads for all of them: one statement a relation, with CompiledOso. Does not count as having authorized.
   *
   * @param rows what is acted on, as `resource` of a single question. They may be of several classes
   * @param options with `actions` those are asked for; without, all that the policy names
   * @returns the actions by their rows, in the order of the rows
   * @throws {KoaOsoError} `ERR_KOA_OSO_INVALID_ARGUMENT` if one of the rows is `undefined` or a promise, or they are no array, and
   *   the other codes if of one no decision could be made
   * @example
   * const may = await ctx.oso.allowed(expenses, { actions: ['approve', 'pay'] });
   * ctx.body = expenses.map(expense => ({ ...expense, may: [...(may.get(expense) ?? [])] }));
   */
  allowed<Row, Asked extends Action>(
    rows: readonly Row[],
    options: ActorOption<Actor> & ActionsOption<Asked>,
  ): Promise<Map<Row, Set<Asked>>>;
  allowed<Row>(
    rows: readonly Row[],
    options?: ActorOption<Actor> & WildcardOption,
  ): Promise<Map<Row, Set<Action | '*'>>>;
  allowed(
    rows: readonly unknown[],
    options: ActorOption<Actor> & Partial<ActionsOption<Action>> & WildcardOption = {},
  ): Promise<Map<unknown, Set<unknown>>> {
    return this.#asker.outcome.watch('allowed(…)', this.#allowed(rows, options));
  }

  /**
   * The fields of each of some rows on which the actor may do the action, decided side by side as {@link Verbs.allowed} does.
   * Does not count as having authorized.
   *
   * @returns the fields by their rows, in the order of the rows
   * @throws as {@link Verbs.allowed}
   * @example
   * const readable = await ctx.oso.allowedFields(expenses, { action: 'read' });
   * ctx.body = expenses.map(expense => pick(expense, readable.get(expense)));
   */
  allowedFields<Row>(
    rows: readonly Row[],
    ...[options]: Asking<InRequest, Action, DecisionOptions<Actor, Action> & WildcardOption>
  ): Promise<Map<Row, Set<string>>> {
    const asked = this.#collectAll('authorizedFields', rows, options);
    return this.#asker.outcome.watch('allowedFields(…)', asked as Promise<Map<Row, Set<string>>>);
  }

  /**
   * Decides whether the actor may do the action to all of some rows, side by side as {@link Verbs.allowed} does, and if not, stops
   * the request as {@link Verbs.authorize} does for the first that is denied. Counts as having authorized, also if there are
   * no rows.
   *
   * @throws as {@link Verbs.authorize}
   * @example
   * const expenses = await repository.findBy({ id: In(ids) });
   * await ctx.oso.authorizeAll(expenses, { action: 'approve' });
   */
  authorizeAll(
    rows: readonly unknown[],
    ...[options]: Asking<InRequest, Action, AuthorizeOptions<Actor, Action>>
  ): Promise<void> {
    return this.#asker.outcome.enforce(this.#authorizeAll(rows, options));
  }

  /**
   * A query for the resources of a class on which the actor may do the action, as the
   * data source makes queries that `registerEntities` made known. Counts as having authorized: if the actor may see none, it is a
   * query that finds none.
   *
   * @throws {KoaOsoError} `ERR_KOA_OSO_UNFILTERABLE_POLICY` if the policy cannot be turned into a query
   * @example
   * const expenses = await ctx.oso.authorizedQuery(Expense, { action: 'read' });
   * ctx.body = await expenses.orderBy('Expense.id').take(20).getMany();
   */
  authorizedQuery<Resource>(
    resourceClass: ResourceClass<Resource>,
    ...[options]: Asking<InRequest, Action, DecisionOptions<Actor, Action>>
  ): Promise<ListQuery<Resource>>;
  /**
   * The same for an adapter that does not say what its queries are.
   *
   * @typeParam Query what the adapter builds
   */
  authorizedQuery<Query>(
    resourceClass: ResourceClass,
    ...[options]: Asking<InRequest, Action, DecisionOptions<Actor, Action>>
  ): Promise<Query>;
  authorizedQuery(
    resourceClass: ResourceClass,
    ...[options]: Asking<InRequest, Action, DecisionOptions<Actor, Action>>
  ): Promise<unknown> {
    return this.#asker.outcome.enforceList(
      'authorizedQuery(…)',
      this.#authorizeList('authorizedQuery', resourceClass, options),
    );
  }

  /**
   * The resources of a class on which the actor may do the action, loaded from the data source that
   * `registerEntities` made known. Counts as having authorized.
   *
   * @throws {KoaOsoError} if the policy cannot be turned into a query, or the query fails
   * @example
   * ctx.body = await ctx.oso.authorizedResources(Expense, { action: 'read' });
   */
  authorizedResources<Resource>(
    resourceClass: ResourceClass<Resource>,
    ...[options]: Asking<InRequest, Action, DecisionOptions<Actor, Action>>
  ): Promise<Resource[]> {
    return this.#asker.outcome.enforceList(
      'authorizedResources(…)',
      this.#authorizeList<Resource[]>('authorizedResources', resourceClass, options),
    );
  }

  /**
   * A query for the actors of a class who may do the action to the resource: the policy asked the other way round. It is made
   * by the data filtering adapter, and refused as {@link Verbs.authorizedQuery} is. Does not count as having authorized.
   *
   * The anonymous visitor is no row: `isAllowed(resource, { actor: null, action })` tells whether that one may.
   *
   * @returns the query. It must be awaited, as the answer of {@link Verbs.isAllowed}
   * @throws {KoaOsoError} `ERR_KOA_OSO_UNFILTERABLE_POLICY` if the policy cannot be turned into a query;
   *   `ERR_KOA_OSO_UNREGISTERED_CLASS` if the class is not registered as an entity; `ERR_KOA_OSO_INVALID_ARGUMENT` if the
   *   resource is `undefined`, a promise, or a row without its key, and if no entities are registered at all
   * @example
   * const approvers = await ctx.oso.authorizedActors(User, { action: 'approve', resource: expense });
   * ctx.body = await approvers.orderBy('User.name').getMany();
   */
  authorizedActors<Actors>(
    actorClass: ResourceClass<Actors>,
    options: AskingWho<InRequest, Action>,
  ): Promise<ListQuery<Actors>>;
  /**
   * The same for an adapter that does not say what its queries are.
   *
   * @typeParam Query what the adapter builds
   */
  authorizedActors<Query>(actorClass: ResourceClass, options: AskingWho<InRequest, Action>): Promise<Query>;
  authorizedActors(actorClass: ResourceClass, options: AskingWho<InRequest, Action>): Promise<unknown> {
    return this.#asker.outcome.watch('authorizedActors(…)', this.#authorizedActors(actorClass, options));
  }

  /** @internal Asks about the request itself. */
  protected askAboutRequest(request: HttpRequest, options: ActorOption<Actor>): Promise<void> {
    return this.#asker.outcome.enforce(this.#authorize('authorizeRequest', request, options));
  }

  /** @internal Whether resources that may not be read are hidden. */
  checksRead(options: AuthorizeOptions<Actor, Action>): boolean {
    return given(options).checkRead ?? this.#asker.settings.checkRead;
  }

  #authorize(
    kind: DecisionKind,
    resource: unknown,
    options: AuthorizeOptions<Actor, Action> = {},
    field?: string,
  ): Promise<void> {
    const conclude = (_answer: unknown, decision: Decision): undefined | Promise<never> => {
      if (!decision.allowed) return this.#deny(decision, this.checksRead(options));
      this.#asker.record.authorized = true;
    };
    return this.#ask(kind, resource, options, conclude, field);
  }

  #isAllowed(resource: unknown, options: DecisionOptions<Actor, Action> = {}): Promise<boolean> {
    return this.#ask('isAllowed', resource, options, (_answer, { allowed }) => allowed);
  }

  #collect<Answer>(
    kind: DecisionKind,
    resource: unknown,
    options: DecisionOptions<Actor, Action> & WildcardOption = {},
  ): Promise<Answer> {
    return this.#ask(kind, resource, options, answer => answer as Answer);
  }

  async #authorizedActors(actorClass: ResourceClass, options: ActorsOptions<Action>): Promise<unknown> {
    const { resource, ...asking } = given(options);
    // The class stands in the place of the actor, also in the record.
    const actor = requireClass(actorClass) as unknown as Actor;
    return this.#collect('authorizedActors', resource, { ...asking, actor });
  }

  #authorizeList<Answer>(
    kind: DecisionKind,
    resourceClass: ResourceClass,
    options: DecisionOptions<Actor, Action> = {},
  ): Promise<Answer> {
    return this.#ask(kind, resourceClass, options, answer => {
      this.#asker.record.authorized = true;
      return answer as Answer;
    });
  }

  /**
   * Puts a question to the policy, and records the decision. To a question of yes or no, anything but true is no.
   *
   * Every decision comes by here, so that what makes a promise is kept to what has to wait.
   */
  async #ask<Result>(
    kind: DecisionKind,
    resource: unknown,
    options: DecisionOptions<Actor, Action> & WildcardOption,
    conclude: (answer: unknown, decision: Decision) => Result | Promise<Result>,
    field?: string,
  ): Promise<Result> {
    const asker = this.#asker;
    const { rule, hasAction, collects, ask } = VERBS[kind];
    const asking = given(options);
    const { allowWildcard = false } = asking;
    const asked = asker.resourceOf(resource);
    const action = hasAction ? this.#actionOf(asking) : undefined;
    const found = this.#actorOf(asking);
    const actor = isPromise(found) ? await found : found;
    if (asker.settings.oso === undefined) throw errors.noOso();
    const { oso, seat } = asker.policyOf(asker.settings.oso);
    const { engine } = seat;

    const start = performance.now();
    let answer: unknown;
    try {
      const question = { actor, action, resource: asked, field, allowWildcard };
      answer = await (this.#within === undefined
        ? ask(oso, question)
        : this.#within(() => ask(oso, question)));
    } catch (error) {
      throw engineError(rule, error, engine);
    }
    const duration = performance.now() - start;
    const allowed = collects || answer === true;
    const policyVersion = engine.policy?.version;
    const decision = { kind, actor, action, resource: asked, field, allowed, duration, policyVersion };
    asker.note(decision);
    return conclude(answer, decision);
  }

  async #authorizeAll(
    rows: readonly unknown[],
    options: AuthorizeOptions<Actor, Action> = {},
  ): Promise<void> {
    const answered = await this.#askAll('authorize', rows, options, undefined);
    for (const each of answered) {
      const decision = decisionOf(each);
      if (!decision.allowed) return this.#deny(decision, this.checksRead(options));
    }
    this.#asker.record.authorized = true;
  }

  async #allowed(
    rows: readonly unknown[],
    options: ActorOption<Actor> & Partial<ActionsOption<Action>> & WildcardOption,
  ): Promise<Map<unknown, Set<unknown>>> {
    const asking = given(options);
    if (!('actions' in asking)) return this.#collectAll('authorizedActions', rows, options);
    const actions = requireActions(asking.actions);
    const allowed = new Map(requireRows(rows).map(row => [row, new Set<unknown>()]));
    for (const each of await this.#askAll('isAllowed', rows, options, actions)) {
      const { allowed: isAllowed, action } = decisionOf(each);
      if (isAllowed) allowed.get(each.row)?.add(action);
    }
    return allowed;
  }

  async #collectAll(
    kind: 'authorizedActions' | 'authorizedFields',
    rows: readonly unknown[],
    options: DecisionOptions<Actor, Action> & WildcardOption = {},
  ): Promise<Map<unknown, Set<unknown>>> {
    const collected = new Map<unknown, Set<unknown>>();
    for (const each of await this.#askAll(kind, rows, options, undefined)) {
      decisionOf(each);
      collected.set(each.row, each.answer as Set<unknown>);
    }
    return collected;
  }

  /**
   * Puts a question for each of some rows to the policy, and records the decisions, in the order of the rows.
   *
   * @param actions what is asked of each of them; by default what the options say
   */
  async #askAll(
    kind: KindOfMany,
    wanted: readonly unknown[],
    options: DecisionOptions<Actor, Action> & WildcardOption,
    actions: readonly unknown[] | undefined,
  ): Promise<readonly OneOfMany[]> {
    const asker = this.#asker;
    const { rule, hasAction, collects, ask } = VERBS[kind];
    const asking = given(options);
    const { allowWildcard = false } = asking;
    const rows = requireRows(wanted).map(row => ({ row, resource: asker.resourceOf(row) }));
    const asked = actions ?? [hasAction ? this.#actionOf(asking) : undefined];
    const found = this.#actorOf(asking);
    const actor = isPromise(found) ? await found : found;
    if (asker.settings.oso === undefined) throw errors.noOso();
    const { oso, seat } = asker.policyOf(asker.settings.oso);
    const { engine } = seat;

    const all = rows.flatMap(({ row, resource }) =>
      asked.map((action): OneOfMany => {
        const question = { actor, action, resource, field: undefined, allowWildcard };
        return { row, question, answer: undefined, decision: undefined, error: undefined };
      }),
    );
    const answer = async (questions: Questions, each: OneOfMany): Promise<void> => {
      const start = performance.now();
      try {
        each.answer = await ask(questions as PolicyEngine, each.question);
      } catch (error) {
        each.error = engineError(rule, error, engine);
        return;
      }
      const duration = performance.now() - start;
      const allowed = collects || each.answer === true;
      const policyVersion = engine.policy?.version;
      const { action, resource } = each.question;
      each.decision = { kind, actor, action, resource, allowed, duration, policyVersion };
    };
    const run = async (): Promise<void> => {
      const { questions, atOnce } = manyQuestions(oso);
      for (let from = 0; from < all.length; from += atOnce) {
        await Promise.all(all.slice(from, from + atOnce).map(each => answer(questions, each)));
      }
    };
    await (this.#within === undefined ? run() : this.#within(run));
    for (const { decision } of all) if (decision !== undefined) asker.note(decision);
    return all;
  }

  #actorOf(options: ActorOption<Actor>): unknown {
    return 'actor' in options
      ? requireActor(options.actor, 'Leave the option out for the default')
      : this.#asker.findActor();
  }

  #actionOf(options: DecisionOptions<Actor, Action>): unknown {
    if (!('action' in options)) return this.#asker.defaultAction();
    requireAction('action', options.action);
    return options.action;
  }

  /** Ends a denied check. */
  async #deny(decision: Decision, checkRead: boolean): Promise<never> {
    // Requests are not read; and that a path exists is no secret of the policy's.
    const hides =
      checkRead && !(decision.resource instanceof HttpRequest) && !(await this.#mayRead(decision));
    // Whatever the unauthorized action did would tell the resource from one that is missing.
    if (hides) return this.#asker.notFound();
    const denial = { ...decision, allowed: false, status: 403 };
    const explain = () => this.#explain(decision);
    defineHidden(denial, { explain });
    const denied = this.#asker.deny(denial as unknown as Denial<never, never>);
    return this.#asker.settings.explains ? denied.catch(error => carryExplanation(error, explain)) : denied;
  }

  /** Asks why a question was answered as it was. Nothing is decided by that, and nothing noted. */
  async #explain({
    kind,
    actor,
    action,
    resource,
    field,
  }: Omit<Decision, 'allowed' | 'duration' | 'policyVersion'>): Promise<Why> {
    const { settings } = this.#asker;
    if (settings.oso === undefined) throw errors.noOso();
    const { oso, seat } = this.#asker.policyOf(settings.oso);
    const { engine } = seat;
    const { rule } = VERBS[kind];
    const args =
      rule === 'allow_request'
        ? [actor, resource]
        : rule === 'allow_field'
          ? [actor, action, resource, requireField(field)]
          : [actor, action, resource];
    const run = () => explain(oso, rule, args);
    try {
      return await (this.#within === undefined ? run() : this.#within(run));
    } catch (error) {
      throw engineError(rule, error, engine);
    }
  }

  async #mayRead({ kind, actor, action, resource }: Decision): Promise<boolean> {
    const { readAction } = this.#asker.settings;
    if ((kind === 'authorize' || kind === 'check') && action === readAction) return false;
    return this.#isAllowed(resource, { actor, action: readAction } as DecisionOptions<Actor, Action>);
  }
}

/** Rejects with the error of a denial, which is then to say why. That it cannot be told is no reason for another error. */
async function carryExplanation(error: unknown, explain: () => Promise<Why>): Promise<never> {
  try {
    defineHidden(error as object, { explanation: String(await explain()) });
  } catch {
    // The denial stays what it is.
  }
  throw error;
}

/** The decision of a question; throws what came in its way. */
function decisionOf({ decision, error }: OneOfMany): Decision {
  if (decision === undefined) throw error;
  return decision;
}
