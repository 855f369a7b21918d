import { expect } from 'chai';
import { Oso } from 'oso';
import { entityAdapter } from '../../src/data-filtering/adapter.js';
import { describedSchema } from '../../src/data-filtering/describe.js';
import { registerSchema } from '../../src/data-filtering/register-entities.js';
import { CompiledOso, PolicyBudgetError } from '../../src/polar/index.js';
import { drizzleStores } from './support/drizzle-store.js';
import { kyselyStores } from './support/kysely-store.js';
import { smallWorld } from './support/small-world.js';
import type { Engine, Store } from './support/store.js';
import { TypeormStore } from './support/typeorm-store.js';
import { type Expense, Organization, type Rows, User } from './support/world.js';

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

const ENGINES = { CompiledOso: CompiledOso as unknown as Engine, Oso } as const;

describe('the relations that one question follows', () => {
  for (const store of [...kyselyStores(), new TypeormStore(), ...drizzleStores()] as readonly Store[]) {
    describe(store.name, () => {
      let rows: Rows;
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
      registerSchema(oso, describedSchema(description));
      oso.setDataFilteringAdapter(
        entityAdapter({ select: () => [], execute: async () => [], load: () => new Promise(() => {}) }),
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
});
