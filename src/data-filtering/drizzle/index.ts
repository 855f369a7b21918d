import {
  aliasedTable,
  type Column as DrizzleColumn,
  getTableColumns,
  getTableName,
  is,
  Param,
  type SQL,
  type Subquery,
  sql,
  type Table,
} from 'drizzle-orm';
import {
  getTableConfig,
  PgDatabase,
  type SubqueryWithSelection as PgSubquery,
  PgTable,
  PgTransaction,
} from 'drizzle-orm/pg-core';
import {
  BaseSQLiteDatabase,
  type SubqueryWithSelection as SQLiteSubquery,
  type SQLiteTable,
  type SQLiteTimestamp,
  SQLiteTransaction,
} from 'drizzle-orm/sqlite-core';
import type { Class } from 'oso';
import { propertyOf } from '../../guard/own-properties.js';
import { type DataSourceAccess, type EntityAdapter, entityAdapter } from '../adapter.js';
import { checkSchema, quoted } from '../check-entities.js';
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
import { type EqualityFn, equalityOf } from '../equality.js';
import { errors } from '../errors.js';
import { instancesOfClass, instancesOfRows } from '../instances.js';
import { ownerColumn, sortOut } from '../lookup.js';
import { type FilteringEngine, registerSchema } from '../register-entities.js';
import { held } from '../related.js';
import type { Entity, Field, JoinTable } from '../schema.js';
import { type DrizzleEntities, type DrizzleSchema, drizzleSchema } from './schema.js';

export type { FieldPairs } from '../description.js';
export type { DrizzleEntities, DrizzleEntity, DrizzleRelation } from './schema.js';

/**
 * What `authorizedQuery` answers with: a subquery with all columns of the table, by the table's name. Drizzle's select
 * builders run when they are awaited, so that no promise can hand one out.
 *
 * @example
 * const allowed = await ctx.oso.authorizedQuery<AuthorizedQuery<typeof expenses>>(Expense);
 * ctx.body = await db.select().from(allowed).where(eq(allowed.status, 'open')).orderBy(allowed.id).limit(20);
 */
export type AuthorizedQuery<T extends Table> = T extends PgTable
  ? PgSubquery<T['_']['columns'], T['_']['name']>
  : T extends SQLiteTable
    ? SQLiteSubquery<T['_']['columns'], T['_']['name']>
    : never;

/** A database of Drizzle's: what `drizzle(…)` gives for PostgreSQL or SQLite, or a transaction. */
export interface DrizzleDatabase {
  select(...fields: never[]): unknown;
}

/**
 * Makes a Drizzle database known to an Oso, on PostgreSQL or SQLite: the classes of its rows, with the columns of their tables and
 * their relations, when two of them are equal, and how lists are asked for. To be called before the policy is loaded. A plain Oso
 * has to be given {@link entityEquality}, too.
 *
 * `authorizedQuery` answers with an {@link AuthorizedQuery}, to be selected from. The filter is in it, so that no row comes
 * in that is not allowed, whatever else is asked. `authorizedResources` answers with instances of the entity's class, as
 * {@link instancesOf} makes them.
 *
 * @param db by which `authorizedResources`, and policies that follow relations, ask
 * @throws {KoaOsoError} `ERR_KOA_OSO_INVALID_ARGUMENT` if the database is another than that of the tables, if a relation leads
 *   nowhere, if the foreign keys do not say what is related, if it is called twice for an Oso or after a policy was loaded, or
 *   if a name is taken
 * @example
 * const entities = {
 *   User: { class: User, table: users, relations: { expenses: { many: 'Expense' } } },
 *   Expense: { class: Expense, table: expenses, relations: { owner: { one: 'User' } } },
 * };
 * const oso = new CompiledOso();
 * registerEntities(oso, db, entities);
 * await oso.loadFiles(['policy.polar']);
 */
export function registerEntities(oso: FilteringEngine, db: DrizzleDatabase, entities: DrizzleEntities): void {
  const schema = drizzleSchema(entities);
  requireDialect(db, schema.dialect);
  registerSchema(oso, schema.entities, drizzleAdapter(db as unknown as AnyDatabase, schema));
}

