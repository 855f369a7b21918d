import { type Data, Expense, Line, Membership, Organization, Tag, User } from './world.js';

export const ACME = '00000000-0000-4000-8000-000000000000';
export const SUB = 'a0b1c2d3-e4f5-4678-9abc-def012345678';
const GONE = 'ffffffff-ffff-4fff-bfff-ffffffffffff';

/** The id of a user who tries to break out of the text of a query. */
export const HOSTILE = `'"\`; DROP TABLE expenses; -- $1 ? :id`;

function of<T extends object>(Class: new () => T, fields: Partial<T>): T {
  return Object.assign(Object.create(Class.prototype), fields);
}

function expense(id: number, ownerId: string, fields: Partial<Expense> = {}): Expense {
  return of(Expense, {
    id,
    description: `expense ${id}`,
    note: null,
    amount: null,
    cents: id * 100,
    points: null,
    status: 'submitted',
    paid: false,
    flagged: null,
    paidAt: null,
    createdAt: new Date('2026-01-01T00:00:00.000Z'),
    ownerId,
    approverId: null,
    organizationId: ACME,
    deletedAt: null,
    ...fields,
  });
}

function user(id: string, fields: Partial<User> = {}): User {
  return of(User, {
    id,
    name: id,
    limit: 10.5,
    isAdmin: false,
    managerId: null,
    organizationId: null,
    ...fields,
  });
}

function organization(id: string, fields: Partial<Organization> = {}): Organization {
  return of(Organization, { id, name: id, isPublic: false, parentId: null, deletedAt: null, ...fields });
}

/** Rows few enough to tell by hand which of them a policy allows. */
export const smallWorld = {
  Organization: [
    organization(ACME, { name: 'acme', isPublic: true }),
    organization(SUB, { name: 'sub', parentId: ACME }),
    organization(GONE, { name: 'gone', isPublic: true, deletedAt: new Date('2026-01-01T00:00:00.000Z') }),
  ],
  User: [user('ann'), user('bob', { managerId: 'ann' }), user('cid', { managerId: 'bob' }), user(HOSTILE)],
  Membership: [
    of(Membership, { userId: 'ann', organizationId: ACME, role: 'owner' }),
    of(Membership, { userId: 'ann', organizationId: SUB, role: 'guest' }),
    of(Membership, { userId: 'bob', organizationId: SUB, role: 'owner' }),
  ],
  Expense: [
    expense(1, 'ann', { amount: 10.25, paid: true, paidAt: new Date('2024-02-29T00:00:00.001Z') }),
    expense(2, 'ann', { organizationId: SUB, description: 'Zoo' }),
    expense(3, 'bob', { organizationId: SUB, status: 'draft', approverId: 'ann' }),
    expense(4, 'cid', { organizationId: GONE, approverId: 'nobody' }),
    expense(5, HOSTILE, { description: 'ä', flagged: true }),
    expense(6, 'ann', { deletedAt: new Date('2026-01-01T00:00:00.000Z') }),
  ],
  Line: [
    of(Line, { expenseId: 1, number: 1, cents: 5, previousNumber: null }),
    of(Line, { expenseId: 1, number: 2, cents: 7, previousNumber: 1 }),
    of(Line, { expenseId: 2, number: 1, cents: 9, previousNumber: null }),
    of(Line, { expenseId: 2, number: 2, cents: 5, previousNumber: 1 }),
  ],
  Tag: [of(Tag, { id: 'travel', isSecret: false }), of(Tag, { id: 'food', isSecret: true })],
  expense_tags: [
    { expense_id: 1, tag_id: 'travel' },
    { expense_id: 1, tag_id: 'food' },
    { expense_id: 3, tag_id: 'food' },
    { expense_id: 6, tag_id: 'travel' },
  ],
} satisfies Data;

/** Lists of expenses of many kinds. */
export const POLICY = `
  allow(user: User, "read", expense: Expense) if expense.owner = user;
  allow(user: User, "see", expense: Expense) if expense.ownerId = user.id;
  allow(_: User, "browse", _: Tag);
  allow(_: User, "browse", _: Expense);
  allow(user: User, "approve", expense: Expense) if
    membership in expense.organization.members and membership.user = user and membership.role = "owner";
  allow(_: User, "tagged", expense: Expense) if tag in expense.tags and tag.isSecret = true;
  allow(user: User, "manage", expense: Expense) if expense.owner.manager = user;
  allow(user: User, "oversee", expense: Expense) if expense.owner.manager.manager = user;
  allow(_: User, "own", expense: Expense) if expense.ownerMembership.role = "owner";
  allow(_: User, "public", expense: Expense) if expense.organization.isPublic = true;
  allow(_: User, "orphan", expense: Expense) if expense.organization = nil;
  allow(_: User, "unapproved", expense: Expense) if expense.approver = nil;
  allow(_: User, "late", expense: Expense) if expense.description > "a";
  allow(_: User, "paid", expense: Expense) if expense.paid = true;
  allow(user: User, "dated", expense: Expense) if expense.paidAt = user.since;
  allow(user: User, "undated", expense: Expense) if not expense.paidAt = user.since;
  allow(_: User, "round", expense: Expense) if expense.amount = 10.25;
  allow(_: User, "next", line: Line) if line.previous.cents < line.cents;
  allow(_: User, "after", line: Line) if line.previous.expenseId = 1;
`;

/** The ids of the expenses on which ann may do what. */
export const LISTS: Readonly<Record<string, readonly number[]>> = {
  read: [1, 2],
  approve: [1, 5],
  tagged: [1, 3],
  manage: [3],
  oversee: [4],
  own: [1, 3],
  public: [1, 5],
  orphan: [4],
  unapproved: [1, 2, 4, 5],
  late: [1, 3, 4, 5],
  paid: [1],
  round: [1],
};

/** A user of the small world. */
export function actor(id = 'ann', since?: Date): User {
  return Object.assign(
    Object.create(User.prototype),
    smallWorld.User.find(user => user.id === id),
    { since },
  );
}
