import fc from 'fast-check';
import type { SchemaDescription } from '../../../src/data-filtering/array/index.js';
import { describedSchema } from '../../../src/data-filtering/describe.js';
import type { Entity, EntityRelation } from '../../../src/data-filtering/schema.js';

export class Organization {
  id!: string;
  name!: string | null;
  isPublic!: boolean | null;
  parentId!: string | null;
  deletedAt!: Date | null;
  parent?: Organization | null;
  children?: Organization[];
  members?: Membership[];
  expenses?: Expense[];
}

export class User {
  id!: string;
  name!: string | null;
  limit!: number | null;
  isAdmin!: boolean | null;
  managerId!: string | null;
  organizationId!: string | null;
  manager?: User | null;
  reports?: User[];
  organization?: Organization | null;
  memberships?: Membership[];
  expenses?: Expense[];
}

export class Membership {
  userId!: string;
  organizationId!: string;
  role!: string | null;
  user?: User | null;
  organization?: Organization | null;
}

export class Expense {
  id!: number;
  description!: string | null;
  note!: string | null;
  amount!: number | null;
  cents!: number;
  points!: number | null;
  status!: string | null;
  paid!: boolean | null;
  flagged!: boolean | null;
  /** Where the database has infinities, as it is read: a number, or a date that is none. */
  paidAt!: Date | null;
  createdAt!: Date;
  ownerId!: string;
  approverId!: string | null;
  organizationId!: string;
  deletedAt!: Date | null;
  owner?: User | null;
  approver?: User | null;
  organization?: Organization | null;
  /** The owner's membership of the expense's organization, if there is one. */
  ownerMembership?: Membership | null;
  lines?: Line[];
  tags?: Tag[];
}

export class Line {
  expenseId!: number;
  number!: number;
  cents!: number;
  /** The number of another line of the same expense. */
  previousNumber!: number | null;
  expense?: Expense | null;
  previous?: Line | null;
}

export class Tag {
  id!: string;
  isSecret!: boolean | null;
  expenses?: Expense[];
}

/** A row of the table between expenses and tags. Its columns are named as its properties. */
export interface ExpenseTag {
  readonly expense_id: number;
  readonly tag_id: string;
}

export const ROLES = ['owner', 'member', 'guest'] as const;
export const STATUSES = ['draft', 'submitted', 'approved'] as const;

/**
 * What all stores hold, and what there is that could go wrong in them: relations to one and to many, of a class to
 * itself, by composite keys, and through a table; references that are null, that find nothing (`approver` and
 * `ownerMembership` have no foreign key) or a row that is deleted; columns that are not named as their properties; columns
 * that are null wherever that does not rule out to order them. What the stores add is in {@link COLLATED} and
 * {@link INFINITIES}.
 */
