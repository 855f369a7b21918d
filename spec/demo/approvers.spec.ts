import { expect } from 'chai';
import { database } from '../../demo/database.js';
import { Expense } from '../../demo/entities/expense.js';
import { User } from '../../demo/entities/user.js';
import { describeTracker, expectError } from './support/expense-tracker.js';
import { statementsOf } from './support/statements.js';

describeTracker('the approvers of an expense', ({ engine, visitor, as, givenExpense }) => {
  it('are those for whom a single decision says yes', async () => {
    await givenExpense({ owner: 'Ada' });
    await givenExpense({ owner: 'Mia', amountInCents: 500_00 });
    await givenExpense({ owner: 'Mia', amountInCents: 500_01 });
    const users = await database.manager.find(User, {
      relations: { memberships: true },
      order: { id: 'ASC' },
    });
    const ada = await as('Ada');
    const found = new Set<string>();
    for (const expense of await database.manager.find(Expense, {
      relations: { owner: true, organization: true },
    })) {
      const response = await ada.get(`/expenses/${expense.id}/approvers`);
      if (response.status === 404) continue;
      const expected: { id: number; name: string }[] = [];
      for (const user of users) {
        if (await engine().isAllowed(user, 'approve', expense))
          expected.push({ id: user.id, name: user.name });
      }
      expect(response.body).to.deep.equal({ approvers: expected });
      found.add(expected.map(({ name }) => name).join());
    }
    expect([...found]).to.have.members(['', 'Ada', 'Ada,Max']);
  });

  it('are found by one statement', async () => {
    const ada = await as('Ada');
    const forExpense = await statementsOf(() => ada.get('/expenses/1').expect(200));
    const statements = await statementsOf(() => ada.get('/expenses/1/approvers').expect(200));
    expect(statements).to.have.length(forExpense.length + 1);
  });

  it('are told to those who may read the expense alone', async () => {
    expectError(await visitor().get('/expenses/1/approvers'), 404, 'Not Found');
    expectError(await (await as('Ola')).get('/expenses/1/approvers'), 404, 'Not Found');
  });
});
