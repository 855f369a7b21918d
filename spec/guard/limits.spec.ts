import { expect } from 'chai';
import Koa from 'koa';
import { Oso } from 'oso';
import { agent } from 'supertest';
import { MAX_DEPTH, MAX_ITEMS, MAX_TEXT } from '../../src/guard/limits.js';
import { KoaOso, KoaOsoError } from '../../src/index.js';
import { CompiledOso, RefusedValueError } from '../../src/polar/index.js';

class Entry {
  constructor(readonly tags: unknown) {}
}

const engines: [string, () => Oso][] = [
  ['an Oso that KoaOso was given', () => new Oso()],
  ['CompiledOso', () => new CompiledOso() as unknown as Oso],
];

/** A list in a list in a list …, as JSON brings it. */
function nested(depth: number): unknown {
  return JSON.parse('['.repeat(depth) + ']'.repeat(depth));
}

async function load(make: () => Oso, policy: string): Promise<Oso> {
  const oso = make();
  new KoaOso({ oso });
  oso.registerClass(Entry);
  await oso.loadStr(policy);
  return oso;
}

async function refusal(action: () => Promise<unknown>): Promise<string> {
  try {
    return `answered ${await action()}`;
  } catch (error) {
    expect(error)
      .to.be.instanceOf(RefusedValueError)
      .and.to.have.property('code', 'ERR_KOA_OSO_VALUE_REFUSED');
    return (error as Error).message.replace(/^.*cannot be decided about: /, '');
  }
}

const IN = 'allow(_, _, e: Entry) if "travel" in e.tags;';
const NOT =
  'allow(_, _, e: Entry) if not "travel" in e.tags; same(x, y) if x = y; differ(x, y) if not x = y;';

