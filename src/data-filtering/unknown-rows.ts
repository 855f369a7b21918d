import { type Constraint, Unknown, type Unknowns } from '../polar/unknown.js';
import { always, and, type Condition, negate, never, type Operator, or } from './condition.js';
import { type ClassNamed, type Known, PartialResults, type Place } from './partial-results.js';
import type { Entity } from './schema.js';
import { Unfilterable } from './unfilterable.js';

/** A place in a row, or why there is none by that name: that matters only where a result depends on it. */
type Found = Place | Unfilterable;

/** What has to hold, given what comes after it. */
abstract class RowConstraint {
  abstract with(rest: () => Condition): Condition;
}

/** A condition that stands on its own. It is made when a result turns out to depend on it. */
class Holds extends RowConstraint {
  readonly #condition: () => Condition;

  constructor(condition: () => Condition) {
    super();
    this.#condition = condition;
  }

  with(rest: () => Condition): Condition {
    return and([this.#condition(), rest()]);
  }
}

/** That there is a row of a relation, of which what comes after it speaks. */
class IsItem extends RowConstraint {
  readonly list: string;
  readonly #exists: (condition: () => Condition) => Condition;

  constructor(list: string, exists: (condition: () => Condition) => Condition) {
    super();
    this.list = list;
    this.#exists = exists;
  }

  with(rest: () => Condition): Condition {
    return this.#exists(rest);
  }
}

const OPERATORS: Readonly<Record<string, Operator>> = { '==': '=' };

/** Rows of which the policy knows only the class, for CompiledOso to evaluate a policy with. */
export class UnknownRows implements Unknowns {
  readonly #places: PartialResults;
  /** The row that is asked about. */
  readonly row: Unknown;

  constructor(entity: Entity, classNamed: ClassNamed) {
    this.#places = new PartialResults(entity, classNamed);
    this.row = new Unknown(this.#places.root);
  }

  /** The condition for a row to be allowed: that all constraints of one of the results hold. */
  conditionOf(results: readonly (readonly Constraint[])[]): Condition {
    return or(results.map(constraints => all(constraints)));
  }

  attribute(value: Unknown, name: string): Unknown {
    return new Unknown(unlessUnfilterable(() => this.#places.attribute(placeOf(value), name)));
  }

  item(list: Unknown, before: readonly Constraint[]): { item: Unknown; constraint: Constraint } {
    const rows = unlessUnfilterable(() => placeOf(list));
    if (rows instanceof Unfilterable)
      return { item: new Unknown(rows), constraint: new Holds(() => failed(rows)) };
    if (rows.kind !== 'rows') {
      const error = notRows();
      return { item: new Unknown(error), constraint: new Holds(() => failed(error)) };
    }
    const others = (name: string) =>
      before.filter(each => each instanceof IsItem && each.list === name).length;
    const { list: name } = this.#places.item(rows, 0);
    const { row, exists } = this.#places.item(rows, others(name));
    return { item: new Unknown(row), constraint: new IsItem(name, exists) };
  }

  compare(operator: string, left: unknown, right: unknown): Constraint {
    return new Holds(() =>
      this.#places.compare(operand(left), OPERATORS[operator] ?? (operator as Operator), operand(right)),
    );
  }

  isTrue(value: Unknown): Constraint {
    return new Holds(() => this.#places.isTrue(placeOf(value)));
  }

  isA(value: Unknown, tag: string): boolean | Constraint {
    const condition = unlessUnfilterable(() => this.#places.isA(placeOf(value), tag));
    if (condition instanceof Unfilterable) return new Holds(() => failed(condition));
    if (condition === always) return true;
    return condition === never ? false : new Holds(() => condition);
  }

  none(alternatives: readonly (readonly Constraint[])[]): Constraint {
    return new Holds(() => negate(this.conditionOf(alternatives)));
  }
}

function all(constraints: readonly Constraint[], from = 0): Condition {
  const constraint = constraints[from];
  if (constraint === undefined) return always;
  return (constraint as RowConstraint).with(() => all(constraints, from + 1));
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

function failed(error: Unfilterable): never {
  throw error;
}

function notRows(): Unfilterable {
  return new Unfilterable({
    reason: 'it looks with `in` into what is no relation to many',
    remedy: 'ask for a row of a relation to many, or for a value of a list that is known',
    construct: { kind: 'operator', operator: 'in' },
  });
}
