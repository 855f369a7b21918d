import type { Context } from 'koa';
import { errors } from './errors.js';
import { propertyOf } from './guard/own-properties.js';

/** Parameters by name. A name that is absent is `nil` in a policy, not an error. */
export type Lookup<Value = string> = Readonly<Record<string, Value | null>>;

/** A route that a request matches. */
export interface RouteMatch {
  readonly route: string | RegExp;
  readonly params: Readonly<Record<string, string>>;
}

const INSPECT = Symbol.for('nodejs.util.inspect.custom');

/**
 * The HTTP request as policies see it: the class `Request`, which koa-oso registers with Oso. Passing `ctx.request`
 * (or `ctx.req`) as the resource means this object.
 *
 * Everything is read from the Koa context when the policy asks for it, so a request that no policy looks into costs
 * next to nothing. What a client can choose freely (all but `method` and `path`, which routing fixes, and `secure`,
 * `ip` and the like, which Koa takes from the connection unless `app.proxy` is on) is data, not proof.
 *
 * @example
 * allow(_user: User, "GET", _request: Request{path: "/health"});
 * allow(user: User, "POST", request: Request) if
 *   request.params.orgId = user.orgId and request.header("x-csrf-token") != nil;
 */
export class HttpRequest {
  readonly #ctx: Context;
  readonly #match: RouteMatch | undefined;

  /** @param match the route and its parameters, if the router has yet to set them */
  constructor(ctx: Context, match?: RouteMatch) {
    this.#ctx = ctx;
    this.#match = match;
  }

  /** String. The HTTP method in capitals: `"GET"`, `"POST"`; a `HEAD` request is `"HEAD"`. */
  get method(): string {
    return this.#ctx.method;
  }

  /**
   * String. The path without the query: `"/expenses/1"`. In an app that is mounted into another with koa-mount it is the
   * whole path, not the rest behind the mount point, so that a rule for `"/"` does not open `"/admin"`. Where it cannot be
   * told, as in an app that is mounted twice, the policy fails with `ERR_KOA_OSO_UNKNOWN_PATH`.
   */
  get path(): string {
    return wholePath(this.#ctx);
  }

  /**
   * String or `nil`. The pattern of the route that was matched: `"/expenses/:id"`. Unlike the path, it is the same
   * however the client writes upper case and trailing slashes, of which routers make nothing.
   */
  get route(): string | null {
    const route = this.#match?.route ?? propertyOf(this.#ctx, '_matchedRoute');
    return route === undefined ? null : String(route);
  }

  /** String. Path and query: `"/expenses?page=2"`. */
  get url(): string {
    return this.path + this.#ctx.search;
  }

  /** String. The URL as it arrived, before any rewriting. */
  get originalUrl(): string {
    return this.#ctx.originalUrl;
  }

  /** Dictionary of String, or List of String if a name is repeated; absent names are `nil`. */
  get query(): Lookup<string | string[]> {
    return lookupOf(this.#ctx.query as Record<string, string | string[]>);
  }

  /** String. The query as it arrived, without `?`. */
  get querystring(): string {
    return this.#ctx.querystring;
  }

  /** Dictionary of String: the parameters of the matched route, `{id: "1"}`; absent names are `nil`. */
  get params(): Lookup {
    const params = this.#match?.params ?? propertyOf(this.#ctx, 'params');
    return lookupOf((params ?? {}) as Record<string, string>);
  }

  /** Dictionary of String by lower-case name (List of String for `set-cookie`); absent names are `nil`. */
  get headers(): Lookup<string | string[]> {
    return lookupOf(this.#ctx.headers as Record<string, string | string[]>);
  }

  /**
   * String or `nil`: one header, by its name in any case. For names that are not Polar symbols, as `x-api-key`. A header that
   * is empty is `nil`.
   */
  header(name: string): string | null {
    if (typeof name !== 'string') throw errors.invalidArgument('The name of a header is a string.');
    const { headers } = this.#ctx;
    // As Koa has it, which takes either spelling for the other.
    const names = /^referr?er$/i.test(name) ? ['referrer', 'referer'] : [name.toLowerCase()];
    const found = names.find(each => Object.hasOwn(headers, each));
    const value = found && headers[found];
    return (Array.isArray(value) ? value.join(', ') : value) || null;
  }

  /** String. Host name and port: `"example.com:3000"`; the empty string if the client sent none. */
  get host(): string {
    return this.#ctx.host;
  }

  /** String. Host name without the port. */
  get hostname(): string {
    return this.#ctx.hostname;
  }

  /** List of String: the subdomains of the host, the nearest to the root first. */
  get subdomains(): string[] {
    return this.#ctx.subdomains;
  }

  /** String. `"http"` or `"https"`. */
  get protocol(): string {
    return this.#ctx.protocol;
  }

  /** Boolean. Whether the request came over TLS. */
  get secure(): boolean {
    return this.#ctx.secure;
  }

  /** String. The address of the client; behind a proxy only right with `app.proxy`. */
  get ip(): string {
    return this.#ctx.ip;
  }

  /** List of String: the addresses of client and proxies; empty without `app.proxy`. */
  get ips(): string[] {
    return this.#ctx.ips;
  }

  /** String. The media type of the body, without parameters: `"application/json"`; empty if there is none. */
  get type(): string {
    return this.#ctx.request.type;
  }

  /** Integer or `nil`. The length of the body in bytes, if the client told it. */
  get length(): number | null {
    return this.#ctx.request.length ?? null;
  }

  /** How it is printed, by Oso's traces among others: without query, headers and addresses. */
  [INSPECT](): string {
    return `Request { ${this.method} ${this.#ctx.path} }`;
  }
}

/** The path from the root, also inside an app that koa-mount has taken a prefix off for. */
function wholePath(ctx: Context): string {
  const { path, mountPath } = ctx as Context & { mountPath?: string };
  const original = pathOf(ctx.originalUrl);
  // koa-mount leaves mountPath behind when it is done; the path is then whole again.
  if (mountPath === undefined || path === original) return path;
  const prefix = mountPath.replace(/\/$/, '');
  const isMountedOnce =
    path === '/' ? original === prefix || original === `${prefix}/` : original === prefix + path;
  if (!isMountedOnce) throw errors.unknownPath();
  return original;
}

/** The path of a request target, which may have come with scheme and host. */
function pathOf(target: string): string {
  return target.replace(/^[a-z][a-z\d+.-]*:\/\/[^/?#]*/i, '').replace(/[?#].*$/s, '');
}

/** Prints the names only: Oso prints what it is handed, and the values of headers are secrets. */
class Names {
  static {
    // So that every name can be one of its own: on an ordinary object, assigning `__proto__` sets the prototype.
    Object.setPrototypeOf(Names.prototype, null);
  }

  [INSPECT](): string {
    return `{ ${Object.keys(this).join(', ')} }`;
  }
}

const nilIfAbsent: ProxyHandler<Names> = {
  has: (_target, key) => typeof key === 'string',
  get: (target, key) =>
    typeof key === 'string' && Object.hasOwn(target, key) ? Reflect.get(target, key) : null,
};

/** Oso fails the whole policy if it looks up a name that is absent; for what a client may leave out, nil is meant. */
function lookupOf<Value>(record: Record<string, Value>): Lookup<Value> {
  return new Proxy(Object.assign(new Names(), record), nilIfAbsent) as unknown as Lookup<Value>;
}
