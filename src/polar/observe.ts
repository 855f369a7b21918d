import type { PolicyPlace } from './errors.js';

/** From where to where something was written in a policy. The end is the place behind its last character. */
export interface PolicyRange extends PolicyPlace {
  readonly endLine: number;
  readonly endColumn: number;
}

/** A question that a policy is asked. What is observed of it belongs together. */
export interface Question {
  /** The rule that is asked: `allow`; undefined for a query in Polar's own notation. */
  readonly rule: string | undefined;
  /** Whether it is a list that asks, of rows which are not known. */
  readonly isList: boolean;
}

/**
 * One thing that happened while a question was answered.
 *
 * - `rule`: a rule is tried, its head matches. `held` with the same `id` says that all its conditions hold.
 * - `skipped`: a rule is not tried, because its head does not match. Of one call, no more than a hundred are told.
 * - `condition`: a condition is tested. A condition that is made of look-ups, as `a.b.c = d`, is one condition, and what is
 *   read for it are conditions of their own with `lookup`.
 * - `held`: it holds. A condition that can hold in several ways holds several times.
 * - `failed`: nothing (more) makes it hold. A condition that has held, and then failed, has no further way. What a `cut`
 *   drops fails no more, and neither does a look-up: its condition does.
 * - `error`: the question ended in an error there.
 * - `result`: the question has a result.
 */
export interface Observation {
  readonly kind: 'rule' | 'skipped' | 'condition' | 'held' | 'failed' | 'error' | 'result';
  /** The same for all that is told of one attempt, and different for all others of a question. */
  readonly id: number;
  /**
   * The attempt around it: of a rule, the condition that calls it; of a condition, the rule, or the `or`, `not` or `forall`
   * that it is part of; of a look-up, the condition that it is made for. Undefined for what the question itself asks.
   */
  readonly parent: number | undefined;
  /** Whether it is something that is read or worked out for a condition: an attribute, a method, a sum. */
  readonly lookup: boolean;
  /** Undefined for a result. */
  readonly place: PolicyRange | undefined;
  /**
   * The values that are compared or passed on, as JavaScript has them, as far as they are known; the value that was found, for
   * a look-up that held. They are those of the actor and the resource: not for a log.
   */
  readonly operands?: () => readonly unknown[];
}

/** Sees what happens while questions are answered. It must not throw, and must not ask the same Oso anything. */
export type Observer = (observation: Observation, question: Question) => void;
