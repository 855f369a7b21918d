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

/** How an error begins that says that a value was refused. */
const REFUSED = 'error RefusedValueError';

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
  if (oso.answers.some((answer, each) => isStricter(answer, compiled.answers[each])))
    progress.count('refusals');
  progress.count('questions', oso.answers.length - 1);
  if (oso.answers.length === 1) progress.count('refused');
  if (compiled.fallbacks.length > 0) progress.count('fallbacks');
}

/** Which answer differs. */
function findMismatch(oso: Answers, compiled: Answers): number | undefined {
  let stricter = false;
  for (const [at, answer] of oso.answers.entries()) {
    if (nameOf(answer) === nameOf(compiled.answers[at])) continue;
    if (isStricter(answer, compiled.answers[at])) {
      stricter = true;
      continue;
    }
    // A query that falls back is asked from its start again, and prints again; one that is refused prints no further.
    if (answer.startsWith('printed') && (compiled.fallbacks.length > 0 || stricter)) continue;
    return at;
  }
  return undefined;
}

/** The name of an error, for the texts of some of Oso's hold the number of an instance; any other answer as it is. */
function nameOf(answer: string | undefined): string | undefined {
  return answer?.replace(/^(error \S+) .*$/s, '$1');
}

/**
 * Whether a value was refused by one of the two alone, and nothing is allowed by the other but by Oso: how many values are
 * looked at before there is an answer is not the same, and numbers of which the sum is beyond 2^53 are refused by one alone.
 */
function isStricter(oso: string, compiled: string | undefined): boolean {
  if (compiled === oso) return false;
  if (compiled?.startsWith(REFUSED)) return true;
  if (!oso.startsWith(REFUSED)) return false;
  return compiled === 'false' || compiled === '[]' || compiled?.startsWith('error') === true;
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
    if (nameOf(answers[at]) === nameOf(compiled.answers[at])) return true;
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
