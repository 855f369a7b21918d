import { createParamDecorator } from 'routing-controllers';
import { errors } from '../errors.js';
import { requestOso } from '../request-oso.js';
import { type RouteCheck, routeCheck } from '../route-check.js';
import type { DefaultAction, DefaultActor } from '../types.js';
import type { DecisionOptions, ResourceClass } from '../verbs.js';
import { declare, nameOf } from './declarations.js';
import { authorizedResource, notedClass, refuseAmbiguity, want } from './injected-resource.js';
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
 * @throws {KoaOsoError} when the class is defined: `ERR_KOA_OSO_CONFLICTING_DECORATORS` if the same target has
 *   `@SkipAuthorization`, `ERR_KOA_OSO_INVALID_ARGUMENT` if `resource` is given as `undefined`
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
 * @throws {KoaOsoError} when the class is defined: `ERR_KOA_OSO_CONFLICTING_DECORATORS` if the same target has
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
    if (typeof target === 'function') {
      if (method === undefined) declare(target, undefined, declaration);
      else
        throw errors.invalidArgument(`${nameOf(target, method)} is static, and no method of a controller.`);
    } else if (method !== undefined) {
      refuseAmbiguity(target.constructor, method, declare(target.constructor, method, declaration));
    }
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
 * not loaded twice. If several were, it is the latest that is an instance of the parameter's class: those of a method come
 * after those of its class.
 *
 * @param resourceClass the class of the parameter; by default the one that TypeScript notes. Name it if the type is an
 *   interface or comes by `import type`, or if the compiler emits no decorator metadata (tsx, esbuild): then there is no
 *   other way to tell one resource from another
 * @throws {KoaOsoError} `ERR_KOA_OSO_INVALID_ARGUMENT` when the controller is defined, if several parameters of a method are
 *   of one class, or of one that is not told, or if `resourceClass` is undefined; when the controller is defined or
 *   registered, if several resources are loaded for a parameter of which the class is not told. In a request,
 *   `ERR_KOA_OSO_NO_AUTHORIZED_RESOURCE` (500) if nothing of the class was loaded
 * @example
 * @Post('/:team/expenses/:id')
 * @Authorize({ resource: findTeam, action: 'read' })
 * @Authorize({ resource: findExpense, action: 'move' })
 * move(@AuthorizedResource(Team) team: Team, @AuthorizedResource(Expense) expense: Expense) {}
 */
export function AuthorizedResource(...named: [resourceClass?: ResourceClass]): ParameterDecorator {
  if (named.length > 0) requireClass('@AuthorizedResource', named[0]);
  return parameter((prototype, method, index) => {
    const wanted = named[0] ?? notedClass(prototype, method, index);
    want(prototype, method, wanted);
    return action => authorizedResource(action.context, wanted, nameOf(prototype.constructor, method));
  });
}

/**
 * Injects a query for the resources of a class on which the actor may do the action, as `ctx.oso.authorizedQuery` makes
 * it. It authorizes the request.
 *
 * @throws {KoaOsoError} `ERR_KOA_OSO_INVALID_ARGUMENT` when the controller is defined, if no class is given
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
 * @throws {KoaOsoError} `ERR_KOA_OSO_INVALID_ARGUMENT` when the controller is defined, if no class is given
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
