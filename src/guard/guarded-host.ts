import { inspect } from 'node:util';
import type { Oso } from 'oso';
import { type AnyClass, ancestors, constructorOf, isConstructor } from './class-of.js';
import { Extent, itemsOf, refuseInexact, wellFormed } from './limits.js';
import { define } from './own-properties.js';

/**
 * Oso believes what values say of themselves. Its host looks the class of a value up by `value.constructor` in a Map that is
 * keyed by class *and by name*, so that JSON as `{"constructor":"Admin"}` is an Admin; and it hands lists to its WebAssembly
 * engine however deep they are, though some kill it for good.
 *
 * {@link guardHost} mends one Oso, and no other one of the process. Each query clones the host, so a clone of a guarded host
 * has to be a guarded one: that is all that is changed of Oso's own class. The guard stands beside the core and `polar/`, for
 * both need it and neither imports the other; it knows nothing but `oso`.
 */

type Host = ReturnType<Oso['getHost']>;
type PolarTerm = ReturnType<Host['toPolar']>;
type UserType = NonNullable<ReturnType<Host['getType']>>;

/** What is used of Oso's class. Its private members keep TypeScript from taking it as it is. */
interface OpenHost {
  readonly types: Host['types'];
  cacheClass(...args: Parameters<Host['cacheClass']>): string;
  cacheInstance(instance: unknown): number;
  getClass(name: string): AnyClass;
  getInstance(id: number): unknown;
  getType(cls?: AnyClass | string): UserType | undefined;
  isSubspecializer(id: number, left: string, right: string): Promise<boolean>;
  toJs(term: PolarTerm): Promise<unknown>;
  toPolar(value: unknown): PolarTerm;
}

interface HostClass {
  // biome-ignore lint/suspicious/noExplicitAny: TypeScript wants this of a class that is extended so.
  new (...args: any[]): OpenHost;
  clone(host: object, options: object): object;
}

/** The guarded class of each class of hosts: there are several if there are several copies of oso. */
const guardedClasses = new WeakMap<HostClass, HostClass>();
const guardedHosts = new WeakSet<object>();

/**
 * Guards the host of an Oso: no value of a query names its own class, and none is larger than Oso's engine can take. Classes
 * that are registered later are guarded as well.
 */
export function guardHost(host: Host): void {
  if (guardedHosts.has(host)) return;
  const hostClass = host.constructor as unknown as HostClass;
  let guarded = guardedClasses.get(hostClass);
  if (guarded === undefined) {
    guarded = guard(hostClass);
    guardedClasses.set(hostClass, guarded);
  }
  // The classes that Oso registers itself have no check but its own.
  const ownCheck = String(host.getType('Boolean')?.isaCheck);
  for (const type of host.types.values()) {
    if (String(type.isaCheck) === ownCheck) type.isaCheck = isMadeBy(type.cls);
  }
  Object.setPrototypeOf(host, guarded.prototype);
  guardedHosts.add(host);
}

/** Oso's own check, but for what the value itself holds as its `constructor`. */
function isMadeBy(cls: AnyClass): (value: unknown) => boolean {
  return value => value instanceof cls || constructorOf(value) === cls;
}

function guard(hostClass: HostClass): HostClass {
  const clone = hostClass.clone;
  hostClass.clone = (host, options) => {
    const cloned = clone.call(hostClass, host, options);
    return guardedHosts.has(host) ? Object.setPrototypeOf(cloned, GuardedHost.prototype) : cloned;
  };

  class GuardedHost extends hostClass {
    override cacheClass(...[cls, params]: Parameters<Host['cacheClass']>): string {
      const own = { __proto__: null, ...params };
      return super.cacheClass(cls, {
        ...own,
        __proto__: null,
        isaCheck: own.isaCheck ?? isMadeBy(cls),
      } as typeof params);
    }

    /**
     * Oso looks a type up by its name to learn that there is one; and by what a value says that its constructor is, to learn
     * of its relations. So a type that was found by a name has none.
     */
    override getType(cls?: AnyClass | string): UserType | undefined {
      const type = super.getType(cls);
      return typeof cls === 'string' && type !== undefined ? { ...type, fields: new Map() } : type;
    }

    override async isSubspecializer(id: number, left: string, right: string): Promise<boolean> {
      const instance = this.getInstance(id);
      const lineage = ancestors(constructorOf(instance instanceof Promise ? await instance : instance));
      const leftAt = lineage.indexOf(this.getClass(left));
      const rightAt = lineage.indexOf(this.getClass(right));
      return leftAt !== -1 && (rightAt === -1 || leftAt < rightAt);
    }

    override toPolar(value: unknown): PolarTerm {
      return toTerm(this, leaf => super.toPolar(leaf), value, new Extent(), 0);
    }

    override async toJs(term: PolarTerm): Promise<unknown> {
      // Oso: the rest of an open list reaches JavaScript as the engine's own object. Here that has no prototype, and
      // JavaScript could not compare it with anything.
      if ('RestVariable' in term.value) return { ...(term.value as object) };
      if (!('Dictionary' in term.value)) return super.toJs(term);
      const { fields } = term.value.Dictionary;
      const entries = await Promise.all(
        [...fields].map(async ([name, field]) => [name, await this.toJs(field)] as const),
      );
      return makeDictionary(this.getClass('Dictionary'), entries);
    }
  }
  return GuardedHost;
}

/**
 * A value as a term of Oso's engine.
 *
 * @param leaf Oso's own way for what is not a collection; it takes each argument of a rule for a value of its own
 */
function toTerm(
  host: OpenHost,
  leaf: (value: unknown) => PolarTerm,
  value: unknown,
  extent: Extent,
  depth: number,
): PolarTerm {
  if (typeof value === 'string') return { value: { String: wellFormed(value) } };
  if (typeof value === 'number') refuseInexact(value);
  const inner = (item: unknown) => toTerm(host, leaf, item, extent, depth + 1);
  if (Array.isArray(value)) return { value: { List: itemsOf(value, extent, depth, inner) } };
  if (value instanceof host.getClass('Dictionary')) {
    const entries = Object.entries(value as object);
    extent.add(entries.length, depth);
    return {
      value: {
        Dictionary: { fields: new Map(entries.map(([name, field]) => [wellFormed(name), inner(field)])) },
      },
    };
  }
  if (isConstructor(value)) return leaf(value);
  // Oso's own way reads this property, which may be a getter.
  const term = Object.hasOwn(Object(value), 'constructor') ? external(host, value) : leaf(value);
  if (!('ExternalInstance' in term.value)) return term;
  const cls = constructorOf(value);
  const type = cls === undefined ? undefined : host.types.get(cls);
  Object.assign(term.value.ExternalInstance, { class_repr: type?.name, class_id: type?.id });
  return term;
}

function external(host: OpenHost, value: unknown): PolarTerm {
  const instance = { instance_id: host.cacheInstance(value), constructor: undefined, repr: inspect(value) };
  return { value: { ExternalInstance: instance } } as unknown as PolarTerm;
}

/** A dictionary of Oso's, with names as `__proto__` as plain ones. */
export function makeDictionary(
  dictionaryClass: AnyClass,
  entries: Iterable<readonly [string, unknown]>,
): object {
  const dictionary = new dictionaryClass({}) as object;
  for (const [name, value] of entries) {
    define(dictionary, name, { value, writable: true, enumerable: true, configurable: true });
  }
  return dictionary;
}
