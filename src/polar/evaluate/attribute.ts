import { NotCovered, runtimeError } from '../errors.js';
import { Unknown } from '../values/unknown.js';
import { Dictionary, deref, Float, Instance, List, LogicVariable, type Value } from '../values/values.js';
import { type Attribute, readAttribute } from './host-attribute.js';
import type { Build, Frame, Machine, PlaceOf, Step } from './machine.js';
import { tryNext } from './try-each.js';
import { unify } from './unify.js';

/** What stands after the dot: an attribute, or the value of `object.(variable)`. */
type Field = Attribute | Value;

/** A look-up: `object.field`, `object.method(…)` or `object.(name)`, its result unified with `result`. */
export function attribute(
  buildObject: Build,
  field: (frame: Frame) => Field,
  buildResult: Build,
  placeOf: PlaceOf,
  next: Step,
): Step {
  const found = (machine: Machine, value: unknown): Step =>
    unify(machine, buildResult(machine.frame), machine.toValue(value), next);
  return machine => {
    const object = deref(buildObject(machine.frame));
    const attribute = attributeOf(field(machine.frame));
    if (object instanceof Unknown) {
      if (attribute === undefined || attribute.args !== undefined) {
        throw new NotCovered('a method of an unknown value', placeOf());
      }
      machine.placeOf = placeOf;
      const isThere = machine.negations.length === 0 ? object.isThere(placeOf) : undefined;
      if (isThere !== undefined) machine.constrain(isThere);
      return found(machine, object.attribute(attribute.name, false, placeOf));
    }
    if (object instanceof Instance && attribute !== undefined) {
      return readAttribute(machine, object.value, attribute, placeOf, found);
    }
    if (object instanceof LogicVariable) {
      if (attribute?.args === undefined) {
        throw new NotCovered('a look-up on a variable without a value', placeOf());
      }
      throw runtimeError('Unsupported', 'A method cannot be called on a variable without a value', placeOf());
    }
    if (object instanceof Dictionary && attribute?.args === undefined) {
      return inDictionary(machine, object, field(machine.frame), buildResult, placeOf, next);
    }
    if (typeof object === 'boolean' || !isReceiver(object)) {
      throw runtimeError(
        'TypeError',
        'Only objects, dictionaries, lists, strings and numbers have attributes',
        placeOf(),
      );
    }
    if (attribute === undefined) throw notAField(placeOf);
    return readAttribute(machine, machine.toJs(object), attribute, placeOf, found);
  };
}

function attributeOf(field: Field): Attribute | undefined {
  if (typeof field === 'string') return { name: field, args: undefined, named: false };
  return typeof field === 'object' && Object.hasOwn(field, 'args') ? (field as Attribute) : undefined;
}

function isReceiver(value: Value): boolean {
  return (
    typeof value === 'string' ||
    typeof value === 'number' ||
    value instanceof Float ||
    value instanceof List ||
    value instanceof Dictionary ||
    value instanceof Instance
  );
}

function inDictionary(
  machine: Machine,
  { fields }: Dictionary,
  field: Field,
  buildResult: Build,
  placeOf: PlaceOf,
  next: Step,
): Step {
  if (field instanceof LogicVariable) {
    // With a variable as its name, every field is found.
    return tryNext(machine, fields.entries(), (trying, [name, value]) =>
      unify(trying, name, field, after => unify(after, value, buildResult(after.frame), next)),
    );
  }
  const attribute = attributeOf(field);
  if (attribute === undefined) throw notAField(placeOf);
  const value = fields.get(attribute.name);
  return value === undefined ? machine.fail() : unify(machine, value, buildResult(machine.frame), next);
}

function notAField(placeOf: PlaceOf) {
  return runtimeError('TypeError', 'The name of an attribute must be a string', placeOf());
}
