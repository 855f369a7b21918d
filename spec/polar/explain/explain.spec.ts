import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { CompiledOso } from '../../../src/polar/index.js';
import { CASES, load, World } from './cases.js';

/** Each has been read by a person, and found right. */
const EXPECTED = new URL('../../../../spec/polar/explain/expected.txt', import.meta.url);

function expectedTexts(): Map<string, string> {
  const blocks = readFileSync(EXPECTED, 'utf8').split(/^=== /m).slice(1);
  return new Map(
    blocks.map(block => {
      const [title = '', ...lines] = block.split('\n');
      return [title, `${lines.join('\n').trimEnd()}\n`];
    }),
  );
}

describe('Explanations', () => {
  const expected = expectedTexts();

  it('are expected for each case, and for no other', () => {
    expect([...expected.keys()]).to.deep.equal(CASES.map(({ title }) => title));
  });

  for (const { title, policy, ask, change } of CASES) {
    it(title, async () => {
      const oso = await load(policy);
      const world = new World();
      const [actor, action, resource] = ask(world);
      const why = await oso.explain('allow', actor, action, resource);
      expect(String(why)).to.equal(expected.get(title));
      const allowed = await oso.isAllowed(actor, action, resource).catch(() => false);
      expect(why.allowed).to.equal(allowed);
      // No text of the actor or the resource is in it, in whatever form.
      expect(`${why}${JSON.stringify(why)}${JSON.stringify(why.tree)}`).not.to.match(/secret|audit\w/);
      const [nearest] = why.ways;
      if (change === undefined) return;
      // What is named first is what alone stands in the way.
      expect(allowed).to.equal(false);
      expect(nearest).not.to.equal(undefined);
      change(world);
      expect(await oso.isAllowed(actor, action, resource)).to.equal(true);
    });
  }

  it('say of a condition that it alone is missing only if that is so', async () => {
    for (const { policy, ask, change } of CASES) {
      const oso = await load(policy);
      const why = await oso.explain('allow', ...ask(new World()));
      for (const { isLast, missing } of why.ways) {
        // Taken to hold, by a policy in which it is replaced.
        const { line, column, endColumn, endLine } = missing.place;
        const lines = policy.split('\n');
        const text = lines[line - 1] as string;
        if (line !== endLine || missing.place.rule === undefined || /^"/.test(missing.text)) continue;
        if (/[a-z]+ in /.test(missing.text)) continue;
        lines[line - 1] = `${text.slice(0, column - 1)}1 = 1${text.slice(endColumn - 1)}`;
        const other = await load(lines.join('\n')).catch(() => undefined);
        if (other === undefined) continue;
        const [actor, action, resource] = ask(new World());
        const allowed = await other.isAllowed(actor, action, resource).catch(() => false);
        if (isLast) expect(allowed, `${missing.text} in ${text}`).to.equal(true);
      }
      expect(change === undefined || why.ways.length > 0).to.equal(true);
    }
  });

  it('show as much of values as they are told', async () => {
    const oso = await load('allow(user: User, "read", _) if user.name = "x" and user.age > 3;');
    const { owner } = new World();
    const text = async (values: 'types' | 'redacted' | 'full'): Promise<string> =>
      String((await oso.explainWith({ values }, 'allow', owner, 'read', 1)).ways[0]?.missing.values);
    expect(await text('types')).to.equal('a text = "x"');
    expect(await text('redacted')).to.equal('a text of 13 = "x"');
    expect(await text('full')).to.equal('"a secret name" = "x"');
  });

  it('carry what the policy says to users, and nothing else', async () => {
    const [first] = CASES;
    const world = new World();
    const why = await (await load(first?.policy ?? '')).explain('allow', ...(first?.ask(world) ?? []));
    expect(why.message).to.equal('You may approve up to your limit. Ask somebody with a higher one.');
    expect(why.reasons.map(({ code }) => code)).to.deep.equal(['approval_limit']);
  });

  it('change nothing for the questions beside them', async () => {
    const oso = await load('allow(user: User, n, _) if user.later(user.id) = n and print(n);');
    const { owner, manager } = new World();
    const printed: unknown[] = [];
    const { log } = console;
    console.log = (...args: unknown[]) => printed.push(...args);
    try {
      const answers = Array.from({ length: 200 }, (_, n) => [
        oso.isAllowed(n % 2 ? owner : manager, n % 3, 1),
        n % 20 === 0 ? oso.explain('allow', owner, 3, 1).then(why => why.allowed) : true,
      ]).flat();
      const known = await Promise.all(answers);
      const expectedAnswers = Array.from({ length: 200 }, (_, n) => [(n % 2 ? 3 : 2) === n % 3, true]).flat();
      expect(known).to.deep.equal(expectedAnswers);
      // Each question prints once, and no explanation does.
      expect(printed).to.have.length(expectedAnswers.filter((yes, at) => at % 2 === 0 && yes).length);
      expect(oso.fallbacks).to.deep.equal([]);
    } finally {
      console.log = log;
    }
  });

  it('ask nothing again that the application loads', async () => {
    let asked = 0;
    class Loader {
      id = 1;
      get teams(): Promise<string[]> {
        asked++;
        return Promise.resolve(['a', 'b']);
      }
    }
    const oso = new CompiledOso();
    oso.registerClass(Loader);
    await oso.loadStr('allow(user: Loader, team, _) if team in user.teams or user.id = 2;');
    const why = await oso.explain('allow', new Loader(), 'c', 1);
    expect(why.ways).to.have.length(2);
    expect(asked).to.equal(1);
  });

  it('of ten thousand steps are short', async () => {
    const { owner, folders } = new World();
    const { Folder } = await import('./cases.js');
    let folder = folders[0];
    for (let id = 0; id < 10_000; id++) folder = new Folder(id, folder);
    const oso = new CompiledOso({ budget: { milliseconds: 60_000 } });
    for (const cls of [owner.constructor, Folder]) oso.registerClass(cls as never);
    await oso.loadStr(CASES.find(({ title }) => title.startsWith('folders'))?.policy ?? '');
    const why = await oso.explain('allow', owner, 'read', folder);
    expect(why.allowed).to.equal(false);
    expect(String(why).split('\n').length).to.be.below(50);
    expect(JSON.stringify(why.tree).length).to.be.below(100_000);
  });
});
