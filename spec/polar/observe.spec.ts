import { expect } from 'chai';
import { type Policy, readPolicy } from '../../src/polar/compile/policy.js';
import { CompiledOso, type Observation, type Observer, type Question } from '../../src/polar/index.js';
import { conditionsOf } from '../../src/polar/syntax/conditions.js';
import { formatPlace, PolicySource } from '../../src/polar/syntax/source.js';

class Team {
  constructor(readonly id: number) {}
}

class User {
  constructor(
    readonly name: string,
    readonly age: number,
    readonly team = new Team(1),
  ) {}

  get teamLater(): Promise<Team> {
    return new Promise(resolve => setTimeout(resolve, 1, this.team));
  }

  get ok(): boolean {
    return this.age > 0;
  }

  fails(): never {
    throw new Error('of the host');
  }
}

const ann = new User('ann', 35);

async function load(policy: string, observer?: Observer): Promise<CompiledOso> {
  const oso = new CompiledOso(observer ? { observer } : {});
  oso.registerClass(User);
  oso.registerClass(Team);
  await oso.loadStr(policy);
  return oso;
}

/** What is observed of one question, a line each: attempts by their depth, the text that they are about, and the values. */
async function observe(policy: string, ...args: unknown[]): Promise<string[]> {
  const lines: string[] = [];
  const depths = new Map<number, number>();
  const texts = policy.split('\n');
  const oso = await load(policy, ({ kind, id, parent, lookup, place, operands }) => {
    const depth = depths.get(id) ?? (parent === undefined ? 0 : (depths.get(parent) as number) + 1);
    depths.set(id, depth);
    const text =
      place?.line === place?.endLine && place
        ? texts[place.line - 1]?.slice(place.column - 1, place.endColumn - 1)
        : place?.rule;
    const values = operands?.().map(value => (value instanceof Object ? value.constructor.name : value));
    const what = kind === 'condition' && lookup ? 'lookup' : kind;
    const shown = kind === 'rule' || kind === 'skipped' || kind === 'result' ? '' : ` ${String(values)}`;
    lines.push(`${'  '.repeat(depth)}${what} ${text ?? ''}${shown}`.trimEnd());
  });
  await oso.queryRuleOnce('allow', ...args).catch(() => {});
  expect(oso.fallbacks).to.deep.equal([]);
  return lines;
}