for (const [engine, make] of engines) {
  describe(`The limits of values, for ${engine}`, () => {
    it('refuse lists that are nested too deep, and leave the engine alive', async () => {
      const oso = await load(make, IN);
      for (let time = 0; time < 10; time++) {
        for (const depth of [MAX_DEPTH + 1, 1000, 1500, 1900, 5000]) {
          const reason = await refusal(() => oso.isAllowed(1, 'read', new Entry(nested(depth))));
          expect(reason).to.equal('it is nested more than 100 deep.');
        }
      }
      expect(await oso.isAllowed(1, 'read', new Entry(nested(MAX_DEPTH)))).to.equal(false);
      expect(await oso.isAllowed(1, 'read', new Entry(['travel']))).to.equal(true);
    });

    it('refuse dictionaries and mixtures that are nested too deep', async () => {
      const oso = await load(make, NOT);
      const Dictionary = oso.getHost().getType('Dictionary')?.cls as new (fields: object) => object;
      let mixture: object = new Dictionary({ a: 1 });
      for (let depth = 0; depth < 60; depth++) mixture = [new Dictionary({ a: mixture })];
      expect(await refusal(() => oso.isAllowed(1, 'read', new Entry(mixture)))).to.match(/deep/);
      expect(await refusal(() => oso.queryRuleOnce('differ', mixture, 1))).to.match(/deep/);
    });

    it('refuse a list that holds itself', async () => {
      const oso = await load(make, NOT);
      const list: unknown[] = [];
      list.push(list);
      expect(await refusal(() => oso.isAllowed(1, 'read', new Entry(list)))).to.match(/deep/);
    });

    it('refuse lists of too many items, however they are spread', async () => {
      const oso = await load(make, NOT);
      const flat = new Array(MAX_ITEMS + 1).fill(1);
      const spread = new Array(1000).fill(new Array(MAX_ITEMS / 1000).fill(1));
      for (const tags of [flat, spread, new Array(4_000_000_000)]) {
        expect(await refusal(() => oso.isAllowed(1, 'read', new Entry(tags)))).to.equal(
          'it has more than 100000 items.',
        );
      }
    });

    it('refuse texts that are too long', async () => {
      const oso = await load(make, NOT);
      expect(await refusal(() => oso.queryRuleOnce('differ', 'a'.repeat(MAX_TEXT + 1), 'b'))).to.match(
        /text/,
      );
      expect(await oso.queryRuleOnce('differ', 'a'.repeat(MAX_TEXT), 'b')).to.equal(true);
    });

    it('refuse integers beyond 2^53, also in lists and attributes', async () => {
      const oso = await load(make, NOT);
      for (const integer of [2 ** 53, -(2 ** 53), 2 ** 60, 1e300]) {
        const reason = 'it is an integer beyond 2^53, which JavaScript does not hold exactly.';
        expect(await refusal(() => oso.queryRuleOnce('differ', integer, 1))).to.equal(reason);
        expect(await refusal(() => oso.isAllowed(1, 'read', new Entry([integer])))).to.equal(reason);
      }
      expect(await oso.queryRuleOnce('same', 2 ** 53 - 1, 2 ** 53 - 1)).to.equal(true);
    });

    it('refuse arrays with holes', async () => {
      const oso = await load(make, NOT);
      const inside: unknown[] = ['a'];
      inside[2] = 'travel';
      for (const tags of [new Array(3), inside, [inside]]) {
        expect(await refusal(() => oso.isAllowed(1, 'read', new Entry(tags)))).to.equal(
          'it is an array with holes.',
        );
      }
      expect(await oso.isAllowed(1, 'read', new Entry([undefined, null]))).to.equal(true);
    });

    it('read halves of surrogate pairs as U+FFFD', async () => {
      const oso = await load(
        make,
        `${NOT} fact("\ufffd"); fact("a"); two("a", "\ufffdb"); two("c", "d"); named(x) if x.a = 1;`,
      );
      expect(await oso.queryRuleOnce('differ', '\ud800', '\ufffd')).to.equal(false);
      expect(await oso.queryRuleOnce('differ', '\ud800', '\udfff')).to.equal(false);
      expect(await oso.queryRuleOnce('differ', ['a', '\ud800b'], ['a', '\ufffdb'])).to.equal(false);
      expect(await oso.isAllowed(1, 'read', new Entry(['travel', '\ud800']))).to.equal(false);
      expect(await oso.queryRuleOnce('fact', '\udc00')).to.equal(true);
      expect(await oso.queryRuleOnce('two', 'a', '\ud83db')).to.equal(true);
      expect(await oso.queryRuleOnce('two', 'c', '\ud83db')).to.equal(false);
      expect(await oso.queryRuleOnce('same', '😀', '😀')).to.equal(true);
    });

    it('read each item once', async () => {
      const oso = await load(make, NOT);
      let reads = 0;
      const tags = Object.defineProperty(['a'], 0, { get: () => (reads++ > 0 ? 'a' : 'travel') });
      expect(await oso.isAllowed(1, 'read', new Entry(tags))).to.equal(false);
      expect(reads).to.equal(1);
    });

    it('never show the value', async () => {
      const oso = await load(make, NOT);
      const secret = Object.assign([['secret'], nested(200)], { secret: 'secret' });
      try {
        await oso.isAllowed(1, 'read', new Entry(secret));
        expect.fail('it was decided');
      } catch (error) {
        expect(`${(error as Error).stack}${JSON.stringify(error)}`).not.to.include('secret');
      }
    });

    it('are answered with 500 and a code of their own', async () => {
      const oso = await load(make, IN);
      const app = new Koa();
      const errors: unknown[] = [];
      app.on('error', error => errors.push(error));
      app.use(new KoaOso({ oso, getActor: () => 'ann' }).middleware());
      app.use(async ctx => {
        await ctx.oso.authorize(new Entry(nested(1500)), { action: 'read' });
        ctx.body = 'allowed';
      });
      await agent(app.callback()).get('/').expect(500, 'Internal Server Error');
      expect(errors[0])
        .to.be.instanceOf(KoaOsoError)
        .and.to.have.property('code', 'ERR_KOA_OSO_VALUE_REFUSED');
    });
  });
}

describe('The limits of values, for CompiledOso alone', () => {
  it('let no value decide that Oso answers', async () => {
    const oso = new CompiledOso();
    oso.registerClass(Entry);
    await oso.loadStr(`${NOT} sum(x, y) if x * y > 0; each(e: Entry) if forall(tag in e.tags, tag < 5);`);
    const asked: (() => Promise<unknown>)[] = [
      () => oso.isAllowed(1, 'read', new Entry(nested(400))),
      () => oso.queryRuleOnce('differ', 2 ** 53, 1),
      () => oso.queryRuleOnce('sum', 2 ** 52, 2 ** 52),
    ];
    for (const ask of asked)
      expect(await refusal(ask))
        .to.be.a('string')
        .and.not.to.match(/^answered/);
    expect(oso.fallbacks).to.deep.equal([]);
  });
});
