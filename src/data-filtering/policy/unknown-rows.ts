import { type Constraint, Unknown, type Unknowns } from '../../polar/values/unknown.js';
import type { PolicyOperator } from '../condition/comparison.js';
import { always, and, type Condition, negate, never, or } from '../condition/condition.js';
import type { Entity } from '../schema.js';
import { Unfilterable } from '../unfilterable.js';
import { type ClassNamed, type Item, type Known, type Place, Places } from './paths.js';

/** A place in a row, or why there is none by that name: that matters only where a result depends on it. */
type Found = Place | Unfilterable;

/** When a result holds, and when it fails with an error: inside of a `not` the one is not the other's opposite. */
interface Outcome {
  readonly holds: Condition;
  readonly fails: Condition;
}

const HOLDS: Outcome = { holds: always, fails: never };

/** What has to hold, given what comes after it. Made when a result turns out to depend on it. */
type RowConstraint = Step | AnyRow;

/** A condition that stands on its own. */
class Step {
  readonly #outcome: () => Outcome;
  readonly mayFail: boolean;

  constructor(outcome: () => Outcome, mayFail = false) {
    this.#outcome = outcome;
    this.mayFail = mayFail;
  }

  before(rest: () => Outcome): Outcome {
    const first = this.#outcome();
    const { holds, fails } = rest();
    return { holds: and([first.holds, holds]), fails: or([first.fails, and([first.holds, fails])]) };
  }
}

/** That there is a row of a relation, of which what comes after it speaks. */
class AnyRow {
  /** It is an error to look for a row in what is not there. */
  readonly mayFail = true;
  readonly #item: Item;

  constructor(item: Item) {
    this.#item = item;
  }

  get list(): string {
    return this.#item.list;
  }

  before(rest: () => Outcome): Outcome {
    const { holds, fails } = rest();
    return {
      holds: this.#item.exists(holds),
      fails: or([this.#item.missing(), this.#item.exists(fails)]),
    };
  }
}

/** Rows of which the policy knows only the class, for CompiledOso to evaluate a policy with. */
export class UnknownRows implements Unknowns {
  readonly #places: Places;
  /** The row that is asked about. */
  readonly row: Unknown;

  constructor(entity: Entity, classNamed: ClassNamed) {
    this.#places = new Places(entity, classNamed);
    this.row = new Unknown(this.#places.root);
  }

  /** The condition for a row to be allowed: that all constraints of one of the results hold. */
  conditionOf(results: readonly (readonly Constraint[])[]): Condition {
    return or(results.map(constraints => outcomeOf(constraints).holds));
  }

  isThere(value: Unknown): Constraint | undefined {
    const found = value.value as Found;
    if (found instanceof Unfilterable || !this.#places.mayBeMissing(found)) return undefined;
    return new Step(() => ({ holds: this.#places.isThere(found), fails: never }));
  }

  attribute(value: Unknown, name: string): Unknown {
    const found = value.value as Found;
    if (!(found instanceof Unfilterable)) this.#places.refuseEndless(found);
    return new Unknown(unlessUnfilterable(() => this.#places.attribute(placeOf(value), name)));
  }

  item(list: Unknown, before: readonly Constraint[]): { item: Unknown; constraint: Constraint } {
    const rows = unlessUnfilterable(() => this.#places.rows(placeOf(list)));
    if (rows instanceof Unfilterable)
      return { item: new Unknown(rows), constraint: new Step(() => refuse(rows)) };
    const { list: name } = this.#places.item(rows, 0);
    const others = before.filter(each => each instanceof AnyRow && each.list === name).length;
    const item = this.#places.item(rows, others);
    return { item: new Unknown(item.row), constraint: new AnyRow(item) };
  }

  compare(operator: PolicyOperator, left: unknown, right: unknown, inNot: boolean): Constraint {
    return new Step(() => ({
      holds: this.#places.compare(operand(left), operator, operand(right), inNot),
      fails: never,
    }));
  }

  isTrue(value: Unknown): Constraint {
    return new Step(() => this.#places.isTrue(placeOf(value)), true);
  }

  isA(value: Unknown, tag: string): boolean | Constraint {
    const condition = unlessUnfilterable(() => this.#places.isA(placeOf(value), tag));
    if (condition instanceof Unfilterable) return new Step(() => refuse(condition));
    if (condition === always) return true;
    return condition === never ? false : new Step(() => ({ holds: condition, fails: never }));
  }

  mayFail(constraint: Constraint): boolean {
    return (constraint as RowConstraint).mayFail;
  }

  none(
    alternatives: readonly (readonly Constraint[])[],
    failing: readonly (readonly Constraint[])[],
  ): Constraint {
    return new Step(() => {
      const fails = or(failing.map(constraints => outcomeOf(constraints).fails));
      return { holds: and([negate(this.conditionOf(alternatives)), negate(fails)]), fails };
    }, failing.length > 0);
  }
}

function outcomeOf(constraints: readonly Constraint[], from = 0): Outcome {
  const constraint = constraints[from];
  if (constraint === undefined) return HOLDS;
  return (constraint as RowConstraint).before(() => outcomeOf(constraints, from + 1));
}

function placeOf(value: Unknown): Place {
  const found = value.value as Found;
  if (found instanceof Unfilterable) throw found;
  return found;
}

function operand(value: unknown): Place | Known {
  return value instanceof Unknown ? placeOf(value) : { kind: 'value', value };
}

function unlessUnfilterable<Result>(make: () => Result): Result | Unfilterable {
  try {
    return make();
  } catch (error) {
    if (error instanceof Unfilterable) return error;
    throw error;
  }
}

function refuse(error: Unfilterable): never {
  throw error;
}
