import { expect } from 'chai';
import { expenses } from '../../demo/expenses.js';
import { describeTracker, expectError, organizationNamed, userNamed } from './support/expense-tracker.js';

describeTracker('the policy on organizations', ({ visitor, as, givenExpense, givenUser }) => {
  let acme: string;
  let fund: string;

  before(async () => {
    acme = `/organizations/${(await organizationNamed('Acme')).id}`;
    fund = `/organizations/${(await organizationNamed('Open Fund')).id}`;
  });

  describe('read', () => {
    for (const [name, role] of [
      ['Mia', 'a member'],
      ['Tom', 'an accountant'],
      ['Ada', 'an admin'],
    ] as const) {
      it(`is allowed to ${role}`, async () => {
        const response = await (await as(name)).get(acme);
        const { id } = await organizationNamed('Acme');
        expect(response.body).to.deep.equal({ id, name: 'Acme', publishesExpenses: false });
        expect(response.status).to.equal(200);
      });
    }

    it('is denied to the admin of another organization, as if it did not exist', async () => {
      const ola = await as('Ola');
      expectError(await ola.get(acme), 404, 'Not Found');
      expectError(await ola.get('/organizations/999999999'), 404, 'Not Found');
    });

    it('is allowed to everybody where the organization publishes its expenses', async () => {
      const { id } = await organizationNamed('Open Fund');
      for (const agent of [visitor(), await as('Mia')]) {
        const response = await agent.get(fund);
        expect(response.body).to.deep.equal({ id, name: 'Open Fund', publishesExpenses: true });
        expect(response.status).to.equal(200);
      }
    });

    it('is denied to a visitor elsewhere', async () => {
      expectError(await visitor().get(acme), 404, 'Not Found');
    });
  });

  describe('submit', () => {
    const expense = { description: 'Hotel', amountInCents: 95_50 };

    async function denied(agent: ReturnType<typeof visitor>, path: string, status: number, message: string) {
      const before = await expenses.count();
      expectError(await agent.post(`${path}/expenses`).send(expense), status, message);
      expect(await expenses.count()).to.equal(before);
    }

    it('is allowed to a member, who becomes the owner', async () => {
      const response = await (await as('Mia')).post(`${acme}/expenses`).send(expense);
      const { id: ownerId } = await userNamed('Mia');
      const { id: organizationId } = await organizationNamed('Acme');
      expect(response.body).to.deep.include({
        ...expense,
        status: 'submitted',
        owner: { id: ownerId, name: 'Mia' },
      });
      expect(response.status).to.equal(201);
      expect(await expenses.findOneBy({ id: response.body.id })).to.deep.include({
        ...expense,
        status: 'submitted',
        ownerId,
        organizationId,
        decidedById: null,
      });
    });

    it('is allowed to an accountant, who is a member by that role', async () => {
      const response = await (await as('Tom')).post(`${acme}/expenses`).send(expense);
      expect(response.body).to.deep.include(expense);
      expect(response.status).to.equal(201);
    });

    it('is denied to a user of another organization', async () => {
      await denied(await as('Mia'), fund, 403, 'You may not submit this');
      await denied(await as('Ola'), acme, 404, 'Not Found');
    });

    it('is denied to a visitor', async () => {
      await denied(visitor(), fund, 401, 'Log in first');
      await denied(visitor(), acme, 404, 'Not Found');
    });

    it('is denied before the body is looked at', async () => {
      const response = await (await as('Mia')).post(`${fund}/expenses`).send({ description: 7 });
      expectError(response, 403, 'You may not submit this');
    });
  });

  describe('audit', () => {
    before('expenses in an organization of their own', async () => {
      const audited = await organizationNamed('Open Fund');
      await expenses.delete({ organizationId: audited.id });
      for (const [status, amountInCents] of [
        ['submitted', 1_00],
        ['paid', 20_00],
        ['paid', 300_00],
      ] as const) {
        await givenExpense({ owner: 'Ola', organization: 'Open Fund', status, amountInCents });
      }
      await givenUser({ name: 'Bea', memberOf: { 'Open Fund': 'accountant' } });
      await givenUser({ name: 'Moe', memberOf: { 'Open Fund': 'member' } });
    });

    for (const [name, role] of [
      ['Bea', 'an accountant'],
      ['Ola', 'an admin'],
    ] as const) {
      it(`is allowed to ${role}, who gets the totals by status`, async () => {
        const response = await (await as(name)).get(`${fund}/report`);
        expect(response.body).to.deep.equal([
          { status: 'paid', count: 2, totalInCents: 320_00 },
          { status: 'submitted', count: 1, totalInCents: 1_00 },
        ]);
        expect(response.status).to.equal(200);
      });
    }

    it('is denied to a member', async () => {
      expectError(await (await as('Moe')).get(`${fund}/report`), 403, 'You may not audit this');
    });

    it('is denied to an accountant of another organization', async () => {
      expectError(await (await as('Tom')).get(`${fund}/report`), 403, 'You may not audit this');
      expectError(await (await as('Bea')).get(`${acme}/report`), 404, 'Not Found');
    });

    it('is denied to a visitor', async () => {
      expectError(await visitor().get(`${fund}/report`), 401, 'Log in first');
    });

    it('does not tell an organization that does not exist from one that may not be read', async () => {
      expectError(await (await as('Bea')).get('/organizations/999999999/report'), 404, 'Not Found');
    });
  });
});
