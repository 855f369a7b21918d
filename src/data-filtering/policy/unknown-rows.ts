import type { PolicyPlace } from '../../polar/errors.js';
import type { Pace } from '../../polar/evaluate/machine.js';
import { type Constraint, Unknown, type Unknowns } from '../../polar/values/unknown.js';
import type { PolicyOperator } from '../condition/comparison.js';
import { and, type Condition, negate, never, or } from '../condition/condition.js';
import type { Entity } from '../schema.js';
import { Unfilterable } from '../unfilterable.js';
import { type ClassNamed, type Item, type Known, type Path, Paths } from './paths.js';

/** A path into a row, or why there is none by that name: that matters only if a result depends on it. */
type Found = Path | Unfilterable | Undescribed;

/**
 * What a pattern finds for a name that is not described. It equals no value, so the pattern does not match; whatever
 * else depends on it is refused, because rows may have such a property all the same.
 */
class Undescribed {
  readonly why: Unfilterable;

  constructor(why: Unfilterable) {
    this.why = why;
  }
}

/** When a result holds, and when it fails with an error: inside of a `not` the one is not the other's opposite. */
interface Truth {
  readonly holds: Condition;
  readonly fails: Condition;
}

/** What has to hold, given what comes after it. Made when a result turns out to depend on it. */
type RowConstraint = Test | AnyRow | None;

/** A condition that stands on its own. */
class Test {
  readonly outcome: () => Truth;
  readonly mayFail: boolean;

  constructor(outcome: () => Truth, mayFail = false) {
    this.outcome = outcome;
    this.mayFail = mayFail;
  }
}

/** That none of the alternatives holds. */
class None {
  readonly alternatives: readonly (readonly Constraint[])[];
  readonly failing: readonly (readonly Constraint[])[];

  constructor(alternatives: readonly (readonly Constraint[])[], failing: readonly (readonly Constraint[])[]) {
    this.alternatives = alternatives;
    this.failing = failing;
  }

