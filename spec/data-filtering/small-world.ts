import { type Data, Expense, Line, Membership, Organization, Tag, User } from './world.js';

const ACME = '00000000-0000-4000-8000-000000000000';
const SUB = 'a0b1c2d3-e4f5-4678-9abc-def012345678';
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
