import type { Relation } from 'oso';
import { KwargsError } from '../../engine/oso-internals.js';
import { NotCovered, runtimeError } from '../errors.js';
import { isThenable } from '../values/host.js';
import { RowReference } from '../values/relations.js';
import type { Value } from '../values/values.js';
import type { Machine, PlaceOf, Step } from './machine.js';

/** What a look-up asks for: a field, or a method with its arguments. */
export interface Attribute {
  readonly name: string;
  readonly args: readonly Value[] | undefined;
  /** Named arguments were given, which JavaScript does not have. */
  readonly named: boolean;
}

/** Takes the value that was found and says how to go on. */
export type AttributeReader = (machine: Machine, value: unknown) => Step;

/** A look-up that failed for a reason which the policy, not the host, has to answer for. */
class Missing {
  readonly message: string;
  readonly cause: unknown;
  constructor(message: string, cause?: unknown) {
    this.message = message;
    this.cause = cause;
  }
}

/**
 * Looks up a field or calls a method of a JavaScript value. Where it is missing, or the host throws a TypeError, a
 * condition fails with an error; a pattern, and anything inside of `not`, goes on with `undefined`. That is Oso's way.
 */
export function readAttribute(
  machine: Machine,
  receiver: unknown,
  attribute: Attribute,
  placeOf: PlaceOf | undefined,
  found: AttributeReader,
): Step {
  if (receiver instanceof RowReference && receiver.knows(attribute.name) && !hasArguments(attribute)) {
    return readAttribute(machine, receiver.key, attribute, placeOf, found);
  }
  if (receiver instanceof RowReference && receiver.loaded !== undefined) {
    return readAttribute(machine, receiver.loaded.row, attribute, placeOf, found);
  }
  if (isThenable(receiver)) {
    return machine.suspend(receiver, awaited => readAttribute(machine, awaited, attribute, placeOf, found));
  }
  const { args } = attribute;
  if (attribute.named) throw new KwargsError();
  if (args === undefined) return settle(machine, read(machine, receiver, attribute.name), placeOf, found);
  const values = NotCovered.at(placeOf, () => args.map(arg => machine.toJs(arg)));
  if (!values.some(isThenable)) {
    return settle(machine, call(machine, receiver, attribute.name, values), placeOf, found);
  }
  return machine.suspend(Promise.all(values), awaited =>
    settle(machine, call(machine, receiver, attribute.name, awaited as unknown[]), placeOf, found),
  );
}

function hasArguments({ args, named }: Attribute): boolean {
  return args !== undefined || named;
}

function settle(
  machine: Machine,
  outcome: unknown,
  placeOf: PlaceOf | undefined,
  found: AttributeReader,
): Step {
  if (outcome instanceof Missing) {
    if (placeOf !== undefined && machine.negations.length === 0) {
      throw runtimeError('Application', outcome.message, placeOf(), outcome.cause);
    }
    return found(machine, undefined);
  }
  if (isThenable(outcome) && !(outcome instanceof RowReference)) {
    return machine.suspend(outcome, value =>
      value instanceof Missing ? settle(machine, value, placeOf, found) : found(machine, value),
    );
  }
  return found(machine, outcome);
}

function read(machine: Machine, receiver: unknown, name: string): unknown {
  if (receiver === null || receiver === undefined) return missing(name);
  try {
    const relation = relationOf(machine, receiver, name);
    if (relation !== undefined) return related(machine, receiver, relation, name);
    // The operator throws for strings and numbers, as it does in Oso: only their methods can be reached.
    if (!(name in (receiver as object))) return missing(name);
    return ofHost(machine, (receiver as Record<string, unknown>)[name]);
  } catch (error) {
    return thrown(error, name);
  }
}

function call(machine: Machine, receiver: unknown, name: string, args: readonly unknown[]): unknown {
  if (receiver === null || receiver === undefined) return new Missing(`There is no method "${name}" on nil`);
  try {
    const relation = relationOf(machine, receiver, name);
    if (relation !== undefined) return related(machine, receiver, relation, name);
    if (typeof (receiver as Record<string, unknown>)[name] !== 'function') {
      return new Missing(`There is no method "${name}" on the value`);
    }
    return ofHost(
      machine,
      (receiver as Record<string, (...args: readonly unknown[]) => unknown>)[name]?.(...args),
    );
  } catch (error) {
    return thrown(error, name);
  }
}

/** What the application loads itself is not asked for again, to explain an answer. */
function ofHost(machine: Machine, value: unknown): unknown {
  if (machine.trace !== undefined && isThenable(value)) machine.trace.isRepeatable = false;
  return value;
}

function relationOf(machine: Machine, receiver: unknown, name: string): Relation | undefined {
  return machine.host.hasRelations ? machine.host.relation(receiver as object, name) : undefined;
}

function related(machine: Machine, receiver: unknown, relation: Relation, name: string): unknown {
  const value = machine.relations.follow(receiver as object, relation);
  if (!isThenable(value) || value instanceof RowReference) return value;
  return Promise.resolve(value).catch(error => thrown(error, name));
}

function missing(name: string): Missing {
  return new Missing(`There is no attribute "${name}" on the value`);
}

function thrown(error: unknown, name: string): Missing {
  if (!(error instanceof TypeError)) throw error;
  return new Missing(`A TypeError was thrown by "${name}"`, error);
}
