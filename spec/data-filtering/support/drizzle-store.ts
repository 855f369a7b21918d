import type { Logger, Table } from 'drizzle-orm';
import { entityEquality, instancesOf, registerEntities } from 'koa-oso/drizzle';
import { type Database, hasPostgres, hasSqlite, openPostgres, openSqlite } from '../../support/databases.js';
import { schemaNamed } from '../../support/worker.js';
import { entitiesOf, pgTables, sqliteTables, type WorldTables } from './drizzle-tables.js';
import type { Store } from './store.js';
import { createTables, storeInfinities, tableNames } from './tables.js';
import { description, ENTITY_NAMES, type EntityName, isThere, type Rows } from './world.js';

/** The methods that the databases of both kinds have. */
export interface AnyDatabase {
  select(fields?: object): { from(table: object): Query };
  insert(table: Table): { values(rows: readonly object[]): PromiseLike<unknown> };
  $count(source: object, filter?: object): PromiseLike<number>;
}

interface Query extends PromiseLike<Record<string, never>[]> {
  where(condition: unknown): Query;
  innerJoin(table: object, on: unknown): Query;
  orderBy(...order: unknown[]): Query;
  limit(rows: number): Query;
  offset(rows: number): Query;
  toSQL(): { sql: string; params: unknown[] };
}

export interface DrizzleStore<Tables extends WorldTables = WorldTables> extends Store {
  readonly db: AnyDatabase;
  readonly tables: Tables;
  /** The statements with their parameters. */
  queries(): readonly { readonly sql: string; readonly parameters: readonly unknown[] }[];
}

export const SCHEMA = schemaNamed('drizzle');

/** SQLite, and PostgreSQL if there is one. */
export function drizzleStores(): readonly DrizzleStore[] {
  return [...(hasSqlite ? [sqliteStore()] : []), ...(hasPostgres ? [postgresStore()] : [])];
}

function sqliteStore(): DrizzleStore {
  return storeOf('Drizzle on SQLite', 'sqlite', sqliteTables, openSqlite);
}

function postgresStore(): DrizzleStore {
  return storeOf('Drizzle on PostgreSQL', 'postgres', pgTables, () => openPostgres(SCHEMA, 2));
}

function storeOf<Tables extends WorldTables>(
  name: string,
  dialect: 'sqlite' | 'postgres',
  tables: Tables,
  connect: () => Promise<Database>,
): DrizzleStore<Tables> {
  const entities = entitiesOf(tables);
  let connection: Database & { db: AnyDatabase };
  let queries: { sql: string; parameters: readonly unknown[] }[] = [];
  // Drizzle would keep it as text in SQLite's decimals; other drivers, and SQLite's other numbers, as null.
  const stored = (row: object) =>
    dialect === 'postgres'
      ? row
      : Object.fromEntries(
          Object.entries(row).map(([name, value]) => [name, Number.isNaN(value) ? null : value]),
        );
  const takeQueries = () => {
    const taken = queries;
    queries = [];
    return taken;
  };
  const insert = async (table: Table, rows: readonly object[]) => {
    if (rows.length > 0) await connection.db.insert(table).values(rows.map(row => ({ ...row })));
  };
  return {
    name,
    tables,
    get db() {
      return connection.db;
    },
    open: async () => {
      const database = await connect();
      const logger: Logger = {
        logQuery: (text, parameters) => {
          queries.push({ sql: text, parameters });
        },
      };
      connection = { ...database, db: database.drizzle(logger) as AnyDatabase };
      for (const statement of createTables(dialect)) await connection.run(statement);
    },
    fill: async data => {
      for (const table of tableNames()) await connection.run(`DELETE FROM "${table}"`);
      for (const entity of ENTITY_NAMES) await insert(tables[entity], data[entity].map(stored));
      await insert(tables.expense_tags, data.expense_tags);
      if (dialect === 'postgres') for (const statement of storeInfinities()) await connection.run(statement);
      queries = [];
    },
    oso: Engine => {
      const oso = new Engine({ equalityFn: entityEquality(entities) });
      registerEntities(oso, connection.db, entities);
      return oso;
    },
    load: async () => {
      const rows: Partial<Record<EntityName, readonly object[]>> = {};
      for (const entity of ENTITY_NAMES) {
        const found = await connection.db.select().from(tables[entity]);
        const all = instancesOf<object>(entities, description[entity].class, found);
        rows[entity] = all.filter(row => isThere(entity, row));
      }
      queries = [];
      return rows as unknown as Rows;
    },
    statements: () => takeQueries().map(query => query.sql),
    queries: takeQueries,
    close: () => connection.close(),
  };
}
