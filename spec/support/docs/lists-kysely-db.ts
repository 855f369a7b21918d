// In place of the db.ts of docs/lists-kysely.md: the same tables, on an embedded SQLite.
import { Kysely, SqliteDialect } from 'kysely';
import { forKysely, openSqlJs } from '../sql-js.js';

export interface Database {
  teams: { id: number; lead: string };
  expenses: { id: number; owner: string; amount: number; team_id: number };
}

const connection = await openSqlJs();
connection.run(`
  create table teams (id integer primary key, lead text);
  create table expenses (id integer primary key, owner text, amount integer, team_id integer);
  insert into teams values (1, 'bob');
  insert into expenses values (1, 'ann', 500, 1), (2, 'cid', 20, 1), (3, 'ann', 80, 1);
`);

export const db = new Kysely<Database>({ dialect: new SqliteDialect({ database: forKysely(connection) }) });
