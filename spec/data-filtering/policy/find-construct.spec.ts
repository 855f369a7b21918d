import { expect } from 'chai';
import { Oso } from 'oso';
import { PolicyText } from '../../../src/data-filtering/policy/find-construct.js';

describe('the text of a policy', () => {
  it('is known once it is loaded', async () => {
    const oso = new Oso();
    const text = new PolicyText(oso);
    expect(text.policy).to.equal(undefined);
    await oso.loadStr('allow(_, _, _) if f(1); f(1);');
    expect([...(text.policy?.rules.keys() ?? [])]).to.deep.equal(['allow', 'f']);
  });

  it('tells of a cut that a list may meet', async () => {
    const oso = new Oso();
    const text = new PolicyText(oso);
    await oso.loadStr('allow(_, _, _) if f(1);\nf(x) if g(x);\ng(x) if x = 1 and\n  cut;', 'cut.polar');
    expect(text.cut).to.equal('rule `g` at cut.polar:4:3');
  });

  it('does not mind a cut that none meets', async () => {
    const oso = new Oso();
    const text = new PolicyText(oso);
    await oso.loadStr('allow(_, _, _) if not f(1);\nf(1);\ng(1) if cut;');
    expect(text.cut).to.equal(undefined);
  });
});
