import { expect } from 'chai';
import type { DefaultAction } from 'koa-oso';
import type { Response } from 'supertest';
import type { SelectQueryBuilder } from 'typeorm';
import { database } from '../../demo/database.js';
import { EXPENSE_STATUSES, Expense } from '../../demo/entities/expense.js';
import { Organization } from '../../demo/entities/organization.js';
import { Team } from '../../demo/entities/team.js';
import { User } from '../../demo/entities/user.js';
import { describeTracker, userNamed } from './support/expense-tracker.js';

const ACTIONS: readonly DefaultAction[] = ['read', 'submit', 'audit', 'approve', 'reject', 'pay'];

/** Actions for which the policy has no rule. */
const NEVER: Record<string, readonly DefaultAction[]> = {
  Expense: ['submit', 'audit'],
  Organization: ['approve', 'reject', 'pay'],
  Team: ['submit', 'audit', 'approve', 'reject', 'pay'],
};

describeTracker(
  'the lists agree with single decisions',
  ({ engine, visitor, as, givenExpense, givenUser }) => {
    let actors: (User | null)[];
    let expenses: Expense[];
    let organizations: Organization[];
    let teams: Team[];

    before('expenses of everybody, in every status, on both sides of every limit', async () => {
      await givenUser({ name: 'Bea', memberOf: { Acme: 'member', 'Open Fund': 'accountant' } });
      const owners = (await database.manager.find(User)).map(({ name }) => name);
      for (const owner of owners) {
        for (const organization of ['Acme', 'Open Fund']) {
          for (const status of EXPENSE_STATUSES) await givenExpense({ owner, organization, status });
          for (const amountInCents of [500_00, 500_01]) {
            await givenExpense({ owner, organization, amountInCents });
          }
          for (const decidedBy of ['Ada', 'Tom', 'Bea']) {
            await givenExpense({ owner, organization, status: 'approved', decidedBy });
          }
        }
      }
      const acme = {
        organizationId: (await database.manager.findOneByOrFail(Organization, { name: 'Acme' })).id,
      };
      const [eva, bea] = await Promise.all(['Eva', 'Bea'].map(userNamed));
      const deeper = { ...acme, name: 'Storage', leadId: bea?.id, parentId: 2 };
      const { id } = await database.manager.save(Team, deeper);
      await database.manager.save(Team, { ...acme, name: 'Sales', leadId: eva?.id });
      for (const teamId of [1, 2, id]) {
        const charged = await givenExpense({ owner: 'Tom' });
        await database.manager.update(Expense, { id: charged }, { teamId });
      }
      actors = [null, ...(await database.manager.find(User, { relations: { memberships: true } }))];
      expenses = await database.manager.find(Expense, { relations: { owner: true, organization: true } });
      organizations = await database.manager.find(Organization);
      teams = await database.manager.find(Team);
    });

    function itAgrees(
      action: DefaultAction,
      entity: typeof Expense | typeof Organization | typeof Team,
    ): void {
      it(`on each ${entity.name} that somebody may ${action}`, async function () {
        this.timeout(60_000);
        const lengths = new Set<number>();
        for (const actor of actors) {
          const all = entity === Expense ? expenses : entity === Team ? teams : organizations;
          const expected = await allowed(actor, action, all);
          const query = (await engine().authorizedQuery(actor, action, entity)) as SelectQueryBuilder<
            Expense | Organization | Team
          >;
          const [rows, count] = await query.getManyAndCount();
          expect(rows.map(({ id }) => id)).to.have.members(expected);
          expect(count).to.equal(expected.length);
          lengths.add(count);
        }
        if (NEVER[entity.name]?.includes(action)) expect([...lengths]).to.deep.equal([0]);
        else expect(lengths.size).to.be.at.least(2);
      });
    }

    /** The ids of those on which the action is allowed. */
    async function allowed(
      actor: User | null,
      action: DefaultAction,
      all: (Expense | Organization | Team)[],
    ) {
      const ids: number[] = [];
      for (const each of all) if (await engine().isAllowed(actor, action, each)) ids.push(each.id);
      return ids;
    }

    for (const entity of [Expense, Organization, Team])
      for (const action of ACTIONS) itAgrees(action, entity);

    /** The ids on all pages of a list. */
    async function listed(name: string | undefined, path: string): Promise<number[]> {
      const agent = name === undefined ? visitor() : await as(name);
      const ids: number[] = [];
      for (let page = 1, pages = 1; page <= pages; page++) {
        const { body }: Response = await agent.get(`${path}?perPage=50&page=${page}`).expect(200);
        ids.push(...body.expenses.map(({ id }: { id: number }) => id));
        pages = body.pages;
      }
      return ids;
    }

    it('on GET /expenses', async function () {
      this.timeout(60_000);
      for (const actor of actors) {
        const latestFirst = (await allowed(actor, 'read', expenses)).sort((left, right) => right - left);
        expect(latestFirst).not.to.have.length(0);
        expect(await listed(actor?.name, '/expenses')).to.deep.equal(latestFirst);
      }
    });

    it('on GET /expenses/to-approve, which has those with approve among their actions', async function () {
      this.timeout(60_000);
      const lengths = new Set<number>();
      for (const actor of actors) {
        const ids = new Set(await listed(actor?.name, '/expenses/to-approve'));
        for (const expense of expenses) {
          const actions = await engine().authorizedActions(actor, expense);
          expect(actions.has('approve')).to.equal(ids.has(expense.id));
        }
        lengths.add(ids.size);
      }
      expect(lengths.size).to.be.at.least(3);
    });
  },
);
