import { isDeepStrictEqual } from 'node:util';
import type { Entity, EntityRelation, Field } from './schema.js';

/** A row that a condition speaks of: the one that is filtered, or one that is related to it. */
export interface Source {
  readonly entity: Entity;
  /** Tells apart the rows that one condition speaks of: 0 is the one that is filtered. */
  readonly number: number;
}

/** A field of a row. */
export interface Column {
  readonly source: Source;
  readonly field: Field;
}

export type Operator = '=' | '!=' | '<' | '<=' | '>' | '>=';

/**
 * What must hold of a row: a tree that every database can express. Comparisons hold only between values that are not
 * null; there is no `not`, for each part has its negation among the others ({@link negate}), so that SQL's third
 * truth value never meets one.
 */
export type Condition =
  | { readonly kind: 'always' }
  | { readonly kind: 'never' }
  | { readonly kind: 'and' | 'or'; readonly conditions: readonly Condition[] }
  /** `value` is never null. */
  | {
      readonly kind: 'compare';
      readonly column: Column;
      readonly operator: Operator;
      readonly value: unknown;
    }
  | { readonly kind: 'in'; readonly column: Column; readonly values: readonly unknown[] }
  | { readonly kind: 'isNull' | 'isNotNull'; readonly column: Column }
  | {
      readonly kind: 'compareColumns';
      readonly left: Column;
      readonly operator: Operator;
      readonly right: Column;
    }
  /** Whether a row `to` is related to the row `from` for which `condition` holds. */
  | {
      readonly kind: 'exists' | 'notExists';
      readonly relation: EntityRelation;
      readonly from: Source;
      readonly to: Source;
      readonly condition: Condition;
    };

type Exists = Extract<Condition, { kind: 'exists' | 'notExists' }>;

export const always: Condition = { kind: 'always' };
export const never: Condition = { kind: 'never' };

export function and(conditions: readonly Condition[]): Condition {
  return combine('and', conditions);
}

export function or(conditions: readonly Condition[]): Condition {
  return combine('or', conditions);
}

/** Leaves out what changes nothing, so that what is asked of the database is what an expert would have written. */
function combine(kind: 'and' | 'or', conditions: readonly Condition[]): Condition {
  const decides = kind === 'and' ? 'never' : 'always';
  const changesNothing = kind === 'and' ? 'always' : 'never';
  const parts: Condition[] = [];
  for (const condition of conditions.flatMap(each => (each.kind === kind ? each.conditions : [each]))) {
    if (condition.kind === decides) return condition;
    if (condition.kind === changesNothing) continue;
    const at = parts.findIndex(part => canMerge(kind, part, condition));
    if (at === -1) parts.push(condition);
    else parts[at] = merge(kind, parts[at] as Condition, condition);
  }
  if (parts.length === 0) return kind === 'and' ? always : never;
  return parts.length === 1 ? (parts[0] as Condition) : { kind, conditions: parts };
}

function canMerge(kind: 'and' | 'or', left: Condition, right: Condition): boolean {
  if (isDeepStrictEqual(shapeOf(left), shapeOf(right))) return true;
  if (kind === 'or') {
    if (isListOfValues(left) && isListOfValues(right)) return isSameColumn(left.column, right.column);
    return left.kind === 'exists' && right.kind === 'exists' && isSameRelation(left, right);
  }
  return (
    left.kind === 'exists' &&
    right.kind === 'exists' &&
    left.relation.kind === 'one' &&
    isSameRelation(left, right)
  );
}

function merge(kind: 'and' | 'or', left: Condition, right: Condition): Condition {
  if (kind === 'or' && isListOfValues(left) && isListOfValues(right)) {
    const values = [...new Set([...valuesOf(left), ...valuesOf(right)])];
    return values.length === 1
      ? { kind: 'compare', column: left.column, operator: '=', value: values[0] }
      : { kind: 'in', column: left.column, values };
  }
  if (left.kind === 'exists' && right.kind === 'exists') {
    return { ...left, condition: combine(kind, [left.condition, right.condition]) };
  }
  return left;
}

