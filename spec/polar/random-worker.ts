import { parentPort, workerData } from 'node:worker_threads';
import fc from 'fast-check';
import { type Answers, type Case, Engines, isCrash } from './engines.js';
import { randomCase } from './random.js';
import { Progress } from './random-progress.js';

/** What a worker is asked for. */
export interface Batch {
  readonly cases: number;
  readonly seed: number;
  readonly memory: SharedArrayBuffer;
}

/** What it says: each mismatch as it is found and made smaller, and at last that it is done. */
export type Message = { readonly mismatch: string } | { readonly done: true; readonly crashed: boolean };

const { cases, seed, memory } = workerData as Batch;
const progress = new Progress(memory);
const engines = new Engines(name => progress.ask(name));
let crashed = false;

async function compareBoth(given: Case): Promise<void> {
  if (crashed) return;
  progress.begin(JSON.stringify(given));
  const { oso, compiled } = await engines.ask(given);
  progress.ask('none');
  if (oso.answers.some(isCrash)) {
    // It spoils the engine's memory for all that follows: the rest of the batch is left out.
    crashed = true;
    return;
  }
  const mismatch = findMismatch(given, oso, compiled);
  if (mismatch !== undefined) {
    // Said at once, lest Oso's engine hang on a smaller case.
    say({ mismatch });
    throw new Error(mismatch);
  }
  progress.count('compared');
  progress.count('questions', oso.answers.length - 1);
  if (oso.answers.length === 1) progress.count('refused');
  if (compiled.fallbacks.length > 0) progress.count('fallbacks');
}

function findMismatch(given: Case, oso: Answers, compiled: Answers): string | undefined {
  for (const [at, answer] of oso.answers.entries()) {
    const other = compiled.answers[at];
    if (answer === other) continue;
    // A query that falls back is asked from its start again, and prints again.
    if (answer.startsWith('printed') && compiled.fallbacks.length > 0) continue;
    return `${given.policy}\n?= ${JSON.stringify(given.questions[at])}\noso:      ${answer}\ncompiled: ${other}`;
  }
  return undefined;
}

function say(message: Message): void {
  parentPort?.postMessage(message);
}

const details = await fc.check(fc.asyncProperty(randomCase, compareBoth), { numRuns: cases, seed });
if (details.failed && !(details.errorInstance instanceof Error)) say({ mismatch: 'an error that is none' });
else if (details.failed) say({ mismatch: (details.errorInstance as Error).message });
say({ done: true, crashed });
