import type { Context } from 'koa';
import { answerWith, errors, isClientError, KoaOsoError } from './errors.js';
import { propertyOf } from './guard/own-properties.js';
import { given } from './options.js';
import { requestOso } from './request-oso.js';
import type { DefaultAction, DefaultActor } from './types.js';
import type { AuthorizeOptions } from './verbs.js';

/** A function of the request, sync or async. */
export type OfContext<Value> = (ctx: Context) => Value | Promise<Value>;

/** What a route is authorized for: the options of `koaOso.authorize` and of `@Authorize`. */
export interface RouteCheck<Resource = unknown, Actor = DefaultActor, Action = DefaultAction> {
  /**
   * The resource, or a function that loads it; a class is a resource, not a function. Default: the request. Where
   * the function gives `null` or `undefined` the answer is 404, and the policy is not asked. With `checkRead` a 404 that it
   * throws is answered the same: in words of its own it would tell a missing resource from a hidden one.
   */
  resource?: Resource | OfContext<Resource | null | undefined>;
  /** Default: the request's method. */
  action?: Action;
  /** The actor, or a function that gets it. Default: the request's actor. */
  actor?: Actor | null | OfContext<Actor | null | undefined>;
  /** Answer 404 instead of 403 if the actor may not even read the resource. Default: as given to `KoaOso`. */
  checkRead?: boolean;
}

/**
 * The check that was asked for. A resource that is given as undefined is refused: most likely it is an import that has not
 * happened yet, and it would mean the default.
 *
 * @throws {KoaOsoError} `ERR_KOA_OSO_INVALID_ARGUMENT`
 */
export function routeCheck<Resource, Actor, Action>(
  options: RouteCheck<Resource, Actor, Action>,
): RouteCheck<unknown, unknown, unknown> {
  const check = given(options);
  if ('resource' in check && check.resource === undefined) {
    throw errors.invalidArgument(
      'The option resource is undefined. Leave it out to authorize the request, or pass ctx => resource.',
    );
  }
  return check as RouteCheck<unknown, unknown, unknown>;
}

const loaded = new WeakMap<Context, readonly unknown[]>();

/** The resources that the checks of this request loaded and authorized, the latest last. */
export function loadedResources(ctx: Context): readonly unknown[] {
  return loaded.get(ctx) ?? [];
}

/**
 * Runs one check: loads the resource, authorizes it, and keeps it.
 *
 * @param options as {@link routeCheck} gives them
 * @throws 404 if the resource is not there; else as `ctx.oso.authorize`
 */
export async function check(ctx: Context, options: RouteCheck<unknown, unknown, unknown>): Promise<void> {
  const oso = requestOso(ctx);
  try {
    const resource = await load(ctx, options, oso.checksRead(options));
    const asking = isLoader(options.actor) ? await withActor(ctx, options, options.actor) : options;
    if (resource === undefined) return await oso.notFound(asking);
    await oso.authorize(resource, asking);
    if (isLoader(options.resource)) loaded.set(ctx, [...loadedResources(ctx), resource]);
  } catch (error) {
    throw answerWith(error);
  }
}

/** The resource; undefined if it is missing. */
async function load(
  ctx: Context,
  options: RouteCheck<unknown, unknown, unknown>,
  checksRead: boolean,
): Promise<unknown> {
  const { resource } = options;
  if (!isLoader(resource)) return 'resource' in options ? resource : ctx.request;
  const find = async (): Promise<unknown> => {
    try {
      return await resource(ctx);
    } catch (error) {
      if (checksRead && isNotFound(error)) return undefined;
      throw error;
    }
  };
  return (await userFunction(ctx, find, errors.loaderFailed)) ?? undefined;
}

/** Whether it says 404: as Koa has it, or as routing-controllers. */
function isNotFound(error: unknown): boolean {
  return (
    error instanceof Error && (propertyOf(error, 'status') === 404 || propertyOf(error, 'httpCode') === 404)
  );
}

async function withActor(
  ctx: Context,
  options: AuthorizeOptions<unknown, unknown>,
  getActor: OfContext<unknown>,
): Promise<AuthorizeOptions<unknown, unknown>> {
  const actor = (await userFunction(ctx, getActor, errors.getActorFailed)) ?? null;
  return { ...options, actor };
}

/** Calls a function of the application. What it threw for the client to see stays; all else becomes 500. */
async function userFunction(
  ctx: Context,
  call: OfContext<unknown>,
  failed: (cause: unknown) => KoaOsoError,
): Promise<unknown> {
  try {
    return await call(ctx);
  } catch (error) {
    throw isClientError(error) || error instanceof KoaOsoError ? error : failed(error);
  }
}

/** Whether it is a function to call. A class is a function too; it is told by its prototype, which cannot be replaced. */
export function isLoader(value: unknown): value is OfContext<unknown> {
  return (
    typeof value === 'function' && Object.getOwnPropertyDescriptor(value, 'prototype')?.writable !== false
  );
}
