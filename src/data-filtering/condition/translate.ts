import type { EntityRelation } from '../schema.js';
import type { Column, Condition, Operator, Source } from './condition.js';

/**
 * What one query builder needs to know to express a {@link Condition}: how it says each of its parts. An adapter for
 * another one is these ten functions, a schema, and a query that they are put into.
 *
 * @typeParam Sql what the query builder takes as a part of a WHERE clause
 */
export interface Translation<Sql> {
  constant(value: boolean): Sql;
  /** All hold; there are two or more. */
  and(parts: readonly Sql[]): Sql;
  /** One of them holds. Mind the brackets: one that stands alone needs them as well. */
  or(parts: readonly Sql[]): Sql;
  /** `value` is not null, and is to become a bound parameter. Text is ordered by its bytes. */
  compare(column: Column, operator: Operator, value: unknown): Sql;
  compareColumns(left: Column, operator: Operator, right: Column): Sql;
  /** There is at least one value; each is to become a bound parameter. */
  in(column: Column, values: readonly unknown[]): Sql;
  isNull(column: Column): Sql;
  isNotNull(column: Column): Sql;
  /**
   * Whether there is a row `to` that is related to `from`, for which `condition` holds (undefined: any row does). Rows
   * that count as deleted are left out by `condition` already.
   */
  exists(relation: EntityRelation, from: Source, to: Source, condition: Sql | undefined): Sql;
  not(part: Sql): Sql;
}

/** Expresses a condition in the terms of a query builder. */
export function translate<Sql>(condition: Condition, translation: Translation<Sql>): Sql {
  switch (condition.kind) {
    case 'always':
      return translation.constant(true);
    case 'never':
      return translation.constant(false);
    case 'and': {
      const parts = needed(condition.conditions).map(part => translate(part, translation));
      if (parts.length === 1) return parts[0] as Sql;
      return inGroups(parts, all => translation.and(all), translation);
    }
    case 'or':
      return inGroups(
        condition.conditions.map(part => translate(part, translation)),
        any => translation.or(any),
        translation,
      );
    case 'compare': {
      const { column, operator, value } = condition;
      return translation.compare(column, operator, stored(column, value));
    }
    case 'in': {
      const { column, values } = condition;
      return translation.in(
        column,
        values.map(value => stored(column, value)),
      );
    }
    case 'notIn': {
      const { column, values } = condition;
      const parts = values.map(value => translation.compare(column, '!=', stored(column, value)));
      if (parts.length === 1) return parts[0] as Sql;
      return inGroups(parts, all => translation.and(all), translation);
    }
    case 'isNull':
    case 'isNotNull':
      return translation[condition.kind](condition.column);
    case 'compareColumns':
      return translation.compareColumns(condition.left, condition.operator, condition.right);
    case 'exists':
    case 'notExists': {
      const { relation, from, to } = condition;
      const inner =
        condition.condition.kind === 'always' ? undefined : translate(condition.condition, translation);
      const exists = translation.exists(relation, from, to, inner);
      return condition.kind === 'exists' ? exists : translation.not(exists);
    }
  }
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

/** What is compared besides need not be asked whether it is null: comparisons hold only where it is not. */
function needed(conditions: readonly Condition[]): readonly Condition[] {
  return conditions.filter(
    part => part.kind !== 'isNotNull' || !conditions.some(other => compares(other, part.column)),
  );
}

function compares(condition: Condition, column: Column): boolean {
  if (condition.kind !== 'compare' && condition.kind !== 'in' && condition.kind !== 'notIn') return false;
  const { source, field } = condition.column;
  return source.number === column.source.number && field.column === column.field.column;
}

function stored({ field }: Column, value: unknown): unknown {
  return field.toDatabase === undefined ? value : field.toDatabase(value);
}
