import { readFile } from 'node:fs/promises';
import { Oso } from 'oso';
import {
  CompiledPolicy,
  checkClasses,
  type Policy,
  readPolicy,
  type UnreadPolicy,
} from './compile/policy.js';
import { describePlace, NotCovered, PolicyError, type PolicyPlace } from './errors.js';
import type { Budget } from './evaluate/machine.js';
import type { Observer } from './observe.js';
import {
  InlineQueryFailedError,
  PolarFileExtensionError,
  PolarFileNotFoundError,
  Predicate,
} from './oso-internals.js';
import { type Alternatives, type Bindings, type CompiledQuery, compileQuery, Query } from './query.js';
import { PolicySource, placeOf } from './syntax/source.js';
import { type EqualityFn, PolicyHost } from './values/host.js';
import type { Unknowns } from './values/unknown.js';

type OsoOptions = NonNullable<ConstructorParameters<typeof Oso>[0]>;
type RegisterClassArguments = Parameters<Oso['registerClass']>;
type QueryOptions = NonNullable<Parameters<Oso['query']>[1]>;
type QueryResult = ReturnType<Oso['query']>;

/** A query that was answered by Oso's own engine, and why. */
export interface Fallback {
  /** What the compiled form does not cover: `debug()`, `partial evaluation` … */
  readonly construct: string;
  /** The rule that it stands in; undefined where it stands in no rule. */
  readonly rule: string | undefined;
  readonly file: string | undefined;
  /** Starts at 1; undefined where no place in the policy is to blame. */
  readonly line: number | undefined;
  /** Starts at 1; undefined where no place in the policy is to blame. */
  readonly column: number | undefined;
}

/** A {@link Fallback}, and how often it happened. */
export interface FallbackCount extends Fallback {
  readonly count: number;
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
  /** Sees every rule tried and condition tested. Leave it out and evaluation carries no trace of it. */
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
  readonly #host: PolicyHost;
  readonly #budget: Budget;
  readonly #onFallback: ((fallback: Fallback) => void) | undefined;
  readonly #fallbacks = new Map<string, FallbackCount>();
  /** Oso's engine logs what it does where the environment asks for it; the compiled form does not. */
  readonly #logging = Boolean(process.env.POLAR_LOG ?? process.env.RUST_LOG);
  #observer: Observer | undefined;
  #policy: Policy | UnreadPolicy = readPolicy([]);
  #compiled: CompiledPolicy | undefined;
  readonly #queries = new Map<string, CompiledQuery>();

