/** What in a policy cannot be expressed in a query: where to look for it, and what to say of it. */
export interface Obstacle {
  /** Completes "The policy cannot be turned into a query: …". Holds no values. */
  readonly reason: string;
  /** Completes "Instead, …". */
  readonly remedy: string;
  /** Attributes, operators, classes or rules that the policy's text is searched for. */
  readonly construct?: Construct;
}

/** What to do about most of them. */
export const COMPARE =
  'compare fields of the resource, or of what it is related to, to values or to each other';

export type Construct =
  | { readonly kind: 'attribute'; readonly name: string }
  | { readonly kind: 'operator'; readonly operator: string }
  | { readonly kind: 'class'; readonly name: string };

/** Thrown while a condition is made; it becomes a coded error when its place in the policy is known. */
export class Unfilterable extends Error {
  readonly obstacle: Obstacle;

  constructor(obstacle: Obstacle) {
    super(obstacle.reason);
    this.obstacle = obstacle;
  }
}
