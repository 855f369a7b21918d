import { inspect } from 'node:util';
import { Oso, Variable } from 'oso';
import { guardHost } from '../../../src/guard/guarded-host.js';
import { CompiledOso, type Fallback, type FallbackCount } from '../../../src/polar/index.js';
import { type Hostile, makeHostile } from './hostile.js';
import { makeWorld, type World } from './world.js';

/** An argument from JavaScript: a value, one of the world's constants by its name, or a variable. */
export type RuleArgument =
  | string
  | number
  | boolean
  | null
  | readonly RuleArgument[]
  | { readonly constant: string }
  | { readonly variable: string }
  | { readonly hostile: Hostile };

/** A question for a rule, with values from JavaScript; `once` asks only whether it succeeds. */
export interface RuleQuestion {
  readonly rule: string;
  readonly args: readonly RuleArgument[];
  readonly once: boolean;
}

/** A question to a policy: a text in Polar's notation, a rule with its arguments, or something to do with an Oso. */
export type Question = string | RuleQuestion | ((oso: Oso, world: World['constants']) => unknown);

/** A policy and what to ask it; both engines must say the same. */
export interface Case {
  readonly policy: string;
  readonly questions: readonly Question[];
  readonly equalityFn?: ((left: unknown, right: unknown) => boolean) | undefined;
}

export interface Answers {
  /**
   * One text for each question: its results in order, or the name of the error; and one for all that was printed. Or the
   * name of the load's error.
   */
  readonly answers: readonly string[];
  readonly fallbacks: readonly Fallback[];
}

/** What CompiledOso answers, with what it says of its fallbacks. */
export interface CompiledAnswers extends Answers {
  readonly fallbacks: readonly FallbackCount[];
}

/** Oso's own way to ask its engine, whatever a spec puts around it. */
const askEngine = Oso.prototype.query;

/** Runs `action`; how many queries Oso's engine was asked meanwhile, besides those of plain Osos. */
export async function countEngineQueries(action: () => Promise<unknown>): Promise<number> {
  let queries = 0;
  Oso.prototype.query = function (this: Oso, ...args) {
    if (this instanceof CompiledOso) queries++;
    return askEngine.apply(this, args);
  };
  try {
    await action();
  } finally {
    Reflect.deleteProperty(Oso.prototype, 'query');
  }
  return queries;
}

/** Oso as KoaOso makes it: its host is guarded. */
export function guardedOso(options?: ConstructorParameters<typeof Oso>[0]): Oso {
  const oso = new Oso(options);
  guardHost(oso.getHost());
  return oso;
}

export async function askOso(given: Case): Promise<Answers> {
  return { answers: await ask(guardedOso({ equalityFn: given.equalityFn }), given), fallbacks: [] };
}

export async function askCompiled(given: Case): Promise<CompiledAnswers> {
  const oso = new CompiledOso({ equalityFn: given.equalityFn });
  const answers = await ask(oso as unknown as Oso, given);
  return { answers, fallbacks: oso.fallbacks };
}

/** The engine of Oso has crashed: it has no answer to compare with. */
export function isCrash(answer: string): boolean {
  return (
    /^error RuntimeError (unreachable|memory access|table index|null function)/.test(answer) ||
    answer.includes('recursive use of an object')
  );
}

/** Both engines, for one case after the other: making them anew takes longer than asking them. */
export class Engines {
  static readonly #MAX_CASES = 200;
  #cases = 0;
  #fallbacks: Fallback[] = [];
  #oso = guardedOso();
  #compiled = new CompiledOso();
  #osoWorld = makeWorld();
  #compiledWorld = makeWorld();

  readonly #onAsk: (engine: 'oso' | 'compiled') => void;

  /** `onAsk` is told whose engine is about to be asked: a query that falls back is asked of Oso's. */
  constructor(onAsk: (engine: 'oso' | 'compiled') => void) {
    this.#onAsk = onAsk;
    this.#renew();
  }

  async ask(given: Case): Promise<{ oso: Answers; compiled: Answers }> {
    if (++this.#cases > Engines.#MAX_CASES) this.#renew();
    this.#fallbacks = [];
    const oso = await askLoaded(this.#oso, this.#osoWorld, given, () => this.#onAsk('oso'));
    // Half of the cases are asked of the policy's twin.
    const stop = this.#cases % 2 === 0 ? this.#compiled.observe(({ operands }) => operands?.()) : () => {};
    const compiled = await askLoaded(this.#compiled as unknown as Oso, this.#compiledWorld, given, () =>
      this.#onAsk('compiled'),
    );
    stop();
    if (![...oso, ...compiled].some(isCrash)) {
      this.#oso.clearRules();
      this.#compiled.clearRules();
    }
    return {
      oso: { answers: oso, fallbacks: [] },
      compiled: { answers: compiled, fallbacks: this.#fallbacks },
    };
  }

  #renew(): void {
    this.#cases = 0;
    this.#oso = guardedOso();
    this.#osoWorld = makeWorld();
    this.#osoWorld.register(this.#oso);
    this.#compiled = new CompiledOso({
      onFallback: fallback => {
        this.#onAsk('oso');
        this.#fallbacks.push(fallback);
      },
    });
    this.#compiledWorld = makeWorld();
    this.#compiledWorld.register(this.#compiled as unknown as Oso);
  }
}

