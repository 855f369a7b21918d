import { writeFileSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import fc from 'fast-check';
import { type Answers, type Case, Engines, isCrash } from './engines.js';
import { randomCase } from './random.js';

/** What a worker is asked for. */
export interface Batch {
  readonly cases: number;
  readonly seed: number;
}

/** What it answers. */
export interface BatchResult {
  readonly compared: number;
  readonly questions: number;
  readonly refused: number;
  readonly fallbacks: number;
  /** Oso's engine crashed, which spoils its memory for all that follows: the rest of the batch was left out. */
  readonly crashed: boolean;
  /** The first mismatch, shrunk. */
  readonly mismatch: string | undefined;
}

/** Where to write each case before it is run, to find one that does not end. */
const trace = process.env.FUZZ_TRACE;

async function run({ cases, seed }: Batch): Promise<BatchResult> {
  const tally = { compared: 0, questions: 0, refused: 0, fallbacks: 0, crashed: false };
  const engines = new Engines();
  const compareBoth = async (given: Case): Promise<void> => {
    if (tally.crashed) return;
    if (trace) writeFileSync(trace, JSON.stringify(given));
    const { oso, compiled } = await engines.ask(given);
    if ([...oso.answers, ...compiled.answers].some(isCrash)) {
      tally.crashed = true;
      return;
    }
    compareAnswers(given, oso, compiled);
    tally.compared++;
    tally.questions += oso.answers.length - 1;
    if (oso.answers.length === 1) tally.refused++;
    if (compiled.fallbacks.length > 0) tally.fallbacks++;
  };
  try {
    await fc.assert(fc.asyncProperty(randomCase, compareBoth), { numRuns: cases, seed });
    return { ...tally, mismatch: undefined };
  } catch (error) {
    const { message, cause } = error as Error;
    return { ...tally, mismatch: `${message}\n${(cause as Error | undefined)?.message ?? ''}` };
  }
}

function compareAnswers(given: Case, oso: Answers, compiled: Answers): void {
  for (const [at, answer] of oso.answers.entries()) {
    const other = compiled.answers[at];
    if (answer === other) continue;
    // A query that falls back is asked from its start again, and prints again.
    if (answer.startsWith('printed') && compiled.fallbacks.length > 0) continue;
    throw new Error(`${given.policy}\n?= ${given.questions[at]}\noso:      ${answer}\ncompiled: ${other}`);
  }
}

parentPort?.postMessage(await run(workerData as Batch));
