import { NotCovered, runtimeError } from '../errors.js';
import { isThenable } from '../values/host.js';
import { Unknown } from '../values/unknown.js';
import {
  Dictionary,
  deref,
  holdsRest,
  Instance,
  isGround,
  List,
  LogicVariable,
  Pattern,
  type Value,
} from '../values/values.js';
import { saysYes } from './compare.js';
import { readAttribute } from './host-attribute.js';
import type { Machine, Step } from './machine.js';
import { tryEach } from './try-each.js';
import { pairItems, unify } from './unify.js';
import { conditionsOn, wait } from './waiting.js';

/** What is left to do of a match, the next thing first. A choice may come back to it: it never changes. */
type Goals = Goal & { readonly following: Goals | undefined };

type Goal =
  | { readonly kind: 'match'; readonly left: Value; readonly right: Value }
  | { readonly kind: 'class'; readonly left: Value; readonly tag: string }
  | { readonly kind: 'field'; readonly left: Value; readonly name: string; readonly right: Value };

const NO_FIELDS: ReadonlyMap<string, Value> = new Map();

/**
 * Matches a value against a pattern, as specializers and `matches` do, and goes on with `next`; or fails. `waited` says
 * that the pattern has waited for the value: its fields are then read as conditions read attributes, and a missing
 * one is an error.
 */
export function match(machine: Machine, left: Value, right: Value, waited: boolean, next: Step): Step {
  if (
    waited &&
    right instanceof Pattern &&
    right.members === undefined &&
    !(deref(left) instanceof LogicVariable)
  ) {
    return matchWaited(machine, left, right, next);
  }
  if (
    right instanceof Pattern &&
    right.tag !== undefined &&
    right.members === undefined &&
    right.fields.size === 0
  ) {
    // A class alone, which is what most patterns are.
    const value = deref(left);
    if (value instanceof LogicVariable) return waitForMatch(machine, value, right) ? next : machine.fail();
    return matchClass(machine, value, right.tag, next);
  }
  return run(machine, { kind: 'match', left, right, following: undefined }, next);
}

function matchClass(machine: Machine, value: Value, tag: string, next: Step): Step {
  const answer = isInstance(machine, value, tag);
  if (isThenable(answer)) {
    return machine.suspend(answer, known => (saysYes(known) ? next : machine.fail()));
  }
  return saysYes(answer) ? next : machine.fail();
}

function run(machine: Machine, goals: Goals | undefined, next: Step): Step {
  let open = goals;
  while (open !== undefined) {
    if (machine.spend()) {
      const unfinished = open;
      return after => run(after, unfinished, next);
    }
    const goal: Goals = open;
    const rest: Goals | undefined = goal.following;
    open = rest;
    if (goal.kind === 'class') {
      const answer = isInstance(machine, goal.left, goal.tag);
      if (isThenable(answer)) {
        return machine.suspend(answer, known => (saysYes(known) ? run(machine, rest, next) : machine.fail()));
      }
      if (!saysYes(answer)) return machine.fail();
      continue;
    }
    if (goal.kind === 'field') {
      const { name, right } = goal;
      const owner = deref(goal.left);
      if (owner instanceof Unknown) {
        const left = owner.attribute(name, true, machine.placeOf);
        open = { kind: 'match', left, right, following: rest };
        continue;
      }
      const receiver = machine.toJs(goal.left);
      return readAttribute(
        machine,
        receiver,
        { name, args: undefined, named: false },
        undefined,
        (after, value) =>
          run(after, { kind: 'match', left: after.toValue(value), right, following: rest }, next),
      );
    }
    const left = deref(goal.left);
    const right = deref(goal.right);
    if (right instanceof Pattern) {
      if (right.members !== undefined) {
        // A union is matched by any of its classes, and once for each of them.
        const { members, located } = right;
        return tryEach(machine, members, (trying, tag) => {
          const member = new Pattern(tag, undefined, NO_FIELDS, located);
          return run(trying, { kind: 'match', left, right: member, following: rest }, next);
        });
      }
      if (left instanceof LogicVariable) {
        if (!waitForMatch(machine, left, right)) return machine.fail();
      } else if (right.tag !== undefined) {
        if (right.fields.size > 0) {
          const fields = new Pattern(undefined, undefined, right.fields, right.located);
          open = { kind: 'match', left, right: fields, following: open };
        }
        open = { kind: 'class', left, tag: right.tag, following: open };
      } else if (left instanceof Dictionary) {
        for (const [name, pattern] of right.fields) {
          const field = left.fields.get(name);
          if (field === undefined) return machine.fail();
          open = { kind: 'match', left: field, right: pattern, following: open };
        }
      } else {
        for (const [name, pattern] of right.fields) {
          open = { kind: 'field', left, name, right: pattern, following: open };
        }
      }
    } else if (left instanceof List && right instanceof List) {
      const pairs = pairItems(machine, left, right);
      if (pairs === undefined) return machine.fail();
      open = pairs.reduceRight<Goals | undefined>(
        (following, [a, b]) => ({ kind: 'match', left: a, right: b, following }),
        rest,
      );
    } else if (left instanceof LogicVariable && right instanceof LogicVariable) {
      throw new NotCovered('a variable matched against a variable, both without a value', undefined);
    } else if (right instanceof Dictionary && !(left instanceof LogicVariable)) {
      throw new NotCovered('a value matched against a dictionary that is not a pattern', undefined);
    } else {
      return unify(machine, left, right, rest === undefined ? next : after => run(after, rest, next));
    }
  }
  return next;
}

