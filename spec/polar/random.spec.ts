import { writeFileSync } from 'node:fs';
import { expect } from 'chai';
import fc from 'fast-check';
import { askCompiled, askOso, type Case, isCrash } from './engines.js';
import { randomCase } from './random.js';

/** As many cases as asked for by FUZZ_CASES, from the seed FUZZ_SEED; both are printed. */
const cases = Number(process.env.FUZZ_CASES ?? 2000);
const seed = Number(process.env.FUZZ_SEED ?? Date.now() % 0x7fffffff);

/** Where to write each case before it is run, to find one that does not end. */
const trace = process.env.FUZZ_TRACE;

describe('CompiledOso answers random policies like Oso', () => {
  it(`for ${cases} cases from seed ${seed}`, async function () {
    this.timeout(0);
    const tally = { loaded: 0, refused: 0, crashes: 0, fallbacks: 0, questions: 0 };
    await fc.assert(
      fc.asyncProperty(randomCase, async given => {
        if (trace) writeFileSync(trace, JSON.stringify(given));
        const oso = await askOso(given);
        if (trace) writeFileSync(trace, `${JSON.stringify(given)} answered by Oso`);
        const compiled = await askCompiled(given);
        compareAnswers(given, oso.answers, compiled.answers);
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

function compareAnswers(given: Case, oso: readonly string[], compiled: readonly string[]): void {
  for (const [at, answer] of oso.entries()) {
    if (isCrash(answer)) {
      // Oso's engine has no answer; the compiled form must not allow anything then.
      return;
    }
    if (answer === compiled[at]) continue;
    expect.fail(`${given.policy}\n?= ${given.questions[at]}\noso:      ${answer}\ncompiled: ${compiled[at]}`);
  }
}
