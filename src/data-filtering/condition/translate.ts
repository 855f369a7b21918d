import type { EntityRelation } from '../schema.js';
import {
  always,
  type Column,
  type ComparisonOperator,
  type Condition,
  isNegated,
  never,
  type Reach,
  type RowVariable,
} from './condition.js';
import { and, or } from './simplify.js';
import { isOfFew, isUncorrelated } from './uncorrelated.js';

/**
 * What one query builder needs to know to express a {@link Condition}: how it says each of its parts. An adapter for
 * another one is these thirteen functions, a schema, and a query that they are put into.
 *
 * @typeParam Sql what the query builder takes as a part of a WHERE clause
 */
export interface Translation<Sql> {
  constant(value: boolean): Sql;
  /** All hold; there are two or more. */
  and(parts: readonly Sql[]): Sql;
  /** One of them holds. Mind the brackets: one that stands alone needs them as well. */
  or(parts: readonly Sql[]): Sql;
  /**
   * `value` is not null, and is to become a bound parameter. Text is compared by its bytes, and numbers as JavaScript
   * compares them. Nothing holds of a value that is not {@link Translation.readable}.
   *
   * @param negated that it does not hold; of readable values, too
   */
  compare(column: Column, operator: ComparisonOperator, value: unknown, negated: boolean): Sql;
  compareColumns(left: Column, operator: ComparisonOperator, right: Column, negated: boolean): Sql;
  /**
   * There is at least one value; they are to be bound, as one parameter if possible.
   *
   * @param negated that it is none of them; of values that are readable
   */
  in(column: Column, values: readonly unknown[], negated: boolean): Sql;
  /**
   * The columns have the values of one of the rows: text and numbers, to be bound as few parameters; undefined if there is no
   * way to say it, and each row is to be an alternative.
   */
  inRows(columns: readonly Column[], rows: readonly (readonly unknown[])[]): Sql | undefined;
  isNull(column: Column): Sql;
  isNotNull(column: Column): Sql;
  /** Whether policies can read a value that is not null; undefined if they can read all that the database keeps there. */
  readable(column: Column): Sql | undefined;
  /**
   * Whether there is a row `to` that is related to `from`, for which `condition` holds (undefined: any row does). Rows
   * that count as deleted are left out by `condition` already.
   */
  exists(relation: EntityRelation, from: RowVariable, to: RowVariable, condition: Sql | undefined): Sql;
  /**
   * The same by a subquery that is run once, if `condition` speaks of nothing outside of it; undefined if there is none, or it is
   * not better. It is one of the alternatives of an OR.
   *
   * @param few whether `condition` is thought to hold of few rows
   */
  among?(
    relation: EntityRelation,
    from: RowVariable,
    to: RowVariable,
    condition: Sql,
    few: boolean,
  ): Sql | undefined;
  /**
   * Whether the key is that of a row among those for which `base` holds, and those for which `step` does and whose relation leads
   * to one of them. Of rows that refer to each other in a circle, it must end.
   */
  reaches(reach: Reach, base: Sql | undefined, step: Sql | undefined): Sql;
  not(part: Sql): Sql;
}

/** Expresses a condition in the terms of a query builder. */
export function translate<Sql>(condition: Condition, translation: Translation<Sql>): Sql {
  return express(asksWhatIsSure(condition) ? settle(condition, translation) : condition, translation);
}

/** @param inOr whether it is an alternative, or a part of one */
function express<Sql>(condition: Condition, translation: Translation<Sql>, inOr = false): Sql {
  switch (condition.kind) {
    case 'always':
      return translation.constant(true);
    case 'never':
      return translation.constant(false);
    case 'and': {
      const parts = needed(condition.conditions).map(part => express(part, translation, inOr));
      if (parts.length === 1) return parts[0] as Sql;
      return inGroups(parts, all => translation.and(all), translation);
    }
    case 'or':
      return inGroups(
        condition.conditions.map(part => express(part, translation, true)),
        any => translation.or(any),
        translation,
      );
    case 'compare': {
      const { column, operator, value } = condition;
      return translation.compare(column, operator, stored(column, value), isNegated(condition));
    }
    case 'in':
    case 'notIn': {
      const { column, values } = condition;
      const kept = values.map(value => stored(column, value));
      return translation.in(column, kept, condition.kind === 'notIn');
    }
    case 'inRows': {
      const { columns, rows } = condition;
      const kept = rows.map(row => row.map((value, at) => stored(columns[at] as Column, value)));
      return translation.inRows(columns, kept) ?? expressRows(columns, kept, translation);
    }
    case 'isNull':
      return translation.isNull(condition.column);
    case 'isNotNull': {
      const { column } = condition;
      const readable = readableIn(column, translation);
      const isNotNull = translation.isNotNull(column);
      return readable === undefined ? isNotNull : translation.and([isNotNull, readable]);
    }
    case 'isReadable': {
      const { column } = condition;
      return translation.or([translation.isNull(column), readableIn(column, translation) as Sql]);
    }
    case 'isUnreadable': {
      const { column } = condition;
      const unreadable = translation.not(readableIn(column, translation) as Sql);
      return column.field.nullable
        ? translation.and([translation.isNotNull(column), unreadable])
        : unreadable;
    }
    case 'compareColumns':
      return translation.compareColumns(
        condition.left,
        condition.operator,
        condition.right,
        isNegated(condition),
      );
    case 'exists':
    case 'notExists': {
      const { relation, from, to } = condition;
      const inner =
        condition.condition.kind === 'always' ? undefined : express(condition.condition, translation);
      if (condition.kind === 'notExists')
        return translation.not(translation.exists(relation, from, to, inner));
      const among =
        inOr && inner !== undefined && isUncorrelated(condition.condition, to)
          ? translation.among?.(relation, from, to, inner, isOfFew(condition.condition))
          : undefined;
      return among ?? translation.exists(relation, from, to, inner);
    }
    case 'reaches':
    case 'reachesNone': {
      const [base, step] = [condition.base, condition.step].map(part =>
        part.kind === 'always' ? undefined : express(part, translation),
      );
      const reaches = translation.reaches(condition, base, step);
      return condition.kind === 'reaches' ? reaches : translation.not(reaches);
    }
  }
}