export const description = {
  Organization: {
    class: Organization,
    table: 'organizations',
    fields: {
      id: { type: 'uuid', nullable: false },
      name: { type: 'text', nullable: true },
      isPublic: { type: 'boolean', column: 'is_public', nullable: true },
      parentId: { type: 'uuid', column: 'parent_id', nullable: true },
      deletedAt: { type: 'date', column: 'deleted_at', nullable: true },
    },
    relations: {
      parent: { one: 'Organization', on: { parentId: 'id' }, foreignKey: true },
      children: { many: 'Organization', on: { id: 'parentId' } },
      members: { many: 'Membership', on: { id: 'organizationId' } },
      expenses: { many: 'Expense', on: { id: 'organizationId' } },
    },
    deletedAt: 'deletedAt',
  },
  User: {
    class: User,
    table: 'users',
    fields: {
      id: { type: 'text', nullable: false },
      name: { type: 'text', column: 'full_name', nullable: true },
      limit: { type: 'number', column: 'spending_limit', nullable: true },
      isAdmin: { type: 'boolean', column: 'is_admin', nullable: true },
      managerId: { type: 'text', column: 'manager_id', nullable: true },
      organizationId: { type: 'uuid', column: 'organization_id', nullable: true },
    },
    relations: {
      manager: { one: 'User', on: { managerId: 'id' }, foreignKey: true },
      reports: { many: 'User', on: { id: 'managerId' } },
      organization: { one: 'Organization', on: { organizationId: 'id' }, foreignKey: true },
      memberships: { many: 'Membership', on: { id: 'userId' } },
      expenses: { many: 'Expense', on: { id: 'ownerId' } },
    },
  },
  Membership: {
    class: Membership,
    table: 'memberships',
    key: ['userId', 'organizationId'],
    fields: {
      userId: { type: 'text', column: 'user_id', nullable: false },
      organizationId: { type: 'uuid', column: 'organization_id', nullable: false },
      role: { type: { enum: ROLES }, nullable: true },
    },
    relations: {
      user: { one: 'User', on: { userId: 'id' }, foreignKey: true },
      organization: { one: 'Organization', on: { organizationId: 'id' }, foreignKey: true },
    },
  },
  Expense: {
    class: Expense,
    table: 'expenses',
    fields: {
      id: { type: 'integer', nullable: false },
      description: { type: 'text', nullable: true },
      note: { type: 'text', nullable: true },
      amount: { type: 'number', nullable: true },
      cents: { type: 'integer', nullable: false },
      points: { type: 'integer', nullable: true },
      status: { type: { enum: STATUSES }, nullable: true },
      paid: { type: 'boolean', nullable: true },
      flagged: { type: 'boolean', nullable: true },
      paidAt: { type: 'date', column: 'paid_at', nullable: true },
      createdAt: { type: 'date', column: 'created_at', nullable: false },
      ownerId: { type: 'text', column: 'owner_id', nullable: false },
      approverId: { type: 'text', column: 'approver_id', nullable: true },
      organizationId: { type: 'uuid', column: 'organization_id', nullable: false },
      deletedAt: { type: 'date', column: 'deleted_at', nullable: true },
    },
    relations: {
      owner: { one: 'User', on: { ownerId: 'id' }, foreignKey: true },
      approver: { one: 'User', on: { approverId: 'id' } },
      organization: { one: 'Organization', on: { organizationId: 'id' }, foreignKey: true },
      ownerMembership: {
        one: 'Membership',
        on: { ownerId: 'userId', organizationId: 'organizationId' },
      },
      lines: { many: 'Line', on: { id: 'expenseId' } },
      tags: {
        many: 'Tag',
        through: { table: 'expense_tags', from: { id: 'expense_id' }, to: { id: 'tag_id' } },
      },
    },
    deletedAt: 'deletedAt',
  },
  Line: {
    class: Line,
    table: 'lines',
    key: ['expenseId', 'number'],
    fields: {
      expenseId: { type: 'integer', column: 'expense_id', nullable: false },
      number: { type: 'integer', nullable: false },
      cents: { type: 'integer', nullable: false },
      previousNumber: { type: 'integer', column: 'previous_number', nullable: true },
    },
    relations: {
      expense: { one: 'Expense', on: { expenseId: 'id' }, foreignKey: true },
      previous: { one: 'Line', on: { expenseId: 'expenseId', previousNumber: 'number' }, foreignKey: true },
    },
  },
  Tag: {
    class: Tag,
    table: 'tags',
    fields: {
      id: { type: 'text', nullable: false },
      isSecret: { type: 'boolean', column: 'is_secret', nullable: true },
    },
    relations: {
      expenses: {
        many: 'Expense',
        through: { table: 'expense_tags', from: { id: 'tag_id' }, to: { id: 'expense_id' } },
      },
    },
  },
} satisfies SchemaDescription;

export type EntityName = keyof typeof description;

export const ENTITY_NAMES = Object.keys(description) as readonly EntityName[];

