import type { Machine, Step } from './machine.js';

/**
 * Tries one alternative after the other: what `test` makes of the first, and when that has failed, of the second. For the
 * last one no way back is kept, so that a chain of rules that call each other last takes no memory.
 *
 * @param from the index of the alternative to begin with
 */
export function tryEach<Item>(
  machine: Machine,
  alternatives: readonly Item[],
  test: (machine: Machine, alternative: Item) => Step,
  from = 0,
): Step {
  const alternative = alternatives[from];
  if (alternative === undefined) return machine.fail();
  const following = from + 1;
  if (following < alternatives.length) {
    machine.choose(again => tryEach(again, alternatives, test, following));
  }
  return test(machine, alternative);
}

/** As {@link tryEach}, for alternatives that are made one by one: there is always a way back, for there may be another. */
export function tryNext<Item>(
  machine: Machine,
  alternatives: Iterator<Item>,
  test: (machine: Machine, alternative: Item) => Step,
): Step {
  const alternative = alternatives.next();
  if (alternative.done) return machine.fail();
  machine.choose(again => tryNext(again, alternatives, test));
  return test(machine, alternative.value);
}
