import { expect } from 'chai';
import { KoaOso } from 'koa-oso';
import { Oso } from 'oso';
import { entityEquality, registerEntities } from '../../src/data-filtering/array/index.js';
import { CompiledOso } from '../../src/polar/index.js';
import { actor, smallWorld } from './support/small-world.js';
import type { Engine } from './support/store.js';
import { description, Expense, Membership, Organization, User } from './support/world.js';

const ann = actor();
const expenseOf = (ownerId: string, id: number) =>
  Object.assign(new Expense(), smallWorld.Expense[1], { id, ownerId, approverId: null, deletedAt: null });
const expenses = [expenseOf('ann', 0), expenseOf('bob', 1)] as const;
const arrays = { Expense: expenses, User: [ann], Organization: [], Membership: [] };
const POLICY = 'allow(user, "read", expense: Expense) if expense.owner = user;';

async function codeOf(action: () => unknown): Promise<{ code: string; message: string }> {
  try {
    await action();
  } catch (error) {
    return error as { code: string; message: string };
  }
  throw new Error('It was accepted');
}

for (const engine of [Oso, CompiledOso] as Engine[]) {
  describe(`registerEntities, for ${engine.name}`, () => {
    const make = () => new engine({ equalityFn: entityEquality(description) });

    it('has authorizedQuery and authorizedResources answer by the policy', async () => {
      const oso = make();
      registerEntities(oso, arrays, description);
      await oso.loadStr(POLICY);
      expect(await oso.authorizedQuery(ann, 'read', Expense)).to.deep.equal([expenses[0]]);
      expect(await oso.authorizedQuery(ann, 'read', 'Expense')).to.deep.equal([expenses[0]]);
      expect(await oso.authorizedResources(ann, 'read', Expense)).to.deep.equal([expenses[0]]);
      expect(await oso.authorizedResources(ann, 'write', Expense)).to.deep.equal([]);
      expect(await oso.authorizedResources(ann, 'read', User)).to.deep.equal([]);
    });

    it('goes by the policy that was loaded last', async () => {
      const oso = make();
      registerEntities(oso, arrays, description);
      await oso.loadStr(POLICY);
      await oso.authorizedResources(ann, 'read', Expense);
      oso.clearRules();
      await oso.loadStr('allow(_, "read", expense: Expense) if expense.id = 1;');
      expect(await oso.authorizedResources(ann, 'read', Expense)).to.deep.equal([expenses[1]]);
    });

    it('knows constants by their names, also those that are registered after the first list', async () => {
      const oso = make();
      registerEntities(oso, arrays, description);
      oso.registerConstant('ann', 'BOSS');
      await oso.loadStr(
        'allow(_, "read", expense: Expense) if expense.ownerId in [BOSS, DEPUTY] and DEPUTY = DEPUTY;',
      );
      expect(await oso.authorizedResources(ann, 'read', Expense)).to.deep.equal(expenses);
      oso.registerConstant('carol', 'DEPUTY');
      expect(await oso.authorizedResources(ann, 'read', Expense)).to.deep.equal([expenses[0]]);
    });

    it('leaves a class as it is that is registered by the same name', async () => {
      const oso = make();
      oso.registerClass(User, { name: 'User' });
      registerEntities(oso, arrays, description);
      await oso.loadStr(POLICY);
      expect(await oso.authorizedResources(ann, 'read', Expense)).to.deep.equal([expenses[0]]);
    });

    it('lets policies follow relations of rows that have them not loaded', async () => {
      const oso = make();
      registerEntities(oso, arrays, description);
      await oso.loadStr(`${POLICY}
        allow(user, "approve", expense: Expense) if expense.approver = nil and e in user.expenses and e = expense;
      `);
      expect(await oso.isAllowed(ann, 'read', expenses[0])).to.equal(true);
      expect(await oso.isAllowed(ann, 'read', expenses[1])).to.equal(false);
      expect(await oso.isAllowed(ann, 'approve', expenses[0])).to.equal(true);
      const loaded = Object.assign(new Expense(), { id: 7, ownerId: 'bob', owner: ann });
      expect(await oso.isAllowed(ann, 'read', loaded)).to.equal(true);
    });

    it('refuses to be called twice, and a name that another class has', async () => {
      const twice = make();
      registerEntities(twice, arrays, description);
      expect(await codeOf(() => registerEntities(twice, arrays, description))).to.include({
        code: 'ERR_KOA_OSO_INVALID_ARGUMENT',
      });
      const taken = make();
      taken.registerClass(Organization, { name: 'User' });
      const error = await codeOf(() => registerEntities(taken, arrays, description));
      expect(error).to.have.property('code', 'ERR_KOA_OSO_INVALID_ARGUMENT');
      expect(error.message).to.include("'User'");
    });

    it('refuses to be called after a policy was loaded', async () => {
      for (const isNoted of [true, false]) {
        const late = make();
        if (isNoted) new KoaOso({ oso: late });
        for (const [name, { class: Class }] of Object.entries(description))
          late.registerClass(Class, { name });
        await late.loadStr(POLICY);
        const error = await codeOf(() => registerEntities(late, arrays, description));
        expect(error).to.have.property('code', 'ERR_KOA_OSO_INVALID_ARGUMENT');
        expect(error.message).to.include('before oso.loadFiles');
        late.clearRules();
        registerEntities(late, arrays, description);
        await late.loadStr(POLICY);
        expect(await late.authorizedResources(ann, 'read', Expense)).to.deep.equal([expenses[0]]);
      }
    });

    it('has lists refused if another adapter was set, or no policy loaded', async () => {
      const oso = make();
      registerEntities(oso, arrays, description);
      const early = await codeOf(() => oso.authorizedQuery(ann, 'read', Expense));
      expect(early).to.have.property('code', 'ERR_KOA_OSO_INVALID_ARGUMENT');
      expect(early.message).to.include('loaded after registerEntities');
      await oso.loadStr(POLICY);
      oso.setDataFilteringAdapter({ buildQuery: () => [], executeQuery: async () => [] });
      const other = await codeOf(() => oso.authorizedQuery(ann, 'read', Expense));
      expect(other).to.have.property('code', 'ERR_KOA_OSO_INVALID_ARGUMENT');
      expect(other.message).to.include('setDataFilteringAdapter');
    });

    it('has an adapter refuse an Oso that does not know its entities', async () => {
      const known = make();
      registerEntities(known, arrays, description);
      const oso = make();
      oso.registerClass(Membership);
      oso.setDataFilteringAdapter(known.getHost().adapter as never);
      await oso.loadStr('allow(_, "read", _: Membership);');
      const error = await codeOf(() => oso.authorizedQuery(ann, 'read', Membership));
      expect(error).to.have.property('code', 'ERR_KOA_OSO_INVALID_ARGUMENT');
      expect(error.message).to.include('registerEntities');
    });

    it('has arrays refused that are not given', async () => {
      const oso = make();
      registerEntities(oso, {}, description);
      await oso.loadStr(POLICY);
      const error = await codeOf(() => oso.authorizedQuery(ann, 'read', Expense));
      expect(error).to.have.property('code', 'ERR_KOA_OSO_INVALID_ARGUMENT');
      expect(error.message).to.include('`Expense`');
    });
  });
}
