import { NotCovered } from '../errors.js';
import type { Comparison } from '../syntax/tree.js';
import {
  deref,
  holdsNaN,
  holdsOpenVariable,
  LogicVariable,
  type Value,
  type Waiting,
  type Waits,
} from '../values/values.js';
import { areOfOneKind, compare, compareGround, isRuledOut, known } from './compare.js';
import type { Machine, Step } from './machine.js';
import { match } from './match.js';

/**
 * A condition on variables without a value cannot be decided yet. It waits on them, and is asked as soon as one of them
 * is bound: this is how `f(x) if x > 1 and x = 2;` comes to an answer.
 */
export function wait(machine: Machine, condition: Waiting): void {
  const left = deref(condition.left);
  const right = deref(condition.right);
  if (holdsNaN(left, machine) || holdsNaN(right, machine)) {
    throw new NotCovered('nan in a condition on a variable without a value', undefined);
  }
  if (holdsOpenVariable(left, machine) || holdsOpenVariable(right, machine)) {
    throw new NotCovered('a condition on several variables without a value', undefined);
  }
  if (left instanceof LogicVariable) attach(machine, left, condition);
  if (right instanceof LogicVariable && right !== left) attach(machine, right, condition);
}

export function attach(machine: Machine, variable: LogicVariable, condition: Waiting): void {
  const { waiting } = variable;
  variable.waiting = { condition, earlier: waiting };
  machine.conditional = true;
  machine.delayed.push(variable);
  machine.onUndo(new Attachment(machine, variable, waiting));
}

const NONE: readonly Waiting[] = [];

/** The conditions that wait for a variable, in the order in which they came. */
export function conditionsOn(machine: Machine, variable: LogicVariable): readonly Waiting[] {
  const latest = variable.waiting;
  if (latest === undefined) return NONE;
  // Nearly always there is only one.
  if (latest.earlier === undefined) return [latest.condition];
  const conditions: Waiting[] = [];
  for (let waits: Waits | undefined = latest; waits !== undefined; waits = waits.earlier) {
    conditions.push(waits.condition);
  }
  machine.visit(conditions.length);
  return conditions.reverse();
}

/** The trace of {@link attach} on the trail. */
class Attachment {
  readonly #machine: Machine;
  readonly #variable: LogicVariable;
  readonly #waiting: Waits | undefined;

  constructor(machine: Machine, variable: LogicVariable, waiting: Waits | undefined) {
    this.#machine = machine;
    this.#variable = variable;
    this.#waiting = waiting;
  }

  undo(): void {
    this.#variable.waiting = this.#waiting;
    this.#machine.delayed.pop();
  }
}

/** Asks the conditions that waited for what has just been bound, then goes on with `next`. */
export function wake(machine: Machine, next: Step): Step {
  const { woken } = machine;
  machine.woken = [];
  for (const variable of woken) {
    if (holdsNaN(variable, machine)) throw new NotCovered('nan for a variable with conditions', undefined);
  }
  const conditions =
    woken.length === 1
      ? conditionsOn(machine, woken[0] as LogicVariable)
      : woken.flatMap(variable => conditionsOn(machine, variable));
  // What cannot hold fails before anything is asked that could be an error.
  return conditions.some(condition => cannotHold(machine, condition))
    ? machine.fail()
    : askNext(machine, conditions, 0, next);
}

function cannotHold(machine: Machine, { kind, operator, left, right }: Waiting): boolean {
  const sides = kind === 'compare' ? known(left, right) : undefined;
  return sides !== undefined && isRuledOut(machine, operator as Comparison, ...sides);
}

function askNext(machine: Machine, conditions: readonly Waiting[], at: number, next: Step): Step {
  const condition = conditions[at];
  if (condition === undefined) return next;
  const following = at + 1;
  if (following === conditions.length) return ask(machine, condition, next);
  return ask(machine, condition, after => askNext(after, conditions, following, next));
}

function ask(machine: Machine, condition: Waiting, next: Step): Step {
  const { operator, located } = condition;
  const placeOf = () => ({ rule: undefined, ...located.source.placeAt(located.offset) });
  if (condition.kind === 'match') {
    machine.placeOf = placeOf;
    return match(machine, condition.left, condition.right, true, next);
  }
  const sides = known(condition.left, condition.right);
  // The other side waits still, and will ask again.
  if (sides === undefined) return next;
  const [left, right] = sides;
  const equal = compareGround(machine, operator as Comparison, left, right);
  if (equal === false) return machine.fail();
  if (equal === true) {
    if (areOfOneKind(left, right) || !(isAliased(condition.left) || isAliased(condition.right))) return next;
    // Whether Oso asks once more, and errs, depends on which of its names the variable was bound by.
    throw new NotCovered('a condition on a variable of several names', placeOf());
  }
  return compare(machine, operator as Comparison, left, right, placeOf, next);
}

function isAliased(value: Value): boolean {
  return value instanceof LogicVariable && value.aliased;
}

/** Whether some condition still waits for a value. */
export function anyWaits(machine: Machine): boolean {
  const { delayed } = machine;
  machine.visit(delayed.length);
  return delayed.some(isOpen);
}

/** The value of a variable with waiting conditions is still open. */
export function isOpen(variable: LogicVariable): boolean {
  return variable.binding === undefined && variable.waiting !== undefined;
}
