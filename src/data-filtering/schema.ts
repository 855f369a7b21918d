import type { Class } from 'oso';

/** What the values of a field are in JavaScript, as policies see them. It decides which comparisons mean the same in SQL. */
export type FieldType =
  | { readonly kind: 'text' }
  /** Lower-case hexadecimal, with hyphens. */
  | { readonly kind: 'uuid' }
  | { readonly kind: 'enum'; readonly values: readonly string[] }
  /** Whole numbers; `min` and `max` are what the column can hold. */
  | { readonly kind: 'integer'; readonly min: number; readonly max: number }
  /** Whole numbers that are read as strings, for JavaScript's numbers cannot hold them all. */
  | { readonly kind: 'bigint' }
  /** Any number: floats, and decimals that are read as numbers. */
  | { readonly kind: 'number' }
  | { readonly kind: 'boolean' }
  /** `Date`s. The database may keep them more finely than the millisecond. */
  | { readonly kind: 'date' }
  /** Nothing that can be compared in SQL as policies compare it; `why` completes "the field is …". */
  | { readonly kind: 'unsupported'; readonly why: string };

/** A field of an entity: a property of its instances, a column of its table. */
export interface Field {
  /** The property; of a column without one (a foreign key, say), the name of the column. */
  readonly name: string;
  readonly column: string;
  readonly type: FieldType;
  readonly nullable: boolean;
  /** It may hold what no order holds of, as nothing does of NaN: `not (a < b)` is more than `a >= b` then. */
  readonly mayBeNaN?: boolean;
  /**
   * It may hold what is an error to policies that read it: whole numbers beyond 2^53, or in SQLite values of other
   * types. Text may fail only `in order`: whatever is in its place is different from it, which is no error.
   */
  readonly mayFail?: boolean | 'in order';
  /** What the database keeps for a value, if it is not the value itself. */
  readonly toDatabase?: (value: unknown) => unknown;
}

/** Columns of two tables that are equal if their rows are related. */
export interface JoinColumns {
  readonly from: Field;
  readonly to: Field;
}

/** A table that relates two others, as many-to-many relations have one. */
export interface JoinTable {
  readonly table: string;
  /** Its columns, and those of the entity that the relation belongs to. */
  readonly source: readonly { readonly column: string; readonly field: Field }[];
  /** Its columns, and those of the entity that the relation leads to. */
  readonly target: readonly { readonly column: string; readonly field: Field }[];
}

/** A property that leads from an entity to another, or to many of them. */
export interface EntityRelation {
  readonly name: string;
  readonly kind: 'one' | 'many';
  readonly target: Entity;
  /** How the two tables are joined; empty if it is by a join table. */
  readonly join: readonly JoinColumns[];
  readonly joinTable?: JoinTable;
  /** Whether a foreign key guarantees that every reference that is not null has a row. */
  readonly guaranteed: boolean;
}

/** What is known of a class whose instances are rows. */
export interface Entity {
  /** The name by which policies call it. */
  readonly name: string;
  readonly class: Class;
  readonly table: string;
  readonly key: readonly Field[];
  readonly fields: ReadonlyMap<string, Field>;
  readonly relations: ReadonlyMap<string, EntityRelation>;
  /** Set in the rows that count as deleted: nobody meets them. */
  readonly deletedAt?: Field;
}

/** The entities by the names that policies call them. */
export type Schema = ReadonlyMap<string, Entity>;

/** The entity of a class, given as such or by its name. */
export function entityOf(schema: Schema, classOrName: unknown): Entity | undefined {
  if (typeof classOrName === 'string') return schema.get(classOrName);
  for (const entity of schema.values()) if (entity.class === classOrName) return entity;
  return undefined;
}
