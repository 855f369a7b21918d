import { constructorOf } from '../../guard/class-of.js';
import { NotCovered, runtimeError } from '../errors.js';
import type { Comparison } from '../syntax/tree.js';
import { isThenable } from '../values/host.js';
import { RowReference } from '../values/relations.js';
import { Unknown } from '../values/unknown.js';
import {
  compareStrings,
  Dictionary,
  deref,
  holdsRest,
  Instance,
  isGround,
  List,
  LogicVariable,
  type Meter,
  numberOf,
  sameGround,
  type Value,
} from '../values/values.js';
import type { Machine, PlaceOf, Step } from './machine.js';

/** Compares two known values and goes on with `next` if the comparison holds. */
export function compare(
  machine: Machine,
  operator: Comparison,
  left: Value,
  right: Value,
  placeOf: PlaceOf,
  next: Step,
): Step {
  if (left instanceof Instance || right instanceof Instance) {
    machine.placeOf = placeOf;
    return compareInHost(machine, operator, left, right, next);
  }
  if (typeof left === 'string' && typeof right === 'string') {
    machine.visit(Math.min(left.length, right.length));
    return inOrder(operator, compareStrings(left, right)) ? next : machine.fail();
  }
  const a = comparable(left);
  const b = comparable(right);
  if (a === undefined || b === undefined) {
    throw runtimeError(
      'Unsupported',
      `"${operator}" compares numbers, booleans, strings and objects, and both sides must be of the same kind`,
      placeOf(),
    );
  }
  return compareNumbers(operator, a, b) ? next : machine.fail();
}

/** Whether two values are both texts, both numbers or both booleans. */
export function areOfOneKind(left: Value, right: Value): boolean {
  if (typeof left === 'string' || typeof left === 'boolean') return typeof left === typeof right;
  return numberOf(left) !== undefined && numberOf(right) !== undefined;
}

/**
 * Whether two ground values are equal as they are; asked directly, `1 == "1"` is an error. That is how a condition is
 * judged which has waited for its values; undefined for other comparisons and values.
 */
export function compareGround(
  meter: Meter,
  operator: Comparison,
  left: Value,
  right: Value,
): boolean | undefined {
  if (operator !== '==' && operator !== '!=') return undefined;
  if (holdsRest(left, meter) || holdsRest(right, meter)) {
    // Whether Oso sees the value of a rest variable depends on how the list came about.
    throw new NotCovered('a list with a rest, for a variable with conditions', undefined);
  }
  if (!isGround(left, meter) || !isGround(right, meter)) return undefined;
  return sameGround(left, right, meter) === (operator === '==');
}

/** Whether a condition that has waited for these values cannot hold, whatever else there is to be asked. */
export function isRuledOut(meter: Meter, operator: Comparison, left: Value, right: Value): boolean {
  if (operator === '==' || operator === '!=') return compareGround(meter, operator, left, right) === false;
  if (typeof left === 'string' && typeof right === 'string') {
    return !inOrder(operator, compareStrings(left, right));
  }
  const a = comparable(left);
  const b = comparable(right);
  return a !== undefined && b !== undefined && !compareNumbers(operator, a, b);
}

/** Compares (or unifies: `=`) as JavaScript compares: by the equality function, or by JavaScript's own operators. */
export function compareInHost(
  machine: Machine,
  operator: Comparison | '=',
  left: Value,
  right: Value,
  next: Step,
): Step {
  if (left instanceof Unknown) return compareUnknown(machine, left, operator, unlike(machine, right), next);
  if (right instanceof Unknown) {
    return compareUnknown(machine, right, FLIPPED[operator], unlike(machine, left), next);
  }
  const [a, b] = byKeys(machine, operator, operand(machine, left), operand(machine, right));
  if (isThenable(a) || isThenable(b)) {
    return machine.suspend(
      Promise.resolve(a).then(async known => [known, await b] as const),
      pair => {
        const [knownLeft, knownRight] = pair as readonly [unknown, unknown];
        return compareValues(machine, operator, knownLeft, knownRight, next);
      },
    );
  }
  return compareValues(machine, operator, a, b, next);
}

/**
 * Rows that are not loaded are compared by their keys, if the equality function looks at nothing else: that is if the other
 * side is a row of the same class.
 */
