import { type Column, getTableColumns, getTableName, is, type Table } from 'drizzle-orm';
import { getTableConfig as getPgTableConfig, type PgColumn, PgTable } from 'drizzle-orm/pg-core';
import { getTableConfig as getSqliteTableConfig, SQLiteColumn, SQLiteTable } from 'drizzle-orm/sqlite-core';
import type { Class } from 'oso';
import { given } from '../../options.js';
import type { SqlDialect } from '../condition/sql-translation.js';
import { requireField } from '../describe.js';
import type { FieldPairs } from '../description.js';
import { errors } from '../errors.js';
import type { Entity, EntityRelation, Field, FieldType, JoinColumns, JoinTable } from '../schema.js';

/** A relation: to `one` of an entity or to `many`. */
export type DrizzleRelation = (
  | { readonly one: string; readonly many?: undefined }
  | { readonly many: string; readonly one?: undefined }
) &
  (
    | {
        /** The fields of this entity and those of the other that are equal; by default those of the foreign key. */
        readonly on?: FieldPairs;
        readonly through?: undefined;
      }
    | {
        readonly on?: undefined;
        /** A table between the two, with foreign keys to both. */
        readonly through: Table;
      }
  );

/** What is to be known of a class whose instances are rows. */
export interface DrizzleEntity {
  readonly class: Class;
  /** The fields are its columns, by the names that the table has for them. */
  readonly table: Table;
  readonly relations?: Readonly<Record<string, DrizzleRelation>>;
  /** The field that is set in rows that count as deleted. */
  readonly deletedAt?: string;
}

/** Entities by the names that policies call them. */
export type DrizzleEntities = Readonly<Record<string, DrizzleEntity>>;

/** A schema, and the tables that it was made of. */
export interface DrizzleSchema {
  readonly entities: ReadonlyMap<string, Entity>;
  readonly dialect: SqlDialect;
  tableOf(entity: Entity): Table;
  linkOf(joinTable: JoinTable): Table;
}

const schemas = new WeakMap<DrizzleEntities, DrizzleSchema>();

/**
 * The schema of these entities; always the same for the same object.
 *
 * @throws {KoaOsoError} `ERR_KOA_OSO_INVALID_ARGUMENT` if a relation or a field is not in the tables
 */
export function drizzleSchema(entities: DrizzleEntities): DrizzleSchema {
  const known = schemas.get(entities);
  if (known !== undefined) return known;
  const schema = new SchemaReader(entities).read();
  schemas.set(entities, schema);
  return schema;
}

interface ForeignKey {
  readonly target: Table;
  /** By the names that the tables have for their columns. */
  readonly pairs: readonly (readonly [from: string, to: string])[];
}

class SchemaReader {
  readonly #described: DrizzleEntities;
  readonly #entities = new Map<string, Entity>();
  readonly #links = new Map<JoinTable, Table>();

  constructor(described: DrizzleEntities) {
    this.#described = described;
  }

  read(): DrizzleSchema {
    const described = Object.entries(this.#described).map(([name, entity]) => [name, given(entity)] as const);
    const dialects = new Set(described.map(([, { table }]) => dialectOf(table)));
    const [dialect] = dialects;
    if (dialect === undefined || dialects.size > 1) {
      throw errors.invalidArgument('registerEntities needs tables of one database.');
    }
    const relationsOf = new Map<string, Map<string, EntityRelation>>();
    for (const [name, { class: entityClass, table, deletedAt }] of described) {
      const fields = new Map(
        Object.entries(getTableColumns(table)).map(([field, column]) => [field, fieldOf(field, column)]),
      );
      const relations = new Map<string, EntityRelation>();
      relationsOf.set(name, relations);
      this.#entities.set(name, {
        name,
        class: entityClass,
        table: getTableName(table),
        key: keyOf(table).map(field => fields.get(field) as Field),
        fields,
        relations,
        deletedAt: deletedAt === undefined ? undefined : requireField(fields, name, deletedAt),
      });
    }
    for (const [name, { relations = {} }] of described) {
      const entity = this.#entities.get(name) as Entity;
      for (const [relation, described] of Object.entries(relations)) {
        relationsOf.get(name)?.set(relation, this.#relation(entity, relation, given(described), dialect));
      }
    }
    const links = this.#links;
    return {
      entities: this.#entities,
      dialect,
      tableOf: entity => this.#tableOf(entity),
      linkOf: joinTable => links.get(joinTable) as Table,
    };
  }

  #tableOf(entity: Entity): Table {
    return (this.#described[entity.name] as DrizzleEntity).table;
  }

