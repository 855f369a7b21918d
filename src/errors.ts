import { define, defineHidden, propertyOf } from './own-properties.js';

/**
 * The stable `code` of every error that koa-oso throws on its own account.
 *
 * | code | status | meaning |
 * | --- | --- | --- |
 * | `ERR_KOA_OSO_FORBIDDEN` | 403 | the policy denied, and the default unauthorized action answered |
 * | `ERR_KOA_OSO_NOT_FOUND` | 404 | the resource does not exist, or (with `checkRead`) the actor may not know that it does |
 * | `ERR_KOA_OSO_AUTHORIZATION_MISSING` | 500 | a route answered without `authorize` or `skipAuthorization` |
 * | `ERR_KOA_OSO_NOT_AWAITED` | 500 | `isAllowed` or another question was asked without `await` |
 * | `ERR_KOA_OSO_MIDDLEWARE_MISSING` | 500 | `app.use(koaOso.middleware())` did not run before this |
 * | `ERR_KOA_OSO_NO_OSO` | 500 | no Oso was given to `new KoaOso({ oso })` or `setOso` |
 * | `ERR_KOA_OSO_NO_RULES` | 500 | the policy has no rule by the name that was asked |
 * | `ERR_KOA_OSO_POLICY_FAILED` | 500 | the policy threw while it decided |
 * | `ERR_KOA_OSO_VALUE_REFUSED` | 500 | a value is nested too deep, too long or not exact, so that nothing can be decided about it |
 * | `ERR_KOA_OSO_UNREGISTERED_CLASS` | 500 | the policy names a class that Oso was not told about |
 * | `ERR_KOA_OSO_GET_ACTOR_FAILED` | 500 | `getActor`, or an `actor` function, threw |
 * | `ERR_KOA_OSO_LOADER_FAILED` | 500 | the `resource` function of a route check threw |
 * | `ERR_KOA_OSO_UNAUTHORIZED_ACTION_FAILED` | 500 | the unauthorized action threw something that is not an Error |
 * | `ERR_KOA_OSO_INVALID_ARGUMENT` | 500 | an actor, resource or option that cannot be meant |
 * | `ERR_KOA_OSO_ROUTE_NOT_AUTHORIZED` | 500 | a router ran that `performRouteAuthorization` had not seen |
 * | `ERR_KOA_OSO_CONFLICTING_DECORATORS` | – | `@Authorize` and `@SkipAuthorization` on one target |
 * | `ERR_KOA_OSO_NO_AUTHORIZED_RESOURCE` | 500 | `@AuthorizedResource()` where nothing was loaded |
 * | `ERR_KOA_OSO_UNKNOWN_PATH` | 500 | a policy asked for a path that is not known, in apps mounted twice |
 * | `ERR_KOA_OSO_UNFILTERABLE_POLICY` | 500 | a list was asked for by a policy that is no query; the message says which rule |
 * | `ERR_KOA_OSO_NO_CURRENT_REQUEST` | 500 | `koaOso.current` outside of a request |
 */
export type ErrorCode =
  | 'ERR_KOA_OSO_FORBIDDEN'
  | 'ERR_KOA_OSO_NOT_FOUND'
  | 'ERR_KOA_OSO_AUTHORIZATION_MISSING'
  | 'ERR_KOA_OSO_NOT_AWAITED'
  | 'ERR_KOA_OSO_MIDDLEWARE_MISSING'
  | 'ERR_KOA_OSO_NO_OSO'
  | 'ERR_KOA_OSO_NO_RULES'
  | 'ERR_KOA_OSO_POLICY_FAILED'
  | 'ERR_KOA_OSO_VALUE_REFUSED'
  | 'ERR_KOA_OSO_UNREGISTERED_CLASS'
  | 'ERR_KOA_OSO_GET_ACTOR_FAILED'
  | 'ERR_KOA_OSO_LOADER_FAILED'
  | 'ERR_KOA_OSO_UNAUTHORIZED_ACTION_FAILED'
  | 'ERR_KOA_OSO_INVALID_ARGUMENT'
  | 'ERR_KOA_OSO_ROUTE_NOT_AUTHORIZED'
  | 'ERR_KOA_OSO_CONFLICTING_DECORATORS'
  | 'ERR_KOA_OSO_NO_AUTHORIZED_RESOURCE'
  | 'ERR_KOA_OSO_UNKNOWN_PATH'
  | 'ERR_KOA_OSO_UNFILTERABLE_POLICY'
  | 'ERR_KOA_OSO_NO_CURRENT_REQUEST';

