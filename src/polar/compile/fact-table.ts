import { wellFormed } from '../../guard/limits.js';
import type { RuleShape } from './rule-shape.js';

export type Constant = string | number | boolean;

/** A rule, as far as it takes to tell whether it is a fact. */
type MaybeFact = Pick<RuleShape, 'parameters' | 'plain'>;

/** With more rules that are no facts, those are in the way too often. */
const MAX_OTHERS = 8;
/** Where more facts share the constant that they are found by, they are not told apart one by one. */
const MAX_SHARING = 16;

/**
 * The facts of a predicate that has little else than facts, found without remembering each question: there may be as many
 * questions as facts.
 *
 * What a look-up among many costs is what it has to fetch from memory, and so their constants are kept side by side, apart
 * from all else that there is to a rule.
 */
export class FactTable {
  readonly #arity: number;
  /** Of all facts, in a row. */
  readonly #constants: readonly Constant[];
  /** The position at which the facts differ most. */
  readonly #position: number;
  /** Where the facts that have a constant at that position start; a single one without an array around it. */
  readonly #starts: ReadonlyMap<Constant, number | readonly number[]>;
  /** The rules that are no facts. */
  readonly #others: readonly MaybeFact[];

  /** A constant holds U+FFFD, which is what halves of surrogate pairs are read as: without it none of them is a constant. */
  readonly #replacement: boolean;

  private constructor(arity: number, constants: readonly Constant[], others: readonly MaybeFact[]) {
    this.#arity = arity;
    this.#others = others;
    this.#constants = constants;
    const ofOthers = others.flatMap(({ parameters }) =>
      parameters.map(each => each.kind === 'constant' && each.value),
    );
    this.#replacement = [...constants, ...ofOthers].some(
      each => typeof each === 'string' && each.includes('\ufffd'),
    );
    const variety = Array.from({ length: arity }, () => new Set<Constant>());
    for (const [at, constant] of constants.entries()) variety[at % arity]?.add(constant);
    const sizes = variety.map(({ size }) => size);
    this.#position = sizes.indexOf(Math.max(...sizes));
    const starts = new Map<Constant, number | number[]>();
    for (let start = 0; start < constants.length; start += arity) {
      const constant = constants[start + this.#position] as Constant;
      const known = starts.get(constant);
      if (known === undefined) starts.set(constant, start);
      else if (typeof known === 'number') starts.set(constant, [known, start]);
      else known.push(start);
    }
    this.#starts = starts;
  }

  /** Undefined if there are no facts, or too many rules that are none. */
  static of(rules: readonly MaybeFact[], arity: number): FactTable | undefined {
    const constants: Constant[] = [];
    const others: MaybeFact[] = [];
    for (const rule of rules) {
      const values = constantsOf(rule);
      if (values === undefined) others.push(rule);
      else for (const value of values) constants.push(value);
    }
    if (constants.length === 0 || others.length > MAX_OTHERS) return undefined;
    return new FactTable(arity, compact(constants), others);
  }

  /**
   * Whether exactly one fact holds for the arguments, and nothing else could, or nothing at all; undefined if it takes
   * more than comparing to know.
   */
  contains(args: readonly unknown[]): boolean | undefined {
    return this.#find(this.#replacement ? args.map(read) : args);
  }

  #find(args: readonly unknown[]): boolean | undefined {
    for (let at = 0; at < this.#arity; at++) {
      // An object may equal a constant, and a variable has yet to be bound.
      if (!isConstant(args[at])) return undefined;
    }
    for (const other of this.#others) if (!isRuledOut(other, args)) return undefined;
    const starts = this.#starts.get(args[this.#position] as Constant);
    if (starts === undefined) return false;
    if (typeof starts === 'number') return this.#isAt(starts, args);
    if (starts.length > MAX_SHARING) return undefined;
    let holds = false;
    for (const start of starts) {
      if (!this.#isAt(start, args)) continue;
      // It stands there twice, and so it holds twice.
      if (holds) return undefined;
      holds = true;
    }
    return holds;
  }

  #isAt(start: number, args: readonly unknown[]): boolean {
    for (let at = 0; at < this.#arity; at++) {
      if (at !== this.#position && this.#constants[start + at] !== args[at]) return false;
    }
    return true;
  }
}

/** The constants of a fact; undefined for any other rule. */
function constantsOf({ parameters, plain }: MaybeFact): Constant[] | undefined {
  if (!plain) return undefined;
  const constants: Constant[] = [];
  for (const parameter of parameters) {
    if (parameter.kind !== 'constant' || !isConstant(parameter.value)) return undefined;
    constants.push(parameter.value);
  }
  return constants;
}

/** Whether a rule has a constant that the arguments do not have. */
function isRuledOut({ parameters }: MaybeFact, args: readonly unknown[]): boolean {
  return parameters.some((parameter, at) => parameter.kind === 'constant' && parameter.value !== args[at]);
}

/** The same constants, each text there once, and copied so that one lies next to the other. */
function compact(constants: readonly Constant[]): readonly Constant[] {
  const texts = [...new Set(constants)].filter(constant => typeof constant === 'string');
  const copies = texts.join('\0').split('\0');
  if (copies.length !== texts.length) return constants;
  const copyOf = new Map<Constant, string>(texts.map((text, at) => [text, copies[at] as string]));
  return constants.map(constant => copyOf.get(constant) ?? constant);
}

function read(value: unknown): unknown {
  return typeof value === 'string' ? wellFormed(value) : value;
}

/** Whether a value is equal to itself, and to nothing that is written otherwise. */
function isConstant(value: unknown): value is Constant {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return true;
    case 'number':
      // NaN equals nothing, and large integers are not what they seem.
      return Number.isSafeInteger(value) || (!Number.isInteger(value) && !Number.isNaN(value));
    default:
      return false;
  }
}