  /** Takes what Oso's constructor takes, and {@link CompiledOsoOptions}. */
  constructor(options: CompiledOsoOptions = {}) {
    const given = own(options);
    super(given);
    this.#budget = { ...DEFAULT_BUDGET, ...given.budget };
    this.#onFallback = given.onFallback;
    this.#observer = given.observer;
    this.#host = new PolicyHost(this as unknown as Oso, given.equalityFn as EqualityFn | undefined);
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

  /** Lets `observer` see every rule tried and condition tested from now on; undefined ends that. */
  observe(observer: Observer | undefined): void {
    this.#observer = observer;
    this.#forgetCompiled();
  }

  /** As in Oso. What the policy knows of the class changes with the next query. */
  override registerClass(...[cls, params = {}]: RegisterClassArguments): void {
    super.registerClass(cls, own(params));
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

  /** As in Oso. */
  override clearRules(): void {
    super.clearRules();
    this.#setPolicy([]);
  }

  /** As in Oso: there are no answers after that, only errors. */
  override free(): void {
    super.free();
    this.#leaveToOso('it was freed');
  }

  /**
   * As in Oso; and throws an error with code `ERR_KOA_OSO_UNREGISTERED_CLASS` where a rule names a class that is not
   * registered, as the first query to reach it would fail. Nothing is loaded then.
   */
  override async loadFiles(filenames: string[]): Promise<void> {
    const before = await Promise.all(filenames.map(readIfThere));
    const load = async (): Promise<void> => super.loadFiles(filenames);
    await this.#load(
      load,
      before.map((text, at) => new PolicySource(text ?? '', filenames[at])),
    );
    const after = await Promise.all(filenames.map(readIfThere));
    const changed = after.findIndex((text, at) => text !== before[at]);
    if (changed === -1) return;
    // Which of the two texts Oso has read cannot be told.
    this.#leaveToOso('the file changed while it was loaded', new PolicySource('', filenames[changed]));
  }

  /**
   * As in Oso; and throws an error with code `ERR_KOA_OSO_UNREGISTERED_CLASS` where a rule names a class that is not
   * registered, as the first query to reach it would fail. Nothing is loaded then.
   */
  override async loadStr(contents: string, filename?: string): Promise<void> {
    const load = async (): Promise<void> => super.loadStr(contents, filename);
    await this.#load(load, [new PolicySource(contents, filename)]);
  }

  /** As in Oso. */
  override isAllowed(actor: Actor, action: Action, resource: Resource): Promise<boolean> {
    return this.queryRuleOnce('allow', actor, action, resource);
  }

  /**
   * As in Oso: whether a rule succeeds for the arguments.
   *
   * Throws a {@link PolicyError} where the policy runs into an error, a `PolicyBudgetError` where it exceeds its budget,
   * and whatever host code throws.
   */
  override async queryRuleOnce(name: string, ...args: unknown[]): Promise<boolean> {
    try {
      const policy = this.#ready();
      const fact = policy.predicate(name)?.fact(args);
      if (fact !== undefined) return fact;
      const query = Query.forRule(policy, this.#host, this.#budget, name, args);
      const outcome = query.begin();
      if (outcome === 'result') return true;
      if (outcome === 'exhausted') return false;
      return await query.settle(outcome);
    } catch (error) {
      if (!(error instanceof NotCovered)) throw error;
      const results = this.#fallBack(error, new Predicate(name, args), undefined);
      const { done } = await results.next();
      await results.return();
      return !done;
    }
  }

  /**
   * @internal What has to hold of the values in `args` that are not known, for each result of a rule. Throws NotCovered
   * where the compiled form cannot tell.
   */
  async constraintsOf(unknowns: Unknowns, name: string, ...args: unknown[]): Promise<Alternatives> {
    const host = this.#host;
    return Query.forRule(this.#ready(), host, this.#budget, name, args, undefined, unknowns).alternatives();
  }

  /** As in Oso. Partial evaluation (`acceptExpression`) is Oso's engine's. */
  override query(query: Predicate | string, given: QueryOptions = {}): QueryResult {
    const options = own(given);
    if (options.acceptExpression) {
      return this.#fallBack(new NotCovered('partial evaluation', undefined), query, options);
    }
    try {
      return this.#results(this.#prepare(query, options), query, options);
    } catch (error) {
      if (!(error instanceof NotCovered)) throw error;
      return this.#fallBack(error, query, options);
    }
  }

  async *#results(
    query: Query,
    question: Predicate | string,
    options: QueryOptions | undefined,
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
    for await (const bindings of this.#fallBack(notCovered, question, options)) {
      if (found > 0) found--;
      else yield bindings;
    }
  }

  #prepare(question: Predicate | string, options: QueryOptions | undefined): Query {
    const policy = this.#ready();
    if (typeof question !== 'string') {
      const { name, args } = question;
      return Query.forRule(policy, this.#host, this.#budget, name, args, options?.bindings);
    }
    let compiled = this.#queries.get(question);
    if (compiled === undefined) {
      // Oso refuses what is not a query, in its own words.
      this.getFfi().newQueryFromStr(question).free();
      compiled = this.#compileText(policy, question);
      if (this.#queries.size >= MAX_QUERY_TEXTS) this.#queries.clear();
      this.#queries.set(question, compiled);
    }
    return Query.forText(policy, this.#host, this.#budget, compiled, options?.bindings);
  }

  #compileText(policy: CompiledPolicy, text: string): CompiledQuery {
    try {
      return compileQuery(policy, this.#host, text);
    } catch (error) {
      if (error instanceof Error && error.name === 'UnreadablePolicyError') {
        throw new NotCovered(`the query text: ${error.message}`, undefined);
      }
      throw error;
    }
  }

  /** The compiled policy; throws NotCovered where there cannot be one. */
  #ready(): CompiledPolicy {
    if (this.#compiled !== undefined) return this.#compiled;
    const policy = this.#policy;
    if (this.#logging) throw new NotCovered('logging by POLAR_LOG or RUST_LOG', undefined);
    if ('reason' in policy) {
      throw new NotCovered(`the policy text: ${policy.reason}`, { rule: undefined, ...placeOf(policy) });
    }
    this.#compiled = new CompiledPolicy(policy, this.#host, this.#observer);
    return this.#compiled;
  }

  #forgetCompiled(): void {
    this.#compiled = undefined;
    this.#queries.clear();
  }

  /** Has Oso's engine answer all queries, because it cannot be told what it has loaded. */
  #leaveToOso(reason: string, source: PolicySource = new PolicySource('')): void {
    this.#policy = { reason, source, offset: 0 };
    this.#forgetCompiled();
  }

  #setPolicy(sources: readonly PolicySource[]): void {
    this.#policy = readPolicy(sources);
    this.#forgetCompiled();
  }

  async #load(load: () => Promise<void>, sources: readonly PolicySource[]): Promise<void> {
    if (sources.length === 0) return load();
    try {
      await load();
    } catch (error) {
      // An inline query that fails leaves the policy loaded.
      if (error instanceof InlineQueryFailedError) this.#setPolicy(sources);
      else if (!leavesNothingLoaded(error))
        this.#leaveToOso('the policy failed while it was loaded', sources[0]);
      throw error;
    }
    this.#setPolicy(sources);
    if ('reason' in this.#policy) return;
    try {
      checkClasses(this.#policy, this.#host);
    } catch (error) {
      this.clearRules();
      throw error;
    }
  }

  #fallBack(
    { construct, place, refusal }: NotCovered,
    query: Predicate | string,
    options: QueryOptions | undefined,
  ): QueryResult {
    if (refusal !== undefined) throw refusal;
    this.#report({
      construct,
      rule: place?.rule,
      file: place?.file,
      line: place?.line,
      column: place?.column,
    });
    return withoutValues(super.query(query, options), place);
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

/** The options that were given, whatever a client got onto Object.prototype. */
function own<Options extends object>(options: Options): Options {
  return { __proto__: null, ...options };
}

async function readIfThere(filename: string): Promise<string | undefined> {
  try {
    return await readFile(filename, 'utf8');
  } catch {
    // Oso says what is wrong with it.
    return undefined;
  }
}

/** Oso's own errors about files and policies come before anything is loaded, or clear what was. */
function leavesNothingLoaded(error: unknown): boolean {
  if (error instanceof PolarFileNotFoundError || error instanceof PolarFileExtensionError) return true;
  return (
    error instanceof Error &&
    /^(ParseError::|ValidationError::|RuntimeError::MultipleLoadError)/.test(error.name)
  );
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
