import { expect } from 'chai';
import { expenses } from '../../demo/expenses.js';
import { describeTracker, expectError, organizationNamed } from './support/expense-tracker.js';

describeTracker('the list of organizations', ({ visitor, as }) => {
  it('holds what the user may read', async () => {
    const mia = await (await as('Mia')).get('/organizations');
    expect(mia.body.map(({ name }: { name: string }) => name)).to.deep.equal(['Open Fund', 'Acme']);
    const ola = await (await as('Ola')).get('/organizations');
    expect(ola.body.map(({ name }: { name: string }) => name)).to.deep.equal(['Open Fund']);
    expect([mia.status, ola.status]).to.deep.equal([200, 200]);
  });

  it('may be asked for with HEAD as well', async () => {
    const response = await (await as('Mia')).head('/organizations');
    expect(response.status).to.equal(200);
    expect(response.headers['content-type']).to.equal('application/json; charset=utf-8');
  });

  it('is denied to a visitor, who is asked to log in', async () => {
    expectError(await visitor().get('/organizations'), 401, 'Log in first');
  });
});

describeTracker('the list of expenses of an organization', ({ visitor, as, givenExpense, givenUser }) => {
  const own: Record<string, number> = {};

  async function idsFor(agent: ReturnType<typeof visitor>, organization: string): Promise<number[]> {
    const { id } = await organizationNamed(organization);
    const response = await agent.get(`/organizations/${id}/expenses`);
    expect(response.status).to.equal(200);
    return response.body.map((expense: { id: number }) => expense.id);
  }

  before(async () => {
    await expenses.clear();
    await givenUser({ name: 'Kim', memberOf: { Acme: 'member' } });
    for (const owner of ['Mia', 'Kim', 'Max']) own[owner] = await givenExpense({ owner });
  });

  it('holds for a member their own, latest first', async () => {
    const another = await givenExpense({ owner: 'Kim' });
    expect(await idsFor(await as('Kim'), 'Acme')).to.deep.equal([another, own.Kim]);
    await expenses.delete(another);
  });

  it('holds for a manager those of their reports, and their own', async () => {
    expect(await idsFor(await as('Max'), 'Acme')).to.deep.equal([own.Max, own.Mia]);
  });

  it('holds all of them for an accountant', async () => {
    expect(await idsFor(await as('Tom'), 'Acme')).to.deep.equal([own.Max, own.Kim, own.Mia]);
  });

  it('holds for a visitor what was paid, where the organization publishes it', async () => {
    const paid = await givenExpense({ owner: 'Ola', organization: 'Open Fund', status: 'paid' });
    await givenExpense({ owner: 'Ola', organization: 'Open Fund' });
    expect(await idsFor(visitor(), 'Open Fund')).to.deep.equal([paid]);
  });

  it('is denied to a visitor elsewhere', async () => {
    const { id } = await organizationNamed('Acme');
    expectError(await visitor().get(`/organizations/${id}/expenses`), 404, 'Not Found');
  });

  it('holds no more than the latest 50', async () => {
    const ids: number[] = [];
    for (let count = 0; count < 51; count++) ids.push(await givenExpense({ owner: 'Mia' }));
    expect(await idsFor(await as('Tom'), 'Acme')).to.deep.equal(ids.slice(1).reverse());
  });
});
