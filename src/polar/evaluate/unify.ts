import { NotCovered } from '../errors.js';
import {
  Dictionary,
  deref,
  Float,
  flatten,
  Instance,
  List,
  LogicVariable,
  occursIn,
  type Value,
} from '../values/values.js';
import { compareInHost } from './compare.js';
import type { Machine, Step } from './machine.js';
import { attach, conditionsOn, wake } from './waiting.js';

/** Unifies two values: binds variables so that they are equal, and goes on with `next`; or fails. */
export function unify(machine: Machine, left: Value, right: Value, next: Step): Step {
  const a = deref(left);
  const b = deref(right);
  if (a instanceof LogicVariable) {
    if (b instanceof LogicVariable) alias(machine, a, b);
    else bind(machine, a, b);
    return machine.woken.length === 0 ? next : wake(machine, next);
  }
  if (b instanceof LogicVariable) {
    bind(machine, b, a);
    return machine.woken.length === 0 ? next : wake(machine, next);
  }
  if (typeof a !== 'object' && typeof b !== 'object') return samePrimitive(a, b) ? next : machine.fail();
  return unifyAll(machine, { left: a, right: b, following: undefined }, next);
}

function bind(machine: Machine, variable: LogicVariable, value: Value): void {
  if (
    (value instanceof List || value instanceof Dictionary) &&
    !value.pure &&
    occursIn(value, variable, machine)
  ) {
    // Oso makes such a value, and what it then does with it depends on how it came about.
    throw new NotCovered('a value that holds itself', undefined);
  }
  machine.bind(variable, value);
}

/**
 * Notes that a variable has been unified with another one, which Oso treats as a first constraint on it: it can no longer
 * be assigned to with `:=`, and a `not` that would bind it has to be answered with the variable's complement.
 */
export function markAliased(machine: Machine, variable: LogicVariable): void {
  const was = variable.aliased;
  variable.aliased = true;
  machine.onUndo(new Aliasing(variable, was));
}

/** The trace of {@link markAliased} on the trail. */
export class Aliasing {
  readonly variable: LogicVariable;
  readonly was: boolean;
  constructor(variable: LogicVariable, was: boolean) {
    this.variable = variable;
    this.was = was;
  }

  undo(): void {
    this.variable.aliased = this.was;
  }
}

function alias(machine: Machine, left: LogicVariable, right: LogicVariable): void {
  if (left === right) {
    // Two names of one variable. Oso forgets, within a "not", that they are, and constrains them anew.
    if (left.aliased && machine.negations.length > 0) markAliased(machine, left);
    return;
  }
  // The variable that a query names stays at the end of the chain, so that results can name it.
  const [from, to] = left.name !== undefined && right.name === undefined ? [right, left] : [left, right];
  markAliased(machine, from);
  markAliased(machine, to);
  for (const condition of conditionsOn(machine, from)) attach(machine, to, condition);
  machine.link(from, to);
}

/** Pairs of values that have yet to be unified, the next one first. A choice may come back to them: they never change. */
interface Pairs {
  readonly left: Value;
  readonly right: Value;
  readonly following: Pairs | undefined;
}

/** Unifies pairs of values. They are kept in a row, and not on the stack, because values may be long and deep. */
function unifyAll(machine: Machine, pairs: Pairs | undefined, next: Step): Step {
  let open = pairs;
  while (open !== undefined) {
    const left = deref(open.left);
    const right = deref(open.right);
    const rest: Pairs | undefined = open.following;
    open = rest;
    if (left instanceof LogicVariable) {
      if (right instanceof LogicVariable) alias(machine, left, right);
      else bind(machine, left, right);
    } else if (right instanceof LogicVariable) bind(machine, right, left);
    else if (left instanceof Instance || right instanceof Instance) {
      if (left === right) continue;
      return compareInHost(machine, '=', left, right, after => unifyAll(after, rest, next));
    } else if (left instanceof List) {
      const pairsOfItems = right instanceof List ? pairItems(machine, left, right) : undefined;
      if (pairsOfItems === undefined) return machine.fail();
      open = pairsOfItems.reduceRight((following, [a, b]) => ({ left: a, right: b, following }), rest);
    } else if (left instanceof Dictionary) {
      const pairsOfFields = right instanceof Dictionary ? pairFields(machine, left, right) : undefined;
      if (pairsOfFields === undefined) return machine.fail();
      for (const [a, b] of pairsOfFields) open = { left: a, right: b, following: open };
    } else if (!samePrimitive(left, right)) return machine.fail();
    if (machine.woken.length > 0) {
      return wake(machine, rest === undefined ? next : after => unifyAll(after, rest, next));
    }
    if (machine.spend()) {
      const unfinished = open;
      return after => unifyAll(after, unfinished, next);
    }
  }
  return next;
}

function samePrimitive(left: Value, right: Value): boolean {
  if (left === right) return true;
  const a = left instanceof Float ? left.value : left;
  const b = right instanceof Float ? right.value : right;
  // NaN equals itself if both are the value of one variable, and nothing else. That is not known here.
  if (Number.isNaN(a) && Number.isNaN(b)) throw new NotCovered('nan unified with nan', undefined);
  return a === b;
}

type Pair = readonly [Value, Value];

/**
 * What is left to unify of two lists once the plain items at their start are the same: a pair of items, the lists of the
 * items after it, and what stands for the rest of one of them. Undefined if they differ.
 */
export function pairItems(machine: Machine, left: List, right: List): readonly Pair[] | undefined {
  const a = flatten(left, machine);
  const b = flatten(right, machine);
  if (a.length < b.length ? a.rest === undefined : b.rest === undefined && a.length > b.length) {
    return undefined;
  }
  const both = Math.min(a.length, b.length);
  for (let at = 0; at < both; at++) {
    const [first, second] = [a.at(at), b.at(at)];
    if (typeof first !== 'object' && typeof second !== 'object') {
      if (samePrimitive(first, second)) continue;
      machine.spend(at);
      return undefined;
    }
    machine.spend(at);
    const items: Pair = [first, second];
    if (at + 1 === both) return [items, ...pairRests(a, b, both)];
    return [items, [a.slice(at + 1, both), b.slice(at + 1, both)], ...pairRests(a, b, both)];
  }
  machine.spend(both);
  return pairRests(a, b, both);
}

/** The longer list's items go into the other's rest. */
function pairRests(a: List, b: List, from: number): readonly Pair[] {
  if (a.rest !== undefined && b.rest !== undefined && a.length === b.length) return [[b.rest, a.rest]];
  if (a.rest !== undefined && a.length <= b.length) return [[a.rest, b.slice(from)]];
  return b.rest === undefined ? [] : [[b.rest, a.slice(from)]];
}

function pairFields(machine: Machine, left: Dictionary, right: Dictionary): readonly Pair[] | undefined {
  if (left.fields.size !== right.fields.size) return undefined;
  machine.visit(left.fields.size);
  const pairs: Pair[] = [];
  for (const [name, field] of left.fields) {
    const other = right.fields.get(name);
    if (other === undefined) return undefined;
    pairs.push([field, other]);
  }
  return pairs;
}
