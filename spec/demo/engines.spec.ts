import { expect } from 'chai';
import type Koa from 'koa';
import { CompiledOso } from 'koa-oso/polar';
import { Oso } from 'oso';
import supertest from 'supertest';
import { createApp } from '../../demo/app.js';
import { expenseOso } from '../../demo/authorization.js';
import { database, openDatabase } from '../../demo/database.js';
import { EXPENSE_STATUSES, Expense } from '../../demo/entities/expense.js';
import { Organization } from '../../demo/entities/organization.js';
import { User } from '../../demo/entities/user.js';
import { people } from '../../demo/seed.js';
import { requestOf } from '../support/request.js';
import { engineOf } from './support/expense-tracker.js';

const ACTIONS = ['read', 'submit', 'audit', 'approve', 'reject', 'pay', 'delete', 'GET', 'HEAD', 'POST'];

describe('the engine of the expense tracker', () => {
  before(openDatabase);
  after(() => database.destroy());

  it('is CompiledOso, which asks nothing of Oso’s own', async () => {
    const asked = await whileCounting(async () => useIt(createApp(await expenseOso())));
    expect(asked.compiled).to.be.greaterThan(0);
    expect(asked.oso).to.equal(0);
  });

  it('is another where one is given', async () => {
    const asked = await whileCounting(async () => useIt(createApp(await expenseOso(engineOf(Oso)))));
    expect(asked.oso).to.be.greaterThan(0);
    expect(asked.compiled).to.equal(0);
  });

  /** Has the policy allow and deny. */
  async function useIt(app: Koa): Promise<void> {
    const mia = supertest.agent(app.callback());
    const { email, password } = people[2] as (typeof people)[number];
    await mia.post('/session').send({ email, password }).expect(200);
    await mia.get('/organizations').expect(200);
    await mia.get('/expenses').expect(200);
    await mia.get('/expenses/to-approve').expect(200);
    await mia.get('/expenses/1').expect(200);
    await mia.post('/expenses/1/approve').expect(403);
    await supertest(app.callback()).get('/expenses/1').expect(404);
  }
});

describe('the policy of the expense tracker', function () {
  // Thousands of questions to Oso's engine.
  this.timeout(60_000);
  const oso = engineOf(Oso);
  const compiled = engineOf(CompiledOso) as CompiledOso;
  let actors: (User | null)[];
  let resources: unknown[];

  before(async () => {
    await openDatabase();
    for (const engine of [oso, compiled]) await expenseOso(engine);
    const users = await database.manager.find(User, { relations: { memberships: true } });
    const expenses = await database.manager.find(Expense, { relations: { owner: true, organization: true } });
    actors = [null, ...users];
    resources = [
      null,
      ...users,
      ...(await database.manager.find(Organization)),
      ...expenses.flatMap(expense => inEveryStatus(expense, users)),
      ...['/organizations', '/organizations/1', '/expenses/1'].map(path => requestOf('GET', path)),
    ];
  });
  after(() => database.destroy());

  /** The expense as it is, and as it could be, whoever has decided. */
  function inEveryStatus(expense: Expense, users: User[]): Expense[] {
    return EXPENSE_STATUSES.flatMap(status =>
      [null, ...users.map(({ id }) => id)].map(decidedById =>
        database.manager.create(Expense, { ...expense, status, decidedById }),
      ),
    );
  }

  for (const action of ACTIONS) {
    it(`has the same answers in compiled form: ${action}`, async () => {
      const answers = new Set<boolean>();
      for (const actor of actors) {
        for (const resource of resources) {
          const expected = await oso.isAllowed(actor, action, resource);
          answers.add(expected);
          expect(await compiled.isAllowed(actor, action, resource)).to.equal(expected);
        }
      }
      const isKnown = !['delete', 'POST'].includes(action);
      expect([...answers]).to.have.members(isKnown ? [true, false] : [false]);
      expect(compiled.fallbacks).to.deep.equal([]);
    });
  }

  it('allows the same actions in compiled form', async () => {
    const known = new Set<unknown>();
    for (const actor of actors) {
      for (const resource of resources) {
        const expected = await oso.authorizedActions(actor, resource);
        for (const action of expected) known.add(action);
        expect(await compiled.authorizedActions(actor, resource)).to.deep.equal(expected);
      }
    }
    expect([...known]).to.include.members(ACTIONS.slice(0, 6));
    expect(compiled.fallbacks).to.deep.equal([]);
  });
});

/** How many questions CompiledOso was asked, and how many Oso's own engine, while something was done. */
async function whileCounting(action: () => Promise<void>): Promise<{ compiled: number; oso: number }> {
  const asked = { compiled: 0, oso: 0 };
  const { isAllowed } = CompiledOso.prototype;
  // Every question to Oso's engine comes by here, those of a CompiledOso that falls back among them.
  const { query } = Oso.prototype;
  CompiledOso.prototype.isAllowed = function (...args) {
    asked.compiled++;
    return isAllowed.apply(this, args);
  };
  Oso.prototype.query = function (...args) {
    asked.oso++;
    return query.apply(this, args);
  };
  try {
    await action();
  } finally {
    CompiledOso.prototype.isAllowed = isAllowed;
    Reflect.deleteProperty(Oso.prototype, 'query');
  }
  return asked;
}
