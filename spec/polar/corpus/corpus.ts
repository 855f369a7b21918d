import type { Case, Question } from '../support/engines.js';

/** Cases of one language feature: a policy, then what it is asked. */
export interface Feature {
  readonly name: string;
  readonly cases: readonly Case[];
}

export type Entry = readonly [policy: string, ...questions: Question[]];

export function feature(name: string, ...entries: Entry[]): Feature {
  return { name, cases: entries.map(([policy, ...questions]) => ({ policy, questions })) };
}

/** Questions that need no policy of their own, a case each. */
export function queries(name: string, ...questions: Question[]): Feature {
  return { name, cases: questions.map(question => ({ policy: 'f(1);', questions: [question] })) };
}

/** The same questions to each of several policies. */
export function policies(name: string, questions: readonly Question[], ...texts: string[]): Feature {
  return { name, cases: texts.map(policy => ({ policy, questions })) };
}
