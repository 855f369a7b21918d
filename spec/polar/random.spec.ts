import { Worker } from 'node:worker_threads';
import { expect } from 'chai';
import type { Batch, BatchResult } from './random-worker.js';

/** As many cases as asked for by FUZZ_CASES, from the seed FUZZ_SEED; npm test runs the same ones each time. */
const cases = Number(process.env.FUZZ_CASES ?? 2000);
const seed = Number(process.env.FUZZ_SEED ?? (process.env.FUZZ_CASES ? Date.now() % 0x7fffffff : 1));
const BATCH = 5000;

describe('CompiledOso answers random policies like Oso', () => {
  it(`for ${cases} cases from seed ${seed}`, async function () {
    this.timeout(0);
    const total = { compared: 0, questions: 0, refused: 0, fallbacks: 0, crashes: 0 };
    for (let batch = 0; total.compared < cases; batch++) {
      const asked: Batch = { cases: Math.min(BATCH, cases - total.compared), seed: seed + batch };
      const result = await runInWorker(asked);
      expect(result.mismatch, result.mismatch).to.equal(undefined);
      total.compared += result.compared;
      total.questions += result.questions;
      total.refused += result.refused;
      total.fallbacks += result.fallbacks;
      if (result.crashed) total.crashes++;
      if (cases > BATCH) process.stdout.write(`      ${JSON.stringify(total)}\n`);
    }
    process.stdout.write(`      seed ${seed}: ${JSON.stringify(total)}\n`);
  });
});

/** A worker has an engine of its own, and takes it along when it crashes. */
function runInWorker(batch: Batch): Promise<BatchResult> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL('./random-worker.js', import.meta.url), { workerData: batch });
    worker.once('message', resolve);
    worker.once('error', reject);
  });
}
