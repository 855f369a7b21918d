import type { Context, Middleware } from 'koa';
import { errors } from './errors.js';
import { HttpRequest } from './http-request.js';
import { requestOso } from './route-check.js';

/** What is used of a router of `@koa/router`, which `router.routes()` carries as its property `router`. */
interface Router {
  opts: { routerPath?: string };
  match(path: string, method: string): { pathAndMethod: Layer[]; route: boolean };
  matchHost(host: string): boolean;
}

interface Layer {
  captures(path: string): string[];
  params(path: string, captures: string[], params: Record<string, string>): Record<string, string>;
}

/** A Koa app, whatever the types of its state and context are. */
export interface AppWithRouters {
  readonly middleware: readonly unknown[];
}

/** See {@link KoaOso.performRouteAuthorization}. */
export function performRouteAuthorization(app?: AppWithRouters): Middleware {
  return async (ctx, next) => {
    const oso = requestOso(ctx);
    const params = matchedParams(app ?? ctx.app, ctx);
    if (params !== undefined) {
      await oso.authorize(new HttpRequest(ctx, params));
    }
    refuseOtherRoutes(ctx, params === undefined ? undefined : routedPath(ctx));
    return next();
  };
}

/** The parameters of the routes that the request will match; `undefined` where it matches none. */
function matchedParams(app: AppWithRouters, ctx: Context): Record<string, string> | undefined {
  let params: Record<string, string> | undefined;
  for (const router of routersOf(app)) {
    const path = router.opts.routerPath || routedPath(ctx);
    const { route, pathAndMethod } = router.match(path, ctx.method);
    if (!route || !router.matchHost(ctx.host)) continue;
    params ??= {};
    for (const layer of pathAndMethod) params = layer.params(path, layer.captures(path), params);
  }
  return params;
}

function routersOf(app: AppWithRouters): Router[] {
  return app.middleware.flatMap(middleware => {
    const { router } = middleware as { router?: Router };
    return router === undefined ? [] : [router];
  });
}

function routedPath(ctx: Context): string {
  return ctx.newRouterPath || ctx.path;
}

const authorizedPaths = new WeakMap<Context, Set<string>>();

/**
 * Refuses a route that is matched without having been authorized: by a router that was not found (behind a `compose` of
 * one's own, in a mounted app), or after the path was rewritten. Routers note the route that they matched on the
 * context before they run its handlers, and the note is where they are stopped.
 */
function refuseOtherRoutes(ctx: Context, path: string | undefined): void {
  const paths = authorizedPaths.get(ctx) ?? new Set();
  if (path !== undefined) paths.add(path);
  if (authorizedPaths.has(ctx)) return;

  authorizedPaths.set(ctx, paths);
  let matchedRoute: unknown;
  Object.defineProperty(ctx, '_matchedRoute', {
    configurable: true,
    enumerable: true,
    get: () => matchedRoute,
    set(route: unknown) {
      if (!paths.has(routedPath(ctx))) throw errors.routeNotAuthorized(ctx.method, route);
      matchedRoute = route;
    },
  });
}
