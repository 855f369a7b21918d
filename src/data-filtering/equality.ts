import { defaultEqualityFn } from 'oso';
import { constructorOf } from '../guard/class-of.js';
import { propertyOf } from '../guard/own-properties.js';
import { type Entity, entityOf, type Schema } from './schema.js';

/** When two values of a policy are the same, as Oso's option `equalityFn` has it. */
export type EqualityFn = (left: unknown, right: unknown) => boolean;

/**
 * Two instances of an entity are equal if their keys are, whatever else is loaded of them; all other values are as Oso
 * compares them.
 *
 * @param schema asked when two objects are compared first, for some data sources know it only when they are open
 * @param otherwise compares all else; by default as Oso does
 */
export function equalityOf(
  schema: () => Schema,
  otherwise: (left: unknown, right: unknown) => unknown = defaultEqualityFn,
): EqualityFn {
  const entities = new WeakMap<object, { readonly entity: Entity | undefined }>();
  const entityOfClass = (cls: object): Entity | undefined => {
    let known = entities.get(cls);
    if (known === undefined) {
      known = { entity: entityOf(schema(), cls) };
      entities.set(cls, known);
    }
    return known.entity;
  };
  const equals: EqualityFn = (left, right) => {
    if (isObject(left) && isObject(right)) {
      const cls = constructorOf(left);
      const entity = cls && entityOfClass(cls);
      if (entity !== undefined && constructorOf(right) === cls) return haveSameKey(entity, left, right);
    }
    return otherwise(left, right) as boolean;
  };
  if (isOsosButForRows(otherwise)) likeOsos.add(equals);
  return equals;
}

const likeOsos = new WeakSet<(left: unknown, right: unknown) => unknown>();

/** Whether a function compares as Oso does, but for instances of entities: those equal nothing but instances of their class. */
export function isOsosButForRows(equals: (left: unknown, right: unknown) => unknown): boolean {
  return equals === defaultEqualityFn || likeOsos.has(equals);
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

/**
 * Compares two instances that have the same key and nothing else in common, and two that have not, for each entity.
 *
 * @param compare how an Oso compares values
 * @returns the name of an entity whose instances are not compared by their keys; undefined if there is none
 */
export async function comparedOtherwise(
  schema: Schema,
  compare: (left: object, right: object) => Promise<unknown>,
): Promise<string | undefined> {
  for (const entity of schema.values()) {
    const [first, same, other] = [
      instance(entity, 1, 1),
      instance(entity, 1, 2),
      instance(entity, 2, 1),
    ] as const;
    try {
      if ((await compare(first, same)) === true && (await compare(first, other)) === false) continue;
    } catch {
      // It cannot be by the key, for there is nothing else to fail.
    }
    return entity.name;
  }
  return undefined;
}

function instance({ class: { prototype }, key }: Entity, id: number, rest: number): object {
  const properties = key.map(({ name }) => [name, { value: id, enumerable: true }]);
  return Object.create(
    prototype,
    Object.fromEntries([...properties, [REST, { value: rest, enumerable: true }]]),
  );
}

/** A property that no entity has. */
const REST = 'koaOso: what else is loaded';