describe('Observations', () => {
  it('tell of a condition that is made of look-ups as of one', async () => {
    const seen = await observe(
      'allow(user: User, "read", _) if user.team.id = 2 and user.age > 30;',
      ann,
      'read',
      1,
    );
    expect(seen).to.deep.equal([
      'rule allow(user: User, "read", _) if user.team.id = 2 and user.age > 30;',
      '  condition user.team.id = 2',
      '    lookup user.team',
      '    held user.team Team',
      '    lookup user.team.id',
      '    held user.team.id 1',
      '  failed user.team.id = 2 1,2',
    ]);
  });

  it('tell the values that are compared, also if the look-ups come first', async () => {
    const seen = await observe('allow(user: User, n, _) if user.age > n;', ann, 40, 1);
    expect(seen.at(-1)).to.equal('  failed user.age > n 35,40');
  });

  it('tell which call tries a rule, and which rules it skips', async () => {
    const policy = `allow(user, action, _) if may(user, action);
may(user: User, "read") if user.age > 40;
may(user: User, "read") if user.age > 30;
may(_: User, "write");
may(_: Team, "read");`;
    const seen = await observe(policy, ann, 'read', 1);
    expect(seen).to.deep.equal([
      'rule allow(user, action, _) if may(user, action);',
      '  condition may(user, action)',
      '    skipped may(_: User, "write");',
      '    skipped may(_: Team, "read");',
      '    rule may(user: User, "read") if user.age > 40;',
      '      condition user.age > 40',
      '        lookup user.age',
      '        held user.age 35',
      '      failed user.age > 40 35,40',
      '    rule may(user: User, "read") if user.age > 30;',
      '      condition user.age > 30',
      '        lookup user.age',
      '        held user.age 35',
      '      held user.age > 30 35,30',
      '    held may(user: User, "read") if user.age > 30; User,read',
      '  held may(user, action) User,read',
      'held allow(user, action, _) if may(user, action); User,read,1',
      'result',
    ]);
  });

  it('tell of heads that have to be tried, and of those that do not match', async () => {
    const policy = 'allow(_: User{age: 40}, _, _);\nallow(_: User{age: 35}, _, _);';
    expect(await observe(policy, ann, 1, 2)).to.deep.equal([
      'skipped allow(_: User{age: 40}, _, _);',
      'rule allow(_: User{age: 35}, _, _);',
      'held allow(_: User{age: 35}, _, _); User,1,2',
      'result',
    ]);
  });

  it('tell what stands in an or, a not and a forall as parts of it', async () => {
    const policy =
      'allow(n, _, _) if (n = 1 or n = 2) and not n = 3 and forall(x in [1, 2], x < n) and not (n < 9);';
    expect(await observe(policy, 2, 0, 0)).to.deep.equal([
      `rule ${policy}`,
      '  condition n = 1 or n = 2',
      '    condition n = 1',
      '    failed n = 1 2,1',
      '    condition n = 2',
      '    held n = 2 2,2',
      '  held n = 1 or n = 2',
      '  condition not n = 3',
      '    condition n = 3',
      '    failed n = 3 2,3',
      '  held not n = 3',
      '  condition forall(x in [1, 2], x < n)',
      '    condition x in [1, 2]',
      '    held x in [1, 2] 1,Array',
      '    condition x < n',
      '    held x < n 1,2',
      '    failed x < n 1,2',
      '    held x in [1, 2] 2,Array',
      '    condition x < n',
      '    failed x < n 2,2',
      '    failed x in [1, 2] ,Array',
      '  failed forall(x in [1, 2], x < n)',
      '  failed not n = 3',
      '    failed n = 2 2,2',
      '  failed n = 1 or n = 2',
    ]);
  });

  it('tell where a question ended in an error', async () => {
    const seen = await observe(
      'allow(user: User, _, _) if user.name = "ann" and user.fails() = 1;',
      ann,
      1,
      2,
    );
    expect(seen.slice(-3)).to.deep.equal([
      '  condition user.fails() = 1',
      '    lookup user.fails()',
      '    error user.fails() User',
    ]);
  });

  it('tell of a cut, after which nothing fails', async () => {
    const policy = 'allow(n, _, _) if n = 1 and cut and n = 2;\nallow(_, _, _);';
    expect(await observe(policy, 1, 0, 0)).to.deep.equal([
      `rule ${policy.split('\n')[0]}`,
      '  condition n = 1',
      '  held n = 1 1,1',
      '  condition cut',
      '  held cut',
      '  condition n = 2',
      '  failed n = 2 1,2',
    ]);
  });

  it('tell shorthand rules of blocks at their own place', async () => {
    const policy = `actor User {}
resource Team {
  roles = ["member", "admin"];
  "member" if "admin";
}
allow(user, role, team) if has_role(user, role, team);
has_role(_: User, "admin", _: Team);`;
    const seen = await observe(policy, ann, 'member', new Team(1));
    expect(seen)
      .to.include('    rule "member" if "admin"')
      .and.to.include('      held "admin" User,admin,Team');
  });

  it('are of the conditions that conditionsOf lists', async () => {
    const policy = `allow(user: User, n, _) if
  (user.age > n or not (user.team.id = 2 and f(user.team.id))) and
  forall(x in [user.age], x > user.team.id) and print(user.team.id) and user.ok;
f(n) if n + 1 < 3 or n = 2;`;
    const read = readPolicy([new PolicySource(policy)]) as Policy;
    const listed = [...read.rules.values()].flat().flatMap(rule => [...conditionsOf(rule)]);
    const expected = listed.map(({ source, offset }) => formatPlace(source.placeAt(offset)));
    const places = new Set<string>();
    const oso = await load(policy, ({ kind, lookup, place }) => {
      if (kind === 'condition' && !lookup && place) places.add(formatPlace(place));
    });
    for (const n of [30, 40]) {
      for (const id of [0, 1, 2]) {
        await oso.isAllowed(new User('x', 35, new Team(id)), n, 1).catch(() => {});
      }
    }
    expect([...places].sort()).to.deep.equal([...new Set(expected)].sort());
    expect(places.size).to.be.above(8);
  });

  it('tell no more than a hundred of the rules that a call skips', async () => {
    const policy = Array.from({ length: 300 }, (_, n) => `allow(${n}, 1, 1);`).join('\n');
    const seen = await observe(policy, 7, 1, 1);
    expect(seen.filter(line => line.startsWith('skipped'))).to.have.length(100);
    expect(seen.filter(line => line.startsWith('rule'))).to.deep.equal(['rule allow(7, 1, 1);']);
  });

  it('of questions that are asked at once are told apart', async () => {
    const seen = new Map<Question, Observation[]>();
    const oso = await load('allow(user: User, id, _) if user.teamLater.id = id;', (observation, question) => {
      seen.set(question, [...(seen.get(question) ?? []), observation]);
    });
    await Promise.all([1, 2, 3].map(id => oso.isAllowed(ann, id, 1)));
    const kinds = [...seen.values()].map(each => each.map(({ id, kind }) => `${id} ${kind}`).join(', '));
    const start = '1 rule, 2 condition, 3 condition, 3 held, 4 condition, 4 held, ';
    expect(kinds.sort()).to.deep.equal(
      [`${start}2 held, 1 held, 0 result`, `${start}2 failed`, `${start}2 failed`].sort(),
    );
    expect([...seen.keys()][0]).to.deep.equal({ rule: 'allow', isList: false });
  });

  it('go to each observer until it has enough', async () => {
    const oso = await load('allow(_, _, _) if true;');
    const first: string[] = [];
    const second: string[] = [];
    const stopFirst = oso.observe(({ kind }) => first.push(kind));
    const stopSecond = oso.observe(({ kind }) => second.push(kind));
    await oso.isAllowed(1, 2, 3);
    stopFirst();
    await oso.isAllowed(1, 2, 3);
    stopSecond();
    await oso.isAllowed(1, 2, 3);
    const once = ['rule', 'condition', 'held', 'held', 'result'];
    expect(first).to.deep.equal(once);
    expect(second).to.deep.equal([...once, ...once]);
  });

  it('are of queries in the notation of Polar, too', async () => {
    const oso = await load('f(1); f(2);');
    const seen: string[] = [];
    const ask = async (): Promise<void> => {
      for await (const _ of oso.query('f(x) and x > 1'));
    };
    await ask();
    const stop = oso.observe(({ kind, place }) => seen.push(`${kind} ${place?.column ?? ''}`));
    await ask();
    stop();
    await ask();
    expect(seen).to.deep.equal([
      'condition 1',
      'rule 1',
      'held 1',
      'held 1',
      'condition 10',
      'failed 10',
      'rule 7',
      'held 7',
      'held 1',
      'condition 10',
      'held 10',
      'result ',
      'failed 10',
      'failed 1',
    ]);
  });
});
