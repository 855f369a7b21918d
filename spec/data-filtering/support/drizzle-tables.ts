import type { Table } from 'drizzle-orm';
import * as pg from 'drizzle-orm/pg-core';
import * as sqlite from 'drizzle-orm/sqlite-core';
import type { DrizzleEntities } from 'koa-oso/drizzle';
import { Expense, Line, Membership, Organization, Tag, User } from './world.js';

export const pgOrganizations = pg.pgTable('organizations', {
  id: pg.uuid().primaryKey(),
  name: pg.text(),
  isPublic: pg.boolean('is_public'),
  parentId: pg.uuid('parent_id').references((): pg.AnyPgColumn => pgOrganizations.id),
  deletedAt: pg.timestamp('deleted_at', { withTimezone: true }),
});

export const pgUsers = pg.pgTable('users', {
  id: pg.text().primaryKey(),
  name: pg.text('full_name'),
  limit: pg.numeric('spending_limit', { mode: 'number', precision: 12, scale: 2 }),
  isAdmin: pg.boolean('is_admin'),
  managerId: pg.text('manager_id').references((): pg.AnyPgColumn => pgUsers.id),
  organizationId: pg.uuid('organization_id').references(() => pgOrganizations.id),
});

export const pgMemberships = pg.pgTable(
  'memberships',
  {
    userId: pg
      .text('user_id')
      .notNull()
      .references(() => pgUsers.id),
    organizationId: pg
      .uuid('organization_id')
      .notNull()
      .references(() => pgOrganizations.id),
    role: pg.text({ enum: ['owner', 'member', 'guest'] }),
  },
  table => [pg.primaryKey({ columns: [table.userId, table.organizationId] })],
);

export const pgExpenses = pg.pgTable('expenses', {
  id: pg.integer().primaryKey(),
  description: pg.text(),
  note: pg.text(),
  amount: pg.doublePrecision(),
  cents: pg.integer().notNull(),
  points: pg.bigint({ mode: 'number' }),
  status: pg.text({ enum: ['draft', 'submitted', 'approved'] }),
  paid: pg.boolean(),
  flagged: pg.boolean(),
  paidAt: pg.timestamp('paid_at', { withTimezone: true }),
  createdAt: pg.timestamp('created_at', { withTimezone: true }).notNull(),
  ownerId: pg
    .text('owner_id')
    .notNull()
    .references(() => pgUsers.id),
  approverId: pg.text('approver_id'),
  organizationId: pg
    .uuid('organization_id')
    .notNull()
    .references(() => pgOrganizations.id),
  deletedAt: pg.timestamp('deleted_at', { withTimezone: true }),
});

export const pgLines = pg.pgTable(
  'lines',
  {
    expenseId: pg
      .integer('expense_id')
      .notNull()
      .references(() => pgExpenses.id),
    number: pg.integer().notNull(),
    cents: pg.integer().notNull(),
    previousNumber: pg.integer('previous_number'),
  },
  table => [
    pg.primaryKey({ columns: [table.expenseId, table.number] }),
    pg.foreignKey({
      columns: [table.expenseId, table.previousNumber],
      foreignColumns: [table.expenseId, table.number],
    }),
  ],
);

export const pgTags = pg.pgTable('tags', {
  id: pg.text().primaryKey(),
  isSecret: pg.boolean('is_secret'),
});

export const pgExpenseTags = pg.pgTable('expense_tags', {
  expense_id: pg
    .integer()
    .notNull()
    .references(() => pgExpenses.id),
  tag_id: pg
    .text()
    .notNull()
    .references(() => pgTags.id),
});

export const sqliteOrganizations = sqlite.sqliteTable('organizations', {
  id: sqlite.text().primaryKey(),
  name: sqlite.text(),
  isPublic: sqlite.integer('is_public', { mode: 'boolean' }),
  parentId: sqlite.text('parent_id').references((): sqlite.AnySQLiteColumn => sqliteOrganizations.id),
  deletedAt: sqlite.integer('deleted_at', { mode: 'timestamp_ms' }),
});

export const sqliteUsers = sqlite.sqliteTable('users', {
  id: sqlite.text().primaryKey(),
  name: sqlite.text('full_name'),
  limit: sqlite.numeric('spending_limit', { mode: 'number' }),
  isAdmin: sqlite.integer('is_admin', { mode: 'boolean' }),
  managerId: sqlite.text('manager_id').references((): sqlite.AnySQLiteColumn => sqliteUsers.id),
  organizationId: sqlite.text('organization_id').references(() => sqliteOrganizations.id),
});

export const sqliteMemberships = sqlite.sqliteTable(
  'memberships',
  {
    userId: sqlite
      .text('user_id')
      .notNull()
      .references(() => sqliteUsers.id),
    organizationId: sqlite
      .text('organization_id')
      .notNull()
      .references(() => sqliteOrganizations.id),
    role: sqlite.text({ enum: ['owner', 'member', 'guest'] }),
  },
  table => [sqlite.primaryKey({ columns: [table.userId, table.organizationId] })],
);

