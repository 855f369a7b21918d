import type { PolicyPlace } from '../errors.js';
import type { Comparison } from '../syntax/tree.js';
import { Instance } from './values.js';

/** Where in the policy something is asked of an unknown value, worked out only if that cannot be answered. */
export type AskedAt = (() => PolicyPlace) | undefined;

/**
 * What has to hold of unknown values. A result holds if all constraints do that were noted on the way to it, in their
 * order. Only what makes the unknown values knows what is in it, but for {@link NoneOf}.
 */
export interface Constraint {
  /** To ask for it can be an error of the policy, if it does not just fail to hold. */
  readonly mayFail: boolean;
}

/** The constraints on the way to one result. */
export type Constraints = readonly Constraint[];

/** None of the alternatives holds, each being all of its constraints. A `not` makes it. */
export class NoneOf implements Constraint {
  readonly alternatives: readonly Constraints[];
  /**
   * Constraints of which the last may fail if those before it hold. That is an error of the whole, whatever would have
   * come after.
   */
  readonly failing: readonly Constraints[];

  constructor(alternatives: readonly Constraints[], failing: readonly Constraints[]) {
    this.alternatives = alternatives;
    this.failing = failing;
  }

  get mayFail(): boolean {
    return this.failing.length > 0;
  }
}

/** Any item of an unknown list, and that there is one: all constraints that come after speak of this item. */
export interface AnyItem {
  readonly item: Unknown;
  readonly constraint: Constraint;
}

/** A rule that calls itself for what a relation of a row leads to, and for what that leads to from there. */
export interface Recursion {
  /** Stands for any row that the rule is asked about. */
  readonly row: Unknown;
  /** Whether it calls itself at all, as far as is known. */
  readonly recurs: boolean;
  /** That the rule holds of a value for which it calls itself. It throws if no one relation leads from the row to it. */
  again(value: Unknown, at: AskedAt): Constraint;
  /**
   * What has to hold of the row that was asked about first; undefined if the rule holds of none.
   *
   * @param results what has to hold of {@link Recursion.row} for the rule to hold
   */
  constraint(results: readonly Constraints[]): Constraint | undefined;
}

const UNKNOWN = Symbol('unknown');

/**
 * A value that is not known when the policy is evaluated. It goes through the policy like any object of the host. What is
 * asked of it is not answered but noted as a constraint, and evaluation goes on as if that held.
 */
export abstract class Unknown extends Instance {
  constructor() {
    // No class is looked up for it: which it is of is asked like everything else.
    super(UNKNOWN, true);
  }

  /**
   * An attribute of the value.
   *
   * @param inPattern a pattern asks: an attribute that is not there is undefined to it, and no error
   */
  abstract attribute(name: string, inPattern: boolean, at: AskedAt): Unknown;

  /** That the value has attributes; undefined if it has. Outside of a `not` or a pattern, to ask nil for one is an error. */
  abstract isThere(at: AskedAt): Constraint | undefined;

  /**
   * Any item of the value, which is a list.
   *
   * @param before the constraints that hold already
   */
  abstract item(before: Constraints, at: AskedAt): AnyItem;

  /**
   * Compares the value with another one, on the right of it, or unifies them (`=`). True or false, if that is known without
   * the value.
   *
   * @param other any value of JavaScript's, or another Unknown
   * @param inNot inside of a `not` an attribute of nil is no error, but undefined
   */
  abstract compare(
    operator: Comparison | '=',
    other: unknown,
    inNot: boolean,
    at: AskedAt,
  ): boolean | Constraint;

  /** That the value is true, as a condition asks that is nothing but the value. Anything but true and false is an error. */
  abstract isTrue(at: AskedAt): Constraint;

  /** Whether the value is of a class; a constraint, if that depends on the value. */
  abstract isA(tag: string, at: AskedAt): boolean | Constraint;

  /** The name of the class, if the value is a row. */
  abstract readonly className: string | undefined;

  /** Whether it is what a relation of another row leads to, and of the same class. */
  abstract isNextAfter(row: Unknown): boolean;

  /** The error that a rule calls itself for this row and has no end, before there are rows. */
  abstract endless(at: AskedAt): Error;

  /** What a rule is gathered in that calls itself, and is asked about the value; undefined if it is no row. */
  abstract recursion(): Recursion | undefined;
}
