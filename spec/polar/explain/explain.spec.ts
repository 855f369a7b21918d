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

class Account {
  constructor(
    readonly a: number,
    readonly b: number,
    readonly c: number,
    readonly list: number[],
  ) {}
}

/** The same numbers each time: a small linear congruential generator. */
function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32;
    return state / 2 ** 32;
  };
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

  it('name first what alone stands in the way, for random policies', async () => {
    const random = randomNumbers(7);
    const pick = (most: number): number => Math.floor(random() * most);
    const field = (): string => 'abc'[pick(3)] as string;
    const condition = (): string => {
      const [left, right, number] = [field(), field(), pick(5)];
      const forms = [
        `user.${left} > ${number}`,
        `user.${left} = user.${right}`,
        `not user.${left} = ${number}`,
        `(user.${left} = ${number} or user.${right} < ${pick(3)})`,
        `g(user, ${number})`,
        `forall(n in user.list, n < ${number + 2})`,
      ];
      return forms[pick(forms.length)] as string;
    };
    let denied = 0;
    let named = 0;
    for (let round = 0; round < 60; round++) {
      // One condition a line, so that each can be replaced.
      const bodies = Array.from({ length: 1 + pick(3) }, () =>
        Array.from({ length: 1 + pick(3) }, condition),
      );
      const rules = bodies.map(body => `allow(user: Account, "read", _) if\n${body.join(' and\n')};`);
      const policy = `${rules.join('\n')}\ng(user: Account, n) if\nuser.b = n;\ng(user: Account, n) if\nuser.c > n;`;
      const account = new Account(pick(5), pick(5), pick(5), [pick(4), pick(4)]);
      const ask = async (text: string) => {
        const oso = new CompiledOso();
        oso.registerClass(Account);
        await oso.loadStr(text);
        return oso;
      };
      const why = await (await ask(policy)).explain('allow', account, 'read', 1);
      if (why.allowed) continue;
      denied++;
      const lines = policy.split('\n');
      const [nearest] = why.ways;
      const isEnough = async (line: number): Promise<boolean> => {
        const end = /(?: and|;)$/.exec(lines[line] as string)?.[0] ?? '';
        const changed = lines.with(line, `user = user${end}`).join('\n');
        return (await ask(changed)).isAllowed(account, 'read', 1);
      };
      const first = bodies.flatMap((body, rule) =>
        body.map((_, at) => at + 1 + bodies.slice(0, rule).reduce((sum, each) => sum + each.length + 1, 0)),
      );
      const enough: number[] = [];
      for (const line of first) if (await isEnough(line)) enough.push(line);
      // What is named may stand in a rule that the condition calls, or in an alternative of it.
      expect(nearest?.isLast, `${policy}\n${why}`).to.equal(enough.length > 0);
      if (enough.length === 0) continue;
      named++;
      const own = nearest?.calledBy?.place.line ?? nearest?.missing.place.line ?? 0;
      expect(enough, `${policy}\n${why}`).to.include(own - 1);
    }
    expect(denied).to.be.above(20);
    expect(named).to.be.above(10);
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
