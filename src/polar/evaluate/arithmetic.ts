import { RefusedValueError } from '../../guard/limits.js';
import { NotCovered, runtimeError } from '../errors.js';
import type { Arithmetic } from '../syntax/tree.js';
import { Float, numberOf, type Value } from '../values/values.js';
import type { PlaceOf } from './machine.js';

/**
 * Calculates as Polar does: integers stay integers and must not overflow, a division always answers with a float, and
 * whatever has a float in it is a float.
 */
export function calculate(operator: Arithmetic, left: Value, right: Value, placeOf: PlaceOf): Value {
  const a = numberOf(left);
  const b = numberOf(right);
  if (a === undefined || b === undefined) {
    throw runtimeError('Unsupported', `"${operator}" calculates with numbers only`, placeOf());
  }
  if (operator === '/') return float(a / b);
  if (isInteger(left) && isInteger(right)) return integer(operator, a, b, placeOf);
  switch (operator) {
    case '+':
      return float(a + b);
    case '-':
      return float(a - b);
    case '*':
      return float(a * b);
    case 'rem':
      return float(a % b);
    case 'mod':
      return float(((a % b) + b) % b);
  }
}

function integer(operator: Exclude<Arithmetic, '/'>, a: number, b: number, placeOf: PlaceOf): number {
  if ((operator === 'mod' || operator === 'rem') && b === 0) {
    throw runtimeError('ArithmeticError', `"${operator}" by zero`, placeOf());
  }
  const result = calculateIntegers(operator, a, b);
  if (!Number.isSafeInteger(result)) {
    throw new NotCovered('an integer beyond 2^53', placeOf(), new RefusedValueError('integer'));
  }
  // There is no negative zero among integers.
  return result === 0 ? 0 : result;
}

function calculateIntegers(operator: Exclude<Arithmetic, '/'>, a: number, b: number): number {
  switch (operator) {
    case '+':
      return a + b;
    case '-':
      return a - b;
    case '*':
      return a * b;
    case 'rem':
      return a % b;
    case 'mod':
      return ((a % b) + b) % b;
  }
}

function isInteger(value: Value): boolean {
  return typeof value === 'number' && Number.isInteger(value);
}

function float(result: number): Value {
  return Number.isInteger(result) ? new Float(result) : result;
}
