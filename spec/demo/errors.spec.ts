import { expect } from 'chai';
import supertest from 'supertest';
import { expenses } from '../../demo/expenses.js';
import { describeTracker, expectError, expenseRow } from './support/expense-tracker.js';

describeTracker('errors', ({ start, visitor, as, givenExpense }) => {
  it('are JSON for a path that does not exist', async () => {
    expectError(await visitor().get('/nowhere'), 404, 'Not Found');
  });

  it('are JSON for a method that a path does not have', async () => {
    const controllers = await visitor().put('/session');
    expectError(controllers, 405, 'Method Not Allowed');
    expect(controllers.headers.allow?.split(', ')).to.have.members(['GET', 'HEAD', 'POST', 'DELETE']);
    const router = await visitor().delete('/organizations/1/report');
    expectError(router, 405, 'Method Not Allowed');
    expect(router.headers.allow?.split(', ')).to.have.members(['GET', 'HEAD']);
  });

  it('are JSON for a body that is no JSON', async () => {
    const response = await visitor().post('/session').type('json').send('{"email":');
    expectError(response, 400, 'Bad Request');
  });

  it('are 404 for what can be no id', async () => {
    const ada = await as('Ada');
    for (const id of ['first', '-1', '1.5', '1e1', '99999999999999999999']) {
      expectError(await ada.get(`/expenses/${id}`), 404, 'Not Found');
      expectError(await ada.get(`/organizations/${id}/report`), 404, 'Not Found');
    }
  });

  it('name the fields of a body that is not valid, and nothing is stored', async () => {
    const before = await expenses.count();
    const response = await (await as('Mia'))
      .post('/organizations/1/expenses')
      .send({ description: '', amountInCents: 0.5, status: 'paid' });
    expect(response.status).to.equal(400);
    expect(response.body.error).to.include({ status: 400, message: 'The request is not valid' });
    expect(response.body.error.fields).to.have.keys('description', 'amountInCents', 'status');
    expect(response.body.error.fields.status).to.deep.equal(['property status should not exist']);
    expect(await expenses.count()).to.equal(before);
  });

  it('tell the client nothing of what went wrong inside, and the app everything', async () => {
    const app = await start();
    const seen: Error[] = [];
    app.on('error', error => seen.push(error));
    const { findOne } = expenses;
    expenses.findOne = () => Promise.reject(new Error('the disk of server 7 is full'));
    try {
      expectError(await supertest(app.callback()).get('/expenses/1'), 500, 'Internal Server Error');
    } finally {
      expenses.findOne = findOne;
    }
    expect(seen).to.have.length(1);
    expect(seen[0]?.cause).to.have.property('message', 'the disk of server 7 is full');
  });

  it('take the place of the response of a route that forgot to authorize', async () => {
    const app = await start();
    const seen: unknown[] = [];
    app.on('error', error => seen.push(error.code));
    app.use(ctx => {
      ctx.body = { salaries: [1, 2, 3] };
    });
    expectError(await supertest(app.callback()).get('/salaries'), 500, 'Internal Server Error');
    expect(seen).to.deep.equal(['ERR_KOA_OSO_AUTHORIZATION_MISSING']);
  });

  it('are 409 where two decisions meet, and only the first counts', async () => {
    const id = await givenExpense({ owner: 'Mia' });
    const max = await as('Max');
    const { update } = expenses;
    // The approval arrives between the check of the rejection and its update.
    expenses.update = async (...args) => {
      expenses.update = update;
      await max.post(`/expenses/${id}/approve`).expect(200);
      return update.apply(expenses, args);
    };
    const response = await (await as('Ada')).post(`/expenses/${id}/reject`);
    expectError(response, 409, 'The expense has changed in the meantime');
    expect((await expenseRow(id)).status).to.equal('approved');
  });
});