/**
 * Something is wrong with how authorization is set up, or it could not be decided. Koa answers 500 and tells
 * the client nothing; the `message` tells the developer what to do.
 *
 * The `message` never holds a value of the actor or the resource. Oso's own messages do (it prints both whole),
 * so the original error is kept out of sight: as `cause`, which is not enumerable, and a getter, which
 * `console.error(error)` does not call. Log `error.cause` only where such values may go.
 *
 * @example
 * app.on('error', error => {
 *   if (error instanceof KoaOsoError) metrics.increment(error.code);
 * });
 */
export class KoaOsoError extends Error {
  readonly code: ErrorCode;
  /** What Koa answers with. */
  readonly status = 500;
  /** The same, by the name that `http-errors` uses beside `status`. */
  readonly statusCode = 500;
  /** Whether Koa may send the message to the client: never. */
  readonly expose = false;

  constructor(code: ErrorCode, message: string, cause?: unknown) {
    super(message);
    this.name = 'KoaOsoError';
    this.code = code;
    // Node prints the cause of an error that nobody catches, and console.error that of any; but neither calls a getter.
    if (cause !== undefined) define(this, 'cause', { get: () => cause });
  }

  /** What `JSON.stringify` gives: the message of the cause stays inside. */
  toJSON(): { name: string; code: ErrorCode; message: string } {
    return { name: this.name, code: this.code, message: this.message };
  }
}

/** An error that carries its own HTTP answer, as `http-errors` makes them. */
export interface HttpError extends Error {
  status: number;
  expose: boolean;
  headers?: Record<string, string>;
}

/** Whether `error` was made to be seen by the client: `ctx.throw(4xx)`, `http-errors`, or the like. */
export function isClientError(error: unknown): error is HttpError {
  return (
    error instanceof Error &&
    propertyOf(error, 'expose') === true &&
    propertyOf(error, 'status') !== undefined
  );
}

const answers = new WeakSet<object>();

/**
 * Turns what a user's function threw into the error that ends the request, and remembers it as koa-oso's answer.
 *
 * Koa goes by `status` and `expose`; the errors of routing-controllers have only an `httpCode`, for which Koa
 * would answer 500, so the two are filled in (not enumerable, so that no JSON body grows by them).
 */
export function answerWith(thrown: unknown): Error {
  const error = thrown instanceof Error ? extensible(thrown) : errors.unauthorizedActionFailed(thrown);
  const status = propertyOf(error, 'httpCode');
  if (typeof status === 'number' && propertyOf(error, 'status') === undefined) {
    defineHidden(error, { status, expose: status < 500 });
  }
  answers.add(error);
  return error;
}

/** Koa writes to the errors that it answers with, and would fail with one that is frozen. */
function extensible(error: Error): Error {
  if (Object.isExtensible(error)) return error;
  const copy = Object.assign(new Error(error.message), error, { name: error.name });
  // The prototypes of http-errors have some of these.
  for (const key of ['status', 'statusCode', 'httpCode', 'expose']) {
    const value = propertyOf(error, key);
    if (value !== undefined) Object.assign(copy, { [key]: value });
  }
  return copy;
}

/** Whether `error` is how koa-oso ends a request: a denial, a resource that is not there, or a KoaOsoError. */
export function isAnswer(error: unknown): error is Error {
  return error instanceof KoaOsoError || (error instanceof Error && answers.has(error));
}

/** What may be told of an error in the policy: all that CompiledOso says, for it names no values; of others, the name. */
function toldOf(cause: unknown): string {
  if (!(cause instanceof Error)) return 'unknown error';
  const { code } = cause as { code?: unknown };
  if (typeof code === 'string' && code.startsWith('ERR_KOA_OSO_POLICY'))
    return cause.message.replace(/\.$/, '');
  return /^[\w:]+$/.test(cause.name) ? cause.name : 'unknown error';
}

const REGISTER =
  'Call oso.registerClass(…) for every class that the policy names, before the policy is loaded.';

