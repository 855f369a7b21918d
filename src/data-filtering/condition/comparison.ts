import { Dict } from '../../engine/oso-internals.js';
import type { Field, FieldType } from '../schema.js';
import { Unfilterable } from '../unfilterable.js';
import {
  type Column,
  type ComparisonOperator,
  type Condition,
  never,
  whereNotNull,
  whereNull,
  whereUnreadable,
} from './condition.js';
import { and, negate, or } from './simplify.js';

const LAST_TIME = 8.64e15;

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** As databases write them. */
const BIGINT = /^(0|-?[1-9]\d{0,18})$/;

/** As Polar tells them apart: `=` unifies and `==` compares, for which a string and a number are an error. */
export type PolicyOperator = ComparisonOperator | '==';

/**
 * Whether a column compares to a value as policies compare them, which differs from what SQL does: null equals null, a
 * string never unifies with a number, and a value that the column cannot hold is no error, but different from all that
 * it can.
 *
 * What is an error in policies is refused.
 */
export function compareToValue(column: Column, policyOperator: PolicyOperator, value: unknown): Condition {
  const { field } = column;
  refuseUnsupported(field);
  if (policyOperator !== '=') refuseMixed(field, value);
  const operator = policyOperator === '==' ? '=' : policyOperator;
  if (value === null) return compareToNull(column, operator);
  if (value === undefined) {
    throw new Unfilterable({
      reason: `the field \`${field.name}\` is compared to a value that is undefined`,
      remedy: 'see to it that what the policy reads of the actor is loaded',
    });
  }
  if (operator === '=') return isEqual(column, value);
  if (operator === '!=') return isDifferent(column, value);
  return or([ordered(column, operator, value), nullIs(operator, value) ? whereNull(column) : never]);
}

/** Policies compare numbers, booleans and strings with their like only; and take `true` for 1. */
function refuseMixed({ name, type }: Field, value: unknown): void {
  const kind = Array.isArray(value) || value instanceof Dict ? 'list' : typeof value;
  if (type.kind === 'date' || kind === PRIMITIVES[type.kind]) return;
  if (kind === 'object' || kind === 'undefined' || kind === 'function') return;
  throw new Unfilterable({
    reason: `the field \`${name}\` (${type.kind}) is compared to a value of another type`,
    remedy: 'compare it to a value of its own type',
  });
}

const PRIMITIVES: Readonly<Record<FieldType['kind'], string>> = {
  text: 'string',
  uuid: 'string',
  enum: 'string',
  bigint: 'string',
  integer: 'number',
  number: 'number',
  boolean: 'boolean',
  date: 'object',
  unsupported: 'object',
};

function compareToNull(column: Column, operator: ComparisonOperator): Condition {
  if (operator === '=') return whereNull(column);
  if (operator === '!=') return whereNotNull(column);
  throw new Unfilterable({
    reason: `the field \`${column.field.name}\` is ordered against nil`,
    remedy: 'compare it to nil with = or != only',
  });
}

/** What a null in the column makes of the comparison: policies leave it to JavaScript. */
function nullIs(operator: ComparisonOperator, value: unknown): boolean {
  const nothing = null as unknown as number;
  const other = value as number;
  if (operator === '<') return nothing < other;
  if (operator === '<=') return nothing <= other;
  if (operator === '>') return nothing > other;
  return nothing >= other;
}

function isEqual(column: Column, value: unknown): Condition {
  const { type, mayBeNaN } = column.field;
  if (type.kind === 'date' && typeof value === 'number' && !Number.isNaN(value)) throw unordered(column);
  if (type.kind === 'date' && value instanceof Date && Number.isNaN(value.getTime())) {
    // Policies take two dates for equal that are none. No order holds of one.
    return mayBeNaN
      ? and(['<', '>='].map(operator => without(column, operator as ComparisonOperator)))
      : never;
  }
  if (!canHold(type, value)) return never;
  if (type.kind !== 'date') return { kind: 'compare', column, operator: '=', value };
  return and([ordered(column, '>=', value), ordered(column, '<=', value)]);
}

function without(column: Column, operator: ComparisonOperator): Condition {
  return { kind: 'compare', column, operator, value: new Date(0), negated: true };
}

function isDifferent(column: Column, value: unknown): Condition {
  return and([negate(isEqual(column, value)), negate(whereUnreadable(column))]);
}

/** Whether a column of this type can hold exactly this value. Asking the database for another may be an error to it. */
function canHold(type: FieldType, value: unknown): boolean {
  switch (type.kind) {
    case 'text':
      // A lone surrogate is sent as another character.
      return typeof value === 'string' && value.isWellFormed();
    case 'uuid':
      return typeof value === 'string' && UUID.test(value);
    case 'enum':
      return typeof value === 'string' && type.values.includes(value);
    case 'integer':
      return Number.isInteger(value) && (value as number) >= type.min && (value as number) <= type.max;
    case 'bigint':
      return (
        typeof value === 'string' && BIGINT.test(value) && BigInt.asIntN(64, BigInt(value)) === BigInt(value)
      );
    case 'number':
      return typeof value === 'number' && !Number.isNaN(value);
    case 'boolean':
      return typeof value === 'boolean';
    case 'date':
      return value instanceof Date && !Number.isNaN(value.getTime());
    default:
      return false;
  }
}