export const sqliteExpenses = sqlite.sqliteTable('expenses', {
  id: sqlite.integer().primaryKey(),
  description: sqlite.text(),
  note: sqlite.text(),
  amount: sqlite.real(),
  cents: sqlite.integer().notNull(),
  points: sqlite.integer(),
  status: sqlite.text({ enum: ['draft', 'submitted', 'approved'] }),
  paid: sqlite.integer({ mode: 'boolean' }),
  flagged: sqlite.integer({ mode: 'boolean' }),
  paidAt: sqlite.integer('paid_at', { mode: 'timestamp_ms' }),
  createdAt: sqlite.integer('created_at', { mode: 'timestamp_ms' }).notNull(),
  ownerId: sqlite
    .text('owner_id')
    .notNull()
    .references(() => sqliteUsers.id),
  approverId: sqlite.text('approver_id'),
  organizationId: sqlite
    .text('organization_id')
    .notNull()
    .references(() => sqliteOrganizations.id),
  deletedAt: sqlite.integer('deleted_at', { mode: 'timestamp_ms' }),
});

export const sqliteLines = sqlite.sqliteTable(
  'lines',
  {
    expenseId: sqlite
      .integer('expense_id')
      .notNull()
      .references(() => sqliteExpenses.id),
    number: sqlite.integer().notNull(),
    cents: sqlite.integer().notNull(),
    previousNumber: sqlite.integer('previous_number'),
  },
  table => [
    sqlite.primaryKey({ columns: [table.expenseId, table.number] }),
    sqlite.foreignKey({
      columns: [table.expenseId, table.previousNumber],
      foreignColumns: [table.expenseId, table.number],
    }),
  ],
);

export const sqliteTags = sqlite.sqliteTable('tags', {
  id: sqlite.text().primaryKey(),
  isSecret: sqlite.integer('is_secret', { mode: 'boolean' }),
});

export const sqliteExpenseTags = sqlite.sqliteTable('expense_tags', {
  expense_id: sqlite
    .integer()
    .notNull()
    .references(() => sqliteExpenses.id),
  tag_id: sqlite
    .text()
    .notNull()
    .references(() => sqliteTags.id),
});

/** The tables of the world. */
export interface WorldTables {
  readonly Organization: Table;
  readonly User: Table;
  readonly Membership: Table;
  readonly Expense: Table;
  readonly Line: Table;
  readonly Tag: Table;
  readonly expense_tags: Table;
}

export const pgTables = {
  Organization: pgOrganizations,
  User: pgUsers,
  Membership: pgMemberships,
  Expense: pgExpenses,
  Line: pgLines,
  Tag: pgTags,
  expense_tags: pgExpenseTags,
} satisfies WorldTables;

export const sqliteTables = {
  Organization: sqliteOrganizations,
  User: sqliteUsers,
  Membership: sqliteMemberships,
  Expense: sqliteExpenses,
  Line: sqliteLines,
  Tag: sqliteTags,
  expense_tags: sqliteExpenseTags,
} satisfies WorldTables;

/** What users of Drizzle have to say of the world beside its tables. */
export function entitiesOf(tables: WorldTables): DrizzleEntities {
  return {
    Organization: {
      class: Organization,
      table: tables.Organization,
      relations: {
        parent: { one: 'Organization' },
        children: { many: 'Organization' },
        members: { many: 'Membership' },
        expenses: { many: 'Expense' },
      },
      deletedAt: 'deletedAt',
    },
    User: {
      class: User,
      table: tables.User,
      relations: {
        manager: { one: 'User' },
        reports: { many: 'User' },
        organization: { one: 'Organization' },
        memberships: { many: 'Membership' },
        expenses: { many: 'Expense' },
      },
    },
    Membership: {
      class: Membership,
      table: tables.Membership,
      relations: { user: { one: 'User' }, organization: { one: 'Organization' } },
    },
    Expense: {
      class: Expense,
      table: tables.Expense,
      relations: {
        owner: { one: 'User' },
        approver: { one: 'User', on: { approverId: 'id' } },
        organization: { one: 'Organization' },
        ownerMembership: {
          one: 'Membership',
          on: { ownerId: 'userId', organizationId: 'organizationId' },
        },
        lines: { many: 'Line' },
        tags: { many: 'Tag', through: tables.expense_tags },
      },
      deletedAt: 'deletedAt',
    },
    Line: {
      class: Line,
      table: tables.Line,
      relations: { expense: { one: 'Expense' }, previous: { one: 'Line' } },
    },
    Tag: {
      class: Tag,
      table: tables.Tag,
      relations: { expenses: { many: 'Expense', through: tables.expense_tags } },
    },
  };
}
