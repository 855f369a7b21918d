import { expect } from 'chai';
import { applications } from './corpus/applications.js';
import { blocks } from './corpus/blocks.js';
import type { Feature } from './corpus/corpus.js';
import { hosts } from './corpus/hosts.js';
import { logic } from './corpus/logic.js';
import { rules } from './corpus/rules.js';
import { syntax } from './corpus/syntax.js';
import { terms } from './corpus/terms.js';
import {
  askCompiled,
  askOso,
  type Case,
  type CompiledAnswers,
  countEngineQueries,
  isCrash,
} from './support/engines.js';

const features: readonly Feature[] = [
  ...syntax,
  ...terms,
  ...rules,
  ...logic,
  ...hosts,
  ...blocks,
  ...applications,
];

describe('CompiledOso answers like Oso', () => {
  let cases = 0;
  let crashes = 0;
  let partial = 0;
  const fellBack: string[] = [];

  for (const feature of features) {
    describe(feature.name, () => {
      feature.cases.forEach((each, at) => {
        it(titleOf(each, at), async () => {
          cases++;
          const oso = await askOso(each);
          let compiled: CompiledAnswers = { answers: [], fallbacks: [] };
          const asked = await countEngineQueries(async () => {
            compiled = await askCompiled(each);
          });
          // None falls back without saying so.
          expect(compiled.fallbacks.reduce((sum, { count }) => sum + count, 0)).to.equal(asked);
          const last = oso.answers.at(-1);
          // Where Oso's engine crashes it gives no answer, and neither must the compiled form give one.
          const answered = last !== undefined && isCrash(last) ? oso.answers.length - 1 : oso.answers.length;
          if (answered < oso.answers.length) {
            crashes++;
            expect(compiled.answers[answered]).to.match(/^error /);
          }
          expect(compiled.answers.slice(0, answered)).to.deep.equal(oso.answers.slice(0, answered));
          if (compiled.fallbacks.length > 0 && oso.answers.some(isPartial)) partial++;
          else if (compiled.fallbacks.length > 0) {
            fellBack.push(
              `${feature.name}: ${compiled.fallbacks.map(({ construct }) => construct).join(', ')}`,
            );
          }
        });
      });
    });
  }

  // Suites run after the tests beside them: this one when all cases have been counted.
  describe('without falling back', () => {
    it('has compiled code answer at least 99 of 100 cases', () => {
      expect(cases).to.be.at.least(400);
      expect(fellBack.length, fellBack.join('\n')).to.be.at.most((cases - partial) / 100);
    });
  });

  after(() => {
    process.stdout.write(
      `      ${cases} cases, ${fellBack.length} with fallbacks, ${partial} partial evaluations, ${crashes} crashes of Oso\n`,
    );
    if (process.env.SHOW_FALLBACKS) process.stdout.write(`${fellBack.join('\n')}\n`);
  });
});

/** Oso's answer is that a variable was left with conditions but no value, which only partial evaluation can express. */
function isPartial(answer: string): boolean {
  return answer.includes('Received Expression') || answer.includes('UnhandledPartial');
}

function titleOf({ policy, questions }: Case, at: number): string {
  const first = questions.find(question => typeof question === 'string');
  const asked = first ? ` asked ${first || 'nothing'}` : '';
  const text = policy.replace(/\s+/g, ' ').trim();
  return `${at + 1}. ${text.length > 70 ? `${text.slice(0, 67)}…` : text}${asked}`;
}
