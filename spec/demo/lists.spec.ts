import { expect } from 'chai';
import type { Response } from 'supertest';
import { expenses } from '../../demo/expenses.js';
import { describeTracker, expectError, organizationNamed } from './support/expense-tracker.js';
import { statementsOf } from './support/statements.js';

interface Row {
  id: number;
  description: string;
  amountInCents: number;
  status: string;
}

const rowsOf = ({ body }: Response): Row[] => body.expenses;
const idsIn = (response: Response) => rowsOf(response).map(({ id }) => id);
const descriptionsIn = (response: Response) => rowsOf(response).map(({ description }) => description);

describeTracker('the list of expenses', ({ visitor, as, givenExpense }) => {
  const someone = async (name: string | null) => (name === null ? visitor() : as(name));

  it('is another for each user by the same URL, each with the right total', async () => {
    for (const [name, descriptions, total, pages] of [
      [null, ['Public lecture', 'Leaflets'], 2, 1],
      ['Mia', ['New laptop', 'Public lecture'], 4, 2],
      ['Max', ['New laptop', 'Conference'], 6, 3],
      ['Tom', ['New laptop', 'Conference'], 7, 4],
      ['Ola', ['Public lecture', 'Room for the meeting'], 3, 2],
    ] as const) {
      const response = await (await someone(name)).get('/expenses?sort=-amountInCents&perPage=2');
      expect(response.status).to.equal(200);
      expect(descriptionsIn(response)).to.deep.equal(descriptions);
      expect(response.body).to.deep.include({ total, page: 1, pages });
    }
  });

  it('holds for a visitor what was published, and nothing else', async () => {
    expect(descriptionsIn(await visitor().get('/expenses'))).to.deep.equal(['Leaflets', 'Public lecture']);
  });

  it('shows each expense as it is shown by itself', async () => {
    const mia = await as('Mia');
    const list = await mia.get('/expenses');
    for (const row of rowsOf(list)) expect((await mia.get(`/expenses/${row.id}`)).body).to.deep.equal(row);
  });

  it('may be asked for with HEAD as well', async () => {
    const { status, headers } = await (await as('Mia')).head('/expenses');
    expect(status).to.equal(200);
    expect(headers['content-type']).to.equal('application/json; charset=utf-8');
  });

  describe('of many', () => {
    let ids: number[];
    before(async () => {
      // None of them is for Max but those of Mia.
      const before = idsIn(await (await as('Max')).get('/expenses'));
      const added: number[] = [];
      for (let count = 0; count < 23; count++) {
        added.push(await givenExpense({ owner: 'Mia' }));
        await givenExpense({ owner: 'Tom' });
      }
      ids = [...before, ...added];
    });

    async function pagesOf(query: string, perPage: number): Promise<Response[]> {
      const max = await as('Max');
      const responses: Response[] = [];
      for (let page = 1; page <= Math.ceil(ids.length / perPage); page++) {
        responses.push(await max.get(`/expenses?${query}&perPage=${perPage}&page=${page}`).expect(200));
      }
      return responses;
    }

    for (const sort of ['id', '-id', 'amountInCents', '-amountInCents', 'status', '-description']) {
      it(`has each expense on one page, in the order of ${sort}`, async () => {
        const responses = await pagesOf(`sort=${sort}`, 5);
        const column = sort.replace('-', '') as keyof Row;
        const sign = sort.startsWith('-') ? -1 : 1;
        const order = (left: Row, right: Row) => {
          if (left[column] === right[column]) return sign * (left.id - right.id);
          return left[column] < right[column] ? -sign : sign;
        };
        const rows = responses.flatMap(rowsOf);
        expect(rows.map(({ id }) => id)).to.have.members(ids);
        expect(rows).to.deep.equal(rows.toSorted(order));
        expect(responses.map(response => rowsOf(response).length)).to.deep.equal([5, 5, 5, 5, 5, 4]);
        for (const [index, { body }] of responses.entries()) {
          expect(body).to.include({ total: 29, page: index + 1, pages: 6 });
        }
      });
    }

    it('is empty behind the last page, with the right total', async () => {
      const { body } = await (await as('Max')).get('/expenses?page=7&perPage=5').expect(200);
      expect(body).to.deep.equal({ expenses: [], total: 29, page: 7, pages: 6 });
    });

    it('has 20 to a page, the latest first, unless asked otherwise', async () => {
      const expected = ids.toSorted((left, right) => right - left).slice(0, 20);
      expect(idsIn(await (await as('Max')).get('/expenses'))).to.deep.equal(expected);
    });

    it('takes two statements besides the user: one for the page, one for the total', async () => {
      const max = await as('Max');
      const forUser = await statementsOf(() => max.get('/session').expect(200));
      for (const path of ['/expenses?perPage=1', '/expenses?perPage=100', '/expenses/to-approve?search=i']) {
        const statements = await statementsOf(() => max.get(path).expect(200));
        const [page, total, ...more] = statements.filter(statement => !forUser.includes(statement));
        expect(more).to.deep.equal([]);
        expect(statements).to.have.length(forUser.length + 2);
        expect(page).to.match(/^SELECT .* FROM .*"expense".* WHERE .* LIMIT \d+ OFFSET \d+$/s);
        expect(total).to.match(/^SELECT COUNT\(.* FROM .*"expense".* WHERE /s);
      }
    });
  });
});

describeTracker('what is asked of a list of expenses', ({ visitor, as, givenExpense }) => {
  const odd = ['Taxi 100%', 'Taxi 100 km', 'file_1.pdf', 'file-1.pdf', `"O'Hare"`, 'C:\\receipts'];

  before(async () => {
    for (const description of odd) await givenExpense({ owner: 'Mia', description });
  });

  async function found(name: string, query: Record<string, string>): Promise<string[]> {
    const response = await (await as(name)).get('/expenses').query({ sort: 'id', ...query });
    expect(response.status).to.equal(200);
    expect(response.body.total).to.equal(rowsOf(response).length);
    return descriptionsIn(response);
  }

  for (const [search, descriptions] of [
    ['100', ['Taxi 100%', 'Taxi 100 km']],
    ['100%', ['Taxi 100%']],
    ['%', ['Taxi 100%']],
    ['file_1', ['file_1.pdf']],
    ['_', ['file_1.pdf']],
    [`"O'`, [`"O'Hare"`]],
    [`'`, [`"O'Hare"`]],
    ['\\', ['C:\\receipts']],
    ['C:\\r', ['C:\\receipts']],
    [`' OR '1' = '1`, []],
    ['TAXI 100', ['Taxi 100%', 'Taxi 100 km']],
  ] as const) {
    it(`finds the text ${search}`, async () => {
      expect(await found('Mia', { search })).to.deep.equal(descriptions);
    });
  }

  it('finds only what the user may read', async () => {
    expect(await found('Tom', { search: 'conference' })).to.deep.equal(['Conference']);
    expect(await found('Mia', { search: 'conference' })).to.deep.equal([]);
  });

  it('may be a status, alone and with a text', async () => {
    expect(await found('Max', { status: 'paid' })).to.deep.equal([
      'Public lecture',
      'Taxi to the airport',
      'Leaflets',
    ]);
    expect(await found('Max', { status: 'paid', search: 'taxi' })).to.deep.equal(['Taxi to the airport']);
    expect(await found('Mia', { status: 'paid', search: 'taxi' })).to.deep.equal([]);
  });

  for (const [query, field] of [
    ['page=0', 'page'],
    ['page=-1', 'page'],
    ['page=1.5', 'page'],
    ['page=1000001', 'page'],
    ['page=1&page=2', 'page'],
    ['perPage=0', 'perPage'],
    ['perPage=101', 'perPage'],
    ['sort=passwordHash', 'sort'],
    ['sort=id%20DESC', 'sort'],
    ['sort=id&sort=status', 'sort'],
    ['status=secret', 'status'],
    ['search=a&search=b', 'search'],
    ['search=%00', 'search'],
    [`search=${'a'.repeat(201)}`, 'search'],
    ['ownerId=3', 'ownerId'],
  ] as const) {
    it(`may not be ${query.slice(0, 30)}`, async () => {
      for (const path of ['/expenses', '/expenses/to-approve', '/organizations/1/expenses']) {
        const response = await (await as('Tom')).get(`${path}?${query}`);
        expect(response.status).to.equal(400);
        expect(response.body.error).to.include({ status: 400, message: 'The request is not valid' });
        expect(response.body.error.fields).to.have.keys(field);
      }
    });
  }

  it('may not be a page that is no number', async () => {
    for (const page of ['', 'first', '1;']) {
      const response = await visitor().get('/expenses').query({ page });
      expect(response.status).to.equal(400);
      expect(response.body.error.message).to.match(/^Given parameter page is invalid/);
    }
  });
});

describeTracker('the list of expenses to approve', ({ visitor, as }) => {
  const toApprove = async (name: string) =>
    descriptionsIn(await (await as(name)).get('/expenses/to-approve'));

  it('holds for a manager those of their reports, up to their limit', async () => {
    expect(await toApprove('Max')).to.deep.equal(['Train to the customer']);
  });

  it('holds for an admin those of the organization', async () => {
    expect(await toApprove('Ada')).to.deep.equal(['Conference', 'New laptop', 'Train to the customer']);
  });

  it('holds nothing of one’s own', async () => {
    expect(await toApprove('Ola')).to.deep.equal([]);
  });

  it('is empty for others', async () => {
    expect(await toApprove('Mia')).to.deep.equal([]);
    expect(await toApprove('Tom')).to.deep.equal([]);
    const { status, body } = await visitor().get('/expenses/to-approve');
    expect(body).to.deep.equal({ expenses: [], total: 0, page: 1, pages: 0 });
    expect(status).to.equal(200);
  });

  it('can be refined', async () => {
    const { body } = await (await as('Ada')).get('/expenses/to-approve?sort=-amountInCents&perPage=1');
    expect(body).to.include({ total: 3, pages: 3 });
    expect(body.expenses[0]).to.include({ description: 'New laptop' });
  });

  it('loses what was decided', async () => {
    const max = await as('Max');
    const [id] = idsIn(await max.get('/expenses/to-approve'));
    await max.post(`/expenses/${id}/approve`).expect(200);
    expect(await toApprove('Max')).to.deep.equal([]);
    expect(await toApprove('Ada')).to.deep.equal(['Conference', 'New laptop']);
  });
});

describeTracker('the list of organizations', ({ visitor, as }) => {
  const fund = { id: 2, name: 'Open Fund', publishesExpenses: true };
  const acme = { id: 1, name: 'Acme', publishesExpenses: false };

  it('holds what the user may read', async () => {
    const mia = await (await as('Mia')).get('/organizations');
    expect(mia.body).to.deep.equal({ organizations: [fund, acme], total: 2, page: 1, pages: 1 });
    const ola = await (await as('Ola')).get('/organizations');
    expect(ola.body).to.deep.equal({ organizations: [fund], total: 1, page: 1, pages: 1 });
    expect([mia.status, ola.status]).to.deep.equal([200, 200]);
  });

  it('has pages', async () => {
    const { body } = await (await as('Mia')).get('/organizations?perPage=1&page=2');
    expect(body).to.deep.equal({ organizations: [acme], total: 2, page: 2, pages: 2 });
    const { status, body: refused } = await (await as('Mia')).get('/organizations?perPage=none');
    expect(status).to.equal(400);
    expect(refused.error.message).to.match(/^Given parameter perPage is invalid/);
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

  async function listFor(agent: ReturnType<typeof visitor>, organization: string, query = '') {
    const { id } = await organizationNamed(organization);
    return agent.get(`/organizations/${id}/expenses${query}`).expect(200);
  }

  async function idsFor(agent: ReturnType<typeof visitor>, organization: string): Promise<number[]> {
    return idsIn(await listFor(agent, organization));
  }

  before(async () => {
    await expenses.deleteAll();
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

  it('holds and counts none of another organization', async () => {
    const tom = await as('Tom');
    const elsewhere = await givenExpense({ owner: 'Tom', organization: 'Open Fund' });
    expect(idsIn(await tom.get('/expenses'))).to.include(elsewhere);
    const { body } = await listFor(tom, 'Acme', '?sort=id&perPage=2');
    expect(body).to.include({ total: 3, page: 1, pages: 2 });
    expect(idsIn(await listFor(tom, 'Acme', '?sort=id&perPage=2&page=2'))).to.deep.equal([own.Max]);
  });

  it('is denied to a visitor elsewhere, whatever is asked of it', async () => {
    const { id } = await organizationNamed('Acme');
    for (const query of ['', '?page=0'])
      expectError(await visitor().get(`/organizations/${id}/expenses${query}`), 404, 'Not Found');
  });
});