async function ask(oso: Oso, given: Case): Promise<string[]> {
  const world = makeWorld();
  world.register(oso);
  try {
    return await askLoaded(oso, world, given);
  } finally {
    try {
      oso.free();
    } catch {
      // A crashed engine cannot be freed.
    }
  }
}

async function askLoaded(
  oso: Oso,
  world: World,
  { policy, questions }: Case,
  onAsk = () => {},
): Promise<string[]> {
  onAsk();
  const loaded = await quietly(() => answerTo(() => oso.loadStr(policy, 'policy.polar')));
  if (loaded.startsWith('error')) return [loaded];
  const answers: string[] = [];
  const printed: unknown[] = [];
  for (const question of questions) {
    onAsk();
    answers.push(await quietly(() => answerTo(() => put(oso, world, question)), printed));
    if (isCrash(answers.at(-1) as string)) return answers;
  }
  // Oso shows what was printed before an error only with the next query.
  await quietly(() => answerTo(() => collect(askEngine.call(oso, '1 = 1'))), printed);
  return [...answers, `printed ${inspect(printed)}`];
}

async function put(oso: Oso, { constants }: World, question: Question): Promise<unknown> {
  if (typeof question === 'string') return collect(oso.query(question));
  if (typeof question === 'object') {
    const { rule, args, once } = question;
    const values = args.map(arg => toArgument(arg, constants));
    return once ? oso.queryRuleOnce(rule, ...values) : collect(oso.queryRule(rule, ...values));
  }
  const answer = await question(oso, constants);
  return isResults(answer) ? collect(answer) : answer;
}

function toArgument(arg: RuleArgument, constants: World['constants']): unknown {
  if (typeof arg !== 'object' || arg === null) return arg;
  if ('constant' in arg) return constants[arg.constant];
  if ('hostile' in arg) return makeHostile(arg.hostile, constants);
  return 'variable' in arg ? new Variable(arg.variable) : arg.map(item => toArgument(item, constants));
}

const MAX_RESULTS = 200;

/** The results of a query, each as its bindings by name. */
export async function collect(results: AsyncIterable<Map<string, unknown>>): Promise<unknown[]> {
  const collected: unknown[] = [];
  for await (const bindings of results) {
    const names = [...bindings.keys()].sort();
    collected.push(names.map(name => [name, bindings.get(name)]));
    if (collected.length >= MAX_RESULTS) break;
  }
  return collected;
}

/** What came of it, as text that is the same for both engines where they did the same. */
export async function answerTo(action: () => unknown): Promise<string> {
  try {
    return describe(await action());
  } catch (error) {
    if (!(error instanceof Error)) return `error ${describe(error)}`;
    // The engine's panics are WebAssembly's errors, all of the same name.
    const detail =
      error.name === 'RuntimeError' || error.name === 'Error'
        ? ` ${error.message.replace(/instance: \d+/, 'instance')}`
        : '';
    const own = /^(Runtime|Parse|Validation|Operational)Error::/.test(error.name);
    return `error ${error.name}${own ? '' : detail}`;
  }
}

/** Values as text. The names of variables without a value are the engine's own affair. */
function describe(value: unknown): string {
  const text = inspect(withoutNames(value, 0), {
    depth: 8,
    breakLength: Number.POSITIVE_INFINITY,
    sorted: true,
  });
  return text
    .replace(/(?:\[Object: null prototype\] )?\{ RestVariable: '[^']*' \}/g, '{ a rest }')
    .replace(/Variable \{ name: '[^']*' \}/g, 'a variable');
}

function withoutNames(value: unknown, depth: number): unknown {
  if (depth > 20) return '…';
  if (value instanceof Variable) return Symbol.for('a variable');
  if (Array.isArray(value)) return value.map(each => withoutNames(each, depth + 1));
  if (Object.is(value, -0)) return 0;
  if (typeof value === 'object' && value?.constructor?.name === 'Dict') {
    const fields = Object.entries(value).map(([name, each]) => [name, withoutNames(each, depth + 1)]);
    return Object.assign(new (value.constructor as new () => object)(), Object.fromEntries(fields));
  }
  return value;
}

function isResults(value: unknown): value is AsyncIterable<Map<string, unknown>> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value && 'return' in value;
}

/** What the policy prints is kept, for it belongs to the answers; warnings are not. */
export async function quietly<Result>(
  action: () => Promise<Result>,
  printed: unknown[] = [],
): Promise<Result> {
  const { log, warn, error } = console;
  // biome-ignore-start lint/suspicious/noConsole: Oso prints there, and what it prints is compared.
  console.log = (...args: unknown[]) => printed.push(...args);
  console.warn = () => {};
  console.error = () => {};
  try {
    return await action();
  } finally {
    Object.assign(console, { log, warn, error });
  }
  // biome-ignore-end lint/suspicious/noConsole: see above.
}
