import type { Pace } from '../../polar/evaluate/machine.js';
import {
  type AnyItem,
  type AskedAt,
  type Constraint,
  type Constraints,
  NoneOf,
  type Recursion,
  Unknown,
} from '../../polar/values/unknown.js';
import type { PolicyOperator } from '../condition/comparison.js';
import { always, type Condition, never, type RowVariable } from '../condition/condition.js';
import { and, negate, or } from '../condition/simplify.js';
import type { Entity, EntityRelation } from '../schema.js';
import { Unfilterable } from '../unfilterable.js';
import { type ClassNamed, type Item, type Path, Paths, type RowPath } from './paths.js';

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
type RowConstraint = Test | AnyRow | NoneOf | Reaches;

/** A condition that stands on its own. */
class Test implements Constraint {
  readonly outcome: () => Truth;
  readonly mayFail: boolean;

  constructor(outcome: () => Truth, mayFail = false) {
    this.outcome = outcome;
    this.mayFail = mayFail;
  }
}

/** That there is a row of a relation, of which what comes after it speaks. */
class AnyRow implements Constraint {
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

/** That a rule holds of what a relation leads to, for which it calls itself: noted in what is gathered of the rule. */
class Again extends Test {
  constructor() {
    super(() => ({ holds: always, fails: never }));
  }
}

/** That a row is one of those that a rule holds of which calls itself. */
class Reaches implements Constraint {
  readonly mayFail = false;
  readonly #condition: (base: Condition, step: Condition) => Condition;
  /** For what the rule holds of a row without calling itself. */
  readonly base: readonly Constraints[];
  /** For what it calls itself. */
  readonly steps: readonly Constraints[];

  constructor(
    base: readonly Constraints[],
    steps: readonly Constraints[],
    condition: (base: Condition, step: Condition) => Condition,
  ) {
    this.base = base;
    this.steps = steps;
    this.#condition = condition;
  }

  async condition(pace: Pace): Promise<Condition> {
    return this.#condition(await conditionOf(this.base, pace), await conditionOf(this.steps, pace));
  }
}

/** A row of which a policy knows only the class, and its variable in the conditions. */
export interface UnknownRow {
  readonly unknown: Unknown;
  readonly variable: RowVariable;
}

/**
 * Makes rows for CompiledOso to evaluate a policy with. The first has the number 0 in conditions, as the row that is filtered;
 * each other has a number of its own.
 */
export function unknownRows(classNamed: ClassNamed): (entity: Entity) => UnknownRow {
  const paths = new Paths(classNamed);
  return entity => {
    const root = paths.root(entity);
    return { unknown: new UnknownPath(paths, root), variable: root.via.from };
  };
}

/**
 * The condition for the rows to be allowed: that all constraints of one of the results hold. There may be as many results as
 * the actor has values.
 */
export async function conditionOf(results: readonly Constraints[], pace: Pace): Promise<Condition> {
  return together(or, await outcomesOf(results, pace, 'holds'), pace);
}

/** A row that is not known, or what a path leads to from there: a field, a related row, the rows of a relation. */
class UnknownPath extends Unknown {
  readonly #paths: Paths;
  readonly #found: Found;

  constructor(paths: Paths, found: Found) {
    super();
    this.#paths = paths;
    this.#found = found;
  }

  /** The path; throws if there is none. */
  get path(): Path {
    const found = this.#found;
    if (isPath(found)) return found;
    throw found instanceof Undescribed ? found.why : found;
  }

  /** That the value is an error to who reads it. */
  get unreadable(): Condition {
    const found = this.#found;
    return isPath(found) ? this.#paths.unreadable(found) : never;
  }

