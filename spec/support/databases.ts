// The databases of the specs of Kysely and Drizzle, and the drivers by which they are asked: sql.js and pg, unless
// npm run test:versions, which installs others, names one.
import type { Logger } from 'drizzle-orm';
import { drizzle as drizzlePg } from 'drizzle-orm/node-postgres';
import { drizzle as drizzleSqlJs } from 'drizzle-orm/sql-js';
import { type Dialect, PostgresDialect, SqliteDialect } from 'kysely';
import pg from 'pg';
import { forKysely, openSqlJs } from './sql-js.js';

const { DATABASE_URL } = process.env;

/** `better-sqlite3`, `postgres` or `pglite`; undefined for sql.js and pg. */
export const driver = process.env.KOA_OSO_DRIVER;

export const hasSqlite = driver === undefined || driver === 'better-sqlite3';
export const hasPostgres = driver === undefined ? DATABASE_URL !== undefined : !hasSqlite;

/** A database, by whichever driver. */
export interface Database {
  /** For `new Kysely({ dialect })`. */
  kysely(): Dialect;
  /** A database of Drizzle's. */
  drizzle(logger?: Logger): object;
  run(statement: string): Promise<unknown>;
  close(): Promise<void>;
}

export function openSqlite(): Promise<Database> {
  return driver === 'better-sqlite3' ? betterSqlite() : sqlJs();
}

/** PostgreSQL, with an empty schema of that name, in which all unqualified names are. */
export async function openPostgres(schema: string, connections: number): Promise<Database> {
  const open = driver === 'postgres' ? postgresJs : driver === 'pglite' ? pglite : nodePostgres;
  return open(schema, connections);
}

const empty = (schema: string) => `DROP SCHEMA IF EXISTS ${schema} CASCADE; CREATE SCHEMA ${schema}`;

async function sqlJs(): Promise<Database> {
  const database = await openSqlJs();
  return {
    kysely: () => new SqliteDialect({ database: forKysely(database) }),
    drizzle: logger => drizzleSqlJs(database, { logger }),
    run: async statement => database.run(statement),
    close: async () => database.close(),
  };
}

async function betterSqlite(): Promise<Database> {
  const { default: BetterSqlite } = await installed('better-sqlite3');
  const { drizzle } = await installed('drizzle-orm/better-sqlite3');
  const database = new BetterSqlite(':memory:');
  return {
    kysely: () => new SqliteDialect({ database }),
    drizzle: logger => drizzle(database, { logger }),
    run: async statement => database.exec(statement),
    close: async () => database.close(),
  };
}

async function nodePostgres(schema: string, max: number): Promise<Database> {
  const pool = new pg.Pool({ connectionString: DATABASE_URL, options: `-c search_path=${schema}`, max });
  await pool.query(empty(schema));
  return {
    kysely: () => new PostgresDialect({ pool }),
    drizzle: logger => drizzlePg(pool, { logger }),
    run: statement => pool.query(statement),
    // Kysely ends the pool that it is given, too.
    close: async () => (pool.ended ? undefined : pool.end()),
  };
}

async function postgresJs(schema: string, max: number): Promise<Database> {
  const { default: postgres } = await installed('postgres');
  const { drizzle } = await installed('drizzle-orm/postgres-js');
  const { PostgresJSDialect } = await installed('kysely-postgres-js');
  const connect = () =>
    postgres(DATABASE_URL, { max, onnotice: () => {}, connection: { search_path: schema } });
  // Drizzle changes how a client reads and writes values: one for each.
  const own = connect();
  await own.unsafe(empty(schema));
  const others: { end(): Promise<void> }[] = [];
  const another = () => {
    const client = connect();
    others.push(client);
    return client;
  };
  return {
    kysely: () => new PostgresJSDialect({ postgres: another() }),
    drizzle: logger => drizzle(another(), { logger }),
    run: statement => own.unsafe(statement),
    close: async () => {
      await Promise.all([own, ...others].map(client => client.end()));
    },
  };
}

async function pglite(schema: string): Promise<Database> {
  const { PGlite } = await installed('@electric-sql/pglite');
  const { drizzle } = await installed('drizzle-orm/pglite');
  const kysely = await installed('kysely');
  const database = new PGlite();
  await database.exec(`${empty(schema)}; SET search_path TO ${schema}`);
  return {
    kysely: () => new kysely.PGliteDialect({ pglite: database }),
    drizzle: logger => drizzle(database, { logger }),
    run: statement => database.exec(statement),
    close: async () => {
      if (!database.closed) await database.close();
    },
  };
}

// biome-ignore lint/suspicious/noExplicitAny: it is not installed where this is compiled
function installed(name: string): Promise<any> {
  return import(name);
}