function ordered(column: Column, operator: ComparisonOperator, value: unknown): Condition {
  const { type } = column.field;
  if (type.kind === 'integer' && typeof value === 'number')
    return orderedInteger(column, type, operator, value);
  if (type.kind === 'number' && typeof value === 'number') return orderedNumber(column, operator, value);
  if (type.kind === 'date' && value instanceof Date) return orderedDate(column, operator, value);
  if (type.kind === 'text' && canHold(type, value) && !hasNul(value))
    return { kind: 'compare', column, operator, value };
  throw unordered(column);
}

/** Whether a text has the character 0: SQLite keeps and compares it, PostgreSQL refuses to be asked for it. */
export function hasNul(value: unknown): boolean {
  return typeof value === 'string' && value.includes('\0');
}

function unordered({ field: { name, type } }: Column): Unfilterable {
  return new Unfilterable({
    reason: `the field \`${name}\` (${type.kind}) is ordered against a value that it cannot be ordered against`,
    remedy: 'compare it to a value of its own type; only numbers, dates and text have an order',
  });
}

function orderedInteger(
  column: Column,
  { min, max }: { min: number; max: number },
  operator: ComparisonOperator,
  value: number,
): Condition {
  if (Number.isNaN(value)) return never;
  // Between two whole numbers, < and <= differ by the whole number that is next.
  const rising = operator === '>' || operator === '>=';
  const bound = rising ? Math.ceil(value) : Math.floor(value);
  const isInclusive = operator.endsWith('=') || bound !== value;
  if (rising ? bound > max : bound < min) return never;
  if (rising ? bound < min : bound > max) return whereNotNull(column);
  return {
    kind: 'compare',
    column,
    operator: rising ? (isInclusive ? '>=' : '>') : isInclusive ? '<=' : '<',
    value: bound,
  };
}

function orderedNumber(column: Column, operator: ComparisonOperator, value: number): Condition {
  return Number.isNaN(value) ? never : { kind: 'compare', column, operator, value };
}

function orderedDate(column: Column, operator: ComparisonOperator, value: Date): Condition {
  const time = value.getTime();
  if (Number.isNaN(time)) return never;
  // What the database keeps of a millisecond's parts was cut off when the row was read.
  const next = new Date(time + 1);
  if (operator === '<=' && time < LAST_TIME) return { kind: 'compare', column, operator: '<', value: next };
  if (operator === '>' && time < LAST_TIME) return { kind: 'compare', column, operator: '>=', value: next };
  return { kind: 'compare', column, operator, value };
}

/** Whether two columns compare as policies compare their values. */
export function compareColumns(left: Column, operator: ComparisonOperator, right: Column): Condition {
  refuseUnsupported(left.field);
  refuseUnsupported(right.field);
  if (!areComparable(left.field.type, right.field.type)) {
    throw new Unfilterable({
      reason: `the fields \`${left.field.name}\` and \`${right.field.name}\` are of different types`,
      remedy: 'compare fields of one type, without transformers',
    });
  }
  if (left.field.type.kind === 'bigint' && operator !== '=' && operator !== '!=') throw unordered(left);
  const compared: Condition = { kind: 'compareColumns', left, operator, right };
  if (operator === '=') return or([compared, and([whereNull(left), whereNull(right)])]);
  if (operator === '!=') {
    return or([
      compared,
      and([whereNull(left), whereNotNull(right)]),
      and([whereNotNull(left), whereNull(right)]),
    ]);
  }
  if (left.field.nullable || right.field.nullable) {
    throw new Unfilterable({
      reason: `the fields \`${left.field.name}\` and \`${right.field.name}\` are ordered, and may be null`,
      remedy: 'order fields that are never null',
    });
  }
  return compared;
}

const COMPARABLE = new Set(['text', 'uuid', 'bigint', 'integer', 'number', 'boolean']);

function areComparable(left: FieldType, right: FieldType): boolean {
  const isNumeric = (type: FieldType) => type.kind === 'integer' || type.kind === 'number';
  if (isNumeric(left) && isNumeric(right)) return true;
  return left.kind === right.kind && COMPARABLE.has(left.kind);
}

function refuseUnsupported({ name, type }: Field): void {
  if (type.kind !== 'unsupported') return;
  throw new Unfilterable({
    reason: `the field \`${name}\` is ${type.why}`,
    remedy: 'decide by another field',
  });
}
