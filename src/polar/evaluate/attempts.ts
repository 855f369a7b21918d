/**
 * Where a twin keeps the attempts that are under way. An attempt at a condition, or at a rule, is kept in the frame of its
 * rule, in a slot of its own. So it is at hand whenever the machine comes back to it, and is forgotten with the frame.
 */
import type { Value } from '../values/values.js';
import type { Continuation, Frame, Step } from './machine.js';
import type { Attempt } from './trace.js';

/** Keeps an attempt in a slot of a frame that is no variable of the policy. */
export function keep(frame: Frame, slot: number, attempt: Attempt): void {
  frame[slot] = attempt as unknown as Value;
}

export function kept(frame: Frame, slot: number): Attempt {
  return frame[slot] as unknown as Attempt;
}

/** Where, in the caller's frame, the attempt is kept that a step comes back to when a rule has succeeded. */
const slots = new WeakMap<Step, number>();

/** A step that goes on after a call with `next`, and by which the rules know who has called them. */
export function returnTo(slot: number, next: Step): Step {
  const step: Step = () => next;
  slots.set(step, slot);
  return step;
}

/** The attempt that calls the rules which go on with a continuation. */
export function callerOf(continuation: Continuation | undefined): Attempt | undefined {
  const slot = continuation && slots.get(continuation.step);
  return slot === undefined ? undefined : kept((continuation as Continuation).frame, slot);
}
