import {
  CompiledQuery,
  type ExpressionBuilder,
  expressionBuilder,
  type Kysely,
  PostgresAdapter,
  type RawBuilder,
  type Selectable,
  type SelectQueryBuilder,
  type SelectType,
  SqliteAdapter,
  sql,
} from 'kysely';
import type { Class } from 'oso';
import { propertyOf } from '../../guard/own-properties.js';
import { type DataSourceAccess, type EntityAdapter, entityAdapter } from '../adapter.js';
import { checkSchema } from '../check-entities.js';
import { type Condition, notDeleted } from '../condition/condition.js';
import { postgresTimestamp } from '../condition/postgres-timestamp.js';
import { and } from '../condition/simplify.js';
import {
  aliasOf,
  ownerValues,
  type RelatedRows,
  relatedRows,
  rowsRelatedToMany,
  type SelectedRows,
  type SqlDialect,
  type SqlPieces,
  sqlTranslation,
} from '../condition/sql-translation.js';
import { type Translation, translate } from '../condition/translate.js';
import { describedSchema } from '../describe.js';
import type { SchemaDescription } from '../description.js';
import { type EqualityFn, equalityOf } from '../equality.js';
import { errors } from '../errors.js';
import { instancesOfClass, instancesOfRows } from '../instances.js';
import { ownerColumn, sortOut } from '../lookup.js';
import { type FilteringEngine, registerSchema } from '../register-entities.js';
import { held } from '../related.js';
import type { Entity, Field } from '../schema.js';

export type {
  EntityDescription,
  FieldDescription,
  FieldPairs,
  FieldTypeDescription,
  RelationDescription,
  SchemaDescription,
} from '../description.js';

/**
 * What `authorizedQuery` answers with: a query of Kysely's own, that selects all columns of the table.
 *
 * @example
 * const query = await ctx.oso.authorizedQuery<AuthorizedQuery<Database, 'expenses'>>(Expense);
 * ctx.body = await query.where('status', '=', 'open').orderBy('id').limit(20).execute();
 */
export type AuthorizedQuery<DB, Table extends keyof DB> = SelectQueryBuilder<
  DB,
  Table,
  Selectable<DB[Table]>
>;

/** The query of any table. */
export type AnyAuthorizedQuery<DB> = { [Table in keyof DB]: AuthorizedQuery<DB, Table> }[keyof DB];

/**
 * Makes a Kysely database known to an Oso, on PostgreSQL or SQLite: the classes of its rows, with fields and relations, when two of
 * them are equal, and how lists are asked for. To be called before the policy is loaded. A plain Oso has to be given
 * {@link entityEquality}, too.
 *
 * `authorizedQuery` answers with an {@link AuthorizedQuery}. The filter is in a subquery by the name of the table: whatever
 * is done to the query (`where`, `clearWhere`, joins, `orderBy`, counts), no row comes in that is not allowed.
 * `authorizedResources` answers with instances of the entity's class, as {@link instancesOf} makes them.
 *
 * Kysely knows no types of columns when it runs, so the description is taken at its word. On PostgreSQL `text` is for columns
 * of the types text and varchar (char(n) and citext compare otherwise), `date` for timestamptz (or days and timestamps, if
 * the time zones of the session and of the process are the same), `number` for double precision and for numeric of up to
 * 15 digits (real is read as another number), `integer` for integer and for bigint that is to be a
 * number, and `bigint` for bigint that is to be a string.
 *
 * On SQLite, which has no booleans and no dates, `boolean` is kept as 1 and 0, and `date` as what `toISOString()` gives;
 * of a date that is kept otherwise, no comparison holds.
 *
 * @param db by which the queries are run
 * @param description if it is a constant, a table or column that the types of `db` do not have is a compile error
 * @throws {KoaOsoError} `ERR_KOA_OSO_INVALID_ARGUMENT` if the database is another, if a relation or a key names what is not
 *   described, if it is called twice for an Oso or after a policy was loaded, or if a name is taken
 * @example
 * const oso = new CompiledOso();
 * registerEntities(oso, db, description);
 * await oso.loadFiles(['policy.polar']);
 */
export function registerEntities<DB, const Description extends SchemaDescription>(
  oso: FilteringEngine,
  db: Kysely<DB>,
  description: Description & CheckedDescription<DB, Description>,
): void {
  const dialect = dialectOf(db);
  registerSchema(
    oso,
    describedSchema(description),
    kyselyAdapter(db as unknown as Kysely<AnyDatabase>, dialect),
  );
}

/**
 * The `equalityFn` for `new Oso({ equalityFn })` by which `expense.owner = user` holds if the two have the same key, as
 * it does in lists. Oso's own compares all that is loaded of them.
 */
