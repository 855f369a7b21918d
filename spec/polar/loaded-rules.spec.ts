import { expect } from 'chai';
import { Oso } from 'oso';
import { LoadedRules } from '../../src/polar/loaded-rules.js';

describe('the text of a policy', () => {
  it('is known once it is loaded', async () => {
    const oso = new Oso();
    const text = new LoadedRules(oso);
    expect(text.policy).to.equal(undefined);
    await oso.loadStr('allow(_, _, _) if f(1); f(1);');
    expect([...(text.policy?.rules.keys() ?? [])]).to.deep.equal(['allow', 'f']);
  });
});
