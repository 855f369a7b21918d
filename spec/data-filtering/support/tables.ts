import type { Entity, Field, JoinTable } from '../../../src/data-filtering/schema.js';
import { COLLATED, INFINITIES, schema } from './world.js';

/** Statements that create the world's tables, for stores whose ORM does not do so itself. */
export function createTables(dialect: 'sqlite' | 'postgres'): readonly string[] {
  const tables = [...schema.values()].map(entity => createTable(entity, dialect));
  return [
    ...(dialect === 'postgres' ? [CREATE_COLLATION] : []),
    ...tables,
    ...joinTables().map(joinTable => createJoinTable(joinTable, dialect)),
  ];
}

/** A collation to which case makes no difference, and how an accent is written. */
export const CREATE_COLLATION =
  "CREATE COLLATION IF NOT EXISTS no_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false)";

/** Statements that put infinities in the place of dates, after rows were inserted. */
export function storeInfinities(): readonly string[] {
  return Object.entries(INFINITIES).map(
    ([infinity, date]) =>
      `UPDATE expenses SET paid_at = '${infinity}' WHERE paid_at = '${date.toISOString()}'`,
  );
}

/** The collation of a column; undefined for that of the database. */
export function collationOf(
  table: string,
  column: string,
  dialect: 'sqlite' | 'postgres',
): string | undefined {
  if (!COLLATED[table]?.includes(column)) return undefined;
  if (dialect === 'postgres') return 'no_case';
  return column === 'note' ? 'RTRIM' : 'NOCASE';
}

/** Their names, in an order in which foreign keys allow to empty them. */
export function tableNames(): readonly string[] {
  const entities = [...schema.values()].map(({ table }) => table);
  return [...entities, ...joinTables().map(({ table }) => table)].reverse();
}

function createTable(entity: Entity, dialect: 'sqlite' | 'postgres'): string {
  const columns = [...entity.fields.values()].map(
    ({ column, type, nullable }) =>
      `"${column}" ${columnType(column, type.kind, dialect)}${collate(entity.table, column, dialect)}${nullable ? '' : ' NOT NULL'}`,
  );
  const references = [...entity.relations.values()]
    .filter(({ name, kind, join }) => kind === 'one' && join.length > 0 && !WITHOUT_FOREIGN_KEY.has(name))
    .map(({ join, target }) => {
      const from = join.map(each => each.from);
      const to = join.map(each => each.to);
      return `FOREIGN KEY (${names(from)}) REFERENCES "${target.table}" (${names(to)})`;
    });
  return `CREATE TABLE "${entity.table}" (${[...columns, `PRIMARY KEY (${names(entity.key)})`, ...references].join(', ')})`;
}

function columnType(column: string, kind: Field['type']['kind'], dialect: 'sqlite' | 'postgres'): string {
  if (dialect === 'postgres' && column === 'amount') return 'DOUBLE PRECISION';
  return dialect === 'postgres' && column === 'points' ? 'BIGINT' : COLUMN_TYPES[dialect][kind];
}

function collate(table: string, column: string, dialect: 'sqlite' | 'postgres'): string {
  const collation = collationOf(table, column, dialect);
  return collation === undefined ? '' : ` COLLATE "${collation}"`;
}

/** References that may find nothing. */
const WITHOUT_FOREIGN_KEY = new Set(['approver', 'ownerMembership']);

function createJoinTable({ table, source, target }: JoinTable, dialect: 'sqlite' | 'postgres'): string {
  const columns = [...source, ...target].map(
    ({ column, field }) => `"${column}" ${COLUMN_TYPES[dialect][field.type.kind]} NOT NULL`,
  );
  return `CREATE TABLE "${table}" (${columns.join(', ')})`;
}

function joinTables(): readonly JoinTable[] {
  const found = new Map<string, JoinTable>();
  for (const { relations } of schema.values()) {
    for (const { joinTable } of relations.values()) {
      if (joinTable !== undefined && !found.has(joinTable.table)) found.set(joinTable.table, joinTable);
    }
  }
  return [...found.values()];
}

function names(fields: readonly Field[]): string {
  return fields.map(({ column }) => `"${column}"`).join(', ');
}

/** Of SQLite's, those for booleans and dates keep what they are given, numbers and text alike. */
const COLUMN_TYPES: Record<'sqlite' | 'postgres', Record<Field['type']['kind'], string>> = {
  sqlite: {
    text: 'TEXT',
    uuid: 'TEXT',
    enum: 'TEXT',
    integer: 'INTEGER',
    bigint: 'BIGINT',
    number: 'NUMERIC(12, 2)',
    boolean: 'BOOLEAN',
    date: 'DATETIME',
    unsupported: 'BLOB',
  },
  postgres: {
    text: 'TEXT',
    uuid: 'UUID',
    enum: 'TEXT',
    integer: 'INTEGER',
    bigint: 'BIGINT',
    number: 'NUMERIC(12, 2)',
    boolean: 'BOOLEAN',
    date: 'TIMESTAMPTZ',
    unsupported: 'BYTEA',
  },
};
