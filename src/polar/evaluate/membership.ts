import { InvalidIteratorError } from '../../engine/oso-internals.js';
import { NotCovered, runtimeError } from '../errors.js';
import { isThenable } from '../values/host.js';
import { Unknown } from '../values/unknown.js';
import {
  Dictionary,
  deref,
  flatten,
  Instance,
  List,
  LogicVariable,
  numberOf,
  type Value,
} from '../values/values.js';
import type { Machine, PlaceOf, Step } from './machine.js';
import { tryNext } from './try-each.js';
import { unify } from './unify.js';

/** `item in iterable`: once for each element that the item can be. */
export function iterate(machine: Machine, item: Value, iterable: Value, placeOf: PlaceOf, next: Step): Step {
  const source = deref(iterable);
  if (source instanceof List) return each(machine, item, flatten(source, machine), 0, placeOf, next);
  if (source instanceof Unknown) {
    machine.placeOf = placeOf;
    machine.visit(machine.constraints.length);
    const any = source.item(machine.constraints, placeOf);
    machine.constrain(any.constraint);
    return unify(machine, item, any.item, next);
  }
  if (source instanceof Instance) return inHost(machine, item, source, next);
  if (source instanceof Dictionary) return eachOf(machine, item, pairsOf(source), next);
  // Texts are iterated by code points, as JavaScript does.
  if (typeof source === 'string') return eachOf(machine, item, source[Symbol.iterator](), next);
  if (source instanceof LogicVariable) throw new NotCovered('"in" a variable without a value', placeOf());
  throw runtimeError('TypeError', '"in" needs something to iterate', placeOf());
}

/**
 * Oso: if an `in` was delayed, each element is checked for membership a second time. That goes without saying for a list, unless it holds a number that equals nothing, and cannot be told for an object of the host: an
 * iterator would be used up by the asking.
 */
export function refuseUnrepeatable(machine: Machine, iterable: Value, placeOf: PlaceOf): void {
  const source = deref(iterable);
  if (source instanceof List && !holdsNumberThatIsNone(machine, flatten(source, machine))) return;
  if (source instanceof Dictionary || source instanceof Unknown || typeof source === 'string') return;
  if (source instanceof Instance && machine.host.equalsIsDefault) {
    const { value } = source;
    if (value instanceof Set || value instanceof Map) {
      machine.visit(value.size);
      if (!some(value.keys(), Number.isNaN) && !some(value.values(), Number.isNaN)) return;
    } else if (!has(value, Symbol.iterator) && !has(value, Symbol.asyncIterator)) return;
  }
  throw new NotCovered('forall over an iterator that is looked up', placeOf());
}

function holdsNumberThatIsNone(machine: Machine, list: List): boolean {
  machine.visit(list.length);
  for (let at = 0; at < list.length; at++) if (Number.isNaN(numberOf(list.at(at)))) return true;
  return false;
}

function some(values: Iterable<unknown>, test: (value: unknown) => boolean): boolean {
  for (const value of values) if (test(value)) return true;
  return false;
}

/** Plain elements that are passed over between two looks at whether it is time for a pause. */
const PASSED_AT_ONCE = 1024;

function each(machine: Machine, item: Value, list: List, from: number, placeOf: PlaceOf, next: Step): Step {
  const { length, rest } = list;
  const wanted = deref(item);
  let at = from;
  if (typeof wanted !== 'object') {
    // Most elements of a long list are plainly something else: they need no choice and no unification.
    const end = Math.min(length, from + PASSED_AT_ONCE);
    while (at < end) {
      const element = list.at(at);
      if (typeof element === 'object' || element === wanted) break;
      at++;
    }
    if (machine.spend(at - from) || (at === end && at < length)) {
      return after => each(after, item, list, at, placeOf, next);
    }
  }
  if (at === length) return rest === undefined ? machine.fail() : iterate(machine, item, rest, placeOf, next);
  const element = list.at(at);
  if (at + 1 < length || rest !== undefined) {
    machine.choose(again => each(again, item, list, at + 1, placeOf, next));
  }
  return unify(machine, item, element, next);
}

/** As {@link each}, for what makes its elements one by one. */
function eachOf(machine: Machine, item: Value, elements: Iterator<Value>, next: Step): Step {
  return tryNext(machine, elements, (trying, element) => unify(trying, item, element, next));
}

function* pairsOf({ fields }: Dictionary): Generator<Value> {
  for (const pair of fields) yield new List(pair);
}

/** One element after the other, each awaited; `undefined` once there are no more. */
type Pull = () => { readonly value: unknown } | undefined | Promise<{ readonly value: unknown } | undefined>;

function inHost(machine: Machine, item: Value, { value }: Instance, next: Step): Step {
  // What gives its elements once has none to give again.
  if (machine.trace && !Array.isArray(value) && !(value instanceof Set) && !(value instanceof Map)) {
    machine.trace.isRepeatable = false;
  }
  if (isThenable(value)) {
    return machine.suspend(value, known => pullNext(machine, item, pullFrom(known), next));
  }
  return pullNext(machine, item, pullFrom(value), next);
}

function pullNext(machine: Machine, item: Value, pull: Pull, next: Step): Step {
  const take = (pulled: { readonly value: unknown } | undefined): Step => {
    if (pulled === undefined) return machine.fail();
    machine.choose(again => pullNext(again, item, pull, next));
    return unify(machine, item, machine.toValue(pulled.value), next);
  };
  const pulled = pull();
  if (!isThenable(pulled)) return take(pulled);
  return machine.suspend(pulled, known => take(known as { value: unknown } | undefined));
}

/** How to get at the elements: iterators first, then asynchronous iterables, then ordinary ones, as in Oso. */
function pullFrom(value: unknown): Pull {
  const iterable = has(value, Symbol.iterator);
  if (iterable && typeof (value as { next?: unknown }).next === 'function') {
    return pullSync(value as Iterable<unknown>);
  }
  if (has(value, Symbol.asyncIterator)) {
    const iterator = (value as AsyncIterable<unknown>)[Symbol.asyncIterator]();
    return async () => {
      const step = await iterator.next();
      return step.done ? undefined : { value: await step.value };
    };
  }
  if (iterable) return pullSync(value as Iterable<unknown>);
  throw new InvalidIteratorError(typeof value);
}

function pullSync(iterable: Iterable<unknown>): Pull {
  const iterator = iterable[Symbol.iterator]();
  return () => {
    const step = iterator.next();
    if (step.done) return undefined;
    const { value } = step;
    return isThenable(value) ? Promise.resolve(value).then(known => ({ value: known })) : { value };
  };
}

function has(value: unknown, symbol: symbol): boolean {
  return ((typeof value === 'object' && value !== null) || typeof value === 'function') && symbol in value;
}
