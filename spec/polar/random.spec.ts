import { writeFileSync } from 'node:fs';
import { expect } from 'chai';
import fc from 'fast-check';
import { type Answers, type Case, Engines, isCrash } from './engines.js';
import { randomCase } from './random.js';

/** As many cases as asked for by FUZZ_CASES, from the seed FUZZ_SEED; both are printed. */
const cases = Number(process.env.FUZZ_CASES ?? 2000);
const seed = Number(process.env.FUZZ_SEED ?? Date.now() % 0x7fffffff);

/** Where to write each case before it is run, to find one that does not end. */
const trace = process.env.FUZZ_TRACE;

describe('CompiledOso answers random policies like Oso', () => {
  it(`for ${cases} cases from seed ${seed}`, async function () {
    this.timeout(0);
    const engines = new Engines();
    const tally = { loaded: 0, refused: 0, crashes: 0, fallbacks: 0, questions: 0 };
    await fc.assert(
      fc.asyncProperty(randomCase, async given => {
        if (trace) writeFileSync(trace, JSON.stringify(given));
        const { oso, compiled } = await engines.ask(given);
        compareAnswers(given, oso, compiled);
        const refused = oso.answers.length === 1 && oso.answers[0]?.startsWith('error ValidationError');
        if (refused) tally.refused++;
        else tally.loaded++;
        tally.questions += oso.answers.length;
        if (oso.answers.some(isCrash)) tally.crashes++;
        if (compiled.fallbacks.length > 0) tally.fallbacks++;
      }),
      { numRuns: cases, seed, verbose: 0, endOnFailure: false },
    );
    process.stdout.write(`      seed ${seed}: ${JSON.stringify(tally)}\n`);
  });
});

function compareAnswers(given: Case, oso: Answers, compiled: Answers): void {
  for (const [at, answer] of oso.answers.entries()) {
    // Oso's engine has no answer.
    if (isCrash(answer)) return;
    const other = compiled.answers[at];
    if (answer === other) continue;
    // A query that falls back is asked from its start again, and prints again.
    if (answer.startsWith('printed') && compiled.fallbacks.length > 0) continue;
    expect.fail(`${given.policy}\n?= ${given.questions[at]}\noso:      ${answer}\ncompiled: ${other}`);
  }
}