  isThere(at: AskedAt): Constraint | undefined {
    const found = this.#found;
    if (!isPath(found) || !this.#paths.mayBeMissing(found)) return undefined;
    return testAt(at, () => ({ holds: this.#paths.isThere(found), fails: never }));
  }

  attribute(name: string, inPattern: boolean, at: AskedAt): Unknown {
    const found = this.#found;
    if (isPath(found)) placed(at, () => this.#paths.refuseEndless(found, name));
    const attribute = unlessUnfilterable(at, () => this.#paths.attribute(this.path, name));
    const isUndescribed =
      inPattern && attribute instanceof Unfilterable && isPath(found) && !this.#paths.mayHave(found, name);
    return new UnknownPath(this.#paths, isUndescribed ? new Undescribed(attribute) : attribute);
  }

  item(before: Constraints, at: AskedAt): AnyItem {
    const rows = unlessUnfilterable(at, () => this.#paths.rows(this.path));
    if (rows instanceof Unfilterable) {
      return { item: new UnknownPath(this.#paths, rows), constraint: refusal(rows) };
    }
    const { list } = this.#paths.item(rows, 0);
    const others = before.filter(each => each instanceof AnyRow && each.list === list).length;
    const item = this.#paths.item(rows, others);
    return { item: new UnknownPath(this.#paths, item.row), constraint: new AnyRow(item) };
  }

  compare(operator: PolicyOperator, other: unknown, inNot: boolean, at: AskedAt): boolean | Constraint {
    if (operator === '=' && !inNot && this.#isUnlike(other)) return false;
    const compare = (): Condition =>
      this.#paths.compare(
        this.path,
        operator,
        other instanceof UnknownPath ? other.path : { kind: 'value', value: other },
        inNot,
      );
    const fails = inNot
      ? or([this.unreadable, other instanceof UnknownPath ? other.unreadable : never])
      : never;
    if (fails.kind === 'never') return answer(at, compare);
    const condition = unlessUnfilterable(at, compare);
    return condition instanceof Unfilterable
      ? refusal(condition)
      : new Test(() => ({ holds: condition, fails }), true);
  }

  isTrue(at: AskedAt): Constraint {
    return testAt(at, () => this.#paths.isTrue(this.path), true);
  }

  isA(tag: string, at: AskedAt): boolean | Constraint {
    return answer(at, () => this.#paths.isA(this.path, tag));
  }

  get className(): string | undefined {
    return this.#row === undefined ? undefined : this.#paths.entityOf(this.#row).name;
  }

  isNextAfter(row: Unknown): boolean {
    return row instanceof UnknownPath && this.stepFrom(row) !== undefined;
  }

  /** The relation that leads to this row from another one of its class. */
  stepFrom(other: UnknownPath): EntityRelation | undefined {
    const [to, from] = [this.#row, other.#row];
    return to === undefined || from === undefined ? undefined : this.#paths.step(from, to);
  }

  recursion(): Recursion | undefined {
    const row = this.#row;
    if (row === undefined) return undefined;
    const paths = this.#paths;
    const any = paths.anyRow(paths.entityOf(row));
    return new RowRecursion(new UnknownPath(paths, any), (relation, base, step) =>
      paths.reaches(row, any, relation, base, step),
    );
  }

  endless(at: AskedAt): Error {
    return notLinear(at);
  }

  get #row(): RowPath | undefined {
    const found = this.#found;
    return isPath(found) && found.kind === 'row' ? found : undefined;
  }

  /** Whether this is a name that is not described, and the other one a value. */
  #isUnlike(other: unknown): boolean {
    return this.#found instanceof Undescribed && !(other instanceof Unknown) && other !== undefined;
  }
}

/** What a rule that calls itself says of any row of a class. */
class RowRecursion implements Recursion {
  readonly row: UnknownPath;
  readonly #reaches: (relation: EntityRelation, base: Condition, step: Condition) => Condition;
  readonly #again = new Again();
  #relation: EntityRelation | undefined;

  constructor(
    row: UnknownPath,
    reaches: (relation: EntityRelation, base: Condition, step: Condition) => Condition,
  ) {
    this.row = row;
    this.#reaches = reaches;
  }

  get recurs(): boolean {
    return this.#relation !== undefined;
  }

  again(value: Unknown, at: AskedAt): Constraint {
    const relation = value instanceof UnknownPath ? value.stepFrom(this.row) : undefined;
    if (relation === undefined || relation !== (this.#relation ?? relation)) throw notLinear(at);
    this.#relation = relation;
    return this.#again;
  }

  constraint(results: readonly Constraints[]): Constraint | undefined {
    const base: Constraints[] = [];
    const steps: Constraints[] = [];
    for (const result of results) {
      const again = result.filter(each => each instanceof Again);
      if (again.length === 0) base.push(result);
      else if (again.length > 1 || again[0] !== this.#again) throw notLinear(undefined);
      else steps.push(result);
    }
    const relation = this.#relation as EntityRelation;
    if (base.length === 0) return undefined;
    return new Reaches(base, steps, (met, step) => this.#reaches(relation, met, step));
  }
}

function notLinear(at: AskedAt): Unfilterable {
  const error = new Unfilterable({
    reason: 'a rule calls itself otherwise than for the row that a relation of its own row leads to',
    remedy:
      'let a rule call itself once, for what one relation to one leads to, outside of `not`, with the class of the row in its head',
  });
  error.place = at?.();
  return error;
}

function isPath(found: Found): found is Path {
  return !(found instanceof Unfilterable || found instanceof Undescribed);
}

/** A condition, made now: what no row can meet ends a rule at once, before the rule comes to what is no concern of rows. */
function answer(at: AskedAt, make: () => Condition): boolean | Constraint {
  const condition = unlessUnfilterable(at, make);
  if (condition instanceof Unfilterable) return refusal(condition);
  if (condition.kind === 'always') return true;
  return condition.kind === 'never' ? false : new Test(() => ({ holds: condition, fails: never }));
}

/** A condition that is made later; if it cannot be expressed, the error says where it was asked. */
function testAt(at: AskedAt, outcome: () => Truth, mayFail = false): Test {
  return new Test(() => placed(at, outcome), mayFail);
}

function unlessUnfilterable<Result>(at: AskedAt, make: () => Result): Result | Unfilterable {
  try {
    return placed(at, make);
  } catch (error) {
    if (error instanceof Unfilterable) return error;
    throw error;
  }
}

/** Does some work. If that cannot be expressed, the error says where it was asked. */
function placed<Result>(at: AskedAt, work: () => Result): Result {
  try {
    return work();
  } catch (error) {
    if (error instanceof Unfilterable) error.place ??= at?.();
    throw error;
  }
}

function refusal(error: Unfilterable): Constraint {
  return new Test(() => {
    throw error;
  });
}

/** To make a condition takes about as long as so many steps of a policy. */
const STEPS_PER_CONDITION = 8;
/** So many conditions are made between two looks at whether it is time for a pause. */
const AT_ONCE = 250;

async function outcomesOf(
  results: readonly Constraints[],
  pace: Pace,
  which: keyof Truth,
): Promise<Condition[]> {
  const outcomes: Condition[] = [];
  for (const constraints of results as readonly (readonly RowConstraint[])[]) {
    // Nearly all are made at once. A promise for each would be felt.
    const outcome =
      constraints.length < AT_ONCE &&
      !constraints.some(each => each instanceof NoneOf || each instanceof Reaches)
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
    const outcome =
      constraint instanceof NoneOf
        ? await noneOf(constraint, pace)
        : constraint instanceof Reaches
          ? { holds: await constraint.condition(pace), fails: never }
          : constraint.outcome();
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

async function noneOf({ alternatives, failing }: NoneOf, pace: Pace): Promise<Truth> {
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
