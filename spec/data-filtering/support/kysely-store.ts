import { entityEquality, instancesOf, registerEntities } from 'koa-oso/kysely';
import { type ColumnType, Kysely, type LogEvent, sql } from 'kysely';
import type { Entity } from '../../../src/data-filtering/schema.js';
import { type Database, hasPostgres, hasSqlite, openPostgres, openSqlite } from '../../support/databases.js';
import { schemaNamed } from '../../support/worker.js';
import type { Store } from './store.js';
import { createTables, storeInfinities, tableNames } from './tables.js';
import { description, ENTITY_NAMES, type EntityName, isThere, type Rows, schema } from './world.js';

/** Read as the drivers read them: SQLite has no booleans and no dates, and pg reads decimals as text. */
type Flag = ColumnType<boolean | number>;
type Moment = ColumnType<Date | string>;
type Decimal = ColumnType<number | string>;

/** The world's tables, as users of Kysely describe theirs. */
export interface WorldDatabase {
  organizations: {
    id: string;
    name: string | null;
    is_public: Flag | null;
    parent_id: string | null;
    deleted_at: Moment | null;
  };
  users: {
    id: string;
    full_name: string | null;
    spending_limit: Decimal | null;
    is_admin: Flag | null;
    manager_id: string | null;
    organization_id: string | null;
  };
  memberships: { user_id: string; organization_id: string; role: string | null };
  expenses: {
    id: number;
    description: string | null;
    note: string | null;
    amount: Decimal | null;
    cents: number;
    points: ColumnType<number | string> | null;
    status: string | null;
    paid: Flag | null;
    flagged: Flag | null;
    paid_at: Moment | null;
    created_at: Moment;
    owner_id: string;
    approver_id: string | null;
    organization_id: string;
    deleted_at: Moment | null;
  };
  lines: { expense_id: number; number: number; cents: number; previous_number: number | null };
  tags: { id: string; is_secret: Flag | null };
  expense_tags: { expense_id: number; tag_id: string };
}

export interface KyselyStore extends Store {
  readonly db: Kysely<WorldDatabase>;
  /** The statements with their parameters. */
  queries(): readonly { readonly sql: string; readonly parameters: readonly unknown[] }[];
}

export const SCHEMA = schemaNamed('kysely');

/** SQLite, and PostgreSQL if there is one. */
export function kyselyStores(): readonly KyselyStore[] {
  return [...(hasSqlite ? [sqliteStore()] : []), ...(hasPostgres ? [postgresStore()] : [])];
}

function sqliteStore(): KyselyStore {
  return storeOf('Kysely on SQLite', 'sqlite', openSqlite);
}

function postgresStore(): KyselyStore {
  return storeOf('Kysely on PostgreSQL', 'postgres', () => openPostgres(SCHEMA, 2));
}

function storeOf(
  name: string,
  dialect: 'sqlite' | 'postgres',
  connect: () => Promise<Database>,
): KyselyStore {
  let database: Database;
  let db: Kysely<WorldDatabase>;
  let queries: { sql: string; parameters: readonly unknown[] }[] = [];
  // All rows of a table at once: they may refer to each other.
  const insert = async (table: string, rows: readonly object[]) => {
    const [first] = rows;
    if (first === undefined) return;
    const columns = sql.join(Object.keys(first).map(column => sql.id(column)));
    const values = rows.map(
      row => sql`(${sql.join(Object.values(row).map(value => stored(dialect, value)))})`,
    );
    await sql`insert into ${sql.table(table)} (${columns}) values ${sql.join(values)}`.execute(db);
  };
  const takeQueries = () => {
    const taken = queries;
    queries = [];
    return taken;
  };
  return {
    name,
    get db() {
      return db;
    },
    open: async () => {
      database = await connect();
      const log = ({ query }: LogEvent) => {
        queries.push({ sql: query.sql, parameters: query.parameters });
      };
      db = new Kysely<WorldDatabase>({ dialect: database.kysely(), log });
      for (const statement of createTables(dialect)) await sql.raw(statement).execute(db);
    },
    fill: async data => {
      for (const table of tableNames()) await sql`delete from ${sql.table(table)}`.execute(db);
      for (const entity of ENTITY_NAMES) {
        await insert(
          description[entity].table,
          data[entity].map(row => columnsOf(entity, row)),
        );
      }
      await insert('expense_tags', data.expense_tags);
      if (dialect === 'postgres') {
        for (const statement of storeInfinities()) await sql.raw(statement).execute(db);
      }
      queries = [];
    },
    oso: Engine => {
      const oso = new Engine({ equalityFn: entityEquality(description) });
      registerEntities(oso, db, description);
      return oso;
    },
    load: async () => {
      const rows: Partial<Record<EntityName, readonly object[]>> = {};
      for (const entity of ENTITY_NAMES) {
        const found = await sql<object>`select * from ${sql.table(description[entity].table)}`.execute(db);
        const all = instancesOf<object>(description, description[entity].class, found.rows);
        rows[entity] = all.filter(row => isThere(entity, row));
      }
      queries = [];
      return rows as unknown as Rows;
    },
    statements: () => takeQueries().map(query => query.sql),
    queries: takeQueries,
    close: async () => {
      await db.destroy();
      await database.close();
    },
  };
}

function columnsOf(name: EntityName, row: object): object {
  const { fields } = schema.get(name) as Entity;
  const columns = [...fields.values()].map(field => [
    field.column,
    (row as Record<string, unknown>)[field.name],
  ]);
  return Object.fromEntries(columns);
}

/** As an app would keep it. */
function stored(dialect: 'sqlite' | 'postgres', value: unknown): unknown {
  if (dialect === 'postgres') return value;
  if (typeof value === 'boolean') return value ? 1 : 0;
  return value instanceof Date ? value.toISOString() : value;
}
