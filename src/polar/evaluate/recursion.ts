import { NotCovered } from '../errors.js';
import { type Constraints, Unknown } from '../values/unknown.js';
import { deref, Instance, type Value } from '../values/values.js';
import type { Call, Machine, Step } from './machine.js';
import { anyWaits } from './waiting.js';

/** The rules of one name and number of parameters. */
export interface Rules {
  /** Tells them from all others of the policy. */
  readonly key: string;
  /** Whether none of them holds of nil in the place of this parameter, whatever the others are. */
  neverOfNil(at: number): boolean;
  /** Tries those that apply, and goes on with `next` after each that succeeds. */
  tryAll(machine: Machine, args: readonly Value[], next: Step, call: Call): Step;
}

/** Thrown if a rule turns out to call itself: the query begins anew, and knows it from the start. */
export class RecursionFound extends Error {
  readonly rules: string;
  constructor(rules: string) {
    super('A rule calls itself for what a relation of a row leads to');
    this.rules = rules;
  }
}

/** Between a rule and its call of itself there are a few others at most. */
const MAX_CALLERS = 50;

/**
 * Calls a rule with unknown values. A rule that calls itself for what a relation of an unknown row leads to, say for the folder
 * that a folder is in, would have no end. It is tried once, of a row that stands for all that it can come to. Where it calls
 * itself, that is noted: it holds of all rows from which the relation leads, step by step, to one of which it holds otherwise.
 */
export function callWithUnknowns(machine: Machine, rules: Rules, args: readonly Value[], next: Step): Step {
  const { recursive } = machine;
  const caller = machine.frame.call;
  const row = rowIn(args);
  const tryAll = (trying: Machine): Step =>
    rules.tryAll(trying, args, next, { rules: rules.key, args, at: row?.at, caller, recursion: undefined });
  if (row === undefined) return tryAll(machine);
  // What an error on the way would make of a `not` is not worked out for all rows at once.
  const mayGather = machine.negations.length === 0 && rules.neverOfNil(row.at);
  const key = `${rules.key} ${row.at} ${row.value.className}`;
  let depth = 0;
  for (let call = caller; call !== undefined && depth < MAX_CALLERS; call = call.caller, depth++) {
    if (call.rules !== rules.key || call.at !== row.at || !areAlike(call.args, args, row.at)) continue;
    const called = deref(call.args[row.at] as Value) as Unknown;
    if (called.className !== row.value.className) continue;
    if (mayGather && call.recursion !== undefined) {
      machine.constrain(call.recursion.again(row.value, machine.placeOf));
      return next;
    }
    if (mayGather && !recursive?.has(key) && row.value.isNextAfter(called)) throw new RecursionFound(key);
    // Nothing is known of the one row that is not known of the other, so it would come to this again and again.
    throw row.value.endless(machine.placeOf);
  }
  if (!mayGather || !recursive?.has(key) || anyWaits(machine)) return tryAll(machine);
  return gather(machine, rules, args, row, caller, next, tryAll);
}

function gather(
  machine: Machine,
  rules: Rules,
  args: readonly Value[],
  row: Row,
  caller: Call | undefined,
  next: Step,
  tryAll: Step,
): Step {
  const recursion = row.value.recursion();
  if (recursion === undefined) return tryAll(machine);
  const results: Constraints[] = [];
  const before = machine.constraints.length;
  machine.choose(after => {
    if (!recursion.recurs) return tryAll(after);
    const constraint = recursion.constraint(results);
    if (constraint === undefined) return after.fail();
    after.constrain(constraint);
    return next;
  });
  const held: Step = after => {
    if (anyWaits(after)) throw new NotCovered('a variable with conditions but no value', undefined);
    after.visit(after.constraints.length - before);
    results.push(after.constraints.slice(before));
    return after.fail();
  };
  const ofAny = args.map((arg, at) => (at === row.at ? recursion.row : arg));
  return rules.tryAll(machine, ofAny, held, { rules: rules.key, args: ofAny, at: row.at, caller, recursion });
}

interface Row {
  readonly at: number;
  readonly value: Unknown;
}

/** The one unknown row among arguments that are known else: values without parts, and objects of the host. */
function rowIn(args: readonly Value[]): Row | undefined {
  let row: Row | undefined;
  for (const [at, arg] of args.entries()) {
    const value = deref(arg);
    if (value instanceof Unknown) {
      if (row !== undefined || value.className === undefined) return undefined;
      row = { at, value };
    } else if (typeof value === 'object' && !(value instanceof Instance)) return undefined;
  }
  return row;
}

function areAlike(left: readonly Value[], right: readonly Value[], except: number): boolean {
  return left.every((arg, at) => {
    if (at === except) return true;
    const [a, b] = [deref(arg), deref(right[at] as Value)];
    return a === b || (a instanceof Instance && b instanceof Instance && a.value === b.value);
  });
}
