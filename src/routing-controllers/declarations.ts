// biome-ignore-all lint/complexity/noBannedTypes: classes, of whatever constructor
import { errors } from '../errors.js';
import type { RouteCheck } from '../route-check.js';

/** What a decorator said of a class or a method. */
export type Declaration =
  | { readonly kind: 'authorize'; readonly check: RouteCheck<unknown, unknown, unknown> }
  | { readonly kind: 'skip'; readonly reason: string | undefined };

// Of a class as a whole under undefined; of its methods under their names.
const declarations = new WeakMap<Function, Map<string | undefined, Declaration[]>>();

/**
 * Notes what a decorator said.
 *
 * @returns all that has been said of the target
 * @throws {KoaOsoError} `ERR_KOA_OSO_CONFLICTING_DECORATORS` if the target is to be authorized and skipped
 */
export function declare(
  controller: Function,
  method: string | undefined,
  declaration: Declaration,
): Declaration[] {
  const ofClass = declarations.get(controller) ?? new Map<string | undefined, Declaration[]>();
  const existing = ofClass.get(method) ?? [];
  if (existing.some(other => other.kind !== declaration.kind)) {
    throw errors.conflictingDecorators(nameOf(controller, method));
  }
  // Decorators run from the bottom up, and read from the top down.
  const said = [declaration, ...existing];
  ofClass.set(method, said);
  declarations.set(controller, ofClass);
  return said;
}

/**
 * What holds for a method of a controller: all that was said of its classes and of the method itself, the base class
 * first. A skip on a method lifts what was said up to there, and is not inherited by a method that overrides it; a skip on
 * a class lifts what was said of its base classes as a whole.
 */
export function declarationsOf(controller: Function, method: string): Declaration[] {
  let holding: { declaration: Declaration; ofMethod: boolean }[] = [];
  const classes = lineage(controller);
  for (const [index, each] of classes.entries()) {
    const isOverridden = classes.slice(index + 1).some(derived => Object.hasOwn(derived.prototype, method));
    for (const target of [undefined, method]) {
      const ofMethod = target !== undefined;
      for (const declaration of declarations.get(each)?.get(target) ?? []) {
        if (declaration.kind === 'skip') {
          if (ofMethod && isOverridden) continue;
          holding = ofMethod ? [] : holding.filter(other => other.ofMethod);
        }
        holding.push({ declaration, ofMethod });
      }
    }
  }
  return holding.map(({ declaration }) => declaration);
}

/** A class and its base classes, the most basic one first. */
export function lineage(controller: Function): Function[] {
  const classes: Function[] = [];
  for (
    let each = controller;
    each !== Function.prototype && each !== null;
    each = Object.getPrototypeOf(each)
  ) {
    classes.unshift(each);
  }
  return classes;
}

export function nameOf(controller: Function, method: string | undefined): string {
  return method === undefined ? controller.name : `${controller.name}.${String(method)}`;
}
