import { NotCovered } from '../errors.js';
import type { Located } from '../syntax/source.js';
import { compareNames } from '../syntax/tree.js';

/**
 * The values that a policy computes with. Strings, booleans and numbers stand for themselves; a JavaScript integer is a
 * Polar Integer and any other number a Polar Float.
 */
export type Value =
  | string
  | number
  | boolean
  | Float
  | List
  | Dictionary
  | Instance
  | LogicVariable
  | Pattern;

/** A Float that happens to be whole, such as `4 / 2`: equal to the Integer, but it divides and overflows as a float. */
export class Float {
  readonly value: number;
  constructor(value: number) {
    this.value = value;
  }
}

/** A list; one that ends in `*rest` keeps the variable apart. Parts of a list share its items: none is ever copied. */
export class List {
  readonly #items: readonly Value[];
  readonly #start: number;
  readonly length: number;
  readonly rest: Value | undefined;
  /** Made of values, without a variable or constant of the policy anywhere in it. */
  readonly pure: boolean;
  /** Made of a list whose rest variable had a value, and (part of) that. */
  readonly joined: boolean;
  constructor(
    items: readonly Value[],
    rest?: Value,
    pure = false,
    joined = false,
    start = 0,
    end = items.length,
  ) {
    this.#items = items;
    this.#start = start;
    this.length = end - start;
    this.rest = rest;
    this.pure = pure;
    this.joined = joined;
  }

  /** The item at an index that is less than the length. */
  at(index: number): Value {
    return this.#items[this.#start + index] as Value;
  }

  /** The items from `from` on, and the rest; or those before `to`, without it. */
  slice(from: number, to?: number): List {
    const rest = to === undefined ? this.rest : undefined;
    const end = this.#start + (to ?? this.length);
    return new List(this.#items, rest, this.pure, this.joined, this.#start + from, end);
  }

  /** A copy of the items. */
  toArray(): Value[] {
    return this.#items.slice(this.#start, this.#start + this.length);
  }
}

/** A dictionary, its fields in the order of their names. */
export class Dictionary {
  readonly fields: ReadonlyMap<string, Value>;
  /** Made of values, without a variable or constant of the policy anywhere in it. */
  readonly pure: boolean;
  constructor(fields: ReadonlyMap<string, Value>, pure = false) {
    this.fields = fields;
    this.pure = pure;
  }
}

/** A pattern on the right of `matches` or `:`. It is only ever matched against, never a result. */
export class Pattern {
  readonly tag: string | undefined;
  /** The classes of the union that `tag` names; undefined for an ordinary class. */
  readonly members: readonly string[] | undefined;
  readonly fields: ReadonlyMap<string, Value>;
  readonly located: Located;
  constructor(
    tag: string | undefined,
    members: readonly string[] | undefined,
    fields: ReadonlyMap<string, Value>,
    located: Located,
  ) {
    this.tag = tag;
    this.members = members;
    this.fields = fields;
    this.located = located;
  }
}

/**
 * A JavaScript value that the policy only sees through its host. Every time one enters the policy it gets an Instance of
 * its own: two of them are the same without asking the equality function only if they are the same entry.
 */
export class Instance {
  value: unknown;
  /** Made by `new` in the policy. Oso knows no class of such an instance and always asks the class's check. */
  readonly made: boolean;
  constructor(value: unknown, made = false) {
    this.value = value;
    this.made = made;
  }
}

/** The value of an instance between `new` and its constructor's return. */
export const UNMADE = Symbol('unmade');

/** A logical variable. Bound, it holds a value or another variable; backtracking unbinds it. */
export class LogicVariable {
  readonly name: string | undefined;
  binding: Value | undefined = undefined;
  /** Unified with another variable while both were unbound. */
  aliased = false;
  #label: string | undefined;
  /** Conditions that wait for a value. */
  waiting: Waits | undefined = undefined;
  constructor(name?: string) {
    this.name = name;
  }

