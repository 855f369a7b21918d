import { NotCovered } from '../errors.js';
import { NoneOf } from '../values/unknown.js';
import { isGround, LogicVariable, Pattern } from '../values/values.js';
import type { Machine, Negation, PlaceOf, Step } from './machine.js';
import { Aliasing } from './unify.js';
import { anyWaits, conditionsOn, isOpen } from './waiting.js';

/**
 * `not condition`: succeeds if the condition has no result. Like Oso, it looks at all the ways in which the condition
 * may hold even after the first, so that an error on the way is an error of the whole.
 *
 * @param compile compiles the condition, given what comes after it has held
 */
export function negate(compile: (held: Step) => Step, next: Step, placeOf: PlaceOf): Step {
  const condition = compile(machine => {
    const negation = machine.negations.at(-1) as Negation;
    refuseOpenVariables(machine, negation, placeOf);
    machine.visit(machine.constraints.length - negation.constraints);
    const constraints = machine.constraints.slice(negation.constraints);
    if (constraints.length === 0) negation.held = true;
    else negation.alternatives.push(constraints);
    return machine.fail();
  });
  return machine => {
    // What a negation makes of conditions that still wait is for Oso's engine to work out.
    if (anyWaits(machine)) throw notCovered(placeOf);
    const negation: Negation = {
      trail: machine.trailHeight,
      delayed: machine.delayed.length,
      constraints: machine.constraints.length,
      alternatives: [],
      failing: [],
      held: false,
    };
    machine.conditional = true;
    machine.negations.push(negation);
    machine.choose(after => {
      after.negations.pop();
      const { held, alternatives, failing } = negation;
      if (alternatives.length > 0 || failing.length > 0) {
        after.constrain(new NoneOf(held ? [] : alternatives, failing));
      }
      return held ? after.fail() : next;
    });
    return condition;
  };
}

/**
 * A variable that had no value but was tied to others or to conditions, and has been bound by the negated condition: the
 * answer is then not yes or no but a constraint on the variable, which only Oso's engine works out.
 */
function refuseOpenVariables(machine: Machine, { trail, delayed }: Negation, placeOf: PlaceOf): void {
  machine.visit(machine.delayed.length + machine.trailHeight - trail);
  const before = new Set(machine.delayed.slice(0, delayed));
  const entries = machine.trailFrom(trail);
  const fresh = new Set<LogicVariable>();
  for (const entry of entries) {
    if (entry instanceof Aliasing && !entry.was && !before.has(entry.variable)) fresh.add(entry.variable);
  }
  const touched = entries.map(entry =>
    entry instanceof LogicVariable ? entry : entry instanceof Aliasing ? entry.variable : undefined,
  );
  for (const variable of [...touched, ...machine.delayed.slice(delayed)]) {
    if (variable === undefined) continue;
    if (before.has(variable) || (variable.aliased && !fresh.has(variable))) throw notCovered(placeOf);
  }
  const open = machine.delayed.slice(delayed).filter(isOpen);
  if (open.length > 0 && (before.size > 0 || !open.every(variable => waitsAlone(machine, variable))))
    throw notCovered(placeOf);
}

/** Whether the conditions on a variable tie it to no other. */
function waitsAlone(machine: Machine, variable: LogicVariable): boolean {
  return conditionsOn(machine, variable).every(({ left, right }) =>
    right instanceof Pattern ? right.fields.size === 0 : isGround(left, machine) || isGround(right, machine),
  );
}

function notCovered(placeOf: PlaceOf): NotCovered {
  return new NotCovered('"not" on a variable without a value', placeOf());
}
