import { expect } from 'chai';
import { Oso } from 'oso';
import { arrayAdapter, entityEquality, registerEntities } from '../../src/data-filtering/array/index.js';
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
      registerEntities(oso, description);
      oso.setDataFilteringAdapter(arrayAdapter(description, arrays));
      await oso.loadStr(POLICY);
      expect(await oso.authorizedQuery(ann, 'read', Expense)).to.deep.equal([expenses[0]]);
      expect(await oso.authorizedQuery(ann, 'read', 'Expense')).to.deep.equal([expenses[0]]);
      expect(await oso.authorizedResources(ann, 'read', Expense)).to.deep.equal([expenses[0]]);
      expect(await oso.authorizedResources(ann, 'write', Expense)).to.deep.equal([]);
      expect(await oso.authorizedResources(ann, 'read', User)).to.deep.equal([]);
    });

    it('goes by the policy that was loaded last', async () => {
      const oso = make();
      registerEntities(oso, description);
      oso.setDataFilteringAdapter(arrayAdapter(description, arrays));
      await oso.loadStr(POLICY);
      await oso.authorizedResources(ann, 'read', Expense);
      oso.clearRules();
      await oso.loadStr('allow(_, "read", expense: Expense) if expense.id = 1;');
      expect(await oso.authorizedResources(ann, 'read', Expense)).to.deep.equal([expenses[1]]);
    });

    it('knows constants by their names, also those that are registered after the first list', async () => {
      const oso = make();
      registerEntities(oso, description);
      oso.setDataFilteringAdapter(arrayAdapter(description, arrays));
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
      registerEntities(oso, description);
      oso.setDataFilteringAdapter(arrayAdapter(description, arrays));
      await oso.loadStr(POLICY);
      expect(await oso.authorizedResources(ann, 'read', Expense)).to.deep.equal([expenses[0]]);
    });

    it('lets policies follow relations of rows that have them not loaded', async () => {
      const oso = make();
      registerEntities(oso, description);
      oso.setDataFilteringAdapter(arrayAdapter(description, arrays));
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
      registerEntities(twice, description);
      expect(await codeOf(() => registerEntities(twice, description))).to.include({
        code: 'ERR_KOA_OSO_INVALID_ARGUMENT',
      });
      const taken = make();
      taken.registerClass(Organization, { name: 'User' });
      const error = await codeOf(() => registerEntities(taken, description));
      expect(error).to.have.property('code', 'ERR_KOA_OSO_INVALID_ARGUMENT');
      expect(error.message).to.include("'User'");
    });

    it('has lists refused without an adapter of koa-oso, or with a policy of which the text is not known', async () => {
      const without = make();
      registerEntities(without, description);
      await without.loadStr(POLICY);
      const noAdapter = await codeOf(() => without.authorizedQuery(ann, 'read', Expense));
      expect(noAdapter).to.have.property('code', 'ERR_KOA_OSO_INVALID_ARGUMENT');
      expect(noAdapter.message).to.include('setDataFilteringAdapter');

      const late = make();
      for (const [name, { class: Class }] of Object.entries(description)) late.registerClass(Class, { name });
      await late.loadStr(POLICY);
      registerEntities(late, description);
      late.setDataFilteringAdapter(arrayAdapter(description, arrays));
      // CompiledOso notes every text from the start.
      if (late instanceof CompiledOso) return;
      const unknown = await codeOf(() => late.authorizedQuery(ann, 'read', Expense));
      expect(unknown).to.have.property('code', 'ERR_KOA_OSO_INVALID_ARGUMENT');
      expect(unknown.message).to.include('loaded after registerEntities');
    });

    it('has an adapter refuse an Oso that does not know its entities', async () => {
      const oso = make();
      oso.registerClass(Membership);
      oso.setDataFilteringAdapter(arrayAdapter(description, arrays));
      await oso.loadStr('allow(_, "read", _: Membership);');
      const error = await codeOf(() => oso.authorizedQuery(ann, 'read', Membership));
      expect(error).to.have.property('code', 'ERR_KOA_OSO_INVALID_ARGUMENT');
      expect(error.message).to.include('registerEntities');
    });

    it('has arrays refused that are not given', async () => {
      const oso = make();
      registerEntities(oso, description);
      oso.setDataFilteringAdapter(arrayAdapter(description, {}));
      await oso.loadStr(POLICY);
      const error = await codeOf(() => oso.authorizedQuery(ann, 'read', Expense));
      expect(error).to.have.property('code', 'ERR_KOA_OSO_INVALID_ARGUMENT');
      expect(error.message).to.include('`Expense`');
    });
  });
}
