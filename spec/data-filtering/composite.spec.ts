import { expect } from 'chai';
import { CompiledOso } from '../../src/polar/index.js';
import { actorOf, stores, world } from './support/forest.js';
import type { Engine } from './support/store.js';
import { Expense, keyOf, Line, Membership } from './support/world.js';

const POLICY = `
  allow(actor, "read", line: Line) if
    key in actor.keys and line.expenseId = key.expenseId and line.number = key.number;
  allow(actor, "skip", line: Line) if
    not (key in actor.keys and line.expenseId = key.expenseId and line.number = key.number);
  allow(actor, "read", membership: Membership) if
    membership.userId = actor.id and membership.role = "owner";
  allow(actor, "read", membership: Membership) if
    other in actor.others and membership.userId = other.userId and membership.organizationId = other.organizationId;
  allow(actor, "follow", line: Line) if
    key in actor.keys and line.previousNumber = key.number and line.expenseId = key.expenseId and line.cents > 0;
`;

const INFINITE = `
  allow(actor, "read", expense: Expense) if is_one(actor, expense);
  allow(actor, "skip", expense: Expense) if not is_one(actor, expense);
  is_one(actor, expense: Expense) if
    pair in actor.pairs and expense.cents = pair.cents and expense.amount = pair.amount;
`;

/** So many cases, each of another world. */
const CASES = 8;

for (const store of stores) {
  describe(`columns that differ together, by ${store.name}`, () => {
    before(async function () {
      this.timeout(60_000);
      await store.open();
    });
    after(() => store.close());

    it('are one list of rows', async function () {
      this.timeout(0);
      const oso = store.oso(CompiledOso as unknown as Engine);
      await oso.loadStr(POLICY);
      const texts = new Set<string>();
      for (let seed = 1; seed <= CASES; seed++) {
        const data = world(seed, true);
        await store.fill(data);
        const user = actorOf(data, data.User[seed % data.User.length]?.id as string);
        const keys = data.Line.filter((_, at) => (at * 7 + seed) % 3 === 0);
        const others = [
          ...data.Membership,
          { userId: 'o\'neil\\\\"', organizationId: 'x', role: null },
        ].filter((_, at) => (at + seed) % 2 === 0);
        const actor = Object.assign(user, { keys, others });
        const has = (
          all: readonly { expenseId: number; number: number }[],
          line: Line,
          number: number | null,
        ) => all.some(each => each.expenseId === line.expenseId && each.number === number);
        const meant: [string, new () => object, readonly object[]][] = [
          ['read', Line, keys],
          ['skip', Line, data.Line.filter(line => !keys.includes(line))],
          ['follow', Line, data.Line.filter(line => line.cents > 0 && has(keys, line, line.previousNumber))],
          [
            'read',
            Membership,
            data.Membership.filter(
              each => others.includes(each) || (each.userId === user.id && each.role === 'owner'),
            ),
          ],
        ];
        for (const [action, Class, rows] of meant) {
          const name = Class === Line ? 'Line' : 'Membership';
          store.statements();
          const list = (await oso.authorizedResources(actor, action, Class as never)) as object[];
          expect(list.map(row => keyOf(name, row)).sort(), `${action} ${name}, seed ${seed}`).to.deep.equal(
            rows.map(row => keyOf(name, row)).sort(),
          );
          if (action !== 'read' || name !== 'Line') continue;
          const [text] = store.statements() ?? [];
          if (text !== undefined) texts.add(text.replace(/koa_oso_\w+/g, ''));
        }
      }
      expect([...texts].slice(1)).to.deep.equal([]);
    });

    it('tell infinite numbers apart', async () => {
      const oso = store.oso(CompiledOso as unknown as Engine);
      await oso.loadStr(INFINITE);
      const data = world(1, true);
      const pairs = [
        { cents: 1, amount: Number.POSITIVE_INFINITY },
        { cents: 1, amount: Number.NEGATIVE_INFINITY },
        { cents: 2, amount: Number.POSITIVE_INFINITY },
        { cents: 3, amount: 5 },
      ];
      const expenses = data.Expense.filter(({ deletedAt }) => deletedAt === null).slice(0, 5);
      const other = { cents: 2, amount: Number.NEGATIVE_INFINITY };
      for (const [at, expense] of expenses.entries()) Object.assign(expense, [...pairs, other][at]);
      await store.fill({ ...data, Expense: expenses });
      const actor = Object.assign(actorOf(data, data.User[0]?.id as string), { pairs });
      const listed = async (action: string) => {
        const list = (await oso.authorizedResources(actor, action, Expense as never)) as Expense[];
        return list.map(({ id }) => id).sort();
      };
      const ids = (rows: readonly Expense[]) => rows.map(({ id }) => id).sort();
      expect(expenses).to.have.lengthOf(5);
      expect(await listed('read')).to.deep.equal(ids(expenses.slice(0, 4)));
      expect(await listed('skip')).to.deep.equal(ids(expenses.slice(4)));
    });
  });
}
