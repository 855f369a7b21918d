import type { SqliteDatabase } from 'kysely';
import initSqlJs, { type Database, type SqlValue } from 'sql.js';

/** A new database in memory. */
export async function openSqlJs(): Promise<Database> {
  const { Database } = await initSqlJs();
  return new Database();
}

/** A database of sql.js in the shape of better-sqlite3's, which Kysely's SqliteDialect is made for. */
export function forKysely(database: Database): SqliteDatabase {
  return {
    close: () => database.close(),
    prepare: text => {
      const statement = database.prepare(text);
      const all = (parameters: readonly unknown[]): unknown[] => {
        const rows: unknown[] = [];
        statement.bind(parameters as SqlValue[]);
        while (statement.step()) rows.push(statement.getAsObject());
        statement.free();
        return rows;
      };
      return {
        reader: statement.getColumnNames().length > 0,
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