  /** A name for JavaScript to see: no two variables have the same. */
  get label(): string {
    this.#label ??= this.name ?? `_${++labels}`;
    return this.#label;
  }
}

let labels = 0;

/** A condition on a variable that has no value yet; it is asked once there is one. */
export interface Waiting {
  readonly kind: 'compare' | 'match';
  readonly left: Value;
  readonly right: Value;
  readonly operator: string;
  readonly located: Located;
}

/** Conditions that wait for one variable, the latest first. To add one copies none. */
export interface Waits {
  readonly condition: Waiting;
  readonly earlier: Waits | undefined;
}

/** Counts the work that is done on the parts of a value. */
export interface Meter {
  /** So many parts have been looked at or copied. */
  visit(parts: number): void;
}

/** The value that a variable stands for, or the unbound variable at the end of its chain. */
export function deref(value: Value): Value {
  let current = value;
  while (current instanceof LogicVariable) {
    const { binding } = current;
    if (binding === undefined) return current;
    current = binding;
  }
  return current;
}

/** The number that a value is, or undefined. */
export function numberOf(value: Value): number | undefined {
  if (typeof value === 'number') return value;
  return value instanceof Float ? value.value : undefined;
}

/** More than a policy's values hold; one that holds itself has no end. */
const MAX_NODES = 10_000_000;

/** What is known of a list once its rest variable is bound: all its items, and a rest that is still open. */
export function flatten(list: List, meter: Meter): List {
  let rest = list.rest === undefined ? undefined : deref(list.rest);
  if (!(rest instanceof List)) return rest === list.rest ? list : new List(list.toArray(), rest, false, true);
  const items = list.toArray();
  // A list that is made by appending one item at a time nests as many tails.
  for (let depth = 0; rest instanceof List; depth++) {
    if (depth > MAX_NODES) throw new NotCovered('a list that is its own rest', undefined);
    for (let at = 0; at < rest.length; at++) items.push(rest.at(at));
    rest = rest.rest === undefined ? undefined : deref(rest.rest);
  }
  meter.visit(items.length);
  return new List(items, rest, false, true);
}

/**
 * Whether a value holds no variable and no instance, so that it can be compared without the host. A rest variable is one
 * for Oso even if it has a value.
 */
export function isGround(value: Value, meter: Meter): boolean {
  return !some(
    value,
    part =>
      part instanceof LogicVariable ||
      part instanceof Instance ||
      part instanceof Pattern ||
      (part instanceof List && part.rest !== undefined),
    meter,
  );
}

/** Whether a value is a number that equals nothing, or holds one. */
export function holdsNaN(value: Value, meter: Meter): boolean {
  return some(value, part => Number.isNaN(numberOf(part)), meter);
}

/** Whether there is a list with a rest variable, be it with a value, in a value. */
export function holdsRest(value: Value, meter: Meter): boolean {
  return some(value, part => part instanceof List && (part.rest !== undefined || part.joined), meter);
}

/** Whether there is a variable without a value in a list, dictionary or pattern. */
export function holdsOpenVariable(value: Value, meter: Meter): boolean {
  if (value instanceof LogicVariable) return false;
  return some(value, part => part instanceof LogicVariable, meter);
}

/**
 * Whether something is true of a value or of any part of it.
 *
 * @param isClosed leaves the parts of a part out
 */
function some(
  value: Value,
  test: (part: Value) => boolean,
  meter: Meter,
  isClosed?: (part: Value) => boolean,
): boolean {
  const first = deref(value);
  if (test(first)) return true;
  if (!hasParts(first)) return false;
  const open: Value[] = [];
  let seen = 0;
  let found = false;
  pushParts(open, first);
  for (let top = open.pop(); top !== undefined && !found; top = open.pop()) {
    const part = deref(top);
    found = test(part);
    if (++seen > MAX_NODES) throw new NotCovered('a value that holds itself', undefined);
    if (isClosed === undefined || !isClosed(part)) pushParts(open, part);
  }
  meter.visit(seen + open.length);
  return found;
}

function isPure(value: Value): boolean {
  return (value instanceof List || value instanceof Dictionary) && value.pure;
}

function hasParts(value: Value): boolean {
  if (value instanceof List) return value.length > 0 || value.rest !== undefined;
  return (value instanceof Dictionary || value instanceof Pattern) && value.fields.size > 0;
}

/** Whether a variable is found in a value. */
export function occursIn(value: Value, variable: LogicVariable, meter: Meter): boolean {
  return some(value, part => part === variable, meter, isPure);
}

function pushParts(open: Value[], value: Value): void {
  if (value instanceof List) {
    for (let at = 0; at < value.length; at++) open.push(value.at(at));
    if (value.rest !== undefined) open.push(value.rest);
  } else if (value instanceof Dictionary || value instanceof Pattern) {
    for (const field of value.fields.values()) open.push(field);
  }
}

function flattened(value: Value, meter: Meter): Value {
  const known = deref(value);
  return known instanceof List ? flatten(known, meter) : known;
}

/** Whether two ground values are the same value. */
export function sameGround(left: Value, right: Value, meter: Meter): boolean {
  const open: [Value, Value][] = [[left, right]];
  for (let pair = open.pop(); pair !== undefined; pair = open.pop()) {
    const [a, b] = [flattened(pair[0], meter), flattened(pair[1], meter)];
    if (a instanceof List && b instanceof List) {
      if (a.length !== b.length) return false;
      meter.visit(a.length);
      for (let at = 0; at < a.length; at++) open.push([a.at(at), b.at(at)]);
    } else if (a instanceof Dictionary && b instanceof Dictionary) {
      if (a.fields.size !== b.fields.size) return false;
      meter.visit(a.fields.size);
      for (const [name, field] of a.fields) {
        const other = b.fields.get(name);
        if (other === undefined) return false;
        open.push([field, other]);
      }
    } else if (typeof a === 'string' || typeof a === 'boolean') {
      if (a !== b) return false;
    } else {
      const number = numberOf(a);
      if (number === undefined || number !== numberOf(b)) return false;
    }
  }
  return true;
}

/** Orders strings as Polar does, by code points. */
export const compareStrings = compareNames;
