/**
 * A property that an object has itself or from its class, whatever `Object.prototype` has been given: code that merges what
 * clients send can write there, and then every object seems to have it.
 *
 * @returns undefined if only `Object.prototype` has it, or nothing
 */
export function propertyOf(object: object, name: PropertyKey): unknown {
  for (
    let each: object | null = object;
    each !== null && each !== Object.prototype;
    each = Object.getPrototypeOf(each)
  ) {
    if (Object.hasOwn(each, name)) return Reflect.get(object, name);
  }
  return undefined;
}

/**
 * What an object has itself, on an object that inherits nothing. It has the same type, for a reader is to notice no
 * difference; what is no object has nothing.
 */
export function ownOf<Owner extends object>(object: Owner): Owner {
  return Object.assign(new Own(), object) as Owner;
}

/** Inherits nothing. Every decision makes one: of a class it takes half of what a literal takes. */
class Own {}
Object.setPrototypeOf(Own.prototype, null);

/** `Object.defineProperty` by what the descriptor itself says. */
export function define(object: object, name: PropertyKey, descriptor: PropertyDescriptor): void {
  Object.defineProperty(object, name, { __proto__: null, ...descriptor } as PropertyDescriptor);
}

/** Gives an object a property that can be read and listed, and not be written. */
export function defineConstant(object: object, name: PropertyKey, value: unknown): void {
  Object.defineProperty(object, name, new Constant(value));
}

/** A descriptor that inherits nothing. Every request makes one: of a class it takes a fraction of what a literal takes. */
class Constant implements PropertyDescriptor {
  static {
    Object.setPrototypeOf(Constant.prototype, null);
  }

  readonly value: unknown;
  readonly writable = false;
  readonly enumerable = true;
  readonly configurable = true;

  constructor(value: unknown) {
    this.value = value;
  }
}

/** Gives an object properties that JSON, copies and error handlers do not come across. They can be read and written. */
export function defineHidden(object: object, properties: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(properties)) {
    define(object, name, { value, enumerable: false, writable: true, configurable: true });
  }
}
