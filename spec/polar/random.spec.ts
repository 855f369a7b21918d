import { Worker } from 'node:worker_threads';
import { expect } from 'chai';
import { randomRun, repeat } from '../support/random-run.js';
import { type Count, Progress } from './support/random-progress.js';
import type { Batch, Message } from './support/random-worker.js';

const TITLE = 'CompiledOso answers random policies like Oso';
const { cases, seed } = randomRun('FUZZ', 200, 2000);
const BATCH = 5000;
/** Much longer than the five seconds after which CompiledOso's budget ends a query, for the machine may be busy. */
const HANG_MILLISECONDS = 60_000;

describe(TITLE, () => {
  it(`for ${cases} cases from seed ${seed}`, async function () {
    this.timeout(0);
    const total = {
      compared: 0,
      questions: 0,
      refused: 0,
      fallbacks: 0,
      unsettled: 0,
      refusals: 0,
      crashes: 0,
      hung: 0,
    };
    for (let batch = 0; total.compared < cases; batch++) {
      const asked = { cases: Math.min(BATCH, cases - total.compared), seed: seed + batch };
      const { counts, crashed, hung, failure } = await runInWorker(asked);
      expect(failure, `${repeat('FUZZ', asked, TITLE)}\n${failure}`).to.equal(undefined);
      for (const [what, count] of Object.entries(counts)) total[what as Count] += count;
      if (crashed) total.crashes++;
      if (hung !== undefined) {
        total.hung++;
        process.stdout.write(`      seed ${asked.seed}: ${hung}\n`);
      }
      if (cases > BATCH) process.stdout.write(`      ${JSON.stringify(total)}\n`);
    }
    process.stdout.write(`      seed ${seed}: ${JSON.stringify(total)}\n`);
  });
});

/** How a batch ended. */
interface BatchResult {
  readonly counts: Readonly<Record<Count, number>>;
  /** Oso's engine crashed: the rest of the batch was left out. */
  readonly crashed: boolean;
  /** Oso's engine gave no answer to a case, which this tells: the rest of the batch was left out. */
  readonly hung: string | undefined;
  /** A mismatch, as small as it could be made; or CompiledOso gave no answer. */
  readonly failure: string | undefined;
}

/** A worker has an engine of its own, and takes it along when it crashes or hangs. */
function runInWorker(batch: Omit<Batch, 'memory'>): Promise<BatchResult> {
  return new Promise((resolve, reject) => {
    const progress = new Progress();
    const workerData: Batch = { ...batch, memory: progress.memory };
    const worker = new Worker(new URL('./support/random-worker.js', import.meta.url), { workerData });
    let mismatch: string | undefined;
    const end = (ending: Partial<BatchResult>): void => {
      clearInterval(watch);
      const result = { crashed: false, hung: undefined, failure: mismatch, ...ending };
      worker.terminate().then(() => resolve({ ...result, counts: progress.counts }), reject);
    };
    /** No answer: of Oso's engine, that is no failure; nor is it where a mismatch was only to be made smaller. */
    const giveUp = (how: string): void => {
      const { asked, begun, text } = progress;
      const report = `${how} asked "${asked}", case ${begun}: ${text}`;
      if (asked === 'oso') end({ hung: report });
      else end({ failure: mismatch ?? report });
    };
    let begun = 0;
    let since = performance.now();
    const watch = setInterval(() => {
      const now = performance.now();
      if (progress.begun !== begun) {
        begun = progress.begun;
        since = now;
      } else if (now - since > HANG_MILLISECONDS) giveUp('hung, when');
    }, 500);
    worker.on('message', (message: Message) => {
      if ('mismatch' in message) mismatch = message.mismatch;
      else end({ crashed: message.crashed });
    });
    worker.once('error', (error: Error & { code?: string }) => {
      if (error.code === 'ERR_WORKER_OUT_OF_MEMORY') giveUp('out of memory, when');
      else {
        clearInterval(watch);
        reject(error);
      }
    });
  });
}
