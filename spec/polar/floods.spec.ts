import { expect } from 'chai';
import { CompiledOso, PolicyBudgetError } from 'koa-oso/polar';
import { flatten, List, LogicVariable } from '../../src/polar/values/values.js';

const NOT_COUNTED = { visit: () => {} };

async function load(policy: string, budget: object = { milliseconds: Infinity }): Promise<CompiledOso> {
  const oso = new CompiledOso({ budget });
  await oso.loadStr(`${policy}\nallow(_, _, _) if false;`);
  return oso;
}

/**
 * How often the event loop turns while something runs, on a clock by which every look at it comes five milliseconds after
 * the last: whoever looks, and keeps to the slice of four milliseconds, has to pause.
 */
async function turnsDuring(action: () => Promise<unknown>): Promise<number> {
  const { now } = performance;
  let time = 1;
  performance.now = () => (time += 5);
  let turns = 0;
  let running = true;
  const turn = () => {
    turns++;
    if (running) setImmediate(turn);
  };
  setImmediate(turn);
  try {
    await action();
    return turns;
  } finally {
    running = false;
    performance.now = now;
  }
}

const tags = (count: number) => Array.from({ length: count }, (_, at) => (at % 2 === 0 ? 'a' : 'b'));
const numbers = (count: number) => Array.from({ length: count }, (_, at) => at);

describe('floods', () => {
  describe('let the event loop turn', () => {
    // The clock is looked at after 256 steps, and between parts of a thousand items.
    for (const [what, policy, args, expected, pauses] of [
      [
        'while the rest of a list is taken, again and again',
        'ask(xs) if all_ok(xs); all_ok([]); all_ok([first, *rest]) if first in ["a", "b"] and all_ok(rest);',
        [tags(4_000)],
        true,
        80,
      ],
      ['while a value is looked for', 'ask(xs) if "c" in xs;', [tags(40_000)], false, 35],
      [
        'while a value is looked for by values',
        'ask(xs, ys) if forall(x in xs, x in ys);',
        [tags(200), numbers(200).concat(tags(200) as never)],
        true,
        100,
      ],
      [
        'while lists are compared',
        'ask(xs, xs);',
        [numbers(20_000).map(at => [at]), numbers(20_000).map(at => [at])],
        true,
        100,
      ],
      [
        'while a list is copied that is looked up',
        'ask(x) if walk(x, 100); walk(_, 0); walk(x, n) if x.tags = _ and m = n - 1 and walk(x, m);',
        [{ tags: numbers(8_000) }],
        true,
        95,
      ],
      ['while characters are looked at', 'ask(x) if "c" in x;', ['ab'.repeat(5_000)], false, 35],
    ] as const) {
      it(what, async () => {
        const oso = await load(policy);
        const turns = await turnsDuring(async () => {
          expect(await oso.queryRuleOnce('ask', ...args)).to.equal(expected);
        });
        expect(oso.fallbacks).to.deep.equal([]);
        expect(turns).to.be.at.least(pauses);
      });
    }

    it('once for each of many long decisions, not for all of them at once', async () => {
      const oso = await load('ask(xs) if "c" in xs;');
      const long = tags(2_560);
      const alone = await turnsDuring(() => oso.queryRuleOnce('ask', long));
      const together = await turnsDuring(() =>
        Promise.all(Array.from({ length: 10 }, () => oso.queryRuleOnce('ask', long))),
      );
      expect(together).to.be.above(5 * alone);
    });
  });

  describe('count against the budget', () => {
    for (const [what, policy, args] of [
      ['lists that are given', 'ask(_);', [numbers(100_000)]],
      ['lists that are looked up', 'ask(x) if x.tags = _;', [{ tags: numbers(100_000) }]],
      ['what is printed', 'ask(x) if print(x);', ['x'.repeat(200_000)]],
      ['texts that are compared', 'ask(x, y) if x <= y;', ['x'.repeat(200_000), `${'x'.repeat(200_000)}y`]],
      [
        'what a method is given',
        'ask(x) if x.echo(x.tags) = 1;',
        [{ tags: numbers(100_000), echo: () => 1 }],
      ],
      [
        'conditions on one variable',
        'ask(xs) if above(_, xs); above(_, []); above(x, [y, *ys]) if x > y and above(x, ys);',
        [numbers(5_000)],
      ],
    ] as const) {
      it(what, async () => {
        const { log } = console;
        console.log = () => {};
        const oso = await load(policy, { steps: 5_000, milliseconds: Infinity });
        try {
          await oso.queryRuleOnce('ask', ...args);
          expect.fail('there was an answer');
        } catch (error) {
          expect(error).to.be.instanceOf(PolicyBudgetError);
          expect(error).to.include({ code: 'ERR_KOA_OSO_POLICY_BUDGET', exceeded: 'steps' });
        } finally {
          console.log = log;
        }
      });
    }
  });

  describe('take memory as they are long', () => {
    it('sharing the items of a list with its parts', () => {
      const items = numbers(1_000);
      const rest = new List(items, undefined, true).slice(1).slice(1, 500);
      items[2] = -1;
      expect(rest).to.include({ length: 499, pure: true });
      expect([rest.at(0), rest.at(498)]).to.deep.equal([-1, 500]);
    });

    it('keeping the rest variable with the items before it', () => {
      const rest = new LogicVariable('rest');
      const list = new List([1, 2, 3], rest);
      expect(list.slice(1).rest).to.equal(rest);
      expect(list.slice(1, 2).rest).to.equal(undefined);
      rest.binding = new List([4, 5]);
      expect(flatten(list.slice(2), NOT_COUNTED).toArray()).to.deep.equal([3, 4, 5]);
    });

    it('joining as many rests as there are', () => {
      let list = new List([]);
      for (let item = 0; item < 20_000; item++) list = new List([item], list);
      expect(flatten(list, NOT_COUNTED)).to.include({ length: 20_000, joined: true, rest: undefined });
    });

    it('in lists that a policy makes', async () => {
      const oso = await load(
        'ask(xs, n) if reversed(xs, [], ys) and n in ys; reversed([], ys, ys); reversed([x, *xs], done, ys) if reversed(xs, [x, *done], ys);',
      );
      expect(await oso.queryRuleOnce('ask', numbers(15_000), 14_999)).to.equal(true);
      expect(oso.fallbacks).to.deep.equal([]);
    });
  });

  it('hold for dictionaries, by their fields', async () => {
    const oso = new CompiledOso({ budget: { milliseconds: Infinity } });
    await oso.loadStr('allow(_, _, _) if false; ask(x) if ["nosuch", _] in x;');
    const Dict = oso.getHost().getType('Dictionary')?.cls as new (of: object) => object;
    const fields = Object.fromEntries(numbers(5_000).map(at => [`f${at}`, at]));
    const dictionary = Object.assign(new Dict({}), fields);
    const turns = await turnsDuring(() => oso.queryRuleOnce('ask', dictionary));
    expect(turns).to.be.at.least(15);
  });
});
