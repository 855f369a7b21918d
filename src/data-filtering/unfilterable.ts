import type { Located } from '../polar/source.js';

/** What in a policy cannot be expressed in a query, and what to say of it. */
export interface Obstacle {
  /** Completes "The policy cannot be turned into a query: …". Holds no values. */
  readonly reason: string;
  /** Completes "Instead, …". */
  readonly remedy: string;
}

/** Where in a policy something stands. */
export interface PolicyPlace {
  readonly rule: string;
  readonly term: Located;
}

/** Thrown while a condition is made; it becomes a coded error when its place in the policy is known. */
export class Unfilterable extends Error {
  readonly obstacle: Obstacle;
  /** The innermost condition that it was met in. */
  at: PolicyPlace | undefined;

  constructor(obstacle: Obstacle) {
    super(obstacle.reason);
    this.obstacle = obstacle;
  }
}
