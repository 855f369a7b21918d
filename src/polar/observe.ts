import type { PolicyPlace } from './errors.js';

/**
 * One thing that happened while a query was evaluated.
 *
 * - `rule`: a rule is tried, its head matches; `place` is where it was written.
 * - `condition`: a condition of a rule is tested; `place` is where it was written.
 * - `held`: the condition last tested at `place` held. A condition that can hold in several ways holds several times.
 * - `failed`: nothing (more) made the condition hold.
 * - `result`: the query has a result.
 */
export interface Observation {
  readonly kind: 'rule' | 'condition' | 'held' | 'failed' | 'result';
  readonly place: PolicyPlace | undefined;
}

/** Sees what happens while queries are evaluated. It must not throw, and must not ask the same Oso anything. */
export type Observer = (observation: Observation) => void;
