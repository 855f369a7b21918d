import type { Context, Middleware } from 'koa';
import { errors } from './errors.js';
import { define, propertyOf } from './guard/own-properties.js';
import { HttpRequest, type RouteMatch } from './http-request.js';
import { requestOso } from './request-oso.js';

/** What is used of a router of `@koa/router`, which `router.routes()` carries as its property `router`. */
interface Router {
  opts: { routerPath?: string };
  match(path: string, method: string): { pathAndMethod: Layer[]; route: boolean };
  matchHost(host: string): boolean;
}

interface Layer {
  path: string | RegExp;
  methods: string[];
  captures(path: string): string[];
  params(path: string, captures: string[], params: Record<string, string>): Record<string, string>;
}

/** A Koa app, whatever the types of its state and context are. */
export interface AppWithRouters {
  readonly middleware: readonly unknown[];
}

/** See {@link KoaOso.performRouteAuthorization}. */
export function performRouteAuthorization(app?: AppWithRouters): Middleware {
  return async function performRouteAuthorization(ctx, next) {
    const oso = requestOso(ctx);
    const layers = layersMatchedBy(ctx, app ?? ctx.app);
    for (const match of routesOf(layers)) await oso.authorize(new HttpRequest(ctx, match));
    refuseOtherRoutes(
      ctx,
      layers.map(({ layer }) => layer.path),
    );
    return next();
  };
}

interface MatchedLayer {
  layer: Layer;
  params: Record<string, string>;
}

/** What the routers will run for the request, each layer with the parameters that it will see. */
function layersMatchedBy(ctx: Context, app: AppWithRouters): MatchedLayer[] {
  const layers: MatchedLayer[] = [];
  let params: Record<string, string> = {};
  for (const router of routersOf(app)) {
    const path = router.opts.routerPath || routedPath(ctx);
    const { route, pathAndMethod } = router.match(path, ctx.method);
    if (!route || !router.matchHost(ctx.host)) continue;
    for (const layer of pathAndMethod) {
      // A copy: the routers of @koa/router 13 write to what they are handed.
      params = layer.params(path, layer.captures(path), { ...params });
      layers.push({ layer, params });
    }
  }
  return layers;
}

/**
 * Every route that the request matches. Usually it is one; if there are more, the first may answer, or hand on to
 * the next, each with parameters of its own. So the policy has to allow them all.
 */
function routesOf(layers: MatchedLayer[]): RouteMatch[] {
  const routes = layers.filter(({ layer }) => layer.methods.length > 0);
  return routes.map(({ layer, params }) => ({ route: layer.path, params }));
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

/** What routers go by. A router may be made for a host, and a host can be rewritten as a path can. */
function routing(ctx: Context): string {
  return `${ctx.method} ${ctx.host} ${routedPath(ctx)}`;
}

const authorizedRoutes = new WeakMap<Context, Map<string, Set<unknown>>>();

/**
 * Refuses a route that is matched without having been authorized: by a router that was not found (behind a `compose` of
 * one's own, in a mounted app), or after path, method or host were rewritten. Routers note the route that they matched on the
 * context before they run its handlers, and the note is where they are stopped.
 */
function refuseOtherRoutes(ctx: Context, routes: unknown[]): void {
  const known = authorizedRoutes.get(ctx);
  const authorized = known ?? new Map<string, Set<unknown>>();
  authorized.set(routing(ctx), new Set([...(authorized.get(routing(ctx)) ?? []), ...routes]));
  if (known !== undefined) return;

  authorizedRoutes.set(ctx, authorized);
  let matchedRoute = propertyOf(ctx, '_matchedRoute');
  define(ctx, '_matchedRoute', {
    configurable: true,
    enumerable: true,
    get: () => matchedRoute,
    set(route: unknown) {
      if (!authorized.get(routing(ctx))?.has(route)) throw errors.routeNotAuthorized(ctx.method, route);
      matchedRoute = route;
    },
  });
}
