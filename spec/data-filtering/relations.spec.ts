import { expect } from 'chai';
import { Oso } from 'oso';
import { entityAdapter } from '../../src/data-filtering/adapter.js';
import { registerEntities } from '../../src/data-filtering/array/index.js';
import { describedSchema } from '../../src/data-filtering/describe.js';
import { registerSchema } from '../../src/data-filtering/register-entities.js';
import { CompiledOso, PolicyBudgetError } from '../../src/polar/index.js';
import { drizzleStores } from './support/drizzle-store.js';
import { kyselyStores } from './support/kysely-store.js';
import { ACME, SUB, smallWorld } from './support/small-world.js';
import type { Engine, Store } from './support/store.js';
import { TypeormStore } from './support/typeorm-store.js';
import { type Expense, Membership, Organization, type Rows, User } from './support/world.js';

/** Expense 3 is bob's and ann's to approve. Bob's manager is ann; both have memberships of the organization. */
const POLICY = `
  allow(_, "twice", expense: Expense) if expense.owner.name = "nobody" or expense.owner.name = "bob";
  allow(_, "paths", expense: Expense) if expense.approver.name = "ann" and expense.owner.manager.name = "ann";
  allow(_, "many", expense: Expense) if
    expense.approver.name = "ann" and m in expense.organization.members and m.role = "guest" and m.user.name = "ann";
  allow(_, "back", expense: Expense) if
    o in expense.owner.expenses and o.description = "expense 3" and o.owner.name = "bob" and o.owner.manager.name = "ann";
  allow(_, "tags", expense: Expense) if
    (t in expense.tags and t.id = "none") or (t in expense.tags and e in t.expenses and e.description = "expense 3");
  allow(_, "composite", expense: Expense) if
    expense.ownerMembership.role = "none" or expense.ownerMembership.role = "owner";
  allow(_, "nil", expense: Expense) if expense.owner.organization = nil and expense.owner.organization = nil;
`;

/** How many statements each action takes: as many as there are rows, or lists of rows, on the way. */
const STATEMENTS = {
  twice: 1,
  // Ann is the approver and the manager of the owner.
  paths: 2,
  many: 3,
  // The owner, his expenses, his manager. The owner of those is the owner.
  back: 3,
  tags: 2,
  composite: 1,
  // There is no foreign key to follow.
  nil: 1,
};

/** What is decided by the foreign key of the expense alone. The actor is bob. */
const BY_KEY = {
  equal: 'expense.owner = user',
  same: 'expense.owner == user',
  'not different': 'not expense.owner != user',
  'a pattern': 'expense matches { owner: user }',
  'part of the key': 'expense.owner.id = "bob"',
  nil: 'not expense.owner = nil and expense.owner != nil',
  'a plain value': 'not expense.owner = "bob"',
  'a class': 'expense.owner matches User and not expense.owner matches Organization',
  'an argument': 'is_it(expense.owner, user)',
  'both sides': 'owner = expense.owner and owner = expense.owner and expense.owner = owner',
  'two rows': 'one.user = other.user and one.user = expense.owner',
  'a list': 'expense.owner in [user]',
};
const BY_KEY_RULES = `
  is_it(owner: User, user) if owner = user;
  is_it(_: Organization, _) if false;
  used(_, _, _);
`;
/** What takes to load the owner. */
const BY_ROW = {
  'another attribute': ['expense.owner.name = "bob"', 1],
  'the attribute of a pattern': ['expense matches { owner: { name: "bob" } }', 1],
  'a method': ['not expense.owner.toString() = "bob"', 1],
  'an order': ['not expense.owner < user', 1],
  'another class': ['not expense.owner = expense', 1],
  // The manager is in the row of the owner.
  'a relation of it': ['expense.owner.manager.id = "ann"', 1],
  // Found by the key of the owner.
  'a relation by its key': ['m in expense.owner.memberships and m.role = "owner"', 1],
  'no foreign key': ['expense.approver.id = "ann"', 1],
} as const;