export function entityEquality(description: SchemaDescription): EqualityFn {
  const schema = describedSchema(description);
  return equalityOf(() => schema);
}

/**
 * Compares a description with the catalogue of the database: tables, columns, their types, which are NOT NULL, and foreign keys
 * that relations count on. To be awaited once, when the application starts.
 *
 * @param db of which the catalogue is asked; on PostgreSQL by the `search_path` of its connection
 * @param description what is passed to {@link registerEntities}
 * @throws {KoaOsoError} (rejects) `ERR_KOA_OSO_ENTITIES_DIFFER`, whose message names every difference
 * @example
 * await checkEntities(db, description);
 */
export async function checkEntities<DB>(db: Kysely<DB>, description: SchemaDescription): Promise<void> {
  await checkSchema(describedSchema(description), {
    dialect: dialectOf(db),
    run: async (statement, parameters) => {
      const { rows } = await db.withoutPlugins().executeQuery(CompiledQuery.raw(statement, [...parameters]));
      return rows as Record<string, unknown>[];
    },
  });
}

function kyselyAdapter(
  db: Kysely<AnyDatabase>,
  dialect: SqlDialect,
): EntityAdapter<AnyAuthorizedQuery<AnyDatabase>, object> {
  const pieces = kyselyPieces(dialect);
  const translation = sqlTranslation(pieces);
  const entities = new WeakMap<object, Entity>();

  const accessBy = (
    database: Kysely<AnyDatabase>,
  ): DataSourceAccess<AnyAuthorizedQuery<AnyDatabase>, object> => ({
    hasForeignKeys: true,
    held,
    select: (entity, condition) => {
      const allowed = allowedRows(entity, condition, translation);
      const name = unqualified(entity.table);
      const query = database.selectFrom(allowed.as(name)).selectAll(name);
      entities.set(query, entity);
      return query as unknown as AnyAuthorizedQuery<AnyDatabase>;
    },
    execute: async query => {
      const entity = entities.get(query);
      if (entity === undefined) {
        throw errors.invalidArgument(
          'The adapter was asked to run a query that was refined. Run it yourself: await query.execute().',
        );
      }
      return instances(entity, await query.execute());
    },
    load: async ({ owner, entity, relation }) => {
      const values = ownerValues(owner, entity, relation);
      if (values === undefined) return [];
      const rows = relatedRows(pieces, relation, 1, field => pieces.value(field, entity, values.get(field)));
      const { target } = relation;
      const met = notDeleted({ entity: target, number: 1 });
      const query = database.selectFrom(
        selectRelated(rows)
          .where(translate(met, translation) as RawBuilder<boolean>)
          .selectAll(rows.alias)
          .as('related'),
      );
      return instances(target, await query.selectAll('related').execute());
    },
    loadMany: async lookup => {
      const { entity, relation, fields, owners } = lookup;
      const { target } = relation;
      const rows = rowsRelatedToMany(pieces, entity, relation, 1, fields, owners);
      const met = notDeleted({ entity: target, number: 1 });
      const query = database.selectFrom(
        selectRelated(rows)
          .where(translate(met, translation) as RawBuilder<boolean>)
          .selectAll(rows.alias)
          .select(rows.owner.map((column, at) => column.as(ownerColumn(at))))
          .as('related'),
      );
      const found = await query.selectAll('related').execute();
      const related = instances(target, found);
      return sortOut(
        lookup,
        found.map((row, at) => ({
          owner: fields.map((_, column) => propertyOf(row, ownerColumn(column))),
          row: related[at],
        })),
      );
    },
  });
  return entityAdapter(accessBy(db), transaction => accessBy(requireTransaction(dialect, transaction)));
}

/** A transaction of Kysely's, on a database of the same kind: Kysely does not tell of which one. */
function requireTransaction(dialect: SqlDialect, transaction: unknown): Kysely<AnyDatabase> {
  const trx = transaction as Partial<Kysely<AnyDatabase>> | null | undefined;
  if (typeof trx?.getExecutor === 'function' && trx.isTransaction === true) {
    if (dialectOf(trx as Kysely<AnyDatabase>) === dialect) return trx as Kysely<AnyDatabase>;
  }
  throw errors.notATransaction(
    'Pass the Transaction that db.transaction().execute(async trx => …) hands to you.',
  );
}

/**
 * Makes of rows, as queries of Kysely answer with them, the instances that policies can be asked about: with the properties
 * that are described, of the types that are described. The constructor of the class is not called.
 *
 * @param description what was passed to {@link registerEntities}
 * @param rows with all columns that are described of the entity; others are left out
 * @throws {KoaOsoError} `ERR_KOA_OSO_UNREGISTERED_CLASS` if the class is not described,
 *   `ERR_KOA_OSO_INVALID_ARGUMENT` if a column is missing, null though described as not nullable, or of another type
 * @example
 * const rows = await query.where('status', '=', 'open').execute();
 * for (const expense of instancesOf(description, Expense, rows)) {
 *   console.log(expense, await ctx.oso.isAllowed(expense, { action: 'approve' }));
 * }
 */
