import { parentPort, workerData } from 'node:worker_threads';
import fc from 'fast-check';
import { type Answers, askOso, type Case, Engines, isCrash } from './engines.js';
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

/** How often Oso is asked again where it seems to differ. */
const ATTEMPTS = 8;

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
  const at = findMismatch(oso, compiled);
  if (at !== undefined && (await isUnsettled(given, at, compiled))) {
    progress.count('unsettled');
    return;
  }
  if (at !== undefined) {
    const { policy, questions } = given;
    const asked = `${policy}\n?= ${JSON.stringify(questions[at])}`;
    const mismatch = `${asked}\noso:      ${oso.answers[at]}\ncompiled: ${compiled.answers[at]}`;
    // Said at once, lest Oso's engine hang on a smaller case.
    say({ mismatch });
    throw new Error(mismatch);
  }
  progress.count('compared');
  progress.count('questions', oso.answers.length - 1);
  if (oso.answers.length === 1) progress.count('refused');
  if (compiled.fallbacks.length > 0) progress.count('fallbacks');
}

/** Which answer differs. */
function findMismatch(oso: Answers, compiled: Answers): number | undefined {
  for (const [at, answer] of oso.answers.entries()) {
    if (answer === compiled.answers[at]) continue;
    // A query that falls back is asked from its start again, and prints again.
    if (answer.startsWith('printed') && compiled.fallbacks.length > 0) continue;
    return at;
  }
  return undefined;
}

/**
 * Whether Oso, asked again, answers as CompiledOso did. The order in which it goes through a variable's conditions is that
 * of a hash map, and no two hash maps of its engine have the same.
 */
async function isUnsettled(given: Case, at: number, compiled: Answers): Promise<boolean> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    progress.ask('oso');
    const { answers } = await askOso(given);
    progress.ask('none');
    if (answers[at] === compiled.answers[at]) return true;
  }
  return false;
}

function say(message: Message): void {
  parentPort?.postMessage(message);
}

const details = await fc.check(fc.asyncProperty(randomCase, compareBoth), { numRuns: cases, seed });
if (details.failed && !(details.errorInstance instanceof Error)) say({ mismatch: 'an error that is none' });
else if (details.failed) say({ mismatch: (details.errorInstance as Error).message });
say({ done: true, crashed });
