import type { Entity, Field, JoinTable } from '../../../src/data-filtering/schema.js';
import { schema } from './world.js';

/** Statements that create the world's tables, for stores whose ORM does not do so itself. */
export function createTables(dialect: 'sqlite' | 'postgres'): readonly string[] {
  const tables = [...schema.values()].map(entity => createTable(entity, dialect));
  return [...tables, ...joinTables().map(joinTable => createJoinTable(joinTable, dialect))];
}

/** Their names, in an order in which foreign keys allow to empty them. */
export function tableNames(): readonly string[] {
  const entities = [...schema.values()].map(({ table }) => table);
  return [...entities, ...joinTables().map(({ table }) => table)].reverse();
}

function createTable(entity: Entity, dialect: 'sqlite' | 'postgres'): string {
  const columns = [...entity.fields.values()].map(
    ({ column, type, nullable }) =>
      `"${column}" ${COLUMN_TYPES[dialect][type.kind]}${nullable ? '' : ' NOT NULL'}`,
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