/** The schema of {@link description}. */
export const schema = describedSchema(description);

/** Rows of each entity, as instances of its class, without what they are related to. */
export interface Rows {
  readonly Organization: readonly Organization[];
  readonly User: readonly User[];
  readonly Membership: readonly Membership[];
  readonly Expense: readonly Expense[];
  readonly Line: readonly Line[];
  readonly Tag: readonly Tag[];
}

/**
 * All that a store holds. Entities are in an order in which foreign keys allow to insert them; but the rows of one may
 * refer to each other, or to themselves, in any order.
 */
export interface Data extends Rows {
  readonly expense_tags: readonly ExpenseTag[];
}

/**
 * Text that is hard on databases: what orders or compares otherwise by a collation, by UTF-16 units, in `LIKE` or in a
 * column of fixed width, and what quotes.
 */
export const TEXTS = [
  '',
  ' ',
  'a',
  'a ',
  'A',
  'b',
  'B',
  'é',
  'e\u0301',
  'ß',
  'z_',
  '10',
  '9',
  '%',
  "'; DROP TABLE expenses; --",
  '"quoted"',
  '\\',
  '$1',
  ':name ?',
  '\uFFFD',
  '😀',
  'null',
] as const;

export const USER_IDS = ['ann', 'Ann', 'bob', "o'neil", 'eve%', 'zoë', '7'] as const;
export const TAG_IDS = ['travel', 'Travel', 'food', "it's"] as const;
export const ORGANIZATION_IDS = [
  '00000000-0000-4000-8000-000000000000',
  '0b9d7bd8-5f0c-4a58-9c1e-0a1b2c3d4e5f',
  'a0b1c2d3-e4f5-4678-9abc-def012345678',
  'ffffffff-ffff-4fff-bfff-ffffffffffff',
] as const;
export const EXPENSE_IDS = [-2147483648, -1, 0, 1, 2, 3, 7, 10, 100, 1000, 65536, 2147483647] as const;
export const INTEGERS = [-2147483648, -1, 0, 1, 2, 9, 10, 100, 2147483647] as const;
/** Exact in columns of type numeric(12, 2), and as numbers of JavaScript. */
export const DECIMALS = [-10.5, 0, 0.25, 1, 9, 10, 10.25, 100, 99999999.75] as const;
/** Those of floats: of all kinds that there are, and more than policies can read. */
export const FLOATS = [
  ...DECIMALS,
  Number.NaN,
  Infinity,
  -Infinity,
  0.1,
  2 ** 53 - 1,
  2 ** 53,
  -1e16,
  1e300,
] as const;
/** Of 64 bits: more than policies can read, too. */
export const LARGE_INTEGERS = [
  0,
  1,
  7,
  100,
  -3e9,
  3e9,
  2 ** 53 - 1,
  -(2 ** 53 - 1),
  2 ** 53,
  2 ** 60,
  -(2 ** 60),
] as const;
/** The columns, by their tables, of which the collation ignores case, accents that are written otherwise or blanks. */
export const COLLATED: Readonly<Record<string, readonly string[]>> = {
  organizations: ['name'],
  users: ['full_name'],
  expenses: ['description', 'note', 'approver_id'],
};
/** The dates that PostgreSQL keeps as infinities. */
export const INFINITIES = {
  infinity: new Date('9000-01-01T00:00:00.000Z'),
  '-infinity': new Date('0900-01-01T00:00:00.000Z'),
} as const;
export const DATES = [
  '1969-12-31T23:59:59.999Z',
  '2024-02-29T00:00:00.000Z',
  '2024-02-29T00:00:00.001Z',
  '2024-10-27T01:30:00.500Z',
  '2026-01-01T00:00:00.000Z',
].map(date => new Date(date));