function byKeys(
  { host }: Machine,
  operator: Comparison | '=',
  left: unknown,
  right: unknown,
): readonly [unknown, unknown] {
  if (!(left instanceof RowReference || right instanceof RowReference) || !asksForEquality(operator)) {
    return [left, right];
  }
  const a = left instanceof RowReference ? left.key : left;
  const b = right instanceof RowReference ? right.key : right;
  const isOfOneClass = constructorOf(a) === constructorOf(b);
  return isOfOneClass || (host.rowsEqualOnlyRows && !(isObject(a) && isObject(b))) ? [a, b] : [left, right];
}

function asksForEquality(operator: Comparison | '='): boolean {
  return operator === '=' || operator === '==' || operator === '!=';
}

function isObject(value: unknown): boolean {
  return typeof value === 'function' || (typeof value === 'object' && value !== null);
}

function compareValues(
  machine: Machine,
  operator: Comparison | '=',
  left: unknown,
  right: unknown,
  next: Step,
): Step {
  return answer(machine, hostAnswer(machine, operator, left, right), next);
}

/** The comparison that says the same with its sides exchanged. */
const FLIPPED: Readonly<Record<Comparison | '=', Comparison | '='>> = {
  '=': '=',
  '==': '==',
  '!=': '!=',
  '<': '>',
  '<=': '>=',
  '>': '<',
  '>=': '<=',
};

function compareUnknown(
  machine: Machine,
  value: Unknown,
  operator: Comparison | '=',
  other: unknown,
  next: Step,
): Step {
  if (other instanceof RowReference && asksForEquality(operator)) {
    return compareUnknown(machine, value, operator, other.key, next);
  }
  if (isThenable(other)) {
    return machine.suspend(other, known => compareUnknown(machine, value, operator, known, next));
  }
  const inNot = machine.negations.length > 0;
  const answer = value.compare(operator, other, inNot, machine.placeOf);
  if (typeof answer !== 'boolean') machine.constrain(answer);
  return answer === false ? machine.fail() : next;
}

const NO_FIELDS = new Dictionary(new Map(), true);

/** What an unknown value is compared to. Of a list or dictionary no more is asked than that it is one. */
function unlike(machine: Machine, value: Value): unknown {
  if (value instanceof List) return [];
  return operand(machine, value instanceof Dictionary ? NO_FIELDS : value);
}

function operand(machine: Machine, value: Value): unknown {
  if (value instanceof Unknown) return value;
  if (value instanceof Instance) return value.value;
  if ((value instanceof List || value instanceof Dictionary) && !value.pure) {
    // Oso would show the host its variables and constants as variables, whatever their values.
    throw new NotCovered('an object compared with a list or dictionary that the policy made', undefined);
  }
  return machine.toJs(value);
}

// biome-ignore lint/suspicious/noExplicitAny: JavaScript compares anything with anything, and the policy asked for it.
function hostAnswer({ host }: Machine, operator: Comparison | '=', left: any, right: any): unknown {
  switch (operator) {
    case '=':
    case '==':
      return host.equals(left, right);
    case '!=':
      return host.differs(left, right);
    case '<':
      return left < right;
    case '<=':
      return left <= right;
    case '>':
      return left > right;
    case '>=':
      return left >= right;
  }
}

function answer(machine: Machine, reply: unknown, next: Step): Step {
  if (isThenable(reply)) return machine.suspend(reply, known => answer(machine, known, next));
  return saysYes(reply) ? next : machine.fail();
}

/** Whether the host answered yes. Answers cross into Oso's engine as 32-bit integers. */
export function saysYes(reply: unknown): boolean {
  return typeof reply === 'boolean' ? reply : (Number(reply) | 0) !== 0;
}

function inOrder(operator: Comparison, order: number): boolean {
  return compareNumbers(operator, order, 0);
}

function compareNumbers(operator: Comparison, left: number, right: number): boolean {
  switch (operator) {
    case '==':
      return left === right;
    case '!=':
      return left !== right;
    case '<':
      return left < right;
    case '<=':
      return left <= right;
    case '>':
      return left > right;
    case '>=':
      return left >= right;
  }
}

/** Booleans compare as 0 and 1. */
function comparable(value: Value): number | undefined {
  return typeof value === 'boolean' ? Number(value) : numberOf(value);
}

/** The values of a comparison's sides, if both are known; undefined if one is an unbound variable. */
export function known(left: Value, right: Value): readonly [Value, Value] | undefined {
  const a = deref(left);
  const b = deref(right);
  return a instanceof LogicVariable || b instanceof LogicVariable ? undefined : [a, b];
}
