import type { PolicyPlace } from '../errors.js';
import type { Comparison } from '../syntax/tree.js';
import { Instance } from './values.js';

/**
 * A value that is not known, because it is in a database: a row of which there is only the class, or a field of it. It
 * goes through a policy like any object of the host, and what is asked of it is noted as a constraint. What is not covered
 * of it is told as what no database can be asked for: "a method of a value of its rows".
 */
export class Unknown extends Instance {
  constructor(place: unknown) {
    // No class is looked up for it: which it is of is asked like everything else.
    super(place, true);
  }
}

/** What has to hold of the values that are not known; only {@link Unknowns} knows what is in it. */
export type Constraint = object;

/**
 * What is asked of values that are not known. The answers are constraints: a result holds where all those do that were
 * noted on the way to it, in their order.
 */
export interface Unknowns {
  /**
   * Told before a policy is evaluated with the values.
   *
   * @param placeOf the function that tells where the policy is, at any time later; it may be kept
   */
  begin(placeOf: () => (() => PolicyPlace) | undefined): void;
  /**
   * An attribute of a value.
   *
   * @param inPattern a pattern asks: an attribute that is not there is undefined to it, and no error
   */
  attribute(value: Unknown, name: string, inPattern: boolean): Unknown;
  /** That a value has attributes: elsewhere than in a `not` or a pattern, to ask nil for one is an error. */
  isThere(value: Unknown): Constraint | undefined;
  /**
   * Any item of a list, and the constraint that there is one: all that come after it speak of this item.
   *
   * @param before the constraints that hold already
   */
  item(
    list: Unknown,
    before: readonly Constraint[],
  ): { readonly item: Unknown; readonly constraint: Constraint };
  /**
   * Compares two values, or unifies them (`=`), of which one at least is an {@link Unknown}; the other may be any of
   * JavaScript's. True or false, if that is known without the values.
   *
   * @param inNot inside of a `not` an attribute of nil is no error, but undefined
   */
  compare(operator: Comparison | '=', left: unknown, right: unknown, inNot: boolean): boolean | Constraint;
  /** A value is true, as a condition that is nothing but the value asks. Anything but true and false is an error. */
  isTrue(value: Unknown): Constraint;
  /** Told of a `cut`, which decides by what was found before: throws, if it may depend on values that are not known. */
  cut(): void;
  /** Whether a value is of a class; a constraint, where that depends. */
  isA(value: Unknown, tag: string): boolean | Constraint;
  /** Whether asking for a constraint can be an error of the policy, where it does not just fail to hold. */
  mayFail(constraint: Constraint): boolean;
  /**
   * None of the alternatives holds, each being all of its constraints.
   *
   * @param failing constraints of which the last may fail where those before it hold; that is an error of the whole,
   *   whatever would have come after
   */
  none(
    alternatives: readonly (readonly Constraint[])[],
    failing: readonly (readonly Constraint[])[],
  ): Constraint;
}
