import { expect } from 'chai';
import type { Response } from 'supertest';
import { database } from '../../demo/database.js';
import { Expense } from '../../demo/entities/expense.js';
import { Team } from '../../demo/entities/team.js';
import { describeTracker, expectError, organizationNamed, userNamed } from './support/expense-tracker.js';
import { statementsOf } from './support/statements.js';

const namesIn = ({ body }: Response) => body.teams.map(({ name }: Team) => name);

describeTracker('the policy on teams', ({ visitor, as, givenExpense, givenUser }) => {
  before('Engineering has Platform, which has Storage, which has Backups; Sales is beside it', async () => {
    await givenUser({ name: 'Lou', memberOf: { Acme: 'member' } });
    await givenUser({ name: 'Sam', memberOf: { Acme: 'member' } });
    await givenTeam('Storage', 'Lou', 'Platform');
    await givenTeam('Backups', 'Mia', 'Storage');
    await givenTeam('Sales', 'Sam');
  });

  async function givenTeam(name: string, lead: string, parent?: string): Promise<void> {
    await database.manager.save(Team, {
      name,
      organizationId: (await organizationNamed('Acme')).id,
      leadId: (await userNamed(lead)).id,
      parentId: parent === undefined ? null : (await teamNamed(parent)).id,
    });
  }

  function teamNamed(name: string): Promise<Team> {
    return database.manager.findOneByOrFail(Team, { name });
  }

  /** An expense of Tom, of whom nobody here is the manager. */
  async function chargedTo(team: string): Promise<number> {
    const id = await givenExpense({ owner: 'Tom', description: `For ${team}` });
    await database.manager.update(Expense, { id }, { teamId: (await teamNamed(team)).id });
    return id;
  }

  describe('read', () => {
    for (const [name, who, teams] of [
      [
        'Eva',
        'the lead, however deep a team is in theirs',
        ['Engineering', 'Platform', 'Storage', 'Backups'],
      ],
      ['Lou', 'the lead, but of no team around theirs', ['Storage', 'Backups']],
      ['Sam', 'the lead of a team without others', ['Sales']],
      ['Ada', 'an admin of the organization', ['Engineering', 'Platform', 'Storage', 'Backups', 'Sales']],
    ] as const) {
      it(`is allowed to ${who}`, async () => {
        const response = await (await as(name)).get('/teams').expect(200);
        expect(namesIn(response)).to.deep.equal(teams);
        expect(response.body).to.include({ total: teams.length, page: 1, pages: 1 });
      });
    }

    it('is denied to others: their list is empty', async () => {
      for (const agent of [visitor(), await as('Tom'), await as('Ola')]) {
        const { body } = await agent.get('/teams').expect(200);
        expect(body).to.deep.equal({ teams: [], total: 0, page: 1, pages: 0 });
      }
    });

    it('takes one statement for a page and one for the total, however deep the teams are', async () => {
      const eva = await as('Eva');
      const forUser = await statementsOf(() => eva.get('/session').expect(200));
      const statements = await statementsOf(() => eva.get('/teams').expect(200));
      expect(statements).to.have.length(forUser.length + 2);
    });

    it('shows of a team what it is in, and who leads it', async () => {
      const { body } = await (await as('Lou')).get('/teams?perPage=1').expect(200);
      const [storage, platform] = [await teamNamed('Storage'), await teamNamed('Platform')];
      const lou = await userNamed('Lou');
      expect(body.teams).to.deep.equal([
        {
          id: storage.id,
          name: 'Storage',
          organization: { id: storage.organizationId, name: 'Acme' },
          parent: { id: platform.id, name: 'Platform' },
          lead: { id: lou.id, name: 'Lou' },
        },
      ]);
    });
  });

  describe('read an expense that is charged to a team', () => {
    it('is allowed to whoever leads the team, or one around it', async () => {
      const id = await chargedTo('Storage');
      for (const name of ['Lou', 'Max', 'Eva']) {
        const agent = await as(name);
        const { body } = await agent.get(`/expenses/${id}`).expect(200);
        expect(body.team).to.deep.equal({ id: (await teamNamed('Storage')).id, name: 'Storage' });
        const list = await agent.get('/expenses?search=For Storage').expect(200);
        expect(list.body.expenses).to.deep.equal([body]);
      }
    });

    it('is denied to whoever leads a team within it, or beside it', async () => {
      const id = await chargedTo('Storage');
      for (const name of ['Mia', 'Sam']) {
        const agent = await as(name);
        expectError(await agent.get(`/expenses/${id}`), 404, 'Not Found');
        const { body } = await agent.get('/expenses?search=For Storage').expect(200);
        expect(body.total).to.equal(0);
      }
    });
  });

  describe('submit an expense for a team', () => {
    const expense = { description: 'Hotel', amountInCents: 95_50 };

    it('charges it to the team', async () => {
      const { id } = await teamNamed('Platform');
      const { id: acme } = await organizationNamed('Acme');
      const mia = await as('Mia');
      const { body } = await mia
        .post(`/organizations/${acme}/expenses`)
        .send({ ...expense, teamId: id })
        .expect(201);
      expect(body.team).to.deep.equal({ id, name: 'Platform' });
      expect((await mia.get(`/expenses/${body.id}`).expect(200)).body).to.deep.equal(body);
    });

    it('is refused for a team of another organization, or none', async () => {
      const { id: fund } = await organizationNamed('Open Fund');
      const ola = await as('Ola');
      for (const teamId of [(await teamNamed('Platform')).id, 999_999]) {
        const response = await ola.post(`/organizations/${fund}/expenses`).send({ ...expense, teamId });
        expectError(response, 422, 'The organization has no such team');
      }
    });
  });

  describe('of teams that are parts of each other', () => {
    it('ends: each is in the other', async () => {
      const [sales, other] = [await teamNamed('Sales'), await userNamed('Tom')];
      const fair = await database.manager.save(Team, {
        name: 'Fair',
        organizationId: sales.organizationId,
        leadId: other.id,
        parentId: sales.id,
      });
      await database.manager.update(Team, { id: sales.id }, { parentId: fair.id });
      expect(namesIn(await (await as('Sam')).get('/teams').expect(200))).to.deep.equal(['Sales', 'Fair']);
      expect(namesIn(await (await as('Lou')).get('/teams').expect(200))).to.deep.equal([
        'Storage',
        'Backups',
      ]);
    });
  });
});