/**
 * The `equalityFn` for `new Oso({ equalityFn })` by which `expense.owner = user` holds if the two have the same key, as
 * it does in lists. Oso's own compares all that is loaded of them.
 */
export function entityEquality(entities: DrizzleEntities): EqualityFn {
  return equalityOf(() => drizzleSchema(entities).entities);
}

/**
 * Compares the tables with the catalogue of the database: Drizzle's tables are written in code, and nothing else makes sure that
 * the database is as they say. It looks for tables, columns, their types, which are NOT NULL, and the foreign keys that relations
 * count on. To be awaited once, when the application starts.
 *
 * @throws {KoaOsoError} (rejects) `ERR_KOA_OSO_ENTITIES_DIFFER`, whose message names every difference
 * @example
 * await checkEntities(db, entities);
 */
export async function checkEntities(db: DrizzleDatabase, entities: DrizzleEntities): Promise<void> {
  const schema = drizzleSchema(entities);
  const { dialect } = schema;
  requireDialect(db, dialect);
  const database = db as unknown as RawDatabase;
  await checkSchema(schema.entities, {
    dialect,
    run: async (statement, parameters) => {
      const [first = '', ...texts] = statement.split(/\$\d|\?/);
      const parts = texts.flatMap((text, at) => [sql`${new Param(parameters[at])}`, sql.raw(text)]);
      const query = sql.join([sql.raw(first), ...parts]);
      const result = await (dialect === 'sqlite' ? database.all(query) : database.execute(query));
      return Array.isArray(result) ? result : result.rows;
    },
    pathOf: entity => pathOf(schema.tableOf(entity)),
    linkOf: joinTable => {
      const table = schema.linkOf(joinTable);
      const columns = getTableColumns(table);
      const names = [...joinTable.source, ...joinTable.target].map(
        ({ column }) => columns[column]?.name ?? column,
      );
      return { path: pathOf(table), columns: names };
    },
  });
}

type Raw = Record<string, unknown>[];

/** How Drizzle's databases run SQL that they have not made: one method for each kind, and two kinds of answers. */
interface RawDatabase {
  all(query: SQL): Raw | Promise<Raw>;
  execute(query: SQL): Promise<Raw | { rows: Raw }>;
}

function pathOf(table: Table): string {
  const { name, schema } = is(table, PgTable)
    ? getTableConfig(table)
    : { name: getTableName(table), schema: undefined };
  return quoted(schema === undefined ? name : `${schema}.${name}`);
}

function requireDialect(db: DrizzleDatabase, wanted: SqlDialect): void {
  const dialect = is(db, PgDatabase) ? 'postgresql' : is(db, BaseSQLiteDatabase) ? 'sqlite' : undefined;
  if (dialect === wanted) return;
  throw errors.invalidArgument('koa-oso/drizzle needs a database of the kind that the tables are for.');
}

