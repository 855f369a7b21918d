/** How many random cases a spec runs, and from which seed. */
export interface RandomRun {
  readonly cases: number;
  readonly seed: number;
}

/**
 * A few cases with `npm test`, many with `npm run test:random`, the same ones each time; or as many as the variable
 * `…_CASES` asks for, from `…_SEED` or a seed of their own.
 */
export function randomRun(variables: 'FUZZ' | 'LISTS', few: number, many: number): RandomRun {
  const { [`${variables}_CASES`]: cases, [`${variables}_SEED`]: seed, npm_lifecycle_event } = process.env;
  return {
    cases: Number(cases ?? (npm_lifecycle_event === 'test:random' ? many : few)),
    seed: Number(seed ?? (cases === undefined ? 1 : Date.now() % 0x7fffffff)),
  };
}

/** Says by which command the cases are run again, and nothing else. */
export function repeat(variables: 'FUZZ' | 'LISTS', { cases, seed }: RandomRun, title: string): string {
  const database = process.env.DATABASE_URL ? ', with the same DATABASE_URL' : '';
  return `Repeat it by ${variables}_CASES=${cases} ${variables}_SEED=${seed} npx mocha --grep '${title}'${database}:`;
}
