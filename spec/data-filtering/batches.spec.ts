import { expect } from 'chai';
import { KoaOso } from 'koa-oso';
import { CompiledOso } from 'koa-oso/polar';
import { drizzleStores } from './support/drizzle-store.js';
import { kyselyStores } from './support/kysely-store.js';
import { actor, POLICY, smallWorld } from './support/small-world.js';
import type { Engine, Store } from './support/store.js';
import { TypeormStore } from './support/typeorm-store.js';
import type { Rows } from './support/world.js';

/** How many statements a batch takes for all expenses of the small world, as many as there are relations on the way. */
const STATEMENTS: Readonly<Record<string, number>> = {
  see: 0,
  tagged: 1,
  manage: 1,
  own: 1,
  public: 1,
  orphan: 1,
  unapproved: 1,
  // The organizations, their memberships. Whose these are, their keys tell.
  approve: 2,
  // The managers of some are the owners of others.
  oversee: 1,
};

/** What is answered, or the message of the error. */
function answer(asked: Promise<unknown>): Promise<unknown> {
  return asked.catch((error: Error) => error.message);
}

describe('a batch', () => {
  for (const store of [...kyselyStores(), new TypeormStore(), ...drizzleStores()] as readonly Store[]) {
    describe(store.name, () => {
      let rows: Rows;
      before(async function () {
        this.timeout(60_000);
        await store.open();
        await store.fill(smallWorld);
        rows = await store.load();
      });
      after(() => store.close());

      const compiled = async (policy: string): Promise<CompiledOso> => {
        const oso = store.oso(CompiledOso as unknown as Engine) as CompiledOso;
        await oso.loadStr(policy);
        return oso;
      };

      it('takes one statement a relation, and answers as single questions do', async () => {
        const oso = await compiled(POLICY);
        const ann = actor();
        const counts: Record<string, number | undefined> = {};
        for (const action of Object.keys(STATEMENTS)) {
          const single: unknown[] = [];
          for (const row of rows.Expense) single.push(await answer(oso.isAllowed(ann, action, row)));
          store.statements();
          const batch = oso.batch();
          const all = await Promise.all(rows.Expense.map(row => answer(batch.isAllowed(ann, action, row))));
          expect(all, action).to.deep.equal(single);
          expect(all).to.include(true);
          counts[action] = store.statements()?.length;
        }
        // Texts as foreign keys are not compared without their rows there.
        const isBare = store.name.startsWith('Drizzle');
        expect(counts).to.deep.equal(isBare ? { ...STATEMENTS, approve: 3 } : STATEMENTS);
      });

      it('is what the verbs for many rows ask', async () => {
        const oso = await compiled(`${POLICY}
          allow_field(_: User, "own", expense: Expense, "status") if not expense.ownerMembership = nil;`);
        const koaOso = new KoaOso({ oso });
        const asAnn = koaOso.for(actor());
        store.statements();
        const may = await asAnn.allowed(rows.Expense, { actions: ['tagged', 'orphan', 'see'] });
        expect(store.statements(), 'tags and organizations').to.have.length(2);
        const fields = await asAnn.allowedFields(rows.Expense, { action: 'own' });
        expect(store.statements(), 'memberships').to.have.length(1);
        const denied = await asAnn
          .authorizeAll(rows.Expense, { action: 'tagged' })
          .catch(error => error.code);
        expect(store.statements(), 'tags').to.have.length(1);
        expect(denied).to.equal('ERR_KOA_OSO_FORBIDDEN');
        for (const row of rows.Expense) {
          for (const action of ['tagged', 'orphan', 'see']) {
            const single = await oso.isAllowed(actor(), action, row).catch(() => false);
            expect(may.get(row)?.has(action)).to.equal(single);
          }
          expect(fields.get(row)).to.deep.equal(await oso.authorizedFields(actor(), 'own', row));
        }
      });

      it('collects actions and fields', async () => {
        const oso = await compiled(`
          allow(user: User, "read", expense: Expense) if expense.owner = user;
          allow(user: User, "approve", expense: Expense) if
            expense.organization != nil and
            membership in expense.organization.members and membership.user = user and membership.role = "owner";
          allow(_: User, "tagged", expense: Expense) if tag in expense.tags and tag.isSecret = true;
          allow_field(user: User, "read", expense: Expense, "amount") if expense.owner.manager = user;
          allow_field(_: User, "read", expense: Expense, "status") if not expense.organization.isPublic = false;
        `);
        const ann = actor();
        const batch = oso.batch();
        store.statements();
        const actions = await Promise.all(rows.Expense.map(row => batch.authorizedActions(ann, row)));
        // Of organizations, members and tags; and of owners, if texts as foreign keys are not compared.
        expect(store.statements()?.length).to.equal(store.name.startsWith('Drizzle') ? 4 : 3);
        const again = oso.batch();
        const fields = await Promise.all(rows.Expense.map(row => again.authorizedFields(ann, 'read', row)));
        expect(store.statements()?.length).to.be.at.most(3);
        for (const [at, row] of rows.Expense.entries()) {
          expect(actions[at]).to.deep.equal(await oso.authorizedActions(ann, row));
          expect(fields[at]).to.deep.equal(await oso.authorizedFields(ann, 'read', row));
        }
      });
    });
  }
});