function drizzleAdapter(db: AnyDatabase, schema: DrizzleSchema): EntityAdapter<Subquery, object> {
  const pieces = drizzlePieces(schema);
  const translation = sqlTranslation(pieces);
  const entityOfQuery = new WeakMap<Subquery, Entity>();

  const accessBy = (database: AnyDatabase): DataSourceAccess<Subquery, object> => ({
    hasForeignKeys: true,
    held,
    select: (entity, condition) => {
      const row = { entity, number: 0 };
      const table = schema.tableOf(entity);
      const rows = database
        .select()
        .from(aliasedTable(table as PgTable, aliasOf(row)))
        .where(where(and([notDeleted(row), condition]), translation))
        .as(getTableName(table));
      entityOfQuery.set(rows, entity);
      return rows;
    },
    execute: async query => {
      const entity = entityOfQuery.get(query);
      if (entity === undefined) {
        throw errors.invalidArgument(
          'The adapter was asked to run what it did not make. Run it yourself: await db.select().from(query).',
        );
      }
      return instances(entity, await database.select().from(query));
    },
    load: async ({ owner, entity, relation }) => {
      const values = ownerValues(owner, entity, relation);
      if (values === undefined) return [];
      const { target } = relation;
      const rows = relatedRows(pieces, relation, 1, field => pieces.value(field, entity, values.get(field)));
      const table = aliasedTable(schema.tableOf(target) as PgTable, rows.alias);
      const query = database.select(getTableColumns(table)).from(table).$dynamic();
      if (rows.link !== undefined) {
        const { joinTable, alias, on } = rows.link;
        query.innerJoin(aliasedTable(schema.linkOf(joinTable) as PgTable, alias), on);
      }
      const there = where(notDeleted({ entity: target, number: 1 }), translation);
      return instances(
        target,
        await query.where(there === undefined ? rows.where : sql`${rows.where} and ${there}`),
      );
    },
    loadMany: async lookup => {
      const { entity, relation, fields, owners } = lookup;
      const { target } = relation;
      const rows = rowsRelatedToMany(pieces, entity, relation, 1, fields, owners);
      const table = aliasedTable(schema.tableOf(target) as PgTable, rows.alias);
      const owner = Object.fromEntries(rows.owner.map((column, at) => [ownerColumn(at), column]));
      const query = database
        .select({ row: getTableColumns(table), owner })
        .from(table)
        .$dynamic();
      if (rows.link !== undefined) {
        const { joinTable, alias, on } = rows.link;
        query.innerJoin(aliasedTable(schema.linkOf(joinTable) as PgTable, alias), on);
      }
      const there = where(notDeleted({ entity: target, number: 1 }), translation);
      const found = await query.where(there === undefined ? rows.where : sql`${rows.where} and ${there}`);
      const related = instances(
        target,
        found.map(({ row }) => row),
      );
      return sortOut(
        lookup,
        found.map((each, at) => ({
          owner: fields.map((_, column) => propertyOf(each.owner, ownerColumn(column))),
          row: related[at],
        })),
      );
    },
  });
  return entityAdapter(accessBy(db), transaction =>
    accessBy(requireTransaction(schema.dialect, transaction)),
  );
}

/** A transaction of Drizzle's, on a database of the same kind: Drizzle does not tell of which one. */
function requireTransaction(dialect: SqlDialect, transaction: unknown): AnyDatabase {
  if (is(transaction, dialect === 'postgresql' ? PgTransaction : SQLiteTransaction)) {
    return transaction as unknown as AnyDatabase;
  }
  throw errors.notATransaction('Pass the tx that db.transaction(async tx => …) hands to you.');
}

/**
 * Makes of rows, as Drizzle selects them, the instances that policies can be asked about: with the columns of the entity's
 * table as properties. The constructor of the class is not called.
 *
 * @param entities what was passed to {@link registerEntities}
 * @param rows with all columns of the entity's table
 * @throws {KoaOsoError} `ERR_KOA_OSO_UNREGISTERED_CLASS` if the class is not among the entities,
 *   `ERR_KOA_OSO_INVALID_ARGUMENT` if a column is missing, null though the table says not null, or of another type
 * @example
 * const rows = await db.select().from(allowed).where(eq(allowed.status, 'open'));
 * for (const expense of instancesOf(entities, Expense, rows)) {
 *   console.log(expense, await ctx.oso.isAllowed(expense, { action: 'approve' }));
 * }
 */
export function instancesOf<Instance extends object>(
  entities: DrizzleEntities,
  entityClass: Class<Instance>,
  rows: readonly object[],
): Instance[] {
  return instancesOfClass(drizzleSchema(entities).entities, entityClass, rows, readProperty);
}

/** The two kinds of databases are asked by the same methods; only their types have nothing to do with each other. */
type AnyDatabase = PgDatabase<never>;

function where(condition: Condition, translation: Translation<SQL>): SQL | undefined {
  return condition.kind === 'always' ? undefined : translate(condition, translation);
}

