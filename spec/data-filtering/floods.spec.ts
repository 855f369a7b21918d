import { expect } from 'chai';
import { registerEntities, type SchemaDescription } from 'koa-oso/array';
import { CompiledOso } from 'koa-oso/polar';
import { type Column, type Condition, sizeOf } from '../../src/data-filtering/condition/condition.js';
import { and, negate, or } from '../../src/data-filtering/condition/simplify.js';
import { type Translation, translate } from '../../src/data-filtering/condition/translate.js';

class Post {
  constructor(
    readonly name: string | null,
    readonly length: number,
    readonly secret: boolean,
  ) {}
}

const description: SchemaDescription = {
  Post: {
    class: Post,
    key: ['length'],
    fields: { name: { type: 'text', nullable: true }, length: 'integer', secret: 'boolean' },
  },
};
const posts = [
  new Post('name 1', 1, false),
  new Post(null, 2, true),
  new Post('other', 3, false),
  new Post('name 2', 4, true),
];

async function load(policy: string, budget = {}): Promise<CompiledOso> {
  const oso = new CompiledOso({ budget: { milliseconds: Infinity, ...budget } });
  registerEntities(oso, { Post: posts }, description);
  await oso.loadStr(policy);
  return oso;
}

const names = (count: number) => Array.from({ length: count }, (_, at) => `name ${at}`);

/** The lengths of the posts that are listed; or the code of what is thrown, and what it says. */
async function listed(oso: CompiledOso, user: object): Promise<string> {
  try {
    const rows = (await oso.authorizedQuery(user, 'read', Post)) as unknown as Post[];
    return rows.map(({ length }) => length).join(' ');
  } catch (error) {
    const { code, message } = error as Error & { code?: string };
    return `${code}: ${message}`;
  }
}

/** How many times a flood takes more of something than half of it, at most. */
const LINEAR = 2.5;

describe('floods of values in lists', () => {
  for (const [policy, expected] of [
    ['allow(u, "read", d: Post) if d.name in u.names;', '1 4'],
    ['allow(u, "read", d: Post) if not (d.name in u.names);', '2 3'],
    ['allow(u, "read", d: Post) if d.name in u.names and d.secret;', '4'],
    ['allow(u, "read", d: Post) if d.name in u.names or d.name in ["other"];', '1 3 4'],
    ['allow(u, "read", d: Post) if d.name in u.names and d.length in u.lengths;', '1 4'],
    ['allow(u, "read", d: Post) if not (d.name in u.names and d.secret);', '1 2 3'],
    ['allow(u, "read", d: Post) if forall(x in u.names, d.name != x);', '2 3'],
    [
      'allow(u, "read", d: Post) if all(u.names, d); all([], _); all([x, *xs], d) if d.name != x and all(xs, d);',
      '2 3',
    ],
  ] as const) {
    it(`are a condition with a pause now and then: ${policy}`, async () => {
      const oso = await load(policy);
      const { now } = performance;
      let time = 1;
      performance.now = () => (time += 5);
      let [turns, running] = [0, true];
      const turn = () => {
        turns++;
        if (running) setImmediate(turn);
      };
      setImmediate(turn);
      try {
        const user = { names: names(3_000), lengths: Array.from({ length: 9 }, (_, at) => at) };
        expect(await listed(oso, user)).to.equal(expected);
      } finally {
        running = false;
        performance.now = now;
      }
      // 3,000 values are more than 24,000 steps, and every 256th looks at the clock.
      expect(turns).to.be.at.least(60);
    });
  }

  it('are asked of the database as one list, however many', async () => {
    const column = {
      row: { entity: {}, number: 0 },
      field: { column: 'name', nullable: false },
    } as Column;
    const equal = (value: string): Condition => ({ kind: 'compare', column, operator: '=', value });
    const values = names(1_000);
    expect(or(values.map(equal))).to.deep.equal({ kind: 'in', column, values });
    expect(and(values.map(equal).map(negate))).to.deep.equal({ kind: 'notIn', column, values });
    expect(sizeOf(or([or(values.map(equal)), equal('other')]))).to.deep.equal({ parts: 1, values: 1_001 });
  });

  it('look at each condition a few times, and not at each with each', () => {
    let looks = 0;
    const field = { name: 'name', column: 'name', nullable: true, type: { kind: 'text' } };
    const counted = new Proxy(field, {
      get(target, key) {
        looks++;
        return Reflect.get(target, key);
      },
    });
    const column = { row: { entity: {}, number: 0 }, field: counted } as unknown as Column;
    const secret = {
      row: { entity: {}, number: 0 },
      field: { ...field, column: 'secret' },
    } as unknown as Column;
    const looksAt = (count: number): number => {
      looks = 0;
      const alternatives = names(count).map((value, at) =>
        and([
          { kind: 'compare', column, operator: '=', value },
          { kind: 'compare', column: secret, operator: '=', value: `${at % 7}` },
        ]),
      );
      negate(or(alternatives));
      return looks;
    };
    const few = looksAt(500);
    expect(looksAt(1_000)).to.be.below(LINEAR * few + 100);
  });

  it('are a coded error where no database takes as many', async () => {
    const oso = await load('allow(u, "read", d: Post) if d.name in u.names;');
    expect(await listed(oso, { names: names(30_000) })).to.equal('1 4');
    const error = await listed(oso, { names: names(30_001) });
    expect(error).to.match(/^ERR_KOA_OSO_UNFILTERABLE_POLICY: .* more than 30000 values/);
    expect(error).not.to.include('name 1');
  });

  it('are held to the budget', async () => {
    for (const policy of [
      'allow(u, "read", d: Post) if d.name in u.names;',
      'allow(u, "read", d: Post) if not (d.name in u.names);',
    ]) {
      const oso = await load(policy, { steps: 30_000 });
      expect(await listed(oso, { names: names(1_000) })).to.be.oneOf(['1 4', '2 3']);
      expect(await listed(oso, { names: names(6_000) })).to.match(/^ERR_KOA_OSO_POLICY_BUDGET/);
    }
  });

  it('do not grow with each negation around them', async () => {
    const column = { row: { entity: {}, number: 0 }, field: { column: 'name', nullable: true } } as Column;
    let condition: Condition = { kind: 'compare', column, operator: '=', value: 'a' };
    for (let depth = 0; depth < 200; depth++) {
      const other: Condition = { kind: 'compare', column, operator: '<', value: `${depth}` };
      condition = or([and([condition, other]), and([negate(condition), negate(other)])]);
    }
    // Written out it would be of more parts than there are atoms; as a condition, it has each once.
    expect(sizeOf(condition).parts).to.be.above(1e50);
  });

  it('are no deeper than SQLite takes', () => {
    const depth: Translation<number> = {
      constant: () => 1,
      and: parts => Math.max(...parts) + parts.length - 1,
      or: parts => Math.max(...parts) + parts.length - 1,
      not: part => part + 1,
      compare: () => 1,
      compareColumns: () => 1,
      in: () => 1,
      isNull: () => 1,
      readable: () => undefined,
      isNotNull: () => 1,
      exists: () => 1,
      reaches: () => 1,
      inRows: () => 1,
    };
    const column = { row: { entity: {}, number: 0 }, field: { column: 'name', nullable: true } } as Column;
    const condition = or(
      names(3_000).map((value, at) =>
        and([
          { kind: 'compare', column, operator: '>', value },
          { kind: 'compare', column, operator: '<', value: `${at}` },
        ]),
      ),
    );
    for (const each of [condition, negate(condition)]) expect(translate(each, depth)).to.be.below(1_000);
  });
});
