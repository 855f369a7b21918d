import { expect } from 'chai';
import { database } from '../../demo/database.js';
import { User } from '../../demo/entities/user.js';
import {
  describeTracker,
  expectError,
  expenseRow,
  organizationNamed,
  userNamed,
} from './support/expense-tracker.js';

describeTracker('the policy on expenses', ({ visitor, as, givenExpense, givenUser }) => {
  before('a colleague of Mia', () =>
    givenUser({ name: 'Kim', memberOf: { Acme: 'member' }, approvalLimitInCents: 1_000_00 }),
  );

  async function denied(name: string, action: string, id: number, status: number, message: string) {
    const before = await expenseRow(id);
    const agent = name === 'visitor' ? visitor() : await as(name);
    expectError(await agent.post(`/expenses/${id}/${action}`), status, message);
    expect(await expenseRow(id)).to.deep.equal(before);
  }

  async function allowed(name: string, action: string, id: number, status: string) {
    const response = await (await as(name)).post(`/expenses/${id}/${action}`);
    expect(response.body).to.include({ id, status });
    expect(response.status).to.equal(200);
    expect((await expenseRow(id)).status).to.equal(status);
  }

  describe('read', () => {
    it('is allowed to the owner, who sees it whole', async () => {
      const id = await givenExpense({ owner: 'Mia', amountInCents: 77_00 });
      const mia = await userNamed('Mia');
      const acme = await organizationNamed('Acme');
      const response = await (await as('Mia')).get(`/expenses/${id}`);
      expect(response.body).to.deep.equal({
        id,
        description: 'Tickets',
        amountInCents: 77_00,
        status: 'submitted',
        owner: { id: mia.id, name: 'Mia' },
        organization: { id: acme.id, name: 'Acme' },
        team: null,
      });
      expect(response.status).to.equal(200);
    });

    for (const [name, who] of [
      ['Max', "the owner's manager"],
      ['Tom', 'an accountant of the organization'],
      ['Ada', 'an admin of the organization'],
    ] as const) {
      it(`is allowed to ${who}`, async () => {
        const id = await givenExpense({ owner: 'Mia' });
        const response = await (await as(name)).get(`/expenses/${id}`);
        expect(response.body).to.include({ id, amountInCents: 10_00 });
        expect(response.status).to.equal(200);
      });
    }

    it('is denied to a colleague, as if the expense did not exist', async () => {
      const id = await givenExpense({ owner: 'Mia' });
      const kim = await as('Kim');
      expectError(await kim.get(`/expenses/${id}`), 404, 'Not Found');
      expectError(await kim.get('/expenses/999999999'), 404, 'Not Found');
    });

    it('is denied to the admin of another organization', async () => {
      const id = await givenExpense({ owner: 'Mia' });
      expectError(await (await as('Ola')).get(`/expenses/${id}`), 404, 'Not Found');
    });

    it('is denied to a manager who is not in the organization', async () => {
      const outside = await givenUser({ name: 'Una', memberOf: { 'Open Fund': 'member' } });
      await givenUser({ name: 'Ned', memberOf: { Acme: 'member' } });
      await database.manager.update(User, { name: 'Ned' }, { managerId: outside.id });
      const id = await givenExpense({ owner: 'Ned' });
      expectError(await (await as('Una')).get(`/expenses/${id}`), 404, 'Not Found');
    });

    it('is allowed to everybody once it is paid by an organization that publishes its expenses', async () => {
      const id = await givenExpense({ owner: 'Ola', organization: 'Open Fund', status: 'paid' });
      for (const agent of [visitor(), await as('Mia')]) {
        const response = await agent.get(`/expenses/${id}`);
        expect(response.body).to.include({ id, status: 'paid' });
        expect(response.status).to.equal(200);
      }
    });

    it('is denied to a visitor before it is paid', async () => {
      const id = await givenExpense({ owner: 'Ola', organization: 'Open Fund', status: 'approved' });
      expectError(await visitor().get(`/expenses/${id}`), 404, 'Not Found');
    });

    it('is denied to a visitor where the organization does not publish', async () => {
      const id = await givenExpense({ owner: 'Mia', status: 'paid' });
      expectError(await visitor().get(`/expenses/${id}`), 404, 'Not Found');
    });
  });

  describe('approve', () => {
    const message = 'You may not approve this';

    it("is allowed to the owner's manager up to their limit, and notes who decided", async () => {
      const id = await givenExpense({ owner: 'Mia', amountInCents: 500_00 });
      await allowed('Max', 'approve', id, 'approved');
      expect((await expenseRow(id)).decidedById).to.equal((await userNamed('Max')).id);
    });

    it('is denied to the manager above their limit', async () => {
      const id = await givenExpense({ owner: 'Mia', amountInCents: 500_01 });
      await denied('Max', 'approve', id, 403, message);
    });

    it('is allowed to an admin without a limit', async () => {
      const id = await givenExpense({ owner: 'Mia', amountInCents: 9_000_00 });
      await allowed('Ada', 'approve', id, 'approved');
    });

    it('is denied to the owner', async () => {
      await denied('Mia', 'approve', await givenExpense({ owner: 'Mia' }), 403, message);
    });

    it('is denied to the owner also where they are the admin', async () => {
      await denied('Ada', 'approve', await givenExpense({ owner: 'Ada' }), 403, message);
    });

    it('is denied to the accountant', async () => {
      await denied('Tom', 'approve', await givenExpense({ owner: 'Mia' }), 403, message);
    });

    it('is denied to a colleague with a limit, who may not even read it', async () => {
      await denied('Kim', 'approve', await givenExpense({ owner: 'Mia' }), 404, 'Not Found');
    });

    for (const status of ['approved', 'rejected', 'paid'] as const) {
      it(`is denied where the expense is ${status} already`, async () => {
        await denied('Max', 'approve', await givenExpense({ owner: 'Mia', status }), 403, message);
        await denied('Ada', 'approve', await givenExpense({ owner: 'Mia', status }), 403, message);
      });
    }

    it('is denied to a visitor, who is asked to log in where they may read', async () => {
      const id = await givenExpense({ owner: 'Ola', organization: 'Open Fund', status: 'paid' });
      await denied('visitor', 'approve', id, 401, 'Log in first');
      await denied('visitor', 'approve', await givenExpense({ owner: 'Mia' }), 404, 'Not Found');
    });
  });

  describe('reject', () => {
    const message = 'You may not reject this';

    it("is allowed to the owner's manager whatever the amount, and notes who decided", async () => {
      const id = await givenExpense({ owner: 'Mia', amountInCents: 9_000_00 });
      await allowed('Max', 'reject', id, 'rejected');
      expect((await expenseRow(id)).decidedById).to.equal((await userNamed('Max')).id);
    });

    it('is allowed to an admin', async () => {
      await allowed('Ada', 'reject', await givenExpense({ owner: 'Mia' }), 'rejected');
    });

    it('is denied to the owner also where they are the admin', async () => {
      await denied('Ada', 'reject', await givenExpense({ owner: 'Ada' }), 403, message);
    });

    it('is denied to the accountant', async () => {
      await denied('Tom', 'reject', await givenExpense({ owner: 'Mia' }), 403, message);
    });

    it('is denied where the expense is no longer submitted', async () => {
      await denied('Max', 'reject', await givenExpense({ owner: 'Mia', status: 'approved' }), 403, message);
    });
  });

  describe('pay', () => {
    const message = 'You may not pay this';

    it('is allowed to an accountant once the expense is approved', async () => {
      const id = await givenExpense({ owner: 'Mia', status: 'approved', decidedBy: 'Max' });
      await allowed('Tom', 'pay', id, 'paid');
      expect((await expenseRow(id)).decidedById).to.equal((await userNamed('Max')).id);
    });

    for (const status of ['submitted', 'rejected', 'paid'] as const) {
      it(`is denied while the expense is ${status}`, async () => {
        await denied(
          'Tom',
          'pay',
          await givenExpense({ owner: 'Mia', status, decidedBy: 'Max' }),
          403,
          message,
        );
      });
    }

    it('is denied to an accountant who owns the expense', async () => {
      const id = await givenExpense({ owner: 'Tom', status: 'approved', decidedBy: 'Ada' });
      await denied('Tom', 'pay', id, 403, message);
    });

    it('is denied to an accountant who approved the expense', async () => {
      const id = await givenExpense({ owner: 'Mia', status: 'approved', decidedBy: 'Tom' });
      await denied('Tom', 'pay', id, 403, message);
    });

    it('is denied to the admin', async () => {
      const id = await givenExpense({ owner: 'Mia', status: 'approved', decidedBy: 'Max' });
      await denied('Ada', 'pay', id, 403, message);
    });

    it('is denied to the accountant of another organization', async () => {
      await givenUser({ name: 'Bea', memberOf: { 'Open Fund': 'accountant' } });
      const id = await givenExpense({ owner: 'Mia', status: 'approved', decidedBy: 'Max' });
      await denied('Bea', 'pay', id, 404, 'Not Found');
    });
  });
});