const text = fc.constantFrom(...TEXTS);
const integer = fc.constantFrom(...INTEGERS);
const decimal = fc.constantFrom(...DECIMALS);
const date = fc.constantFrom(...DATES);
const float = fc.oneof(decimal, fc.constantFrom(...FLOATS));
const largeInteger = fc.constantFrom(...LARGE_INTEGERS);
const moment = fc.oneof(
  { weight: 4, arbitrary: date },
  { weight: 1, arbitrary: fc.constantFrom(...Object.values(INFINITIES)) },
);
const sometimes = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { freq: 2, nil: null });
const rarely = <T>(arbitrary: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 4, arbitrary: fc.constant(null) }, { weight: 1, arbitrary });
const mostly = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { freq: 9, nil: null });

function instances<T extends object>(
  Class: new () => T,
  fields: { [Name in keyof T]?: fc.Arbitrary<T[Name]> },
): fc.Arbitrary<T> {
  return fc.record(fields as Record<string, fc.Arbitrary<unknown>>).map(made => make(Class, made as T));
}

/** An instance with these fields; what is not among them is left out, and not undefined. */
function make<T extends object>(Class: new () => T, fields: Partial<T>): T {
  return Object.assign(Object.create(Class.prototype), fields) as T;
}

const organizations = fc.subarray([...ORGANIZATION_IDS], { minLength: 1 }).chain(ids =>
  fc.tuple(
    ...ids.map(id =>
      instances(Organization, {
        id: fc.constant(id),
        name: mostly(text),
        isPublic: mostly(fc.boolean()),
        parentId: sometimes(fc.constantFrom(...ids)),
        deletedAt: rarely(date),
      }),
    ),
  ),
);

function users(organizationIds: readonly string[]): fc.Arbitrary<User[]> {
  return fc.subarray([...USER_IDS], { minLength: 2 }).chain(ids =>
    fc.tuple(
      ...ids.map(id =>
        instances(User, {
          id: fc.constant(id),
          name: mostly(text),
          limit: mostly(fc.oneof(decimal, decimal, fc.constant(Number.NaN))),
          isAdmin: mostly(fc.boolean()),
          managerId: sometimes(fc.constantFrom(...ids)),
          organizationId: sometimes(fc.constantFrom(...organizationIds)),
        }),
      ),
    ),
  );
}

function memberships(
  userIds: readonly string[],
  organizationIds: readonly string[],
): fc.Arbitrary<Membership[]> {
  const pairs = userIds.flatMap(userId =>
    organizationIds.map(organizationId => ({ userId, organizationId })),
  );
  return fc
    .tuple(fc.subarray(pairs), fc.infiniteStream(mostly(fc.constantFrom<string[]>(...ROLES))))
    .map(([chosen, roles]) => chosen.map(pair => make(Membership, { ...pair, role: roles.next().value })));
}

function expenses(userIds: readonly string[], organizationIds: readonly string[]): fc.Arbitrary<Expense[]> {
  return fc.subarray([...EXPENSE_IDS], { minLength: 3 }).chain(ids =>
    fc.tuple(
      ...ids.map(id =>
        instances(Expense, {
          id: fc.constant(id),
          description: mostly(text),
          note: sometimes(text),
          amount: sometimes(float),
          cents: integer,
          points: sometimes(largeInteger),
          status: mostly(fc.constantFrom<string[]>(...STATUSES)),
          paid: mostly(fc.boolean()),
          flagged: sometimes(fc.boolean()),
          paidAt: sometimes(moment),
          createdAt: date,
          ownerId: fc.constantFrom(...userIds),
          // Without a foreign key: some are of users who are not there.
          approverId: sometimes(fc.constantFrom(...USER_IDS)),
          organizationId: fc.constantFrom(...organizationIds),
          deletedAt: rarely(date),
        }),
      ),
    ),
  );
}

