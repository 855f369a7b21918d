/**
 * What is told of the evaluation of one question. A policy is compiled a second time, as its twin, of which the steps tell
 * the machine's trace what they do; the steps of the policy itself know nothing of it.
 */
import type { PolicyPlace } from '../errors.js';
import type { Observation, Observer, PolicyRange, Question } from '../observe.js';
import type { Located } from '../syntax/source.js';
import { isThenable, type PolicyHost } from '../values/host.js';
import { deref, Instance, LogicVariable, type Value } from '../values/values.js';

type Kind = Observation['kind'];

/** How many rules that one call skips are told. */
const MAX_SKIPPED = 100;

/** One attempt at a rule, a condition or a look-up. */
export class Attempt {
  readonly id: number;
  readonly parent: Attempt | undefined;
  readonly written: Located;
  /** The name of the rule; that around it, for a condition. */
  readonly rule: string | undefined;
  readonly lookup: boolean;
  operands: Value[] = [];
  hasHeld = false;

  constructor(
    id: number,
    parent: Attempt | undefined,
    written: Located,
    rule: string | undefined,
    lookup: boolean,
  ) {
    this.id = id;
    this.parent = parent;
    this.written = written;
    this.rule = rule;
    this.lookup = lookup;
  }
}

/** An observation, of which the place and the operands are worked out when somebody asks. */
export class Event implements Observation {
  readonly kind: Kind;
  readonly attempt: Attempt | undefined;
  /** As they were at that time, for backtracking takes them back. */
  readonly values: readonly Value[];
  readonly #host: PolicyHost;

  constructor(kind: Kind, attempt: Attempt | undefined, host: PolicyHost) {
    this.kind = kind;
    this.attempt = attempt;
    this.values = attempt === undefined ? [] : attempt.operands.map(deref);
    this.#host = host;
  }

  get id(): number {
    return this.attempt?.id ?? 0;
  }

  get parent(): number | undefined {
    return this.attempt?.parent?.id;
  }

  get lookup(): boolean {
    return this.attempt?.lookup ?? false;
  }

  get place(): PolicyRange | undefined {
    return this.attempt && rangeOf(this.attempt.written, this.attempt.rule);
  }

  operands = (): readonly unknown[] => this.values.map(value => plain(this.#host, value));
}

/** The value as JavaScript has it; undefined if it is not known, or nothing that JavaScript has. */
function plain(host: PolicyHost, value: Value): unknown {
  if (value instanceof Instance) return value.value;
  if (value instanceof LogicVariable) return undefined;
  try {
    const known = host.toJs(value);
    if (!isThenable(known)) return known;
    // A list that holds something to wait for: it is waited for by the policy, or by nobody.
    Promise.resolve(known).catch(() => {});
    return undefined;
  } catch {
    return undefined;
  }
}

export function rangeOf({ source, offset, end }: Located, rule: string | undefined): PolicyRange {
  const { line, column } = source.placeAt(end);
  const place: PolicyPlace = { rule, ...source.placeAt(offset) };
  return { ...place, endLine: line, endColumn: column };
}

interface TraceOptions {
  readonly assumed?: Iterable<number>;
  readonly isQuiet?: boolean;
}

/** Tells an observer of one question. */
export class Trace {
  readonly #observer: Observer;
  readonly #question: Question;
  readonly #host: PolicyHost;
  /** The attempts, by their ids, that are taken to hold if they fail. */
  readonly #assumed: ReadonlySet<number>;
  /** `print` shows nothing: the question has been answered before. */
  readonly isQuiet: boolean;
  /** The question can be asked again, and nothing outside is asked for the same once more. */
  isRepeatable = true;
  #attempts = 0;
  /** What is being tested, so that an error can be told of it. */
  #current: Attempt | undefined;

  constructor(
    observer: Observer,
    question: Question,
    host: PolicyHost,
    { assumed = [], isQuiet = false }: TraceOptions = {},
  ) {
    this.#observer = observer;
    this.#question = question;
    this.#host = host;
    this.#assumed = new Set(assumed);
    this.isQuiet = isQuiet;
  }

  rule(written: Located, name: string, parent: Attempt | undefined, args: readonly Value[]): Attempt {
    const attempt = new Attempt(++this.#attempts, parent, written, name, false);
    attempt.operands = [...args];
    this.#tell('rule', attempt);
    return attempt;
  }

  skipped(
    rules: Iterable<{ readonly rule: Located & { readonly name: string } }>,
    parent: Attempt | undefined,
    args: readonly Value[],
  ): void {
    let told = 0;
    for (const { rule } of rules) {
      if (++told > MAX_SKIPPED) return;
      const attempt = new Attempt(++this.#attempts, parent, rule, rule.name, false);
      attempt.operands = [...args];
      this.#tell('skipped', attempt);
    }
  }

  condition(
    written: Located,
    rule: string | undefined,
    parent: Attempt | undefined,
    lookup: boolean,
  ): Attempt {
    const attempt = new Attempt(++this.#attempts, parent, written, rule, lookup);
    this.#current = attempt;
    this.#tell('condition', attempt);
    return attempt;
  }

  held(attempt: Attempt): void {
    this.#current = attempt.parent;
    attempt.hasHeld = true;
    this.#tell('held', attempt);
  }

  /** Whether the policy is to go on as if the attempt had held. */
  failed(attempt: Attempt): boolean {
    this.#current = attempt.parent;
    this.#tell('failed', attempt);
    return !attempt.hasHeld && this.#assumed.has(attempt.id);
  }

  error(): void {
    if (this.#current !== undefined) this.#tell('error', this.#current);
  }

  result(): void {
    this.#tell('result', undefined);
  }

  #tell(kind: Kind, attempt: Attempt | undefined): void {
    this.#observer(new Event(kind, attempt, this.#host), this.#question);
  }
}
