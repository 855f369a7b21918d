import { expect } from 'chai';
import { entityEquality, registerEntities } from 'koa-oso/array';
import { CompiledOso } from 'koa-oso/polar';
import { Oso } from 'oso';
import { smallWorld } from './support/small-world.js';
import { description, Expense, Tag, User } from './support/world.js';

const POLICY = 'allow(user: User, "read", expense: Expense) if expense.owner = user;';

/** Ann, of whom something else is loaded than in the rows. */
const ann = Object.assign(new User(), { ...smallWorld.User[0], visits: 3 });

async function load<Any extends Oso | CompiledOso>(oso: Any): Promise<Any> {
  registerEntities(oso, smallWorld, description);
  await oso.loadStr(POLICY);
  return oso;
}

async function agreement(oso: Oso | CompiledOso): Promise<void> {
  const list = (await oso.authorizedResources(ann, 'read', Expense)) as Expense[];
  expect(list.map(({ id }) => id)).to.deep.equal([1, 2]);
  for (const expense of smallWorld.Expense.filter(({ deletedAt }) => deletedAt === null)) {
    expect(await oso.isAllowed(ann, 'read', expense), String(expense.id)).to.equal(list.includes(expense));
  }
}

describe('the equality of entities', () => {
  it('comes with registerEntities for CompiledOso: one call', async () => {
    await agreement(await load(new CompiledOso()));
  });

  it('holds for what falls back to Oso, and for queries, too', async () => {
    const oso = await load(new CompiledOso());
    const own = smallWorld.Expense[0] as Expense;
    const owner = Object.assign(new User(), smallWorld.User[0]);
    oso.clearRules();
    await oso.loadStr('same(a, b) if a = b and 1 < 9007199254740993; same(a, b) if a = b;');
    expect(await oso.queryRuleOnce('same', ann, owner)).to.equal(true);
    expect(oso.fallbacks).not.to.be.empty;
    expect(await oso.queryRuleOnce('same', ann, Object.assign(new User(), own))).to.equal(false);
  });

  it('compares all else by the function that CompiledOso was given', async () => {
    const seen: unknown[] = [];
    const oso = new CompiledOso({
      equalityFn: (left, right) => {
        seen.push(left, right);
        return left === 7n && right === 8n;
      },
    });
    await load(oso);
    oso.clearRules();
    await oso.loadStr('same(a, b) if a = b;');
    expect(await oso.queryRuleOnce('same', 7n, 8n)).to.equal(true);
    expect(await oso.queryRuleOnce('same', ann, Object.assign(new User(), { id: ann.id }))).to.equal(true);
    expect(await oso.queryRuleOnce('same', ann, Object.assign(new Tag(), { id: ann.id }))).to.equal(false);
    expect(seen.filter(value => value instanceof Tag)).to.have.length(1);
  });

  it('is what Oso has to be given, or else no policy loads', async () => {
    await agreement(await load(new Oso({ equalityFn: entityEquality(description) }) as Oso));
    const composed = entityEquality(description);
    await agreement(
      await load(new Oso({ equalityFn: (left, right) => composed(left, right) || left === 1 }) as Oso),
    );
    for (const equalityFn of [
      undefined,
      (left: unknown, right: unknown) => left === right,
      () => true,
      () => {
        throw new Error('no');
      },
    ]) {
      const oso = new Oso(equalityFn === undefined ? {} : { equalityFn }) as Oso;
      registerEntities(oso, smallWorld, description);
      for (const loading of [() => oso.loadStr(POLICY), () => oso.loadFiles(['demo/policy.polar'])]) {
        const error = await loading().then(undefined, thrown => thrown);
        expect(error).to.have.property('code', 'ERR_KOA_OSO_INVALID_ARGUMENT');
        expect(error.message).to.include('Organization').and.to.include('equalityFn: entityEquality(');
      }
      // Nothing was loaded.
      const asked = await oso.isAllowed(ann, 'read', smallWorld.Expense[0]).then(undefined, thrown => thrown);
      expect(asked).to.be.an('error');
    }
  });
});