/** Every KoaOsoError of the package, each with the message that says what to do. */
export const errors = {
  authorizationMissing(method: string, route: unknown): KoaOsoError {
    const where = route === undefined ? `${method} (no route of a router)` : `${method} ${String(route)}`;
    return new KoaOsoError(
      'ERR_KOA_OSO_AUTHORIZATION_MISSING',
      `${where} answered without authorization, so its response was withheld. ` +
        'Call await ctx.oso.authorize(resource), or ctx.oso.skipAuthorization(reason) where none is needed.',
    );
  },

  notAwaited(verb: string): KoaOsoError {
    return new KoaOsoError(
      'ERR_KOA_OSO_NOT_AWAITED',
      `Nobody looked at the answer of ctx.oso.${verb}. Its promise is always true in a condition, and has none of ` +
        `the properties of the answer, so the response was withheld. Write await ctx.oso.${verb}, and ask only ` +
        'what is used.',
    );
  },

  middlewareMissing(): KoaOsoError {
    return new KoaOsoError(
      'ERR_KOA_OSO_MIDDLEWARE_MISSING',
      'There is no ctx.oso here. Call app.use(koaOso.middleware()) before the routes.',
    );
  },

  noOso(): KoaOsoError {
    return new KoaOsoError(
      'ERR_KOA_OSO_NO_OSO',
      'KoaOso has no Oso to decide with. Pass one to new KoaOso({ oso }), or call koaOso.setOso(oso).',
    );
  },

  noRules(rule: string, cause: unknown): KoaOsoError {
    return new KoaOsoError(
      'ERR_KOA_OSO_NO_RULES',
      `The policy has no rule \`${rule}\`. ` +
        `Load a policy that defines it, with oso.loadFiles([…]) or oso.loadStr('${rule}(…) if …;').`,
      cause,
    );
  },

  policyFailed(cause: unknown): KoaOsoError {
    return new KoaOsoError(
      'ERR_KOA_OSO_POLICY_FAILED',
      `The policy could not decide: ${toldOf(cause)}. The error's cause has the details; it may hold values of the ` +
        'actor and the resource, so mind where it is logged.',
      cause,
    );
  },

  valueRefused(cause: Error): KoaOsoError {
    return new KoaOsoError(
      'ERR_KOA_OSO_VALUE_REFUSED',
      `${cause.message} Validate what a client sends before a policy is asked about it.`,
      cause,
    );
  },

  unregisteredClass(classes: readonly string[], cause?: unknown): KoaOsoError {
    const subject = classes.length > 0 ? classes.join(', ') : 'a class';
    return new KoaOsoError(
      'ERR_KOA_OSO_UNREGISTERED_CLASS',
      `The policy names ${subject}, which is not registered with Oso. ${REGISTER}`,
      cause,
    );
  },

  requestClassTaken(): KoaOsoError {
    return new KoaOsoError(
      'ERR_KOA_OSO_INVALID_ARGUMENT',
      "This Oso has a class of another kind registered as 'Request', the name by which policies see the HTTP " +
        "request. Register yours by another name: oso.registerClass(Yours, { name: '…' }).",
    );
  },

  getActorFailed(cause: unknown): KoaOsoError {
    return new KoaOsoError(
      'ERR_KOA_OSO_GET_ACTOR_FAILED',
      'The function that gets the actor threw. Mend it, or replace it with koaOso.setGetActor(ctx => …).',
      cause,
    );
  },

  loaderFailed(cause: unknown): KoaOsoError {
    return new KoaOsoError(
      'ERR_KOA_OSO_LOADER_FAILED',
      'The resource function of a route check threw. The error is the cause of this one.',
      cause,
    );
  },

  unauthorizedActionFailed(cause: unknown): KoaOsoError {
    return new KoaOsoError(
      'ERR_KOA_OSO_UNAUTHORIZED_ACTION_FAILED',
      'The unauthorized action threw something that is not an Error. Let it call ctx.throw(status, message).',
      cause,
    );
  },

  invalidArgument(message: string): KoaOsoError {
    return new KoaOsoError('ERR_KOA_OSO_INVALID_ARGUMENT', message);
  },

  routeNotAuthorized(method: string, route: unknown): KoaOsoError {
    return new KoaOsoError(
      'ERR_KOA_OSO_ROUTE_NOT_AUTHORIZED',
      `${method} ${String(route)} was matched by a router that performRouteAuthorization() had not seen, or under ` +
        'another path or method, so it was refused. Pass router.routes() straight to app.use, put what rewrites ' +
        'paths or methods before performRouteAuthorization(), and in an app that is mounted into another call ' +
        'mounted.use(koaOso.performRouteAuthorization(mounted)).',
    );
  },

  conflictingDecorators(target: string): KoaOsoError {
    return new KoaOsoError(
      'ERR_KOA_OSO_CONFLICTING_DECORATORS',
      `${target} has both @Authorize and @SkipAuthorization. Remove one of them.`,
    );
  },

  noAuthorizedResource(target: string): KoaOsoError {
    return new KoaOsoError(
      'ERR_KOA_OSO_NO_AUTHORIZED_RESOURCE',
      `@AuthorizedResource() on ${target} found no resource of its type. ` +
        'Give the method @Authorize({ resource: ctx => … }).',
    );
  },

  unknownPath(): KoaOsoError {
    return new KoaOsoError(
      'ERR_KOA_OSO_UNKNOWN_PATH',
      'The whole path of the request is not known: the app is mounted into a mounted app, or the path was rewritten ' +
        'on the way. Let the policy ask for request.originalUrl or request.route.',
    );
  },

  noCurrentRequest(): KoaOsoError {
    return new KoaOsoError(
      'ERR_KOA_OSO_NO_CURRENT_REQUEST',
      'koaOso.current is known only inside a request of an app made with new Koa({ asyncLocalStorage: true }), ' +
        'after koaOso.middleware().',
    );
  },
};