const ENGINES = { CompiledOso: CompiledOso as unknown as Engine, Oso } as const;

describe('the relations that one question follows', () => {
  for (const store of [...kyselyStores(), new TypeormStore(), ...drizzleStores()] as readonly Store[]) {
    describe(store.name, () => {
      let rows: Rows;
      /** Drizzle does not say which foreign keys of texts are exact, and the keys of users are texts. */
      const isBare = store.name.startsWith('Drizzle');
      before(async function () {
        this.timeout(60_000);
        await store.open();
        await store.fill(smallWorld);
        rows = await store.load();
      });
      after(() => store.close());

      for (const [name, Engine] of Object.entries(ENGINES)) {
        it(`are loaded once each, for ${name}`, async () => {
          const oso = store.oso(Engine);
          await oso.loadStr(POLICY);
          const expense = rows.Expense.find(({ id }) => id === 3) as Expense;
          const counts: Record<string, number | undefined> = {};
          for (const action of Object.keys(STATEMENTS)) {
            store.statements();
            expect(await oso.isAllowed('somebody', action, expense), action).to.equal(true);
            counts[action] = store.statements()?.length;
          }
          expect(counts).to.deep.equal(STATEMENTS);
        });
      }

      if (!isBare) {
        it('are not loaded if their keys decide', async () => {
          const { oso, ask } = await asking();
          const counts: Record<string, number | undefined> = {};
          for (const [action, condition] of Object.entries(BY_KEY)) {
            counts[action] = await ask(condition);
          }
          expect(counts).to.deep.equal(Object.fromEntries(Object.keys(BY_KEY).map(key => [key, 0])));
          expect(oso.fallbacks).to.deep.equal([]);
        });
      }

      it('are loaded if it takes more than their keys', async () => {
        const { ask } = await asking();
        for (const [what, [condition, count]] of Object.entries(BY_ROW)) {
          const expected = isBare && /owner\.(manager|memberships)/.test(condition) ? 2 : count;
          expect(await ask(condition), what).to.equal(expected);
        }
      });

      /** Asks whether a condition holds of bob, expense 3 and two memberships of his; resolves with the statements that took. */
      async function asking() {
        const oso = store.oso(ENGINES.CompiledOso) as CompiledOso;
        const find = (id: number) => rows.Expense.find(expense => expense.id === id);
        const bob = rows.User.find(({ id }) => id === 'bob');
        const memberships = [ACME, SUB].map(organizationId =>
          Object.assign(Object.create(Membership.prototype), { userId: 'bob', organizationId }),
        );
        const ask = async (condition: string) => {
          oso.clearRules();
          await oso.loadStr(
            `allow(user, [one, other], expense) if ${condition} and used(user, one, other); ${BY_KEY_RULES}`,
          );
          store.statements();
          expect(await oso.isAllowed(bob, memberships, find(3)), condition).to.equal(true);
          return store.statements()?.length;
        };
        return { oso, ask };
      }

      it('are not left on the rows', async () => {
        const oso = store.oso(ENGINES.CompiledOso) as CompiledOso;
        await oso.loadStr(POLICY);
        const [expense] = (await store.load()).Expense.filter(({ id }) => id === 3);
        const bob = (await store.load()).User.find(({ id }) => id === 'bob');
        const before = JSON.stringify([expense, bob]);
        for (const action of Object.keys(STATEMENTS)) {
          expect(await oso.isAllowed(bob, action, expense), action).to.equal(true);
          expect(await oso.batch().isAllowed(bob, action, expense), action).to.equal(true);
        }
        expect(JSON.stringify([expense, bob])).to.equal(before);
      });

      it('are loaded again by the next question', async () => {
        const oso = store.oso(ENGINES.CompiledOso);
        await oso.loadStr(POLICY);
        const [expense] = rows.Expense.filter(({ id }) => id === 3);
        store.statements();
        await oso.isAllowed('somebody', 'twice', expense);
        await oso.isAllowed('somebody', 'twice', expense);
        expect(store.statements()).to.have.length(2);
      });
    });
  }

  describe('that are waited for too long', () => {
    const description = {
      Expense: {
        class: class Expense {},
        fields: { id: 'integer', ownerId: 'text' },
        relations: { owner: { one: 'User', on: { ownerId: 'id' } } },
      },
      User: { class: User, fields: { id: 'text' } },
    } as const;

    it('are named by the error, which points to the pool', async () => {
      const oso = new CompiledOso({ budget: { milliseconds: 20 } });
      registerSchema(
        oso,
        describedSchema(description),
        entityAdapter(
          {
            select: () => [],
            execute: async () => [],
            held: () => undefined,
            load: () => new Promise(() => {}),
            loadMany: () => new Promise(() => {}),
            hasForeignKeys: false,
          },
          () => expect.fail('no transaction'),
        ),
      );
      await oso.loadStr('allow(_, _, expense: Expense) if expense.owner.id = "ann";');
      const expense = Object.assign(new description.Expense.class(), { id: 1, ownerId: 'a secret' });
      const error = await oso.isAllowed(1, 2, expense).then(
        () => undefined,
        (reason: unknown) => reason,
      );
      expect(error).to.be.instanceOf(PolicyBudgetError);
      const { message, awaited } = error as PolicyBudgetError;
      expect(awaited).to.equal('`owner` of Expense');
      expect(message).to.match(/ 20 milliseconds while it waited .* `owner` of Expense\. .*connection pool/);
      expect(message).not.to.include('secret');
    });

    it('are named also for an adapter of another making', async () => {
      const oso = new CompiledOso({ budget: { milliseconds: 20 } });
      const { Relation } = await import('oso');
      oso.registerClass(Organization, {
        fields: new Map([['parent', new Relation('one', 'Organization', 'parentId', 'id')]]),
      });
      let queries = 0;
      oso.setDataFilteringAdapter({
        buildQuery: () => ++queries,
        executeQuery: async query => (query === 1 ? [new Organization()] : new Promise(() => {})),
      });
      await oso.loadStr('allow(_, _, o) if o.parent.id = 1 or o.parent.parent.id = 2;');
      const organization = Object.assign(new Organization(), { parentId: 'x' });
      const error = await oso.isAllowed(1, 2, organization).catch((reason: unknown) => reason);
      expect(error).to.include({ awaited: 'a relation to Organization' });
      // The first was kept for the second time.
      expect(queries).to.equal(2);
    });
  });

  describe('to one class, by keys of dates and of numbers with decimals', () => {
    class Account {
      constructor(
        readonly id: unknown,
        readonly name: string,
      ) {}
    }
    class Transfer {
      readonly id = 1;
      constructor(
        readonly fromId: unknown,
        readonly toId: unknown,
      ) {}
    }

    for (const [type, ids] of [
      ['date', [new Date(1), new Date(2)]],
      ['number', [1.5, 2.5]],
    ] as const) {
      it(`are told apart: ${type}`, async () => {
        const oso = new CompiledOso();
        const accounts = [new Account(ids[0], 'ann'), new Account(ids[1], 'bob')];
        const transfer = new Transfer(ids[0], ids[1]);
        registerEntities(
          oso,
          { Account: accounts, Transfer: [transfer] },
          {
            Account: { class: Account, fields: { id: type, name: 'text' } },
            Transfer: {
              class: Transfer,
              fields: { id: 'integer', fromId: type, toId: type },
              relations: {
                from: { one: 'Account', on: { fromId: 'id' } },
                to: { one: 'Account', on: { toId: 'id' } },
              },
            },
          },
        );
        await oso.loadStr('allow(name, _, t: Transfer) if t.from.name = "ann" and t.to.name = name;');
        for (const asked of [oso, oso.batch()]) {
          expect(await asked.isAllowed('bob', 'read', transfer)).to.equal(true);
          expect(await asked.isAllowed('ann', 'read', transfer)).to.equal(false);
        }
      });
    }
  });
});
