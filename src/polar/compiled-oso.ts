import { defaultEqualityFn, Oso } from 'oso';
import { Predicate } from '../engine/oso-internals.js';
import { type Engine, type LoadedPolicy, Seat, SIBLING } from '../engine/seat.js';
import { soundInstance } from '../engine/wasm.js';
import { ownOf } from '../guard/own-properties.js';
import { Batch } from './batch.js';
import { CompiledPolicy, checkClasses, readPolicy } from './compile/policy.js';
import { describePlace, NotCovered, PolicyError, type PolicyPlace } from './errors.js';
import type { Budget } from './evaluate/machine.js';
import { Trace } from './evaluate/trace.js';
import { explain, unexplained } from './explain/explain.js';
import type { Explanation } from './explain/explanation.js';
import type { ShownValues } from './explain/show.js';
import type { Observer } from './observe.js';
import {
  type Alternatives,
  type Bindings,
  type CompiledQuery,
  compileQuery,
  Query,
  type QuerySettings,
} from './query.js';
import { PolicySource, placeOf } from './syntax/source.js';
import { type HostEquality, PolicyHost } from './values/host.js';

type OsoOptions = NonNullable<ConstructorParameters<typeof Oso>[0]>;
type RegisterClassArguments = Parameters<Oso['registerClass']>;
type QueryOptions = NonNullable<Parameters<Oso['query']>[1]>;
type QueryResult = ReturnType<Oso['query']>;

/** A query that was answered by Oso's own engine, and why. */
export interface Fallback {
  /** What the compiled form does not cover: `debug()`, `partial evaluation` … */
  readonly construct: string;
  /** The rule that holds it; undefined if none does. */
  readonly rule: string | undefined;
  readonly file: string | undefined;
  /** Starts at 1; undefined if no place in the policy is to blame. */
  readonly line: number | undefined;
  /** Starts at 1; undefined if no place in the policy is to blame. */
  readonly column: number | undefined;
}

/** A {@link Fallback}, and how often it happened. */
export interface FallbackCount extends Fallback {
  readonly count: number;
}

export interface ExplainOptions {
  /** How much of the values is shown. Default: `'redacted'`, no text of the actor or the resource. */
  values?: ShownValues;
}

/** The options of Oso's class, and CompiledOso's own. */
export interface CompiledOsoOptions extends OsoOptions {
  /**
   * How far a query may go before it fails with `ERR_KOA_OSO_POLICY_BUDGET`. By default 1,000,000 steps (about one for
   * each condition, rule or list item tried, and for every sixteen items that are only copied or looked at) and 5,000
   * milliseconds of wall-clock time, waiting for host code included. `Infinity` lifts a limit. A query that falls back to
   * Oso's engine is not held to it.
   */
  budget?: Partial<Budget>;
  /** Called for every query that falls back to Oso's own engine. */
  onFallback?: (fallback: Fallback) => void;
  /** As {@link CompiledOso.observe}, from the first question on. */
  observer?: Observer;
}

/** How far a query may go by default. */
export const DEFAULT_BUDGET: Budget = { steps: 1_000_000, milliseconds: 5_000 };

/** Texts of queries that are kept compiled. */
const MAX_QUERY_TEXTS = 200;
/** Kinds of fallbacks that are told apart in the report. */
const MAX_FALLBACKS = 1000;

/**
 * Oso, with its policies compiled to JavaScript: a drop-in for the class `Oso` of the package `oso` that answers the same
 * questions, from the same policies, with the same answers, without the WebAssembly engine in between.
 *
 * Oso still reads and validates every policy first. A query that the compiled form does not cover is answered by Oso's
 * engine; {@link CompiledOso.fallbacks} and the `onFallback` option tell which and why.
 *
 * Errors that a policy runs into are {@link PolicyError}s with the names that Oso gives them; their messages hold the
 * rule and its place, never a value.
 *
 * @example
 * ```ts
 * import { CompiledOso } from 'koa-oso/polar';
 *
 * const oso = new CompiledOso({ onFallback: fallback => logger.warn(fallback) });
 * oso.registerClass(User);
 * oso.registerClass(Expense);
 * await oso.loadFiles(['expenses.polar']);
 * await oso.isAllowed(user, 'read', expense); // true or false
 * ```
 */
