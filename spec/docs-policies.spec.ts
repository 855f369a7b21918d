// Every policy of the documentation, asked of both engines.
import { expect } from 'chai';
import { HttpRequest } from 'koa-oso';
import { CompiledOso } from 'koa-oso/polar';
import { Oso } from 'oso';
import { Expense, User } from './support/app.js';
import { blocks, PAGES, textOf } from './support/docs.js';
import { requestOf } from './support/request.js';

const policies = blocks.flatMap(({ section, language, code }) => {
  const texts =
    language === 'polar' ? [code] : [...code.matchAll(/loadStr\(`([^`]*)`\)/g)].map(([, text = '']) => text);
  return texts.map(policy => ({ section, policy }));
});

const ACTORS = [null, new User('ann'), new User('bob'), { name: 'ann' }, 'ann'];
const ACTIONS = ['read', 'update', 'approve', 'GET', 'HEAD', 'POST', 7, null];
const FIELDS = ['amount', 'owner', 'id', null];
const RESOURCES = [
  null,
  'the front page',
  new User('ann'),
  { owner: 'ann', amount: 1 },
  ...['ann', 'bob'].flatMap(owner =>
    [0, 9, 500, 999, 1000, 1000.5].map(amount => new Expense('1', owner, amount)),
  ),
  ...['/admin/7/reports', '/admin/8/reports', '/beta'].flatMap(path =>
    ['7', '8'].flatMap(team =>
      ['yes', 'no'].map(beta => requestOf('GET', path, { params: { team }, headers: { 'x-beta': beta } })),
    ),
  ),
];

type Ask = (oso: Oso) => Promise<boolean | Set<unknown>>;

function* questions(): Generator<Ask> {
  for (const actor of ACTORS) {
    for (const resource of RESOURCES) {
      yield oso => oso.queryRuleOnce('allow_request', actor, resource);
      yield oso => oso.authorizedActions(actor, resource, { allowWildcard: true });
      for (const action of ACTIONS) {
        yield oso => oso.isAllowed(actor, action, resource);
        yield oso => oso.authorizedFields(actor, action, resource, { allowWildcard: true });
        for (const field of FIELDS) {
          yield oso => oso.queryRuleOnce('allow_field', actor, action, resource, field);
        }
      }
    }
  }
}

/** The answer, or the name of the error: that there is no such rule, in most of these policies. */
async function answerOf(oso: Oso, ask: Ask): Promise<unknown> {
  try {
    const answer = await ask(oso);
    return answer instanceof Set ? [...answer] : answer;
  } catch (error) {
    return (error as Error).name;
  }
}

async function loaded(oso: Oso, policy: string): Promise<Oso> {
  oso.registerClass(User);
  oso.registerClass(Expense);
  oso.registerClass(HttpRequest, { name: 'Request' });
  await oso.loadStr(policy);
  return oso;
}

describe('the policies of the documentation', () => {
  it('are all found', () => {
    const begun =
      PAGES.map(textOf)
        .join('')
        .match(/^```polar$|\.loadStr\(`$/gm) ?? [];
    expect(begun).not.to.deep.equal([]);
    expect(policies).to.have.length(begun.length);
  });

  policies.forEach(({ section, policy }, at) => {
    it(`have the same answers in compiled form: ${at + 1}, under "${section}"`, async () => {
      const compiled = new CompiledOso();
      const engines = [await loaded(new Oso(), policy), await loaded(compiled, policy)] as const;
      const seen = new Set<unknown>();
      for (const ask of questions()) {
        const expected = await answerOf(engines[0], ask);
        seen.add(expected);
        expect(await answerOf(engines[1], ask)).to.deep.equal(expected);
      }
      expect([...seen]).to.include.members([true, false]);
      expect(compiled.fallbacks).to.deep.equal([]);
    });
  });
});
