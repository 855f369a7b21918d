/** A constructor, as `registerClass` takes it. */
// biome-ignore lint/suspicious/noExplicitAny: this is how oso types a class with any constructor.
export type AnyClass = new (...args: any[]) => unknown;

/**
 * The class that made a value: the function that a prototype of the value has as its own `constructor`, and that has this
 * prototype as its `prototype`. Undefined if there is none.
 *
 * What the value itself holds by that name says nothing: it may be JSON of a client, as `{"constructor":"Admin"}` is. The
 * same goes for a prototype that is JSON, as `Object.assign({}, JSON.parse('{"__proto__":…}'))` makes one.
 *
 * @example
 * ```ts
 * constructorOf(new Admin()); // Admin
 * constructorOf(Object.assign(new User(), { constructor: Admin })); // User
 * ```
 */
export function constructorOf(value: unknown): AnyClass | undefined {
  if (value === null || value === undefined) return undefined;
  for (let prototype = prototypeOf(value); prototype !== null; prototype = prototypeOf(prototype)) {
    const made = (prototype as { constructor?: unknown }).constructor;
    // An inherited constructor belongs to another prototype, which is looked at in its turn.
    if (typeof made === 'function' && made.prototype === prototype) return made as AnyClass;
  }
  return undefined;
}

/** A class and those it inherits from, nearest first. */
export function ancestors(cls: unknown): AnyClass[] {
  const lineage: AnyClass[] = [];
  for (let next = cls; isConstructor(next); next = prototypeOf(next)) {
    lineage.push(next);
    if (prototypeOf(next) === Function.prototype) break;
  }
  return lineage;
}

export function isConstructor(value: unknown): value is AnyClass {
  if (typeof value !== 'function') return false;
  try {
    Reflect.construct(String, [], value);
    return true;
  } catch {
    return false;
  }
}

function prototypeOf(value: unknown): unknown {
  return Object.getPrototypeOf(value);
}