export function instancesOf<Instance extends object>(
  description: SchemaDescription,
  entityClass: Class<Instance>,
  rows: readonly object[],
): Instance[] {
  return instancesOfClass(describedSchema(description), entityClass, rows, readColumn);
}

// biome-ignore lint/suspicious/noExplicitAny: names of tables and columns are known only at run time here.
type AnyDatabase = any;

type Sql = RawBuilder<unknown>;

/** Builds parts of queries, to which the plugins of a Kysely are applied when they are put into one of its own. */
const parts: ExpressionBuilder<AnyDatabase, string> = expressionBuilder();

function allowedRows(entity: Entity, condition: Condition, translation: Translation<Sql>) {
  const row = { entity, number: 0 };
  const met = and([notDeleted(row), condition]);
  const alias = aliasOf(row);
  const rows = parts.selectFrom(`${entity.table} as ${alias}`).selectAll(alias);
  return met.kind === 'always' ? rows : rows.where(translate(met, translation) as RawBuilder<boolean>);
}

function selectRelated({ entity, alias, link, where }: RelatedRows<Sql>) {
  const rows = parts.selectFrom(`${entity.table} as ${alias}`).where(where as RawBuilder<boolean>);
  if (link === undefined) return rows;
  return rows.innerJoin(`${link.joinTable.table} as ${link.alias}`, join =>
    join.on(link.on as RawBuilder<boolean>),
  );
}

function selected({ entity, alias, columns, joined, where }: SelectedRows<Sql>) {
  const all = parts.selectFrom(`${entity.table} as ${alias}`);
  const from =
    joined === undefined
      ? all
      : all.innerJoin(sql.id(joined.name).as(joined.name), join => join.on(joined.on as RawBuilder<boolean>));
  const rows = where === undefined ? from : from.where(where as RawBuilder<boolean>);
  return rows.select(columns.map(([name, column]) => column.as(name)));
}

function kyselyPieces(dialect: SqlDialect): SqlPieces<Sql> {
  return {
    dialect,
    sql,
    join: sql.join,
    column: (alias, field) => sql.id(alias, field.column),
    joinColumn: (alias, column) => sql.id(alias, column),
    select: (selected, rows) => sql`${selectRelated(rows).select(selected.as('found'))}`,
    union: (first, further) => sql`${selected(first).union(selected(further))}`,
    name: identifier => sql.id(identifier),
    value: (field, _entity, value) => bound(dialect, field, value),
    text: value => sql.val(value),
    hasNativeEnums: false,
    readable: (column, { type }) => {
      if (dialect !== 'sqlite') return undefined;
      if (type.kind === 'boolean') return sql`(${column} in (0, 1))`;
      return type.kind === 'date' ? sql`(${column} glob ${sql.lit(ISO_DATE)})` : undefined;
    },
  };
}

function bound(dialect: SqlDialect, { type }: Field, value: unknown): Sql {
  if (dialect === 'sqlite') {
    if (type.kind === 'boolean') return sql.val(value === true ? 1 : 0);
    return sql.val(value instanceof Date ? sqliteDate(value) : value);
  }
  if (type.kind === 'integer' && Math.abs(value as number) > MAX_INT4) return sql`${sql.val(value)}::bigint`;
  // Without its type a parameter takes that of the column; a column of whole days would cut it.
  // It is cast from text: postgres.js makes a Date of what it sends as a timestamp, and knows not all moments that there are.
  return value instanceof Date
    ? sql`${sql.val(postgresTimestamp(value))}::text::timestamptz`
    : sql.val(value);
}

const MAX_INT4 = 2 ** 31 - 1;

/** As toISOString() writes it; one of other years than those of four digits as what comes before or after all of them. */
function sqliteDate(date: Date): string {
  const year = date.getUTCFullYear();
  return year < 0 ? '' : year > 9999 ? ':' : date.toISOString();
}

/** What Date.prototype.toISOString writes for the years that are compared: SQLite orders it as dates, as long as all is it. */
const ISO_DATE = '????-??-??T??:??:??.???Z';

function dialectOf(db: { getExecutor(): { adapter: unknown } }): SqlDialect {
  const { adapter } = db.getExecutor();
  if (isOfClass(adapter, 'PostgresAdapter')) return 'postgresql';
  if (isOfClass(adapter, 'SqliteAdapter')) return 'sqlite';
  throw errors.invalidArgument(
    'koa-oso/kysely knows PostgreSQL and SQLite only: other databases compare text otherwise than policies do.',
  );
}

