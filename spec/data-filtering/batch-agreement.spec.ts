import { expect } from 'chai';
import fc from 'fast-check';
import { CompiledOso } from '../../src/polar/index.js';
import { randomRun, repeat } from '../support/random-run.js';
import { ArrayStore } from './support/array-store.js';
import { drizzleStores } from './support/drizzle-store.js';
import { kyselyStores } from './support/kysely-store.js';
import { randomActor } from './support/random-actor.js';
import { ACTION, type Draw, randomPolicy, write } from './support/random-policy.js';
import type { Engine, Store } from './support/store.js';
import { TypeormStore } from './support/typeorm-store.js';
import { type Data, type EntityName, keyOf, link, type Rows, randomData } from './support/world.js';

const { cases: CASES, seed: SEED } = randomRun('LISTS', 40, 1000);

const POLICIES_PER_DATA = 20;
/** Policies that are made of an instance. */
const POLICIES_PER_OSO = 200;

/**
 * For random policies, actors and rows: what a batch answers for all rows of a class is what single questions answer, of rows
 * that have nothing loaded; and that is what they answer of rows that have everything loaded.
 *
 * If a question fails, it may have come to an alternative first that another order of related rows puts last. So of failures
 * only the single question of unloaded rows is compared with that of loaded ones, and only if both answer.
 */
for (const store of [
  new ArrayStore(),
  ...kyselyStores(),
  new TypeormStore(),
  ...drizzleStores(),
] as Store[]) {
  const title = `batches from ${store.name}`;
  describe(title, () => {
    before(async function () {
      this.timeout(60_000);
      await store.open();
    });
    after(() => store.close());

    it(`answer as single questions do, for ${CASES} random cases from seed ${SEED}`, async function () {
      this.timeout(0);
      const tally = { cases: 0, rows: 0, allowed: 0, failed: 0 };
      let oso: CompiledOso | undefined;
      let policies = 0;

      const check = async (draw: Draw, bare: Rows, linked: Rows): Promise<void> => {
        const { text, entity } = randomPolicy(draw);
        if (oso === undefined || policies++ % POLICIES_PER_OSO === 0) {
          oso = store.oso(CompiledOso as unknown as Engine) as CompiledOso;
        }
        oso.clearRules();
        await quietly(() => (oso as CompiledOso).loadStr(write(text), 'policy.polar'));
        const drawn: unknown[] = [];
        const actor = randomActor(recording(draw, drawn), bare);
        // Another id makes another user of it, who is related to others.
        const isUser = drawn[1] !== 1;
        const linkedActor = randomActor((() => drawn.shift()) as unknown as Draw, linked);
        tally.cases++;
        const batch = oso.batch();
        const answers = await Promise.all(
          bare[entity].map(row => answer(batch.isAllowed(actor, ACTION, row))),
        );
        for (const [at, row] of bare[entity].entries()) {
          const single = await answer(oso.isAllowed(actor, ACTION, row));
          const loaded = await answer(oso.isAllowed(linkedActor, ACTION, sameIn(linked, entity, row)));
          const context = `${write(text)}\n${keyOf(entity, row)}: ${answers[at]}, ${single}, ${loaded}`;
          if (single !== undefined && answers[at] !== undefined)
            expect(answers[at], context).to.equal(single);
          if (isUser && single !== undefined && loaded !== undefined)
            expect(single, context).to.equal(loaded);
          tally.rows++;
          if (single === undefined) tally.failed++;
          else if (single) tally.allowed++;
        }
      };

      for (let seed = SEED; tally.cases < CASES; seed++) {
        const [data] = fc.sample(randomData, { numRuns: 1, seed }) as [Data];
        await store.fill(data);
        const bare = await store.load();
        const linked = await store.load();
        link(linked, data.expense_tags);
        const numRuns = Math.min(POLICIES_PER_DATA, CASES - tally.cases);
        try {
          const property = fc.asyncProperty(fc.gen(), draw => check(draw, bare, linked));
          await fc.assert(property, { numRuns, seed, endOnFailure: true });
        } catch (error) {
          const failure = ((error as Error).cause ?? error) as Error;
          failure.message = `${repeat('LISTS', { cases: POLICIES_PER_DATA, seed }, title)}\n${failure.message}`;
          throw failure;
        }
      }
      process.stdout.write(`      ${JSON.stringify(tally)}\n`);
      if (CASES >= 500) expect(tally.failed / tally.rows).to.be.below(0.5);
    });
  });
}

/** Undefined if it throws. */
async function answer(asked: Promise<boolean>): Promise<boolean | undefined> {
  try {
    return await asked;
  } catch (error) {
    if (['TypeError', 'RangeError', 'ReferenceError'].includes((error as Error).name)) throw error;
    return undefined;
  }
}

function recording(draw: Draw, drawn: unknown[]): Draw {
  const record = (...args: Parameters<Draw>) => {
    const value = draw(...args);
    drawn.push(value);
    return value;
  };
  return record as unknown as Draw;
}

function sameIn(rows: Rows, entity: EntityName, row: object): object {
  const key = keyOf(entity, row);
  return rows[entity].find(each => keyOf(entity, each) === key) as object;
}

/** Oso warns of rules that tell nothing apart. */
async function quietly(action: () => Promise<void>): Promise<void> {
  const { log, warn, error } = console;
  // biome-ignore-start lint/suspicious/noConsole: Oso prints there.
  console.log = console.warn = console.error = () => {};
  try {
    await action();
  } finally {
    Object.assign(console, { log, warn, error });
  }
  // biome-ignore-end lint/suspicious/noConsole: see above.
}