  #relation(
    entity: Entity,
    name: string,
    { one, many, on, through }: DrizzleRelation,
    dialect: SqlDialect,
  ): EntityRelation {
    const other = one ?? many;
    const target = this.#entities.get(other);
    if (target === undefined) {
      throw errors.invalidArgument(
        `The relation \`${name}\` of the entity ${entity.name} leads to ${other}, which is not described.`,
      );
    }
    const kind = one === undefined ? 'many' : 'one';
    if (through !== undefined) {
      const joinTable: JoinTable = {
        table: getTableName(through),
        source: linked(entity, name, through, entity, this.#tableOf(entity)),
        target: linked(entity, name, through, target, this.#tableOf(target)),
      };
      this.#links.set(joinTable, through);
      return { name, kind, target, join: [], joinTable, guaranteed: false };
    }
    const from = this.#tableOf(entity);
    const to = this.#tableOf(target);
    const pairs =
      on !== undefined
        ? Object.entries(on)
        : kind === 'one'
          ? onlyForeignKey(entity, name, from, to).pairs
          : onlyForeignKey(entity, name, to, from).pairs.map(([theirs, mine]) => [mine, theirs] as const);
    if (pairs.length === 0) {
      throw errors.invalidArgument(
        `The relation \`${name}\` of the entity ${entity.name} says by no field what is related.`,
      );
    }
    const join: JoinColumns[] = pairs.map(([mine, theirs]) => ({
      from: requireField(entity.fields, entity.name, mine),
      to: requireField(target.fields, target.name, theirs),
    }));
    // SQLite enforces foreign keys only if each connection asks for it.
    const guaranteed =
      kind === 'one' &&
      dialect === 'postgresql' &&
      target.deletedAt === undefined &&
      // A foreign key of text may refer to what is spelt otherwise, by a collation that Drizzle is not told.
      join.every(({ to }) => to.type.kind !== 'text') &&
      foreignKeysOf(from).some(key => key.target === to && hasSamePairs(key.pairs, pairs));
    return { name, kind, target, join, guaranteed };
  }
}

function hasSamePairs(
  left: readonly (readonly [string, string])[],
  right: readonly (readonly [string, string])[],
): boolean {
  const texts = new Set(left.map(pair => JSON.stringify(pair)));
  return left.length === right.length && right.every(pair => texts.has(JSON.stringify(pair)));
}

function linked(
  entity: Entity,
  relation: string,
  through: Table,
  end: Entity,
  table: Table,
): { column: string; field: Field }[] {
  const { pairs } = onlyForeignKey(entity, relation, through, table);
  return pairs.map(([column, field]) => ({ column, field: requireField(end.fields, end.name, field) }));
}

function onlyForeignKey(entity: Entity, relation: string, from: Table, to: Table): ForeignKey {
  const [key, ...others] = foreignKeysOf(from).filter(({ target }) => target === to);
  if (key === undefined || others.length > 0) {
    throw errors.invalidArgument(
      `The relation \`${relation}\` of the entity ${entity.name} needs exactly one foreign key from ` +
        `${getTableName(from)} to ${getTableName(to)}, but there ${key === undefined ? 'is none' : 'are several'}. ` +
        'Say which fields are equal: { on: { … } }.',
    );
  }
  return key;
}

function foreignKeysOf(table: Table): ForeignKey[] {
  const { foreignKeys } = configOf(table);
  return foreignKeys.map(({ reference }) => {
    const { columns, foreignTable, foreignColumns } = reference();
    const pairs = columns.map(
      (column, at) => [nameOf(table, column), nameOf(foreignTable, foreignColumns[at] as Column)] as const,
    );
    return { target: foreignTable, pairs };
  });
}

/** The names of the columns of the primary key. */
function keyOf(table: Table): string[] {
  const [composite] = configOf(table).primaryKeys;
  const columns =
    composite?.columns ?? Object.values(getTableColumns(table)).filter(({ primary }) => primary);
  if (columns.length === 0) {
    throw errors.invalidArgument(
      `The table ${getTableName(table)} has no primary key, by which its rows are known.`,
    );
  }
  return columns.map(column => nameOf(table, column));
}

/** The name that a table has for a column: the property of its rows. */
function nameOf(table: Table, column: Column): string {
  const found = Object.entries(getTableColumns(table)).find(([, { name }]) => name === column.name);
  return found?.[0] as string;
}

/** The parts of both databases' configurations that are the same. */
interface TableConfig {
  readonly primaryKeys: readonly { readonly columns: readonly Column[] }[];
  readonly foreignKeys: readonly {
    readonly reference: () => {
      readonly columns: readonly Column[];
      readonly foreignTable: Table;
      readonly foreignColumns: readonly Column[];
    };
  }[];
}

function configOf(table: Table): TableConfig {
  return is(table, PgTable) ? getPgTableConfig(table) : getSqliteTableConfig(table as SQLiteTable);
}

function dialectOf(table: Table): SqlDialect {
  if (is(table, PgTable)) return 'postgresql';
  if (is(table, SQLiteTable)) return 'sqlite';
  throw errors.invalidArgument(
    'koa-oso/drizzle knows PostgreSQL and SQLite only: other databases compare text otherwise than policies do.',
  );
}

function fieldOf(name: string, column: Column): Field {
  const type = typeOf(column);
  return {
    name,
    column: column.name,
    nullable: !column.notNull,
    type,
    mayBeNaN: MAY_BE_NAN.has(column.columnType),
    mayFail: mayFailOf(column, type),
  };
}

/** Columns of SQLite keep what they are given. */
function mayFailOf(column: Column, type: FieldType): Field['mayFail'] {
  if (is(column, SQLiteColumn)) return type.kind === 'text' ? 'in order' : true;
  const isLarge = type.kind === 'integer' && type.max === Number.MAX_SAFE_INTEGER;
  return isLarge || column.columnType === 'PgDoublePrecision';
}

/** Of PostgreSQL's numbers all; and `infinity` is read as a date that is none. */
const MAY_BE_NAN = new Set(['PgNumericNumber', 'PgDoublePrecision', 'PgTimestamp', 'PgDate']);

const INT2 = { kind: 'integer', min: -(2 ** 15), max: 2 ** 15 - 1 } as const;
const INT4 = { kind: 'integer', min: -(2 ** 31), max: 2 ** 31 - 1 } as const;
/** Of 64 bits: what policies can read. */
const INT8 = { kind: 'integer', min: Number.MIN_SAFE_INTEGER, max: Number.MAX_SAFE_INTEGER } as const;

/** Of so many digits a number of JavaScript tells all decimals apart. */
const EXACT_DIGITS = 15;

/** By Drizzle's names of kinds of columns: those whose values compare in SQL as they do when Drizzle has read them. */
const TYPES: Readonly<Record<string, FieldType>> = {
  PgText: { kind: 'text' },
  PgVarchar: { kind: 'text' },
  PgUUID: { kind: 'uuid' },
  PgInteger: INT4,
  PgSerial: INT4,
  PgSmallInt: INT2,
  PgSmallSerial: INT2,
  PgBigInt53: INT8,
  PgBigSerial53: INT8,
  PgNumericNumber: { kind: 'number' },
  PgDoublePrecision: { kind: 'number' },
  PgBoolean: { kind: 'boolean' },
  PgTimestamp: { kind: 'date' },
  PgDate: { kind: 'date' },
  SQLiteText: { kind: 'text' },
  // It keeps what it is given, fractions too.
  SQLiteInteger: { kind: 'number' },
  SQLiteReal: { kind: 'number' },
  SQLiteNumericNumber: { kind: 'number' },
  SQLiteBoolean: { kind: 'boolean' },
  SQLiteTimestamp: { kind: 'date' },
};

/** Kinds of columns that are easily taken for one of the others. */
const UNSUPPORTED: Readonly<Record<string, string>> = {
  PgNumeric: "a decimal that is read as text; give its column { mode: 'number' }",
  SQLiteNumeric: "a decimal that is read as text; give its column { mode: 'number' }",
  PgBigInt64: "a bigint, of which policies know nothing; give its column { mode: 'number' }",
  PgBigSerial64: "a bigint, of which policies know nothing; give its column { mode: 'number' }",
  PgTimestampString: "a moment that is read as text; give its column { mode: 'date' }",
  PgDateString: "a day that is read as text; give its column { mode: 'date' }",
  PgChar: 'text of a fixed width, which PostgreSQL compares without the blanks at its end',
  PgReal: 'a number of single precision, which JavaScript reads as another number',
};

function typeOf(column: Column): FieldType {
  const { columnType, enumValues } = column as PgColumn;
  if (columnType === 'PgEnumColumn' || columnType === 'PgEnumObjectColumn') {
    return { kind: 'enum', values: enumValues as unknown as string[] };
  }
  const { precision } = column as { readonly precision?: number };
  if (columnType === 'PgNumericNumber' && (precision === undefined || precision > EXACT_DIGITS)) {
    const why = `a decimal that may have more digits than a number: give its column a precision of ${EXACT_DIGITS} or less`;
    return { kind: 'unsupported', why };
  }
  const type = Object.hasOwn(TYPES, columnType) ? TYPES[columnType] : undefined;
  const why =
    UNSUPPORTED[columnType] ?? `of the type \`${column.getSQLType()}\`, which policies compare otherwise`;
  return type ?? { kind: 'unsupported', why };
}
