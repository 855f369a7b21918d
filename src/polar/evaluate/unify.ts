import { NotCovered } from '../errors.js';
import {
  Dictionary,
  deref,
  Float,
  flatten,
  holds,
  Instance,
  List,
  Logical,
  type Value,
} from '../values/values.js';
import { compareInHost } from './compare.js';
import type { Code, Machine } from './machine.js';
import { attach, wake } from './waiting.js';

/** Makes two values equal, binding variables where that takes it, and goes on with `next`; or fails. */
export function unify(machine: Machine, left: Value, right: Value, next: Code): Code {
  const a = deref(left);
  const b = deref(right);
  if (a instanceof Logical) {
    if (b instanceof Logical) alias(machine, a, b);
    else bind(machine, a, b);
    return machine.woken.length === 0 ? next : wake(machine, next);
  }
  if (b instanceof Logical) {
    bind(machine, b, a);
    return machine.woken.length === 0 ? next : wake(machine, next);
  }
  if (typeof a !== 'object' && typeof b !== 'object') return samePrimitive(a, b) ? next : machine.fail();
  return unifyAll(machine, [a, b], next);
}

function bind(machine: Machine, variable: Logical, value: Value): void {
  if ((value instanceof List || value instanceof Dictionary) && !value.pure && holds(value, variable)) {
    // Oso makes such a value, and what it then does with it depends on how it came about.
    throw new NotCovered('a value that holds itself', undefined);
  }
  machine.bind(variable, value);
}

/**
 * Notes that a variable has been unified with another one, which Oso treats as a first constraint on it: it can no longer
 * be assigned to with `:=`, and a `not` that would bind it has to be answered with the variable's complement.
 */
export function markAliased(machine: Machine, variable: Logical): void {
  const was = variable.aliased;
  variable.aliased = true;
  machine.onUndo(new Aliasing(variable, was));
}

/** The trace of {@link markAliased} on the trail. */
export class Aliasing {
  readonly variable: Logical;
  readonly was: boolean;
  constructor(variable: Logical, was: boolean) {
    this.variable = variable;
    this.was = was;
  }

  undo(): void {
    this.variable.aliased = this.was;
  }
}

function alias(machine: Machine, left: Logical, right: Logical): void {
  if (left === right) {
    // Two names of one variable. Oso forgets, within a "not", that they are, and constrains them anew.
    if (left.aliased && machine.negations.length > 0) markAliased(machine, left);
    return;
  }
  // The variable that a query names stays at the end of the chain, so that results can name it.
  const [from, to] = left.name !== undefined && right.name === undefined ? [right, left] : [left, right];
  markAliased(machine, from);
  markAliased(machine, to);
  if (from.waiting !== undefined) for (const condition of from.waiting) attach(machine, to, condition);
  machine.link(from, to);
}

/** Unifies pairs of values, the last pair first. The stack is an array because lists may be long and deep. */
export function unifyAll(machine: Machine, pairs: Value[], next: Code): Code {
  while (pairs.length > 0) {
    machine.spend();
    const right = deref(pairs.pop() as Value);
    const left = deref(pairs.pop() as Value);
    if (left instanceof Logical) {
      if (right instanceof Logical) alias(machine, left, right);
      else bind(machine, left, right);
    } else if (right instanceof Logical) bind(machine, right, left);
    else if (left instanceof Instance || right instanceof Instance) {
      if (left === right) continue;
      const rest = pairs;
      return compareInHost(machine, '=', left, right, after => unifyAll(after, rest, next));
    } else if (left instanceof List) {
      if (!(right instanceof List) || !pushItems(pairs, left, right)) return machine.fail();
    } else if (left instanceof Dictionary) {
      if (!(right instanceof Dictionary) || !pushFields(pairs, left, right)) return machine.fail();
    } else if (!samePrimitive(left, right)) return machine.fail();
    if (machine.woken.length > 0) {
      const rest = pairs;
      return wake(machine, rest.length === 0 ? next : after => unifyAll(after, rest, next));
    }
  }
  return next;
}

function samePrimitive(left: Value, right: Value): boolean {
  if (left === right) return true;
  const a = left instanceof Float ? left.value : left;
  const b = right instanceof Float ? right.value : right;
  // A number that is none equals itself where it is the same variable's, and nothing else: here that is not known.
  if (Number.isNaN(a) && Number.isNaN(b)) throw new NotCovered('nan unified with nan', undefined);
  return a === b;
}

/** Pairs the items of two lists so that the first pair comes off the stack first; false where the lengths differ. */
export function pushItems(pairs: Value[], left: List, right: List): boolean {
  const a = flatten(left);
  const b = flatten(right);
  if (a.rest !== undefined && b.rest !== undefined && a.items.length === b.items.length) {
    pairs.push(b.rest, a.rest);
  } else if (a.rest !== undefined && (b.rest === undefined || a.items.length < b.items.length)) {
    if (b.items.length < a.items.length) return false;
    pairs.push(a.rest, new List(b.items.slice(a.items.length), b.rest, b.pure, b.joined));
  } else if (b.rest !== undefined) {
    if (a.items.length < b.items.length) return false;
    pairs.push(b.rest, new List(a.items.slice(b.items.length), a.rest, a.pure, a.joined));
  } else if (a.items.length !== b.items.length) return false;
  for (let at = Math.min(a.items.length, b.items.length) - 1; at >= 0; at--) {
    pairs.push(a.items[at] as Value, b.items[at] as Value);
  }
  return true;
}

function pushFields(pairs: Value[], left: Dictionary, right: Dictionary): boolean {
  if (left.fields.size !== right.fields.size) return false;
  const height = pairs.length;
  for (const [name, field] of left.fields) {
    const other = right.fields.get(name);
    if (other === undefined) {
      pairs.length = height;
      return false;
    }
    pairs.push(field, other);
  }
  return true;
}