type ListOfValues = Extract<Condition, { kind: 'compare' | 'in' }>;

function isListOfValues(condition: Condition): condition is ListOfValues {
  if (condition.kind === 'compare') {
    return condition.operator === '=' && !(condition.value instanceof Object);
  }
  return condition.kind === 'in';
}

function valuesOf(condition: ListOfValues): readonly unknown[] {
  return condition.kind === 'in' ? condition.values : [condition.value];
}

function isSameColumn(left: Column, right: Column): boolean {
  return left.source.number === right.source.number && left.field === right.field;
}

function isSameRelation(left: Exists, right: Exists): boolean {
  return (
    left.relation === right.relation &&
    left.from.number === right.from.number &&
    left.to.number === right.to.number
  );
}

/** A condition as plain data that can be compared: entities refer to each other in circles. */
function shapeOf(condition: Condition): unknown {
  switch (condition.kind) {
    case 'and':
    case 'or':
      return [condition.kind, condition.conditions.map(shapeOf)];
    case 'compare':
      return [condition.kind, shapeOfColumn(condition.column), condition.operator, condition.value];
    case 'in':
      return [condition.kind, shapeOfColumn(condition.column), condition.values];
    case 'isNull':
    case 'isNotNull':
      return [condition.kind, shapeOfColumn(condition.column)];
    case 'compareColumns':
      return [
        condition.kind,
        shapeOfColumn(condition.left),
        condition.operator,
        shapeOfColumn(condition.right),
      ];
    case 'exists':
    case 'notExists': {
      const { kind, relation, from, to } = condition;
      return [kind, relation.name, from.number, to.number, shapeOf(condition.condition)];
    }
    default:
      return [condition.kind];
  }
}

function shapeOfColumn({ source, field }: Column): unknown {
  return [source.number, field.column];
}

const OPPOSITES: Readonly<Record<Operator, Operator>> = {
  '=': '!=',
  '!=': '=',
  '<': '>=',
  '<=': '>',
  '>': '<=',
  '>=': '<',
};

/** The condition that holds exactly where `condition` does not. */
export function negate(condition: Condition): Condition {
  switch (condition.kind) {
    case 'always':
      return never;
    case 'never':
      return always;
    case 'and':
      return or(condition.conditions.map(negate));
    case 'or':
      return and(condition.conditions.map(negate));
    case 'compare':
      return or([{ ...condition, operator: OPPOSITES[condition.operator] }, whereNull(condition.column)]);
    case 'in':
      return or([
        and(
          condition.values.map(value => ({
            kind: 'compare',
            column: condition.column,
            operator: '!=',
            value,
          })),
        ),
        whereNull(condition.column),
      ]);
    case 'isNull':
      return { ...condition, kind: 'isNotNull' };
    case 'isNotNull':
      return { ...condition, kind: 'isNull' };
    case 'compareColumns':
      return or([
        { ...condition, operator: OPPOSITES[condition.operator] },
        whereNull(condition.left),
        whereNull(condition.right),
      ]);
    case 'exists':
      return { ...condition, kind: 'notExists' };
    case 'notExists':
      return { ...condition, kind: 'exists' };
  }
}

/** Whether the column is null: never, where it cannot be. */
export function whereNull(column: Column): Condition {
  return column.field.nullable ? { kind: 'isNull', column } : never;
}

/** Whether the column is not null: always, where it cannot be. */
export function whereNotNull(column: Column): Condition {
  return column.field.nullable ? { kind: 'isNotNull', column } : always;
}

/** Whether a condition speaks of a row, or of one that it is related to. */
export function speaksOf(condition: Condition, source: Source): boolean {
  switch (condition.kind) {
    case 'and':
    case 'or':
      return condition.conditions.some(part => speaksOf(part, source));
    case 'compareColumns':
      return [condition.left, condition.right].some(column => column.source.number === source.number);
    case 'exists':
    case 'notExists':
      return condition.from.number === source.number || speaksOf(condition.condition, source);
    case 'always':
    case 'never':
      return false;
    default:
      return condition.column.source.number === source.number;
  }
}