function drizzlePieces(schema: DrizzleSchema): SqlPieces<SQL> {
  const columnOf = (table: Table, name: string) => getTableColumns(table)[name] as DrizzleColumn;
  const named = (table: Table, alias: string) => sql`${table} ${sql.identifier(alias)}`;
  const select = (selected: SQL, { entity, alias, link, where }: RelatedRows<SQL>) => {
    const table = named(schema.tableOf(entity), alias);
    const from =
      link === undefined
        ? table
        : sql`${named(schema.linkOf(link.joinTable), link.alias)} inner join ${table} on ${link.on}`;
    return sql`(select ${selected} from ${from} where ${where})`;
  };
  const selected = ({ entity, alias, columns, joined, where }: SelectedRows<SQL>): SQL => {
    const names = columns.map(([name, column]) => sql`${column} as ${sql.identifier(name)}`);
    const from = named(schema.tableOf(entity), alias);
    const rows =
      joined === undefined ? from : sql`${from} inner join ${sql.identifier(joined.name)} on ${joined.on}`;
    const all = sql`select ${sql.join(names, sql`, `)} from ${rows}`;
    return where === undefined ? all : sql`${all} where ${where}`;
  };
  return {
    dialect: schema.dialect,
    sql: (text, ...parts) => sql(text, ...parts),
    join: (parts, separator) => sql.join([...parts], separator),
    column: (alias, field, entity) =>
      sql`${columnOf(aliasedTable(schema.tableOf(entity), alias), field.name)}`,
    joinColumn: (alias, column, joinTable: JoinTable) =>
      sql`${columnOf(aliasedTable(schema.linkOf(joinTable), alias), column)}`,
    select,
    union: (first, further) => sql`(${selected(first)} union ${selected(further)})`,
    name: identifier => sql.identifier(identifier) as unknown as SQL,
    value: (field, entity, value) => bound(columnOf(schema.tableOf(entity), field.name), value),
    text: value => sql`${new Param(value)}`,
    listed: (field, entity, value) => columnOf(schema.tableOf(entity), field.name).mapToDriverValue(value),
    hasNativeEnums: schema.dialect === 'postgresql',
    // Drizzle takes no other number for true.
    isTrue: schema.dialect === 'sqlite' ? column => sql`${column} = 1` : undefined,
    // Of infinities, and of years before Christ, Drizzle makes dates that are none.
    isMoment: (column, { mayBeNaN }) =>
      mayBeNaN ? sql`${column} >= '0001-01-01' and ${column} < 'infinity'` : undefined,
    readable: (column, { type }) => {
      if (schema.dialect !== 'sqlite') return undefined;
      // Drizzle takes the text '0x1' for true, and bytes too. SQLite has both after all numbers.
      if (type.kind === 'boolean') return sql`(${column} < '')`;
      if (type.kind !== 'date') return undefined;
      return sql`(${column} between -8640000000000000 and 8640000000000000 and ${column} = cast(${column} as integer))`;
    },
  };
}

/** A parameter as the column's own values are kept, but not rounded as the column would. */
function bound(column: DrizzleColumn, value: unknown): SQL {
  switch (column.columnType) {
    case 'SQLiteTimestamp': {
      const time = (value as Date).getTime();
      return sql`${new Param((column as SQLiteTimestamp<never>).mode === 'timestamp' ? time / 1000 : time)}`;
    }
    case 'SQLiteNumericNumber':
      return sql`${new Param(value)}`;
    case 'PgTimestamp':
      return sql`${new Param(postgresTimestamp(value as Date))}`;
    case 'PgDate':
      // Without its type a parameter takes that of the column, and a day has no time.
      return sql`${new Param(postgresTimestamp(value as Date))}::timestamp`;
    default:
      return sql`${new Param(value, column)}`;
  }
}

function instances(entity: Entity, rows: readonly object[]): object[] {
  return instancesOfRows(entity, rows, readProperty);
}

function readProperty(row: object, { name }: Field): unknown {
  return propertyOf(row, name);
}
