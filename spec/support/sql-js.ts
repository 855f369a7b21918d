import { createRequire } from 'node:module';
import type { SqliteDatabase } from 'kysely';

/** What is used of a database of sql.js, which has no types of its own. */
export interface SqlJsDatabase {
  run(sql: string, parameters?: readonly unknown[]): void;
  prepare(sql: string): SqlJsStatement;
  getRowsModified(): number;
  close(): void;
}

interface SqlJsStatement {
  bind(parameters: readonly unknown[]): boolean;
  step(): boolean;
  getAsObject(): Record<string, unknown>;
  getColumnNames(): readonly string[];
  free(): boolean;
}

type SqlJs = () => Promise<{ Database: new () => SqlJsDatabase }>;

/** A new database in memory. */
export async function openSqlJs(): Promise<SqlJsDatabase> {
  const initSqlJs = createRequire(import.meta.url)('sql.js') as SqlJs;
  const { Database } = await initSqlJs();
  return new Database();
}

/** A database of sql.js in the shape of better-sqlite3's, which Kysely's SqliteDialect is made for. */
export function forKysely(database: SqlJsDatabase): SqliteDatabase {
  return {
    close: () => database.close(),
    prepare: text => {
      const statement = database.prepare(text);
      const reader = statement.getColumnNames().length > 0;
      const all = (parameters: readonly unknown[]): unknown[] => {
        const rows: unknown[] = [];
        statement.bind(parameters);
        while (statement.step()) rows.push(statement.getAsObject());
        statement.free();
        return rows;
      };
      return {
        reader,
        all,
        iterate: parameters => all(parameters).values(),
        run: parameters => {
          all(parameters);
          return { changes: database.getRowsModified(), lastInsertRowid: 0 };
        },
      };
    },
  };
}
