import type { Entity, EntityRelation, Field } from '../schema.js';
import { compareToValue } from './comparison.js';
import { type Condition, never, type RowVariable } from './condition.js';
import { and, or, speaksOf } from './simplify.js';

/** A row of which only the key is known; the rest of it is in the database. */
export interface KnownRow {
  readonly row: RowVariable;
  readonly key: readonly { readonly field: Field; readonly value: unknown }[];
}

/**
 * Has a condition on two rows be one on the first alone: the second is the one with this key.
 *
 * `t1.owner_id = t0.id` becomes `exists (select 1 from expenses as t1 where t1.id = $1 and t1.owner_id = t0.id)`. There is at
 * most one such row, so each part of the condition may look it up for itself. It does so as far inside as it can be, and not
 * at all if only the key is asked for; then databases find the few rows of the other side first, and make a join of it.
 *
 * A part that asks nothing of the row holds whether the row is there or not.
 */
export function askOfKnown(condition: Condition, known: KnownRow, filtered: RowVariable): Condition {
  const isRow = known.key.map(({ field, value }) => compareToValue({ row: known.row, field }, '=', value));
  // No row has such a key, so nothing may be said of it, be it by a negation.
  if (isRow.some(each => each.kind === 'never')) return never;
  return new Placing(known, isRow, filtered).place(condition);
}

class Placing {
  readonly #known: KnownRow;
  readonly #isRow: readonly Condition[];
  readonly #filtered: RowVariable;
  #count = 0;

  constructor(known: KnownRow, isRow: readonly Condition[], filtered: RowVariable) {
    this.#known = known;
    this.#isRow = isRow;
    this.#filtered = filtered;
  }

  place(condition: Condition): Condition {
    if (!speaksOf(condition, this.#known.row)) return condition;
    switch (condition.kind) {
      case 'or':
        return or(condition.conditions.map(part => this.place(part)));
      case 'and': {
        const parts = condition.conditions.map(part => this.#compareKey(part) ?? part);
        const placed = parts.filter(isPlacedAlone).map(part => this.place(part));
        return and([...placed, this.#lookUp(parts.filter(part => !isPlacedAlone(part)))]);
      }
      case 'exists':
        return this.#placeExists(condition);
      case 'compareColumns':
        return this.#compareKey(condition) ?? this.#lookUp([condition]);
      // Of the key alone: the two conditions of a recursion speak of no row but those that it comes to.
      case 'reaches':
      case 'reachesNone':
      // Its columns may be those of several rows. What is not of this one is outside of the look-up, and can be seen from there.
      case 'inRows':
      case 'notExists':
      case 'compare':
      case 'in':
      case 'notIn':
      case 'isNull':
      case 'isNotNull':
      case 'isReadable':
      case 'isUnreadable':
        return this.#lookUp([condition]);
      // They speak of no row.
      case 'always':
      case 'never':
        return condition;
    }
  }

  /** The row is there, and the conditions hold of it. */
  #lookUp(conditions: readonly Condition[]): Condition {
    const { row } = this.#known;
    const outside = conditions.filter(each => !speaksOf(each, row));
    const inside = conditions.filter(each => speaksOf(each, row));
    if (inside.length === 0) return and(outside);
    return and([this.#anyRow(row, and([...this.#isRow, ...inside])), ...outside]);
  }

  /** There is a row, related or not, for which a condition holds. */
  #anyRow(to: RowVariable, condition: Condition): Condition {
    const relation = unrelated(to.entity, `any ${this.#count++}`);
    return { kind: 'exists', relation, from: this.#filtered, to, condition };
  }

  #placeExists(condition: Exists): Condition {
    const { relation, from, to } = condition;
    const { row } = this.#known;
    const inner = this.place(condition.condition);
    if (from.number !== row.number) return { ...condition, condition: inner };
    if (relation.joinTable !== undefined || !relation.join.every(isPlain)) return this.#lookUp([condition]);
    const joined = relation.join.map(
      pair =>
        this.#valueOf(pair.from, { row: to, field: unread(pair.to) }) ?? {
          kind: 'compareColumns' as const,
          left: { row: to, field: unread(pair.to) },
          operator: '=' as const,
          right: { row, field: unread(pair.from) },
        },
    );
    return this.#anyRow(to, and([this.#lookUp(joined), inner]));
  }

  /** A comparison with the key, which is known. */
  #compareKey(condition: Condition): Condition | undefined {
    if (condition.kind !== 'compareColumns') return undefined;
    const { left, operator, right } = condition;
    if (operator !== '=' || left.field.type.kind !== right.field.type.kind) return undefined;
    const { row } = this.#known;
    if (left.row.number === row.number) return this.#valueOf(left.field, right);
    return right.row.number === row.number ? this.#valueOf(right.field, left) : undefined;
  }

  #valueOf(field: Field, other: CompareColumns['left']): Condition | undefined {
    if (other.row.number === this.#known.row.number || !KEYS.has(field.type.kind)) return undefined;
    const part = this.#known.key.find(each => each.field.column === field.column);
    return part && compareToValue(other, '=', part.value);
  }
}

type Exists = Extract<Condition, { kind: 'exists' | 'notExists' }>;
type CompareColumns = Extract<Condition, { kind: 'compareColumns' }>;

/** Kinds of keys whose values are equal in a database if and only if they are one value. */
const KEYS = new Set(['text', 'uuid', 'integer', 'bigint']);

/** What may be better asked elsewhere than with what else is asked of the row. */
function isPlacedAlone({ kind }: Condition): boolean {
  return kind === 'exists' || kind === 'or';
}

function isPlain({ from, to }: EntityRelation['join'][number]): boolean {
  return from.type.kind === to.type.kind && KEYS.has(from.type.kind);
}

/** Of a column that relates rows: no policy reads it. */
function unread(field: Field): Field {
  return { ...field, mayFail: false };
}

/** A relation that leads from any row to all rows of an entity. */
function unrelated(target: Entity, name: string): EntityRelation {
  return { name, kind: 'one', target, join: [], guaranteed: false };
}