  get mayFail(): boolean {
    return this.failing.length > 0;
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

  /** What comes after it speaks of the row. */
  before({ holds, fails }: Truth): Truth {
    return {
      holds: this.#item.exists(holds),
      fails: or([this.#item.missing(), this.#item.exists(fails)]),
    };
  }
}

/** Rows of which the policy knows only the class, for CompiledOso to evaluate a policy with. */
export class UnknownRows implements Unknowns {
  readonly #paths: Paths;
  #placeOf: () => (() => PolicyPlace) | undefined = () => undefined;
  /** The row that is asked about. */
  readonly row: Unknown;

  constructor(entity: Entity, classNamed: ClassNamed) {
    this.#paths = new Paths(entity, classNamed);
    this.row = new Unknown(this.#paths.root);
  }

  /**
   * The condition for a row to be allowed: that all constraints of one of the results hold. There may be as many results as
   * the actor has values.
   */
  async conditionOf(results: readonly (readonly Constraint[])[], pace: Pace): Promise<Condition> {
    return together(or, await outcomesOf(results, pace, 'holds'), pace);
  }

  begin(placeOf: () => (() => PolicyPlace) | undefined): void {
    this.#placeOf = placeOf;
  }

  isThere(value: Unknown): Constraint | undefined {
    const found = value.value as Found;
    if (!isPath(found) || !this.#paths.mayBeMissing(found)) return undefined;
    return this.#step(() => ({ holds: this.#paths.isThere(found), fails: never }));
  }

  attribute(value: Unknown, name: string, inPattern: boolean): Unknown {
    const found = value.value as Found;
    if (isPath(found)) at(this.#placeOf(), () => this.#paths.refuseEndless(found, name));
    const attribute = this.#unlessUnfilterable(() => this.#paths.attribute(pathOf(value), name));
    const isUndescribed =
      inPattern && attribute instanceof Unfilterable && isPath(found) && !this.#paths.mayHave(found, name);
    return new Unknown(isUndescribed ? new Undescribed(attribute) : attribute);
  }

  item(list: Unknown, before: readonly Constraint[]): { item: Unknown; constraint: Constraint } {
    const rows = this.#unlessUnfilterable(() => this.#paths.rows(pathOf(list)));
    if (rows instanceof Unfilterable) return { item: new Unknown(rows), constraint: refusal(rows) };
    const { list: name } = this.#paths.item(rows, 0);
    const others = before.filter(each => each instanceof AnyRow && each.list === name).length;
    const item = this.#paths.item(rows, others);
    return { item: new Unknown(item.row), constraint: new AnyRow(item) };
  }

  compare(operator: PolicyOperator, left: unknown, right: unknown, inNot: boolean): boolean | Constraint {
    if (operator === '=' && !inNot && (isUnlike(left, right) || isUnlike(right, left))) return false;
    const fails = inNot ? this.#unreadable(left, right) : never;
    const compare = () => this.#paths.compare(operand(left), operator, operand(right), inNot);
    if (fails.kind === 'never') return this.#answer(compare);
    const condition = this.#unlessUnfilterable(compare);
    return condition instanceof Unfilterable
      ? refusal(condition)
      : new Test(() => ({ holds: condition, fails }), true);
  }

  /** That one of the values is an error to who reads it. */
  #unreadable(...values: readonly unknown[]): Condition {
    const found = values.map(value => (value instanceof Unknown ? (value.value as Found) : undefined));
    return or(found.map(path => (path !== undefined && isPath(path) ? this.#paths.unreadable(path) : never)));
  }

  cut(): void {
    at(this.#placeOf(), () => {
      throw new Unfilterable({
        reason: '`cut` decides by the order of rules',
        remedy: 'say with `not` in the other rules what they leave to the one that cuts',
      });
    });
  }

  isTrue(value: Unknown): Constraint {
    return this.#step(() => this.#paths.isTrue(pathOf(value)), true);
  }

  isA(value: Unknown, tag: string): boolean | Constraint {
    return this.#answer(() => this.#paths.isA(pathOf(value), tag));
  }

  /** A condition, made now: what no row can meet ends a rule at once, before the rule comes to what is no concern of rows. */
  #answer(make: () => Condition): boolean | Constraint {
    const condition = this.#unlessUnfilterable(make);
    if (condition instanceof Unfilterable) return refusal(condition);
    if (condition.kind === 'always') return true;
    return condition.kind === 'never' ? false : new Test(() => ({ holds: condition, fails: never }));
  }

  #step(outcome: () => Truth, mayFail = false): Test {
    const placeOf = this.#placeOf();
    return new Test(() => at(placeOf, outcome), mayFail);
  }

  #unlessUnfilterable<Result>(make: () => Result): Result | Unfilterable {
    try {
      return at(this.#placeOf(), make);
    } catch (error) {
      if (error instanceof Unfilterable) return error;
      throw error;
    }
  }

  mayFail(constraint: Constraint): boolean {
    return (constraint as RowConstraint).mayFail;
  }

  none(
    alternatives: readonly (readonly Constraint[])[],
    failing: readonly (readonly Constraint[])[],
  ): Constraint {
    return new None(alternatives, failing);
  }
}

/** To make a condition takes about as long as so many steps of a policy. */
const STEPS_PER_CONDITION = 8;
/** So many conditions are made between two looks at whether it is time for a pause. */
const AT_ONCE = 250;

async function outcomesOf(
  results: readonly (readonly Constraint[])[],
  pace: Pace,
  which: keyof Truth,
): Promise<Condition[]> {
  const outcomes: Condition[] = [];
  for (const constraints of results as readonly (readonly RowConstraint[])[]) {
    // Nearly all are made at once. A promise for each would be felt.
    const outcome =
      constraints.length < AT_ONCE && !constraints.some(each => each instanceof None)
        ? follow(constraints.map(each => (each instanceof AnyRow ? each : (each as Test).outcome())))
        : await outcomeOf(constraints, pace);
    outcomes.push(outcome[which]);
    if (pace.spend(STEPS_PER_CONDITION * constraints.length)) await pace.pause();
  }
  return outcomes;
}

async function outcomeOf(constraints: readonly RowConstraint[], pace: Pace): Promise<Truth> {
  const steps: (Truth | AnyRow)[] = [];
  let row: Condition[] = [];
  const closeRow = async (): Promise<void> => {
    if (row.length > 0) steps.push({ holds: await together(and, row, pace), fails: never });
    row = [];
  };
  for (const constraint of constraints) {
    if (pace.spend(STEPS_PER_CONDITION)) await pace.pause();
    if (constraint instanceof AnyRow) {
      await closeRow();
      steps.push(constraint);
      continue;
    }
    const outcome = constraint instanceof None ? await noneOf(constraint, pace) : constraint.outcome();
    if (outcome.fails.kind === 'never') row.push(outcome.holds);
    else {
      await closeRow();
      steps.push(outcome);
    }
  }
  await closeRow();
  return follow(steps);
}

/** What is made of steps that follow each other. A row of a relation is one of which all later steps speak. */
function follow(steps: readonly (Truth | AnyRow)[]): Truth {
  // What has to hold after the step that is looked at, the last first, and is yet to be put together: all of it at once.
  let after: Condition[] = [];
  let fails: Condition = never;
  const allAfter = (): Condition => and(after.reverse());
  for (let at = steps.length - 1; at >= 0; at--) {
    const step = steps[at] as Truth | AnyRow;
    if (step instanceof AnyRow) {
      const outcome = step.before({ holds: allAfter(), fails });
      after = [outcome.holds];
      fails = outcome.fails;
    } else {
      after.push(step.holds);
      if (fails.kind !== 'never' || step.fails.kind !== 'never') {
        fails = or([step.fails, and([step.holds, fails])]);
      }
    }
  }
  return { holds: allAfter(), fails };
}

async function noneOf({ alternatives, failing }: None, pace: Pace): Promise<Truth> {
  const fails = await together(or, await outcomesOf(failing, pace, 'fails'), pace);
  const held = await outcomesOf(alternatives, pace, 'holds');
  const different: Condition[] = [];
  for (let from = 0; from < held.length; from += AT_ONCE) {
    different.push(negate(or(held.slice(from, from + AT_ONCE))));
    if (pace.spend(AT_ONCE)) await pace.pause();
  }
  return { holds: and([await together(and, different, pace), negate(fails)]), fails };
}

/** Puts conditions together, however many there are, with pauses in between. */
async function together(
  combine: (conditions: readonly Condition[]) => Condition,
  conditions: readonly Condition[],
  pace: Pace,
): Promise<Condition> {
  if (conditions.length <= AT_ONCE) return combine(conditions);
  const parts: Condition[] = [];
  for (let from = 0; from < conditions.length; from += AT_ONCE) {
    parts.push(combine(conditions.slice(from, from + AT_ONCE)));
    if (pace.spend(AT_ONCE)) await pace.pause();
  }
  return combine(parts);
}

function pathOf(value: Unknown): Path {
  const found = value.value as Found;
  if (isPath(found)) return found;
  throw found instanceof Undescribed ? found.why : found;
}

function isPath(found: Found): found is Path {
  return !(found instanceof Unfilterable || found instanceof Undescribed);
}

/** Whether one is a name that is not described, and the other a value. */
function isUnlike(left: unknown, right: unknown): boolean {
  return (
    left instanceof Unknown &&
    left.value instanceof Undescribed &&
    !(right instanceof Unknown) &&
    right !== undefined
  );
}

/** Does some work, and has what cannot be expressed know where in the policy that was. */
function at<Result>(placeOf: (() => PolicyPlace) | undefined, work: () => Result): Result {
  try {
    return work();
  } catch (error) {
    if (error instanceof Unfilterable) error.place ??= placeOf?.();
    throw error;
  }
}

function operand(value: unknown): Path | Known {
  return value instanceof Unknown ? pathOf(value) : { kind: 'value', value };
}

function refusal(error: Unfilterable): Constraint {
  return new Test(() => {
    throw error;
  });
}
