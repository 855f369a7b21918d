import type { Entity, EntityRelation, Field } from '../schema.js';

/** A row that a condition speaks of: the one that is filtered, or one that is related to it. */
export interface RowVariable {
  readonly entity: Entity;
  /** Tells apart the rows that one condition speaks of: 0 is the one that is filtered. */
  readonly number: number;
}

/** A field of a row. */
export interface Column {
  readonly row: RowVariable;
  readonly field: Field;
}

export type ComparisonOperator = '=' | '!=' | '<' | '<=' | '>' | '>=';

/**
 * What must hold of a row: a tree that every database can express. Comparisons hold only between values that are not
 * null, and that policies can read; there is no `not`, for each part has its negation among the others ({@link negate}),
 * so that SQL's third truth value never meets one.
 *
 * A comparison that is `negated` does not hold of its values, which are not null. It is not always the opposite one:
 * neither `<` nor `>=` holds of NaN.
 */
export type Condition =
  | { readonly kind: 'always' }
  | { readonly kind: 'never' }
  | { readonly kind: 'and' | 'or'; readonly conditions: readonly Condition[] }
  /** `value` is never null. */
  | {
      readonly kind: 'compare';
      readonly column: Column;
      readonly operator: ComparisonOperator;
      readonly value: unknown;
      readonly negated?: true;
    }
  /** The column has one of the values; or one, that is not null, that is none of them. */
  | { readonly kind: 'in' | 'notIn'; readonly column: Column; readonly values: readonly unknown[] }
  /** The columns have the values of one of the rows, each value in its column. */
  | InRows
  /** What is not null here can be read as well. */
  | { readonly kind: 'isNull' | 'isNotNull'; readonly column: Column }
  /** Whether the column is null, or holds a value that policies can read; see {@link Field.mayFail}. */
  | { readonly kind: 'isReadable' | 'isUnreadable'; readonly column: Column }
  | {
      readonly kind: 'compareColumns';
      readonly left: Column;
      readonly operator: ComparisonOperator;
      readonly right: Column;
      readonly negated?: true;
    }
  /** Whether a row `to` is related to the row `from` for which `condition` holds. */
  | {
      readonly kind: 'exists' | 'notExists';
      readonly relation: EntityRelation;
      readonly from: RowVariable;
      readonly to: RowVariable;
      readonly condition: Condition;
    }
  | Reach;

/** Several columns, and the values that they may have together. */
export interface InRows {
  readonly kind: 'inRows';
  readonly columns: readonly Column[];
  /** Text and numbers. */
  readonly rows: readonly (readonly unknown[])[];
}

/** Whether a relation leads from a row, step by step or not at all, to one for which `base` holds. */
export interface Reach {
  readonly kind: 'reaches' | 'reachesNone';
  /** Holds the key of the row, or refers to it. */
  readonly key: readonly Column[];
  /** Any row on the way: `base` and `step` speak of no other. */
  readonly row: RowVariable;
  /** Refers to the key of its target, which is of the same entity. */
  readonly relation: EntityRelation;
  readonly base: Condition;
  /** Holds of each row that the relation leads on from. */
  readonly step: Condition;
}

export type Exists = Extract<Condition, { kind: 'exists' | 'notExists' }>;

export const always: Condition = { kind: 'always' };
export const never: Condition = { kind: 'never' };

export type Comparison = Extract<Condition, { kind: 'compare' | 'compareColumns' }>;

/** Whether it says itself that it is, and no property of all objects. */
export function isNegated(comparison: Comparison): boolean {
  return Object.hasOwn(comparison, 'negated');
}

/** Whether the column is null: never, if it cannot be. */
export function whereNull(column: Column): Condition {
  return column.field.nullable ? { kind: 'isNull', column } : never;
}

/** Whether the column is not null: always, if it cannot be. */
export function whereNotNull(column: Column): Condition {
  return column.field.nullable || column.field.mayFail === true ? { kind: 'isNotNull', column } : always;
}

/** Whether a row does not count as deleted: always, if rows of its entity cannot. */
export function notDeleted(row: RowVariable): Condition {
  const { deletedAt } = row.entity;
  return deletedAt === undefined ? always : whereNull({ row, field: deletedAt });
}

/** Whether the column holds what is an error to policies that read it: never, if it cannot. */
export function whereUnreadable(column: Column): Condition {
  return column.field.mayFail === true ? { kind: 'isUnreadable', column } : never;
}

/** How much a condition says, written out: its parts, and the values in them. */
export interface Size {
  readonly parts: number;
  readonly values: number;
}

const sizes = new WeakMap<Condition, Size>();

/** The size of a condition. What is a part of it several times counts as often. */
export function sizeOf(condition: Condition): Size {
  if ('column' in condition) return measure(condition);
  let size = sizes.get(condition);
  if (size === undefined) {
    size = measure(condition);
    sizes.set(condition, size);
  }
  return size;
}

function measure(condition: Condition): Size {
  switch (condition.kind) {
    case 'and':
    case 'or': {
      let [parts, values] = [1, 0];
      for (const part of condition.conditions) {
        const size = sizeOf(part);
        parts += size.parts;
        values += size.values;
      }
      return { parts, values };
    }
    case 'compare':
      return { parts: 1, values: 1 };
    case 'in':
    case 'notIn':
      return { parts: 1, values: condition.values.length };
    case 'inRows':
      return { parts: 1, values: condition.rows.length * condition.columns.length };
    case 'exists':
    case 'notExists': {
      const { parts, values } = sizeOf(condition.condition);
      return { parts: parts + 1, values };
    }
    case 'reaches':
    case 'reachesNone': {
      const [base, step] = [sizeOf(condition.base), sizeOf(condition.step)];
      return { parts: base.parts + step.parts + 1, values: base.values + step.values };
    }
    default:
      return { parts: 1, values: 0 };
  }
}
