import type { Class } from 'oso';

/**
 * The type of a field, as policies see its values: `integer` is of 32 or 64 bits, `bigint` is read as a string, `date` as a
 * `Date`, and `{ enum: […] }` is one of these strings.
 */
export type FieldTypeDescription =
  | 'text'
  | 'uuid'
  | 'integer'
  | 'bigint'
  | 'number'
  | 'boolean'
  | 'date'
  | { readonly enum: readonly string[] };

/** A field, if its type is not all there is to say. */
export interface FieldDescription {
  readonly type: FieldTypeDescription;
  /**
   * Whether it may be null: by default it may. `nullable: false` is for columns that the database itself declares NOT NULL: a
   * list trusts it, and takes `field != nil` for true of every row.
   */
  readonly nullable?: boolean;
  /** The name of its column; by default that of the field. */
  readonly column?: string;
}

/** Pairs of fields that are equal if rows are related: this entity's, and the other's. */
export type FieldPairs = Readonly<Record<string, string>>;

/** A relation: to `one` of an entity or to `many`. */
export type RelationDescription = (
  | { readonly one: string; readonly many?: undefined }
  | { readonly many: string; readonly one?: undefined }
) &
  (
    | { readonly on: FieldPairs; readonly through?: undefined }
    | {
        readonly on?: undefined;
        /** A table between the two: its columns by the fields of this entity, and by those of the other. */
        readonly through: {
          readonly table: string;
          readonly from: FieldPairs;
          readonly to: FieldPairs;
        };
      }
  ) & {
    /** Whether a foreign key sees to it that what is referred to exists; by default not. */
    readonly foreignKey?: boolean;
  };

/** What is to be known of a class whose instances are rows. */
export interface EntityDescription {
  readonly class: Class;
  /** By default the name of the entity. */
  readonly table?: string;
  /** The fields of the primary key; by default `id`. */
  readonly key?: readonly string[];
  readonly fields: Readonly<Record<string, FieldTypeDescription | FieldDescription>>;
  readonly relations?: Readonly<Record<string, RelationDescription>>;
  /** The field that is set in rows that count as deleted. */
  readonly deletedAt?: string;
}

/** Entities by the names that policies call them. */
export type SchemaDescription = Readonly<Record<string, EntityDescription>>;
