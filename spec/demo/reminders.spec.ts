import { expect } from 'chai';
import { database } from '../../demo/database.js';
import { Expense } from '../../demo/entities/expense.js';
import { Membership } from '../../demo/entities/membership.js';
import { Reminder } from '../../demo/entities/reminder.js';
import { remindAll } from '../../demo/reminders.js';
import { describeTracker, organizationNamed, userNamed } from './support/expense-tracker.js';

describeTracker('the reminders of the night', ({ koaOso, engine, visitor, as, givenExpense }) => {
  /** What somebody is reminded of, by description. */
  async function remindersOf(name: string): Promise<string[]> {
    const { body } = await (await as(name)).get('/reminders').expect(200);
    expect(body.total).to.equal(body.reminders.length);
    return body.reminders.map(({ expense }: { expense: { description: string } }) => expense.description);
  }

  it('are for those who may approve something, of that', async () => {
    expect(await remindAll(koaOso())).to.deep.equal({ Ada: 3, Max: 1 });
    expect(await remindersOf('Ada')).to.deep.equal(['Train to the customer', 'New laptop', 'Conference']);
    expect(await remindersOf('Max')).to.deep.equal(['Train to the customer']);
    for (const name of ['Mia', 'Tom', 'Ola']) expect(await remindersOf(name)).to.deep.equal([]);
  });

  it('are nobody else’s', async () => {
    const { body } = await visitor().get('/reminders').expect(200);
    expect(body).to.deep.equal({ reminders: [], total: 0, page: 1, pages: 0 });
  });

  it('are noted for what a single decision allows, and nothing else', async () => {
    await remindAll(koaOso());
    const reminders = await database.manager.find(Reminder, {
      relations: { expense: { owner: true, organization: true }, user: { memberships: true } },
    });
    expect(reminders).to.have.length(4);
    for (const { user, expense } of reminders) {
      expect(await engine().isAllowed(user, 'approve', expense)).to.equal(true);
    }
  });

  it('are gone once somebody has decided', async () => {
    const id = await givenExpense({ owner: 'Mia', description: 'Late train' });
    await remindAll(koaOso());
    expect(await remindersOf('Max')).to.deep.equal(['Train to the customer', 'Late train']);
    await (await as('Ada')).post(`/expenses/${id}/approve`).expect(200);
    expect(await remindersOf('Max')).to.deep.equal(['Train to the customer']);
    expect(await remindersOf('Ada')).not.to.include('Late train');
  });

  it('are gone for whoever lost the role', async () => {
    const ids = { userId: (await userNamed('Max')).id, organizationId: (await organizationNamed('Acme')).id };
    await remindAll(koaOso());
    const membership = await database.manager.findOneByOrFail(Membership, ids);
    await database.manager.delete(Membership, ids);
    try {
      expect(await remindersOf('Max')).to.deep.equal([]);
      expect(await remindAll(koaOso())).not.to.have.property('Max');
    } finally {
      await database.manager.save(Membership, membership);
    }
  });

  it('are made in one transaction: if it fails, those of last night stay', async () => {
    await remindAll(koaOso());
    const before = await database.manager.find(Reminder);
    const failing = Object.create(koaOso(), {
      for: {
        value: (user: { name: string }) => {
          if (user.name === 'Tom') throw new Error('the power is out');
          return koaOso().for(user as never);
        },
      },
    });
    await remindAll(failing).then(
      () => expect.fail('it went through'),
      error => expect(error.message).to.equal('the power is out'),
    );
    expect(await database.manager.find(Reminder)).to.deep.equal(before);
  });

  it('ask the policy inside of the transaction, which sees what is not committed yet', async () => {
    const rolledBack = new Error('rolled back');
    let reminded: unknown;
    const done = database.transaction(async manager => {
      await manager.update(
        Expense,
        { description: 'Conference' },
        { ownerId: (await userNamed('Mia')).id, amountInCents: 1 },
      );
      reminded = await remindAll(koaOso(), manager);
      throw rolledBack;
    });
    await done.then(
      () => expect.fail('it was committed'),
      error => expect(error).to.equal(rolledBack),
    );
    expect(reminded).to.deep.equal({ Ada: 3, Max: 2 });
    expect(await remindAll(koaOso())).to.deep.equal({ Ada: 3, Max: 1 });
  });
});
