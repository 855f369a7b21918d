import { defaultEqualityFn } from 'oso';
import { constructorOf } from '../guard/class-of.js';
import { propertyOf } from '../own-properties.js';
import { type Entity, entityOf, type Schema } from './schema.js';

/** When two values of a policy are the same, as Oso's option `equalityFn` has it. */
export type EqualityFn = (left: unknown, right: unknown) => boolean;

/**
 * Two instances of an entity are equal where their keys are, whatever else is loaded of them; all other values are as Oso
 * compares them.
 *
 * @param schema asked when two objects are compared first, for some data sources know it only when they are open
 */
export function equalityOf(schema: () => Schema): EqualityFn {
  return (left, right) => {
    if (isObject(left) && isObject(right)) {
      const cls = constructorOf(left);
      const entity = entityOf(schema(), cls);
      if (entity !== undefined && constructorOf(right) === cls) return haveSameKey(entity, left, right);
    }
    return defaultEqualityFn(left, right);
  };
}

function haveSameKey({ key }: Entity, left: object, right: object): boolean {
  return key.every(({ name }) => {
    const value = propertyOf(left, name);
    // Rows that are not saved yet have no key, and are the same as nothing but themselves.
    if (value === undefined || value === null) return left === right;
    return value === propertyOf(right, name);
  });
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}