function isInstance(machine: Machine, left: Value, tag: string): unknown {
  const { host } = machine;
  if (left instanceof Unknown) {
    const answer = left.isA(tag, machine.placeOf);
    if (typeof answer === 'boolean') return answer;
    machine.constrain(answer);
    return true;
  }
  if (left instanceof Instance) {
    const type = host.classOf(left);
    if (type !== undefined) return host.descends(type, tag);
  }
  const type = host.requireClass(tag);
  const value = machine.toJs(left);
  return isThenable(value) ? Promise.resolve(value).then(type.isaCheck) : type.isaCheck(value);
}

/** Leaves a pattern waiting for a variable's value; false if an earlier one already rules it out. */
function waitForMatch(machine: Machine, variable: LogicVariable, pattern: Pattern): boolean {
  const { host } = machine;
  refuseNested(pattern);
  const { tag } = pattern;
  if (tag !== undefined && variable.waiting !== undefined) {
    for (const { right } of [...conditionsOn(machine, variable)].reverse()) {
      const other = right instanceof Pattern ? right.tag : undefined;
      if (other === undefined || other === tag) continue;
      if (!host.isSubclass(tag, other) && !host.isSubclass(other, tag)) return false;
    }
  }
  // The empty pattern asks for nothing.
  if (tag === undefined && pattern.fields.size === 0) return true;
  const { located } = pattern;
  wait(machine, { kind: 'match', left: variable, right: pattern, operator: 'matches', located });
  return true;
}

function refuseNested({ fields }: Pattern): void {
  if (fields.size === 0) return;
  for (const field of fields.values()) {
    if (deref(field) instanceof Pattern) {
      throw new NotCovered('a pattern within a pattern on a variable without a value', undefined);
    }
  }
}

function matchWaited(machine: Machine, value: Value, pattern: Pattern, next: Step): Step {
  const left = deref(value);
  const { tag, located } = pattern;
  if (tag !== undefined && pattern.fields.size === 0) return matchClass(machine, left, tag, next);
  refuseNested(pattern);
  const fields = [...pattern.fields].reverse();
  const placeOf = () => ({ rule: undefined, ...located.source.placeAt(located.offset) });
  const ground = isGround(left, machine);
  if (ground && fields.some(([, expected]) => holdsRest(expected, machine))) {
    throw new NotCovered('a list with a rest, for a variable with conditions', placeOf());
  }
  // Oso compares such a field with the look-up itself, not with what it finds, if neither holds an object.
  if (ground && fields.some(([, expected]) => isGround(deref(expected), machine))) return machine.fail();
  const readField = (after: Machine, at: number): Step => {
    const field = fields[at];
    if (field === undefined) return next;
    const [name, expected] = field;
    if (left instanceof Dictionary) {
      const found = left.fields.get(name);
      if (found === undefined) return after.fail();
      return unify(after, found, expected, then => readField(then, at + 1));
    }
    if (typeof left === 'boolean') throw runtimeError('TypeError', 'A boolean has no attributes', placeOf());
    return readAttribute(
      after,
      after.toJs(left),
      { name, args: undefined, named: false },
      placeOf,
      (then, found) => unify(then, expected, then.toValue(found), last => readField(last, at + 1)),
    );
  };
  if (tag === undefined) return readField(machine, 0);
  return run(machine, { kind: 'class', left, tag, following: undefined }, after => readField(after, 0));
}
