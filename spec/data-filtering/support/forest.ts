import { ArrayStore } from './array-store.js';
import { drizzleStores } from './drizzle-store.js';
import { kyselyStores } from './kysely-store.js';
import type { Store } from './store.js';
import { TypeormStore } from './typeorm-store.js';
import {
  type Data,
  Expense,
  Line,
  Membership,
  ORGANIZATION_IDS,
  Organization,
  USER_IDS,
  User,
} from './world.js';

/** One of each adapter and database. */
export const stores: readonly Store[] = [
  new ArrayStore(),
  ...kyselyStores(),
  ...drizzleStores(),
  new TypeormStore(),
];

/** Numbers from a seed, from 0 to below `below`. */
function numbers(seed: number): (below: number) => number {
  let state = seed;
  return below => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

function make<Row extends object>(Class: new () => Row, fields: Partial<Row>): Row {
  return Object.assign(Object.create(Class.prototype), fields) as Row;
}

/**
 * A world of few rows that refer to others of their class, from a seed.
 *
 * @param cycles whether rows may refer to each other in a circle
 */
export function world(seed: number, cycles: boolean): Data {
  const draw = numbers(seed);
  const among = <T>(all: readonly T[]): T => all[draw(all.length)] as T;
  const before = <T>(all: readonly T[], at: number): T | null =>
    draw(5) === 0 ? null : ((cycles ? among(all) : at === 0 ? null : among(all.slice(0, at))) ?? null);
  const previous = (at: number): number | null => before([1, 2, 3, 4, 5], at);
  const organizations = ORGANIZATION_IDS.map((id, at) =>
    make(Organization, {
      id,
      name: among(['a', 'b', null]),
      isPublic: among([true, true, false, null]),
      parentId: before(ORGANIZATION_IDS, at),
      deletedAt: draw(8) === 0 ? new Date('2026-01-01T00:00:00.000Z') : null,
    }),
  );
  const users = USER_IDS.map((id, at) =>
    make(User, {
      id,
      name: id,
      limit: 1,
      isAdmin: false,
      managerId: before(USER_IDS, at),
      organizationId: null,
    }),
  );
  const memberships = users.flatMap(({ id: userId }) =>
    ORGANIZATION_IDS.filter(() => draw(3) === 0).map(organizationId =>
      make(Membership, { userId, organizationId, role: among(['owner', 'member', 'guest', null]) }),
    ),
  );
  const expenses = [1, 2, 3, 7, 10].map(id =>
    make(Expense, {
      id,
      description: null,
      note: null,
      amount: null,
      cents: draw(3),
      points: null,
      status: null,
      paid: null,
      flagged: null,
      paidAt: null,
      createdAt: new Date(0),
      ownerId: among(USER_IDS),
      approverId: null,
      organizationId: among(ORGANIZATION_IDS),
      deletedAt: null,
    }),
  );
  const lines = [1, 2].flatMap(expenseId =>
    [1, 2, 3, 4, 5].map((number, at) =>
      make(Line, { expenseId, number, cents: draw(4), previousNumber: previous(at) }),
    ),
  );
  return {
    Organization: organizations,
    User: users,
    Membership: memberships,
    Expense: expenses,
    Line: lines,
    Tag: [],
    expense_tags: [],
  };
}

/** A user of a world, with the memberships loaded. */
export function actorOf(data: Data, id: string): User {
  const user = data.User.find(each => each.id === id) as User;
  const memberships = data.Membership.filter(({ userId }) => userId === id);
  return Object.assign(Object.create(User.prototype), user, { memberships }) as User;
}