export class CompiledOso<
  Actor = unknown,
  Action = unknown,
  Resource = unknown,
  Field = unknown,
  Request = unknown,
  AdapterQuery = unknown,
> extends Oso<Actor, Action, Resource, Field, Request, AdapterQuery> {
  readonly #options: CompiledOsoOptions;
  #host: PolicyHost;
  readonly #seat: Seat;
  readonly #settings: QuerySettings;
  readonly #onFallback: ((fallback: Fallback) => void) | undefined;
  readonly #fallbacks = new Map<string, FallbackCount>();
  /** Oso's engine logs what it does if the environment asks for it; the compiled form does not. */
  readonly #logging = Boolean(process.env.POLAR_LOG ?? process.env.RUST_LOG);
  /** The same for all siblings. */
  #observers = new Set<Observer>();
  #isFreed = false;
  /** What was compiled last, and of what. */
  #compiled: CompiledPolicy | undefined;
  #compiledOf: LoadedPolicy | undefined;
  /** The same for all policies that siblings have, so that a policy that takes over is compiled once. */
  #compilations = new WeakMap<LoadedPolicy, CompiledPolicy>();
  readonly #queries = new Map<string, CompiledQuery>();

  /** Takes what Oso's constructor takes, and {@link CompiledOsoOptions}. */
  constructor(options: CompiledOsoOptions = {}) {
    const given = ownOf(options);
    // Oso's constructor makes its engine there.
    soundInstance();
    let equals: HostEquality = (given.equalityFn as HostEquality | undefined) ?? defaultEqualityFn;
    super({ ...given, equalityFn: (left, right) => equals(left, right) as boolean });
    this.#options = given;
    this.#seat = Seat.of(this, true);
    this.#settings = {
      budget: { ...DEFAULT_BUDGET, ...given.budget },
      given: undefined,
      hasUnknowns: false,
      relations: undefined,
      trace: undefined,
    };
    this.#onFallback = given.onFallback;
    if (given.observer !== undefined) this.#observers.add(given.observer);
    const host = new PolicyHost(this as unknown as Oso, equals);
    this.#host = host;
    // Oso's engine compares as the compiled form does, also when that has been given another equality.
    equals = (left, right) => host.equals(left, right);
    // Oso's constructor has registered these before there was a place to note them.
    this.#host.setConstant('nil', null);
    for (const [name, { cls }] of this.getHost().types) {
      if (typeof name === 'string') this.#host.setConstant(name, cls);
    }
  }

  /** What fell back to Oso's engine so far, most recent kinds last. Empty is what to hope for. */
  get fallbacks(): readonly FallbackCount[] {
    return [...this.#fallbacks.values()];
  }

  /**
   * @internal Compares values by another function from now on, which is given the present one.
   *
   * @param isOwn whether the present one is Oso's own but for rows, which equal only rows
   */
  compareBy(
    equalityWith: (present: HostEquality) => HostEquality,
    isOwn: (present: HostEquality) => boolean,
  ): void {
    this.#host.rowsEqualOnlyRows = isOwn(this.#host.equals);
    this.#host.equals = equalityWith(this.#host.equals);
  }

  /**
   * Lets `observer` see every rule tried and condition tested, of all questions that are asked from now on, lists included.
   * They are then answered by a twin of the compiled policy, which is slower. Without an observer there is no trace of it.
   *
   * A query that falls back to Oso's engine is seen as far as it came before.
   *
   * @returns ends it
   * @example
   * ```ts
   * const stop = oso.observe(({ kind, place }) => console.log(kind, place?.rule, place?.line));
   * await oso.isAllowed(user, 'read', expense);
   * stop();
   * ```
   */
  observe(observer: Observer): () => void {
    const own: Observer = (...told) => observer(...told);
    this.#observers.add(own);
    return () => {
      this.#observers.delete(own);
    };
  }

  /** As in Oso. What the policy knows of the class changes with the next query. */
  override registerClass(...[cls, params = {}]: RegisterClassArguments): void {
    super.registerClass(cls, ownOf(params));
    // Oso's own constructor registers its classes before this class's fields exist.
    if (!(#host in this)) return;
    this.#host.classesChanged();
    this.#forgetCompiled();
  }

  /** As in Oso. */
  override registerConstant(value: unknown, name: string): void {
    super.registerConstant(value, name);
    if (!(#host in this)) return;
    this.#host.setConstant(name, value);
    this.#forgetCompiled();
  }

  /** As in Oso: there are no answers after that, only errors. */
  override free(): void {
    super.free();
    this.#isFreed = true;
    this.#forgetCompiled();
  }

  /** @internal Another one with the same options, and the same classes and constants. */
  [SIBLING](): unknown {
    const sibling = Reflect.construct(CompiledOso, [this.#options], this.constructor) as CompiledOso;
    sibling.#observers = this.#observers;
    sibling.#host = this.#host;
    sibling.#compilations = this.#compilations;
    return sibling;
  }

  /**
   * As in Oso; and throws an error with code `ERR_KOA_OSO_UNREGISTERED_CLASS` if a rule names a class that is not
   * registered, as the first query to reach it would fail. Nothing is loaded then.
   */
  override async loadFiles(filenames: string[]): Promise<void> {
    await super.loadFiles(filenames);
    this.#checkClasses();
  }

  /**
   * As in Oso; and throws an error with code `ERR_KOA_OSO_UNREGISTERED_CLASS` if a rule names a class that is not
   * registered, as the first query to reach it would fail. Nothing is loaded then.
   */
  override async loadStr(contents: string, filename?: string): Promise<void> {
    await super.loadStr(contents, filename);
    this.#checkClasses();
  }

  /** As in Oso. */
  override isAllowed(actor: Actor, action: Action, resource: Resource): Promise<boolean> {
    return this.queryRuleOnce('allow', actor, action, resource);
  }

  /**
   * As in Oso: whether a rule succeeds for the arguments.
   *
   * Throws a {@link PolicyError} if the policy runs into an error, a `PolicyBudgetError` if it exceeds its budget,
   * and whatever host code throws.
   */
  override queryRuleOnce(name: string, ...args: unknown[]): Promise<boolean> {
    return this.#once(name, args, this.#seat.engine, this.#settings);
  }

  /**
   * Makes a {@link Batch}: questions that are asked side by side, for which what they have to load is loaded together.
   *
   * @example
   * ```ts
   * const batch = oso.batch();
   * const allowed = await Promise.all(documents.map(document => batch.isAllowed(user, 'read', document)));
   * ```
   */
  batch(): Batch<Actor, Action, Resource, Field> {
    const { engine } = this.#seat;
    const relations = this.#host.relations();
    relations.gather();
    const settings = { ...this.#settings, relations };
    return new Batch(
      {
        once: (name, args) => this.#once(name, args, engine, settings),
        results: (name, args) => this.#ask(new Predicate(name, [...args]), undefined, engine, settings),
      },
      relations,
    );
  }

  async #once(
    name: string,
    args: readonly unknown[],
    engine: Engine,
    settings: QuerySettings,
  ): Promise<boolean> {
    try {
      const policy = this.#ready(engine);
      const fact = policy.predicate(name)?.fact(args);
      if (fact !== undefined) return fact;
      const query = Query.forRule(policy, name, args, this.#traced(name, settings));
      const outcome = query.begin();
      if (outcome === 'result') return true;
      if (outcome === 'exhausted') return false;
      return await query.settle(outcome);
    } catch (error) {
      if (!(error instanceof NotCovered)) throw error;
      const results = this.#fallBack(error, new Predicate(name, [...args]), undefined, engine);
      const { done } = await results.next();
      await results.return();
      return !done;
    }
  }

  /**
   * @internal What has to hold of the unknown values in `args`, for each result of a rule. Throws NotCovered
   * if the compiled form cannot tell.
   */
  async constraintsOf(name: string, ...args: unknown[]): Promise<Alternatives> {
    return Query.alternatives(
      this.#ready(),
      name,
      args,
      this.#traced(name, { ...this.#settings, hasUnknowns: true }),
    );
  }

  /**
   * Why a question is answered as it is: the policy's own lines, with what each condition comes to. It is asked of the policy's
   * twin, once more for each way to a yes that is weighed; what relations lead to is loaded once. `print` shows nothing.
   *
   * It holds no text of actor or resource: {@link CompiledOso.explainWith} has more or less of them.
   *
   * @returns also if the question fails: {@link Explanation.error} says where. `String(why)` is for developers
   * @example
   * ```ts
   * const why = await oso.explain('allow', user, 'approve', expense);
   * console.log(String(why));
   * ```
   */
  explain(rule: string, ...args: unknown[]): Promise<Explanation> {
    return this.explainWith({}, rule, ...args);
  }

  /** As {@link CompiledOso.explain}, and shows as much of the values as the options say. */
  async explainWith(options: ExplainOptions, rule: string, ...args: unknown[]): Promise<Explanation> {
    const { engine } = this.#seat;
    const { values = 'redacted' } = ownOf(options);
    const answer = async (error: NotCovered): Promise<boolean> => {
      const results = this.#fallBack(error, new Predicate(rule, [...args]), undefined, engine);
      const { done } = await results.next();
      await results.return();
      return !done;
    };
    const asked = { rule, args };
    try {
      return await explain(asked, this.#readyPolicy(engine), this.#settings, values, answer);
    } catch (error) {
      if (!(error instanceof NotCovered)) throw error;
      return unexplained(asked, await answer(error), error);
    }
  }

  /** As in Oso. Partial evaluation (`acceptExpression`) is Oso's engine's. */
  override query(query: Predicate | string, given: QueryOptions = {}): QueryResult {
    const options = ownOf(given);
    if (options.acceptExpression) {
      return this.#fallBack(new NotCovered('partial evaluation', undefined), query, options);
    }
    return this.#ask(query, options, this.#seat.engine, this.#settings);
  }

  #ask(
    query: Predicate | string,
    options: QueryOptions | undefined,
    engine: Engine,
    settings: QuerySettings,
  ): QueryResult {
    try {
      return this.#results(this.#prepare(query, options, engine, settings), query, options, engine);
    } catch (error) {
      if (!(error instanceof NotCovered)) throw error;
      return this.#fallBack(error, query, options, engine);
    }
  }

  async *#results(
    query: Query,
    question: Predicate | string,
    options: QueryOptions | undefined,
    engine: Engine,
  ): AsyncGenerator<Bindings, void, undefined> {
    let found = 0;
    let notCovered: NotCovered;
    try {
      for (let more = await query.settle(query.begin()); more; more = await query.settle(query.next())) {
        const bindings = await query.bindings();
        found++;
        yield bindings;
      }
      return;
    } catch (error) {
      if (!(error instanceof NotCovered)) throw error;
      notCovered = error;
    }
    // Oso's engine finds the same results in the same order: those already given are not given again.
    for await (const bindings of this.#fallBack(notCovered, question, options, engine)) {
      if (found > 0) found--;
      else yield bindings;
    }
  }

  #prepare(
    question: Predicate | string,
    options: QueryOptions | undefined,
    engine: Engine,
    asked: QuerySettings,
  ): Query {
    const policy = this.#ready(engine);
    const rule = typeof question === 'string' ? undefined : question.name;
    const settings = this.#traced(rule, { ...asked, given: options?.bindings });
    if (typeof question !== 'string') return Query.forRule(policy, question.name, question.args, settings);
    let compiled = this.#queries.get(question);
    if (compiled?.observed !== policy.observed) compiled = undefined;
    if (compiled === undefined) {
      // Oso refuses what is not a query, in its own words.
      this.getFfi().newQueryFromStr(question).free();
      compiled = this.#compileText(policy, question);
      if (this.#queries.size >= MAX_QUERY_TEXTS) this.#queries.clear();
      this.#queries.set(question, compiled);
    }
    return Query.forText(policy, compiled, settings);
  }

  /** With what tells the observers of one question, if there are any. */
  #traced(rule: string | undefined, settings: QuerySettings): QuerySettings {
    const observers = this.#observers;
    if (observers.size === 0) return settings;
    const tellAll: Observer = (...told) => {
      for (const observer of observers) observer(...told);
    };
    const trace = new Trace(tellAll, { rule, isList: settings.hasUnknowns }, this.#host);
    return { ...settings, trace };
  }

  #compileText(policy: CompiledPolicy, text: string): CompiledQuery {
    try {
      return compileQuery(policy, text);
    } catch (error) {
      if (error instanceof Error && error.name === 'UnreadablePolicyError') {
        throw new NotCovered(`the query text: ${error.message}`, undefined);
      }
      throw error;
    }
  }

  /** The compiled policy, or its twin if somebody observes; throws NotCovered if there cannot be one. */
  #ready(engine: Engine = this.#seat.engine): CompiledPolicy {
    const policy = this.#readyPolicy(engine);
    return this.#observers.size === 0 ? policy : policy.twin;
  }

  #readyPolicy({ policy }: Engine): CompiledPolicy {
    if (policy === this.#compiledOf && this.#compiled !== undefined) return this.#compiled;
    if (policy === undefined) throw new NotCovered('a policy of which the text is not known', undefined);
    return this.#compile(policy);
  }

  #compile(policy: LoadedPolicy): CompiledPolicy {
    if (this.#logging) throw new NotCovered('logging by POLAR_LOG or RUST_LOG', undefined);
    if (this.#isFreed) throw new NotCovered('an Oso that was freed', undefined);
    let compiled = this.#compilations.get(policy);
    if (compiled === undefined) {
      const read = readTexts(policy);
      if ('reason' in read) {
        throw new NotCovered(`the policy text: ${read.reason}`, { rule: undefined, ...placeOf(read) });
      }
      compiled = new CompiledPolicy(read, this.#host);
      this.#compilations.set(policy, compiled);
    }
    this.#queries.clear();
    this.#compiled = compiled;
    this.#compiledOf = policy;
    return compiled;
  }

  #forgetCompiled(): void {
    if (this.#compiledOf !== undefined) this.#compilations.delete(this.#compiledOf);
    this.#compiled = undefined;
    this.#compiledOf = undefined;
    this.#queries.clear();
  }

  #checkClasses(): void {
    const { policy } = this.#seat.engine;
    if (policy === undefined) return;
    const read = readTexts(policy);
    if ('reason' in read) return;
    try {
      checkClasses(read, this.#host);
    } catch (error) {
      this.clearRules();
      throw error;
    }
  }

  #fallBack(
    { construct, place, refusal }: NotCovered,
    query: Predicate | string,
    options: QueryOptions | undefined,
    engine: Engine = this.#seat.engine,
  ): QueryResult {
    if (refusal !== undefined) throw refusal;
    this.#report({
      construct,
      rule: place?.rule,
      file: place?.file,
      line: place?.line,
      column: place?.column,
    });
    // The policy may have been replaced since the query began; it ends on that by which it began.
    const results = this.#seat.during(engine, () => super.query(query, options));
    return withoutValues(results, place);
  }

  #report(fallback: Fallback): void {
    const key = JSON.stringify(fallback);
    const known = this.#fallbacks.get(key);
    if (known !== undefined || this.#fallbacks.size < MAX_FALLBACKS) {
      this.#fallbacks.set(key, { ...fallback, count: (known?.count ?? 0) + 1 });
    }
    this.#onFallback?.(fallback);
  }
}

function readTexts({ texts }: LoadedPolicy): ReturnType<typeof readPolicy> {
  return readPolicy(texts.map(({ src, filename }) => new PolicySource(src, filename)));
}

/** Passes results on; the errors of Oso's engine, which hold values, as errors that hold none. */
async function* withoutValues(results: QueryResult, place: PolicyPlace | undefined): QueryResult {
  try {
    yield* results;
  } catch (error) {
    if (!(error instanceof Error) || !/^(Runtime|Operational)Error::/.test(error.name)) throw error;
    const kind = error.name.slice(error.name.indexOf('::') + 2);
    throw new PolicyError(
      `The policy failed in Oso's engine: ${kind}${place ? `, asked ${describePlace(place)}` : ''}`,
      {
        code: 'ERR_KOA_OSO_POLICY',
        name: error.name,
        cause: error,
      },
    );
  }
}