function lines(expenseIds: readonly number[]): fc.Arbitrary<Line[]> {
  const ofOne = (expenseId: number) =>
    fc.array(fc.tuple(integer, fc.nat({ max: 3 })), { maxLength: 3 }).map(given =>
      given.map(([cents, previous], at) =>
        make(Line, {
          expenseId,
          number: at + 1,
          cents,
          previousNumber: previous > 0 && previous <= given.length ? previous : null,
        }),
      ),
    );
  return fc.tuple(...expenseIds.map(ofOne)).map(each => each.flat());
}

function expenseTags(
  expenseIds: readonly number[],
  tagIds: readonly string[],
): fc.Arbitrary<readonly ExpenseTag[]> {
  return fc.subarray(expenseIds.flatMap(expense_id => tagIds.map(tag_id => ({ expense_id, tag_id }))));
}

const tags = fc
  .subarray([...TAG_IDS], { minLength: 1 })
  .chain(ids =>
    fc.tuple(...ids.map(id => instances(Tag, { id: fc.constant(id), isSecret: mostly(fc.boolean()) }))),
  );

/** What a store may hold: a few dozen rows. */
export const randomData: fc.Arbitrary<Data> = fc
  .tuple(organizations, tags)
  .chain(([Organization, Tag]) =>
    users(Organization.map(({ id }) => id)).map(User => ({ Organization, Tag, User })),
  )
  .chain(known => {
    const userIds = known.User.map(({ id }) => id);
    const organizationIds = known.Organization.map(({ id }) => id);
    return fc
      .tuple(memberships(userIds, organizationIds), expenses(userIds, organizationIds))
      .map(([Membership, Expense]) => ({ ...known, Membership, Expense }));
  })
  .chain(known => {
    const expenseIds = known.Expense.map(({ id }) => id);
    return fc
      .tuple(
        lines(expenseIds),
        expenseTags(
          expenseIds,
          known.Tag.map(({ id }) => id),
        ),
      )
      .map(([Line, expense_tags]) => ({
        Organization: known.Organization,
        User: known.User,
        Membership: known.Membership,
        Expense: known.Expense,
        Line,
        Tag: known.Tag,
        expense_tags,
      }));
  });

/** The key of a row as text, which tells it from the other rows of its entity. */
export function keyOf(entity: EntityName, row: object): string {
  const { key } = schema.get(entity) as Entity;
  return JSON.stringify(key.map(({ name }) => (row as Record<string, unknown>)[name]));
}

/** Whether nobody has deleted the row. */
export function isThere(entity: EntityName, row: object): boolean {
  const { deletedAt } = schema.get(entity) as Entity;
  return deletedAt === undefined || (row as Record<string, unknown>)[deletedAt.name] === null;
}

/**
 * Gives rows the rows that they are related to, as if all had been loaded with them. This is written on its own, with no
 * part of what is tested: it is what filtered lists are compared with.
 */
export function link(rows: Rows, expenseTags: readonly ExpenseTag[]): void {
  for (const name of ENTITY_NAMES) {
    const { relations } = schema.get(name) as Entity;
    for (const relation of relations.values()) {
      for (const row of rows[name]) {
        const related = rows[relation.target.name as EntityName].filter(
          target =>
            isThere(relation.target.name as EntityName, target) &&
            isRelated(row, relation, target, expenseTags),
        );
        Object.assign(row, { [relation.name]: relation.kind === 'many' ? related : (related[0] ?? null) });
      }
    }
  }
}

function isRelated(
  row: object,
  { join, joinTable }: EntityRelation,
  target: object,
  expenseTags: readonly ExpenseTag[],
): boolean {
  const left = row as Record<string, unknown>;
  const right = target as Record<string, unknown>;
  if (joinTable === undefined) {
    return join.every(({ from, to }) => left[from.name] !== null && left[from.name] === right[to.name]);
  }
  const [expense, tag] = row instanceof Expense ? [left, right] : [right, left];
  return expenseTags.some(({ expense_id, tag_id }) => expense_id === expense.id && tag_id === tag.id);
}