/**
 * Whether a value is of Kysely's class of that name, or of one that inherits from it. It is asked by the name because a process
 * may hold several copies of Kysely: up to 0.28 it has one build for `import` and another for `require`, each with classes of
 * its own. A bundler that renames classes leaves one copy, for which the class itself is asked.
 */
function isOfClass(value: unknown, name: 'PostgresAdapter' | 'SqliteAdapter'): boolean {
  if (value instanceof { PostgresAdapter, SqliteAdapter }[name]) return true;
  for (let each: unknown = value; each !== null && each !== undefined; each = Object.getPrototypeOf(each)) {
    if (Object.hasOwn(each, 'constructor') && each.constructor.name === name) return true;
  }
  return false;
}

/** The name by which columns of a table are called in a query: `expenses` for `accounting.expenses`. */
function unqualified(table: string): string {
  return table.slice(table.lastIndexOf('.') + 1);
}

function instances(entity: Entity, rows: readonly object[]): object[] {
  return instancesOfRows(entity, rows, readColumn);
}

function readColumn(row: object, field: Field): unknown {
  return convert(field, propertyOf(row, field.column));
}

/** The value of a column as policies are to see it, however the driver reads it; as it is, if it cannot be meant. */
function convert({ type }: Field, value: unknown): unknown {
  switch (type.kind) {
    case 'integer':
    case 'number':
      // PGlite reads whole numbers as bigint that a number does not hold.
      if (typeof value === 'bigint') return Number(value);
      return typeof value === 'string' ? numberOf(value) : value;
    case 'bigint':
      return typeof value === 'bigint' || Number.isSafeInteger(value) ? String(value) : value;
    case 'boolean':
      return value === 1 || value === 0 ? value === 1 : value;
    case 'date':
      return typeof value === 'string' && !Number.isNaN(Date.parse(value)) ? new Date(value) : value;
    default:
      return value;
  }
}

/** pg reads decimals as text, for JavaScript's numbers cannot hold them all. */
function numberOf(text: string): unknown {
  const number = Number(text);
  return text.trim() === '' || (Number.isNaN(number) && text !== 'NaN') ? text : number;
}

/** What a column of each type may be for TypeScript, however the driver reads it. */
interface Readable {
  text: string;
  uuid: string;
  enum: string;
  integer: number;
  bigint: string | number | bigint;
  number: string | number;
  boolean: boolean | number;
  date: Date | string;
}

type TypesFor<Value> = {
  [Kind in keyof Readable]: [Value] extends [Readable[Kind]]
    ? Kind extends 'enum'
      ? { readonly enum: readonly string[] }
      : Kind
    : never;
}[keyof Readable];

/** The description, with what is wrong in it made an error. */
export type CheckedDescription<DB, Description extends SchemaDescription> = {
  readonly [Name in keyof Description]: CheckedEntity<
    DB,
    Description[Name],
    Description[Name] extends { readonly table: infer Table extends string } ? Table : Name
  >;
};

type CheckedEntity<DB, Description, Table> = string extends Table
  ? unknown
  : Table extends keyof DB
    ? Description extends { readonly fields: infer Fields }
      ? {
          readonly fields: {
            readonly [Name in keyof Fields]: CheckedField<DB[Table], Fields[Name], Name>;
          };
        }
      : unknown
    : { readonly table: keyof DB };

type CheckedField<Row, Description, Name> = Description extends { readonly column: infer Column }
  ? CheckedColumn<Row, Description, Column>
  : CheckedColumn<Row, Description, Name>;

type CheckedColumn<Row, Description, Column> = string extends Column
  ? unknown
  : Column extends keyof Row
    ? CheckedType<SelectType<Row[Column]>, Description>
    : { readonly column: keyof Row };

/** A column that may be null has to be described so, and its type has to be one that reads as such values. */
type CheckedType<Value, Description> = Description extends { readonly nullable: false }
  ? null extends Value
    ? { readonly nullable: true }
    : CheckedKind<NonNullable<Value>, Description>
  : CheckedKind<NonNullable<Value>, Description>;

type CheckedKind<Value, Description> = Description extends { readonly type: infer Type }
  ? IsReadable<Value, Type> extends true
    ? unknown
    : { readonly type: TypesFor<Value> }
  : IsReadable<Value, Description> extends true
    ? unknown
    : TypesFor<Value>;

type IsReadable<Value, Type> = Type extends keyof Readable
  ? [Value] extends [Readable[Type]]
    ? true
    : false
  : Type extends { readonly enum: readonly string[] }
    ? [Value] extends [string]
      ? true
      : false
    : true;
