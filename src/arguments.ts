import type { Class } from 'oso';
import { errors } from './errors.js';

/**
 * Refuses what cannot be meant as an action: nothing, a promise, and what a client can send in place of a name.
 *
 * @throws {KoaOsoError} `ERR_KOA_OSO_INVALID_ARGUMENT`
 */
export function requireAction(option: 'action' | 'readAction', action: unknown): void {
  if (typeof action === 'string') return;
  if (action === undefined || action === null) {
    throw errors.invalidArgument(
      `The ${option} is ${action}: a name that is not there? Leave the option out for the default.`,
    );
  }
  const mistaken = isPromise(action)
    ? 'a promise'
    : Array.isArray(action)
      ? 'an array'
      : isPlainObject(action)
        ? 'a plain object'
        : typeof action === 'function' && 'a function';
  if (mistaken) {
    throw errors.invalidArgument(
      `The ${option} is ${mistaken}. Pass the name of one; check first what a client has sent.`,
    );
  }
}

/** Refuses an actor that is not there. @throws {KoaOsoError} `ERR_KOA_OSO_INVALID_ARGUMENT` */
export function requireActor<Actor>(actor: Actor | null | undefined, otherwise: string): Actor | null {
  if (actor === undefined) {
    throw errors.invalidArgument(
      `The actor is undefined: a look-up that found nothing? ${otherwise}, or pass null for nobody.`,
    );
  }
  if (isPromise(actor)) throw errors.invalidArgument('The actor is a promise. Await it before authorizing.');
  return actor;
}

/** The rows that several questions are about, each once. @throws {KoaOsoError} `ERR_KOA_OSO_INVALID_ARGUMENT` */
export function requireRows(rows: unknown): unknown[] {
  if (Array.isArray(rows)) return [...new Set(rows)];
  throw errors.invalidArgument(
    `The rows are ${isPromise(rows) ? 'a promise. Await it before authorizing' : 'no array. Pass an array of them'}.`,
  );
}

/** The actions that several questions are about, each once. @throws {KoaOsoError} `ERR_KOA_OSO_INVALID_ARGUMENT` */
export function requireActions(actions: unknown): unknown[] {
  if (!Array.isArray(actions)) {
    throw errors.invalidArgument(
      'The actions are no array. Pass an array of them, or leave the option out for all.',
    );
  }
  const each = [...new Set(actions)];
  for (const action of each) requireAction('action', action);
  return each;
}

/** Refuses a resource that is not there. @throws {KoaOsoError} `ERR_KOA_OSO_INVALID_ARGUMENT` */
export function requireResource(resource: unknown): unknown {
  if (resource === undefined) {
    throw errors.invalidArgument(
      'The resource is undefined: a look-up that found nothing, or a property of a promise that was not awaited. ' +
        'Answer 404 where a resource may be missing; pass null to ask about nil.',
    );
  }
  if (isPromise(resource))
    throw errors.invalidArgument('The resource is a promise. Await it before authorizing.');
  return resource;
}

/** Refuses a field that is not a name. @throws {KoaOsoError} `ERR_KOA_OSO_INVALID_ARGUMENT` */
export function requireField(field: unknown): string {
  if (typeof field === 'string') return field;
  throw errors.invalidArgument(
    'The field is not a string. Pass the name of one field; check first what a client has sent.',
  );
}

/** Lists are asked for by a class: a name may have come from a client. */
export function requireClass(resourceClass: unknown): Class {
  if (typeof resourceClass === 'function') return resourceClass as Class;
  throw errors.invalidArgument('Lists are asked for by a class, and what was given is none.');
}

export function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}

/** An object as JSON and queries have it: of no class. */
function isPlainObject(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}