function expressRows<Sql>(
  columns: readonly Column[],
  rows: readonly (readonly unknown[])[],
  translation: Translation<Sql>,
): Sql {
  const alternatives = rows.map(row =>
    translation.and(columns.map((column, at) => translation.compare(column, '=', row[at], false))),
  );
  return inGroups(alternatives, any => translation.or(any), translation);
}

/** SQLite takes no expression that is a thousand deep, and `a and b and c` is deeper by one with each part. */
const MAX_IN_A_ROW = 500;

function inGroups<Sql>(
  parts: readonly Sql[],
  join: (parts: readonly Sql[]) => Sql,
  translation: Translation<Sql>,
): Sql {
  if (parts.length <= MAX_IN_A_ROW) return join(parts);
  const groups: Sql[] = [];
  for (let from = 0; from < parts.length; from += MAX_IN_A_ROW) {
    groups.push(translation.or([join(parts.slice(from, from + MAX_IN_A_ROW))]));
  }
  return inGroups(groups, join, translation);
}

/** What of a value of the column is to be asked so that policies can read it; undefined if nothing is. */
export function readableIn<Sql>(
  column: Column,
  { readable }: Pick<Translation<Sql>, 'readable'>,
): Sql | undefined {
  return column.field.mayFail ? readable(column) : undefined;
}

/** Whether a part of the condition asks what one of the databases may know already. */
function asksWhatIsSure(condition: Condition): boolean {
  switch (condition.kind) {
    case 'and':
    case 'or':
      return condition.conditions.some(asksWhatIsSure);
    case 'exists':
    case 'notExists':
      return asksWhatIsSure(condition.condition);
    case 'reaches':
    case 'reachesNone':
      return asksWhatIsSure(condition.base) || asksWhatIsSure(condition.step);
    case 'isReadable':
    case 'isUnreadable':
    case 'isNotNull':
      return true;
    default:
      return false;
  }
}

/** Leaves out of a condition what this database need not be asked, for it keeps nothing there that policies cannot read. */
function settle<Sql>(condition: Condition, translation: Translation<Sql>): Condition {
  switch (condition.kind) {
    case 'and':
      return and(condition.conditions.map(part => settle(part, translation)));
    case 'or':
      return or(condition.conditions.map(part => settle(part, translation)));
    case 'exists':
    case 'notExists': {
      const inner = settle(condition.condition, translation);
      if (inner.kind === 'never') return condition.kind === 'exists' ? never : always;
      return { ...condition, condition: inner };
    }
    case 'reaches':
    case 'reachesNone':
      return {
        ...condition,
        base: settle(condition.base, translation),
        step: settle(condition.step, translation),
      };
    case 'isReadable':
      return readableIn(condition.column, translation) === undefined ? always : condition;
    case 'isUnreadable':
      return readableIn(condition.column, translation) === undefined ? never : condition;
    case 'isNotNull': {
      const { column } = condition;
      if (column.field.nullable || readableIn(column, translation) !== undefined) return condition;
      return always;
    }
    default:
      return condition;
  }
}

/** What is compared besides need not be asked whether it is null: comparisons hold only if it is not. */
function needed(conditions: readonly Condition[]): readonly Condition[] {
  return conditions.filter(
    part => part.kind !== 'isNotNull' || !conditions.some(other => compares(other, part.column)),
  );
}

function compares(condition: Condition, column: Column): boolean {
  if (condition.kind === 'exists') {
    // The related row is found by the column.
    const { from, relation } = condition;
    const isJoined = relation.join.some(join => join.from.column === column.field.column);
    return isJoined && from.number === column.row.number && !column.field.mayFail;
  }
  if (condition.kind === 'inRows') return condition.columns.some(each => isSame(each, column));
  if (condition.kind === 'reaches') {
    return !column.field.mayFail && condition.key.some(key => isSame(key, column));
  }
  if (condition.kind !== 'compare' && condition.kind !== 'in' && condition.kind !== 'notIn') return false;
  return isSame(condition.column, column);
}

function isSame(left: Column, right: Column): boolean {
  return left.row.number === right.row.number && left.field.column === right.field.column;
}

function stored({ field }: Column, value: unknown): unknown {
  return field.toDatabase === undefined ? value : field.toDatabase(value);
}
