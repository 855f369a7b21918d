import { expect } from 'chai';
import { Oso } from 'oso';
import { CompiledOso } from '../../../src/polar/index.js';
import { actor, HOSTILE, LISTS, POLICY, smallWorld } from './small-world.js';
import type { Engine, Store } from './store.js';
import { Expense, Line, Tag, type User } from './world.js';

/** The properties of a row. TypeORM's have one without a value for each relation. */
function valuesOf(row: object | undefined): object {
  return Object.fromEntries(Object.entries(row ?? {}).filter(([, value]) => value !== undefined));
}

/** What every adapter promises of the small world, of which a reader can tell by hand what is allowed. */
export function itLists(store: Store): void {
  describe(`lists of ${store.name}`, () => {
    before(async () => {
      await store.open();
      await store.fill(smallWorld);
    });

    after(() => store.close());

    for (const Engine of [Oso, CompiledOso]) {
      describe(`with ${Engine.name}`, () => itListsWith(store, Engine as Engine));
    }
  });
}

function itListsWith(store: Store, Engine: Engine): void {
  let oso: Oso;

  before(async () => {
    oso = store.oso(Engine);
    await oso.loadStr(POLICY);
  });

  const list = async (action: string, user = actor()) =>
    (await oso.authorizedResources(user, action, Expense)) as Expense[];
  const idsOf = async (action: string, user?: User) =>
    (await list(action, user)).map(({ id }) => id).sort((a, b) => a - b);
  // Oso throws where a policy reads an attribute of nil: that is no permission.
  const isAllowed = (action: string, expense: unknown) =>
    oso.isAllowed(actor(), action, expense).catch(() => false);
  const copyOf = (...fields: (object | undefined)[]): Expense =>
    Object.assign(Object.create(Expense.prototype), ...fields);
  /** How many statements it takes; undefined if there is no SQL. */
  const statementsOf = async (work: () => Promise<unknown>): Promise<number | undefined> => {
    store.statements();
    await work();
    return store.statements()?.length;
  };

  it('ask of the database nothing while the query is made', async () => {
    const sent = await statementsOf(() => oso.authorizedQuery(actor(), 'approve', Expense));
    expect(sent ?? 0).to.equal(0);
  });

  it('are had by one statement', async () => {
    expect((await statementsOf(() => list('approve'))) ?? 1).to.equal(1);
  });

  it('are empty where nothing is allowed', async () => {
    expect(await list('delete')).to.be.empty;
  });

  it('have all where all is allowed', async () => {
    const tags = (await oso.authorizedResources(actor(), 'browse', Tag)) as Tag[];
    expect(tags.map(({ id }) => id)).to.have.members(['food', 'travel']);
  });

  it('leave out rows that count as deleted', async () => {
    expect(await idsOf('browse')).to.deep.equal([1, 2, 3, 4, 5]);
  });

  for (const [action, expected] of Object.entries(LISTS)) {
    it(`find what the policy says of "${action}"`, async () => {
      expect(await idsOf(action)).to.deep.equal(expected);
      for (const expense of smallWorld.Expense.filter(each => each.deletedAt === null)) {
        const { id } = expense;
        expect(await isAllowed(action, copyOf(expense)), `expense ${id}`).to.equal(expected.includes(id));
      }
    });
  }

  it('bind what tries to break out of a statement', async () => {
    store.statements();
    expect(await idsOf('read', actor(HOSTILE))).to.deep.equal([5]);
    expect(store.statements()?.join() ?? '').not.to.include('DROP');
  });

  it('compare dates to the millisecond', async () => {
    const at = (time: string) => actor('ann', new Date(time));
    expect(await idsOf('dated', at('2024-02-29T00:00:00.001Z'))).to.deep.equal([1]);
    expect(await idsOf('dated', at('2024-02-29T00:00:00.000Z'))).to.be.empty;
    expect(await idsOf('undated', at('2024-02-29T00:00:00.001Z'))).to.deep.equal([2, 3, 4, 5]);
  });

  it('join rows of one table to each other, by composite keys', async () => {
    const lines = (await oso.authorizedResources(actor(), 'next', Line)) as Line[];
    expect(lines.map(valuesOf)).to.deep.equal([valuesOf(smallWorld.Line[1])]);
  });

  it('ask no row for a part of a key whose other part is null', async () => {
    const lines = (await oso.authorizedResources(actor(), 'after', Line)) as Line[];
    expect(lines.map(({ expenseId, number }) => [expenseId, number])).to.deep.equal([[1, 2]]);
  });

  it('have instances, with the values that the fields have', async () => {
    const [expense, ...others] = await list('paid');
    expect(others).to.be.empty;
    expect(expense).to.be.instanceOf(Expense);
    expect(valuesOf(expense)).to.deep.equal(valuesOf(smallWorld.Expense[0]));
  });

  it('have what can be asked about', async () => {
    for (const expense of await list('browse')) {
      const { id } = expense;
      expect(await isAllowed('approve', expense), `expense ${id}`).to.equal(id === 1 || id === 5);
    }
  });

  describe('and a policy that follows a relation', () => {
    it('loads what is not loaded, by one statement for each step at most', async () => {
      const bobs = copyOf(smallWorld.Expense[2]);
      const ask = async () => expect(await oso.isAllowed(actor(), 'manage', bobs)).to.equal(true);
      expect((await statementsOf(ask)) ?? 1).to.be.within(1, 2);
    });

    it('takes what is loaded', async () => {
      const loaded = copyOf(smallWorld.Expense[0], { owner: actor('bob') });
      const sent = await statementsOf(async () => {
        expect(await oso.isAllowed(actor('bob'), 'read', loaded)).to.equal(true);
        expect(await oso.isAllowed(actor('ann'), 'read', loaded)).to.equal(false);
      });
      expect(sent ?? 0).to.equal(0);
    });

    it('allows nothing by what is related to a row that is not saved', async () => {
      const fresh = copyOf({ ownerId: 'ann' });
      const ask = async () => expect(await isAllowed('tagged', fresh)).to.equal(false);
      expect((await statementsOf(ask)) ?? 0).to.equal(0);
    });
  });
}
