import { createParamDecorator } from 'routing-controllers';
import { errors } from '../errors.js';
import { type DecisionOptions, type ResourceClass, requestOso } from '../request-oso.js';
import { loadedResources, type RouteCheck, routeCheck } from '../route-check.js';
import type { DefaultAction, DefaultActor } from '../types.js';
import { declare, nameOf } from './declarations.js';
import { ownParameters } from './patches.js';

/** A decorator for controller classes and their methods. */
export interface ControllerDecorator {
  // biome-ignore lint/complexity/noBannedTypes: what TypeScript hands to a class decorator
  (controller: Function): void;
  (prototype: object, method: string): void;
}

/** A decorator for the parameters of controller methods. */
export type ParameterDecorator = (prototype: object, method: string, index: number) => void;

/**
 * Authorizes the request before the method runs: before its body is validated, its files are accepted and its
 * parameters are made, behind the functions of `@UseBefore`. On a class it holds for all methods, and is inherited; it
 * adds up with those on the method: all must pass.
 *
 * @throws {KoaOsoError} when the class is defined: `ERR_KOA_OSO_CONFLICTING_DECORATORS` where the same target has
 *   `@SkipAuthorization`, `ERR_KOA_OSO_INVALID_ARGUMENT` where `resource` is given as `undefined`
 * @example
 * @Get('/:id')
 * @Authorize({ resource: ctx => Expense.findOneBy({ id: ctx.params.id }), action: 'read' })
 * show(@AuthorizedResource() expense: Expense) {
 *   return expense;
 * }
 */
export function Authorize<Resource = unknown>(
  options: RouteCheck<Resource, DefaultActor, DefaultAction> = {},
): ControllerDecorator {
  return decorator({ kind: 'authorize', check: routeCheck(options) });
}

/**
 * Says that a method needs no authorization, and lifts the `@Authorize` of its class for it. On a class it holds for
 * all methods that have no `@Authorize` of their own.
 *
 * @param reason for the reader, and for `ctx.state.oso.skipReason`
 * @throws {KoaOsoError} when the class is defined: `ERR_KOA_OSO_CONFLICTING_DECORATORS` where the same target has
 *   `@Authorize`
 * @example
 * @Get('/health')
 * @SkipAuthorization('the load balancer has no account')
 * health() {
 *   return 'ok';
 * }
 */
export function SkipAuthorization(reason?: string): ControllerDecorator {
  return decorator({ kind: 'skip', reason });
}

function decorator(declaration: Parameters<typeof declare>[2]): ControllerDecorator {
  return (target: object, method?: string) => {
    if (typeof target !== 'function') declare(target.constructor, method, declaration);
    else if (method === undefined) declare(target, undefined, declaration);
    else throw errors.invalidArgument(`${nameOf(target, method)} is static, and no method of a controller.`);
  };
}

/**
 * Injects the actor of the request: what `getActor` gave, `null` for nobody.
 *
 * @example
 * @Post('/')
 * create(@CurrentActor() user: User, @Body() expense: NewExpense) {}
 */
export function CurrentActor(): ParameterDecorator {
  return parameter(() => action => requestOso(action.context).currentActor);
}

/**
 * Injects the resource that `@Authorize({ resource: ctx => … })` loaded and authorized for this request, so that it is
 * not loaded twice. Where several were, it is the latest that is an instance of the parameter's class: those of a
 * method come after those of its class. Where TypeScript tells no class (an interface, `import type`), it is the latest.
 *
 * Without one the request fails with `ERR_KOA_OSO_NO_AUTHORIZED_RESOURCE` (500).
 */
export function AuthorizedResource(): ParameterDecorator {
  return parameter((prototype, method, index) => {
    const type = parameterType(prototype, method, index);
    return action => {
      const resource = loadedResources(action.context).findLast(each => isOfType(each, type));
      if (resource === undefined) throw errors.noAuthorizedResource(nameOf(prototype.constructor, method));
      return resource;
    };
  });
}

/**
 * Injects a query for the resources of a class on which the actor may do the action, as `ctx.oso.authorizedQuery` makes
 * it. It authorizes the request.
 *
 * @throws {KoaOsoError} `ERR_KOA_OSO_INVALID_ARGUMENT` when the controller is defined, where no class is given
 * @example
 * @Get('/')
 * list(@AuthorizedQuery(Expense, { action: 'read' }) expenses: SelectQueryBuilder<Expense>) {
 *   return expenses.orderBy('Expense.id').take(20).getMany();
 * }
 */
export function AuthorizedQuery(
  resourceClass: ResourceClass,
  options: DecisionOptions<DefaultActor, DefaultAction> = {},
): ParameterDecorator {
  requireClass('@AuthorizedQuery', resourceClass);
  return parameter(() => action => requestOso(action.context).authorizedQuery(resourceClass, options));
}

/**
 * Injects the resources of a class on which the actor may do the action, as `ctx.oso.authorizedResources` loads them. It
 * authorizes the request.
 *
 * @throws {KoaOsoError} `ERR_KOA_OSO_INVALID_ARGUMENT` when the controller is defined, where no class is given
 * @example
 * @Get('/')
 * list(@AuthorizedResources(Organization, { action: 'read' }) organizations: Organization[]) {
 *   return organizations;
 * }
 */
export function AuthorizedResources(
  resourceClass: ResourceClass,
  options: DecisionOptions<DefaultActor, DefaultAction> = {},
): ParameterDecorator {
  requireClass('@AuthorizedResources', resourceClass);
  return parameter(() => action => requestOso(action.context).authorizedResources(resourceClass, options));
}

/** Modules that import each other can leave a decorator with undefined in place of a class. */
function requireClass(decorator: string, resourceClass: unknown): void {
  if (typeof resourceClass === 'function') return;
  throw errors.invalidArgument(
    `${decorator} was given no class. Where modules import each other, the class may not be there yet.`,
  );
}

type Inject = (action: { context?: unknown } & { context: Parameters<typeof requestOso>[0] }) => unknown;

function parameter(
  injectFor: (prototype: object, method: string, index: number) => Inject,
): ParameterDecorator {
  return (prototype, method, index) => {
    const value = injectFor(prototype, method, index) as (action: unknown) => unknown;
    ownParameters.add(value);
    createParamDecorator({ value })(prototype, method, index);
  };
}

/**
 * The class of a parameter, as TypeScript notes it with `emitDecoratorMetadata`: Object where it is an interface, Function
 * where it is a class that was imported as a type.
 */
function parameterType(prototype: object, method: string, index: number): unknown {
  const types: unknown = Reflect.getMetadata('design:paramtypes', prototype, method);
  return Array.isArray(types) ? types[index] : undefined;
}

function isOfType(value: unknown, type: unknown): boolean {
  return typeof type !== 'function' || type === Object || type === Function || value instanceof type;
}
