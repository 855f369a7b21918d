import type { Entity, EntityRelation, Field } from '../schema.js';

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
  const given: Condition[] = [];
  for (const condition of conditions) {
    if (condition.kind === decides) return condition;
    if (condition.kind === kind) given.push(...condition.conditions);
    else if (condition.kind !== changesNothing) given.push(condition);
  }
  if (given.length < 2) return given[0] ?? (kind === 'and' ? always : never);
  const parts: Condition[] = [];
  const bySubject = new Map<string, number>();
  for (const condition of given) {
    const subjects = subjectsOf(kind, condition);
    const subject = subjects.find(each => bySubject.has(each));
    if (subject === undefined) {
      for (const each of subjects) bySubject.set(each, parts.length);
      parts.push(condition);
      continue;
    }
    const at = bySubject.get(subject) as number;
    const part = parts[at] as Condition;
    for (const each of subjectsOf(kind, part)) if (bySubject.get(each) === at) bySubject.delete(each);
    const merged = merge(kind, subject, part, condition);
    for (const each of subjectsOf(kind, merged)) bySubject.set(each, at);
    parts[at] = merged;
  }
  return parts.length === 1 ? (parts[0] as Condition) : { kind, conditions: parts };
}

/**
 * Conditions that have a subject in common come together: alternatives which differ in the values of one column only,
 * what is asked of one related row, or the same condition twice.
 */
function subjectsOf(kind: 'and' | 'or', condition: Condition): readonly string[] {
  if (condition.kind === 'exists' && (kind === 'or' || condition.relation.kind === 'one')) {
    return [`exists ${keyOfStep(condition)}`];
  }
  const lists = kind === 'or' ? listsIn(condition) : [];
  return lists.length === 0 ? [keyOf(condition)] : lists.map(({ subject }) => subject);
}

/** Brings together two conditions that have a subject in common. */
function merge(kind: 'and' | 'or', subject: string, left: Condition, right: Condition): Condition {
  if (left.kind === 'exists' && right.kind === 'exists') {
    return { ...left, condition: combine(kind, [left.condition, right.condition]) };
  }
  const one = listsIn(left).find(list => list.subject === subject);
  const other = listsIn(right).find(list => list.subject === subject);
  if (one === undefined || other === undefined) return left;
  const values = [...new Set([...valuesOf(one.list), ...valuesOf(other.list)])];
  if (values.length === valuesOf(one.list).length) return left;
  const { column } = one.list;
  return and([...one.others, { kind: 'in', column, values }]);
}

interface ListIn {
  readonly list: ListOfValues;
  /** What has to hold besides. */
  readonly others: readonly Condition[];
  /** The same where all but the values is. */
  readonly subject: string;
}

/** Each part of a condition by which a column has one of some values. */
function listsIn(condition: Condition): readonly ListIn[] {
  const parts = condition.kind === 'and' ? condition.conditions : [condition];
  return parts.flatMap(list => {
    if (!isListOfValues(list)) return [];
    const others = parts.filter(part => part !== list);
    return [
      { list, others, subject: `${others.map(keyOf).join(' and ')} and ${keyOfColumn(list.column)} in` },
    ];
  });
}

type ListOfValues = Extract<Condition, { kind: 'compare' | 'in' }>;

function isListOfValues(condition: Condition): condition is ListOfValues {
  if (condition.kind !== 'compare') return condition.kind === 'in';
  return condition.operator === '=' && typeof condition.value !== 'object';
}

function valuesOf(condition: ListOfValues): readonly unknown[] {
  return condition.kind === 'in' ? condition.values : [condition.value];
}

const keys = new WeakMap<Condition, string>();

/** The same for conditions that are the same. */
function keyOf(condition: Condition): string {
  let key = keys.get(condition);
  if (key === undefined) {
    key = makeKey(condition);
    keys.set(condition, key);
  }
  return key;
}

function makeKey(condition: Condition): string {
  switch (condition.kind) {
    case 'and':
    case 'or':
      return `${condition.kind}(${condition.conditions.map(keyOf).join(',')})`;
    case 'compare':
      return `${keyOfColumn(condition.column)} ${condition.operator} ${keyOfValue(condition.value)}`;
    case 'in':
      return `${keyOfColumn(condition.column)} in ${condition.values.map(keyOfValue).join(',')}`;
    case 'isNull':
    case 'isNotNull':
      return `${condition.kind} ${keyOfColumn(condition.column)}`;
    case 'compareColumns':
      return `${keyOfColumn(condition.left)} ${condition.operator} ${keyOfColumn(condition.right)}`;
    case 'exists':
    case 'notExists':
      return `${condition.kind} ${keyOfStep(condition)} ${keyOf(condition.condition)}`;
    default:
      return condition.kind;
  }
}

function keyOfStep({ relation, from, to }: Exists): string {
  return `${from.number}.${relation.name} ${to.number}`;
}

function keyOfColumn({ source, field }: Column): string {
  return `${source.number}.${JSON.stringify(field.column)}`;
}

function keyOfValue(value: unknown): string {
  return value instanceof Date ? `date ${value.getTime()}` : `${typeof value} ${JSON.stringify(value)}`;
}

/**
 * Whether there is a related row for which the condition holds. What does not speak of that row is asked outside, where
 * the database can make more of it.
 */
export function exists(relation: EntityRelation, from: Source, to: Source, condition: Condition): Condition {
  const { deletedAt } = relation.target;
  const met =
    deletedAt === undefined ? condition : and([whereNull({ source: to, field: deletedAt }), condition]);
  if (met.kind === 'never') return never;
  const parts = met.kind === 'and' ? met.conditions : [met];
  const inside = parts.filter(part => speaksOf(part, to));
  const outside = parts.filter(part => !inside.includes(part));
  return and([{ kind: 'exists', relation, from, to, condition: and(inside) }, ...outside]);
}

function speaksOf(condition: Condition, source: Source): boolean {
  switch (condition.kind) {
    case 'and':
    case 'or':
      return condition.conditions.some(part => speaksOf(part, source));
    case 'compare':
    case 'in':
    case 'isNull':
    case 'isNotNull':
      return condition.column.source.number === source.number;
    case 'compareColumns':
      return (
        condition.left.source.number === source.number || condition.right.source.number === source.number
      );
    case 'exists':
    case 'notExists':
      return condition.from.number === source.number || speaksOf(condition.condition, source);
    default:
      return false;
  }
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
