/**
 * How values are shown in an explanation: by default, as little as tells why. What the policy itself says is no secret, nor
 * is what was asked for by name.
 */
import { inspect } from 'node:util';
import { isThenable, type PolicyHost } from '../values/host.js';
import { RowReference } from '../values/relations.js';
import { Unknown } from '../values/unknown.js';
import { Dictionary, deref, Instance, List, LogicVariable, numberOf, type Value } from '../values/values.js';

/**
 * How much of a value an explanation shows.
 *
 * - `types`: what it is: `a number`, `User`
 * - `redacted`: numbers, booleans, the lengths of texts and lists, and objects by their class and key: `User 2`
 * - `full`: all of it
 */
export type ShownValues = 'types' | 'redacted' | 'full';

const MAX_LENGTH = 200;

export class Show {
  readonly #values: ShownValues;
  readonly #host: PolicyHost;
  /** Texts that may be shown: the action and the field of the question. */
  readonly #known: ReadonlySet<string>;

  constructor(values: ShownValues, host: PolicyHost, known: Iterable<string>) {
    this.#values = values;
    this.#host = host;
    this.#known = new Set(known);
  }

  isKnown(text: string): boolean {
    return this.#known.has(text);
  }

  /** Of what kind a value is, and no more. */
  kind(of: Value): string {
    return new Show('types', this.#host, []).value(of);
  }

  value(of: Value): string {
    const value = deref(of);
    if (typeof value === 'string') {
      if (this.#known.has(value)) return short(JSON.stringify(value));
      if (this.#values === 'types') return 'a text';
      return this.#values === 'full' ? short(JSON.stringify(value)) : `a text of ${[...value].length}`;
    }
    if (typeof value === 'boolean') return this.#values === 'types' ? 'a boolean' : String(value);
    const number = numberOf(value);
    if (number !== undefined) return this.#values === 'types' ? 'a number' : String(number);
    if (value instanceof LogicVariable) return '_';
    if (value instanceof List)
      return this.#list(value.length, () => value.toArray().map(each => this.value(each)));
    if (value instanceof Dictionary) {
      return this.#values === 'types' ? 'a dictionary' : `a dictionary of ${value.fields.size}`;
    }
    if (value instanceof Unknown || !(value instanceof Instance)) return '_';
    return this.#object(value);
  }

  #list(length: number, items: () => string[]): string {
    if (this.#values === 'types') return 'a list';
    if (this.#values === 'redacted' || length > 10) return `a list of ${length}`;
    return short(`[${items().join(', ')}]`);
  }

  #object(instance: Instance): string {
    const { value } = instance;
    if (value === null) return 'nil';
    if (value === undefined) return 'undefined';
    if (value instanceof RowReference) return this.#object(new Instance(value.key));
    if (typeof value !== 'object')
      return this.#values === 'full' ? short(String(value)) : `a ${typeof value}`;
    const name = this.#host.classOf(instance)?.name;
    if (name === undefined) {
      if (isThenable(value)) return 'a promise';
      return this.#values === 'full'
        ? short(inspect(value, { depth: 0 }))
        : 'an object of no registered class';
    }
    if (this.#values === 'types') return name;
    if (this.#values === 'full') return short(inspect(value, { depth: 0 }).replace(/\s+/g, ' '));
    // No getter is called: who asks for an explanation asks for no more of the object than the policy has.
    const key: unknown = Object.getOwnPropertyDescriptor(value, 'id')?.value;
    const isKey = typeof key === 'number' || (typeof key === 'string' && /^[\w-]{1,36}$/.test(key));
    return isKey ? `${name} ${key}` : name;
  }
}

function short(text: string): string {
  return text.length <= MAX_LENGTH ? text : `${text.slice(0, MAX_LENGTH)}…`;
}

/** The name among some that a misspelt one is likely to be meant for. */
export function closest(name: string, names: Iterable<string>): string | undefined {
  let best: string | undefined;
  let least = Math.min(2, Math.floor(name.length / 3)) + 1;
  for (const each of names) {
    const distance = editDistance(name, each, least);
    if (distance < least && distance > 0) {
      best = each;
      least = distance;
    }
  }
  return best;
}

function editDistance(from: string, to: string, limit: number): number {
  if (from.length > 100 || Math.abs(from.length - to.length) >= limit) return limit;
  let row = Array.from({ length: to.length + 1 }, (_, at) => at);
  let before: number[] = [];
  for (let i = 1; i <= from.length; i++) {
    const next = [i];
    for (let j = 1; j <= to.length; j++) {
      const same = from[i - 1] === to[j - 1];
      let cost = Math.min(
        (row[j] as number) + 1,
        (next[j - 1] as number) + 1,
        (row[j - 1] as number) + (same ? 0 : 1),
      );
      const isSwap = i > 1 && j > 1 && from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1];
      if (isSwap) cost = Math.min(cost, (before[j - 2] as number) + 1);
      next.push(cost);
    }
    before = row;
    row = next;
  }
  return row[to.length] as number;
}

/** The names of what an object has, and its class, without asking for any of it. */
export function* namesOf(value: unknown): Generator<string> {
  for (
    let each: unknown = value;
    typeof each === 'object' && each !== null && each !== Object.prototype;
    each = Object.getPrototypeOf(each)
  ) {
    yield* Object.getOwnPropertyNames(each);
  }
}
