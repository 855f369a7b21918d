import type { Machine, Step } from '../evaluate/machine.js';
import type { Value } from '../values/values.js';

/** What a condition can call: all rules of one name. */
export interface Callable {
  /** Tries the rules that apply, one after the other, and goes on with `next` after each that succeeds. */
  call(machine: Machine, args: readonly Value[], next: Step): Step;
}

/** What conditions need to know of the policy around them. */
export interface Program {
  predicate(name: string): Callable | undefined;
  /** Some rule cuts, so that every rule has to keep track of where its choices began. */
  readonly cuts: boolean;
  /** Its steps tell what they do: {@link Trace}. */
  readonly observed: boolean;
}
