import type { Context } from 'koa';
import { errors } from '../errors.js';
import { constructorOf } from '../guard/class-of.js';
import { isLoader, loadedResources } from '../route-check.js';
import type { ResourceClass } from '../verbs.js';
import { type Declaration, lineage, nameOf } from './declarations.js';

/** The class that a parameter is for; undefined if it is not told. */
type Wanted = ResourceClass | undefined;

/** What the parameters of a method are for that `@AuthorizedResource` stands on, by the prototype that has the method. */
const wantedBy = new WeakMap<object, Map<string, Wanted[]>>();

/**
 * The class of a parameter, as TypeScript notes it with `emitDecoratorMetadata`. It notes Object for an interface, and
 * Function for a class that is imported as a type; compilers by esbuild (tsx, Vite) note nothing.
 */
export function notedClass(prototype: object, method: string, index: number): Wanted {
  const types: unknown = Reflect.getMetadata('design:paramtypes', prototype, method);
  const type: unknown = Array.isArray(types) ? types[index] : undefined;
  return typeof type === 'function' && type !== Object && type !== Function
    ? (type as ResourceClass)
    : undefined;
}

/**
 * Notes what a parameter is for.
 *
 * @throws {KoaOsoError} `ERR_KOA_OSO_INVALID_ARGUMENT` if it cannot be told from another of the same method
 */
export function want(prototype: object, method: string, wanted: Wanted): void {
  const ofMethods = wantedBy.get(prototype) ?? new Map<string, Wanted[]>();
  const others = ofMethods.get(method) ?? [];
  if (others.length > 0 && (wanted === undefined || others.includes(undefined) || others.includes(wanted))) {
    throw errors.ambiguousResource(nameOf(prototype.constructor, method), 'stands on several parameters');
  }
  ofMethods.set(method, [...others, wanted]);
  wantedBy.set(prototype, ofMethods);
}

/**
 * Refuses a method for which several resources are loaded and that has a parameter of which the class is not told.
 *
 * @param declarations what holds for the method
 * @throws {KoaOsoError} `ERR_KOA_OSO_INVALID_ARGUMENT`
 */
// biome-ignore lint/complexity/noBannedTypes: a class, of whatever constructor
export function refuseAmbiguity(controller: Function, method: string, declarations: Declaration[]): void {
  const declaring = lineage(controller).findLast(each => Object.hasOwn(each.prototype, method));
  const isUnknown = wantedBy.get(declaring?.prototype)?.get(method)?.includes(undefined) ?? false;
  const loaders = declarations.filter(each => each.kind === 'authorize' && isLoader(each.check.resource));
  if (isUnknown && loaders.length > 1) {
    throw errors.ambiguousResource(nameOf(controller, method), `may get any of ${loaders.length} resources`);
  }
}

/**
 * The resource of this request that a parameter is for: the latest one of its class, or else of a derived class.
 *
 * @throws {KoaOsoError} `ERR_KOA_OSO_NO_AUTHORIZED_RESOURCE` if there is none, or if it cannot be told
 */
export function authorizedResource(ctx: Context, wanted: Wanted, target: string): unknown {
  const resources = loadedResources(ctx);
  const found =
    wanted === undefined
      ? resources.length === 1
        ? resources[0]
        : undefined
      : (resources.findLast(each => constructorOf(each) === wanted) ??
        resources.findLast(each => Object(each) instanceof wanted));
  if (found !== undefined) return found;
  throw errors.noAuthorizedResource(target, wanted && named(wanted.name), resources.map(kindOf));
}

/** What a value is, for an error: its class, and nothing of the value. */
function kindOf(value: unknown): string {
  const found = constructorOf(value);
  return found === undefined || found === Object ? 'a plain object' : named(found.name);
}

function named(name: string): string {
  if (name === '') return 'something of a class without a name';
  return /^[aeiou]/i.test(name) ? `an ${name}` : `a ${name}`;
}
