import type { PolicyPlace } from '../polar/errors.js';

/** What in a policy cannot be expressed in a query, and what to do instead. */
export interface Obstacle {
  /** Completes "The policy cannot be turned into a query: …". Holds no values. */
  readonly reason: string;
  /** Completes "Instead, …". */
  readonly remedy: string;
}

/** What to do about most of them. */
export const COMPARE =
  'compare fields of the resource, or of what it is related to, to values or to each other';

/** Thrown while a condition is made; it becomes a coded error that names its place in the policy. */
export class Unfilterable extends Error {
  readonly obstacle: Obstacle;
  /** Where the policy asks for it; undefined until that is known. */
  place: PolicyPlace | undefined;

  constructor(obstacle: Obstacle) {
    super(obstacle.reason);
    this.obstacle = obstacle;
  }
}
