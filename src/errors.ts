import { isProxy } from 'node:util/types';
import { define, defineHidden, propertyOf } from './guard/own-properties.js';

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
 * | `ERR_KOA_OSO_ENGINE_DEAD` | 500 | Oso's WebAssembly engine has died of this question, or before |
 * | `ERR_KOA_OSO_POLICY_REFUSED` | – | `reloadPolicy` or `watchPolicy`: the new policy was not taken, and the old one stays in force |
 * | `ERR_KOA_OSO_GET_ACTOR_FAILED` | 500 | `getActor`, or an `actor` function, threw |
 * | `ERR_KOA_OSO_LOADER_FAILED` | 500 | the `resource` function of a route check threw |
 * | `ERR_KOA_OSO_UNAUTHORIZED_ACTION_FAILED` | 500 | the unauthorized action threw something that is not an Error |
 * | `ERR_KOA_OSO_INVALID_ARGUMENT` | 500 | an actor, resource or option that cannot be meant |
 * | `ERR_KOA_OSO_ROUTE_NOT_AUTHORIZED` | 500 | a router ran that `performRouteAuthorization` had not seen |
 * | `ERR_KOA_OSO_CONFLICTING_DECORATORS` | – | `@Authorize` and `@SkipAuthorization` on one target |
 * | `ERR_KOA_OSO_NO_AUTHORIZED_RESOURCE` | 500 | nothing was loaded that `@AuthorizedResource()` wants, or it cannot be told which |
 * | `ERR_KOA_OSO_UNKNOWN_PATH` | 500 | a policy asked for a path that is not known, in apps mounted twice |
 * | `ERR_KOA_OSO_UNFILTERABLE_POLICY` | 500 | a list was asked for by a policy that is no query; the message says which rule |
 * | `ERR_KOA_OSO_ENTITIES_DIFFER` | – | `checkEntities` found that the database is not as the entities say |
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
  | 'ERR_KOA_OSO_ENGINE_DEAD'
  | 'ERR_KOA_OSO_POLICY_REFUSED'
  | 'ERR_KOA_OSO_GET_ACTOR_FAILED'
  | 'ERR_KOA_OSO_LOADER_FAILED'
  | 'ERR_KOA_OSO_UNAUTHORIZED_ACTION_FAILED'
  | 'ERR_KOA_OSO_INVALID_ARGUMENT'
  | 'ERR_KOA_OSO_ROUTE_NOT_AUTHORIZED'
  | 'ERR_KOA_OSO_CONFLICTING_DECORATORS'
  | 'ERR_KOA_OSO_NO_AUTHORIZED_RESOURCE'
  | 'ERR_KOA_OSO_UNKNOWN_PATH'
  | 'ERR_KOA_OSO_UNFILTERABLE_POLICY'
  | 'ERR_KOA_OSO_ENTITIES_DIFFER'
  | 'ERR_KOA_OSO_NO_CURRENT_REQUEST';

/**
 * Something is wrong with how authorization is set up, or it could not be decided. Koa answers 500 and tells
 * the client nothing; the `message` tells the developer what to do.
 *
 * The `message` never holds a value of the actor or the resource. Oso's own messages do (it prints both whole),
 * so the original error is kept out of sight: as `cause`, which is not enumerable, and a getter, which
 * `console.error(error)` does not call. Log `error.cause` only where such values may go.
 *
 * None of it is for clients. Handlers of errors that send what is enumerable of an error, or its JSON, send nothing of this
 * one: no property is enumerable, and its JSON is that of any internal error. A log of JSON needs `error.code` and
 * `error.message` by name. The console shows both.
 *
 * @example
 * app.on('error', error => {
 *   if (error instanceof KoaOsoError) metrics.increment(error.code);
 * });
 */
export class KoaOsoError extends Error {
  declare readonly code: ErrorCode;
  /** What Koa answers with. */
  declare readonly status: 500;
  /** The same, by the name that `http-errors` uses beside `status`. */
  declare readonly statusCode: 500;
  /** Whether Koa may send the message to the client: never. */
  declare readonly expose: false;

  constructor(code: ErrorCode, message: string, cause?: unknown) {
    super(message);
    // As Node's own errors: the stack, which is what the console gets, begins with the name as it is when it is read first.
    defineHidden(this, { name: `KoaOsoError [${code}]` });
    void this.stack;
    defineHidden(this, { name: 'KoaOsoError', code, status: 500, statusCode: 500, expose: false });
    // Node prints the cause of an error that nobody catches, and console.error that of any; but neither calls a getter.
    if (cause !== undefined) define(this, 'cause', { get: () => cause });
  }

  /** What `JSON.stringify` gives, which may be on its way to a client: nothing but that something went wrong. */
  toJSON(): { name: 'InternalServerError'; message: 'Internal Server Error' } {
    return { name: 'InternalServerError', message: 'Internal Server Error' };
  }
}

/**
 * A new policy was not taken, and the old one stays in force. `code` is `ERR_KOA_OSO_POLICY_REFUSED`; the message has the
 * place and the reason, `cause` is what Oso or `verify` threw.
 */
export class PolicyRefusedError extends KoaOsoError {
  /** The name of the file, as it was given to `loadFiles` or `loadStr`; undefined if no place is to blame. */
  readonly file: string | undefined;
  /** Starts at 1; undefined if no place is to blame. */
  readonly line: number | undefined;
  /** Starts at 1; undefined if no place is to blame. */
  readonly column: number | undefined;

  constructor(reason: string, cause: unknown) {
    super(
      'ERR_KOA_OSO_POLICY_REFUSED',
      `The new policy was refused, and the old one stays in force: ${reason}.`,
      cause,
    );
    const place = placeOf(cause);
    this.file = place.file;
    this.line = place.line;
    this.column = place.column;
  }
}

interface PlaceInPolicy {
  readonly file: string | undefined;
  readonly line: number | undefined;
  readonly column: number | undefined;
}

/** Where in a policy an error says that it is: CompiledOso's by properties, Oso's in its message. */
function placeOf(error: unknown): PlaceInPolicy {
  if (!(error instanceof Error)) return { file: undefined, line: undefined, column: undefined };
  const { file, line, column } = error as Partial<PlaceInPolicy>;
  if (typeof line === 'number') return { file, line, column };
  const said = / at line (\d+), column (\d+)(?: (?:of|in) file (.+?))?(?:[:.,]?$|, which |, [A-Z])/m.exec(
    error.message,
  );
  return {
    file: said?.[3] ?? (error as { filename?: string }).filename,
    line: said?.[1] === undefined ? undefined : Number(said[1]),
    column: said?.[2] === undefined ? undefined : Number(said[2]),
  };
}

/**
 * Why a policy does not load. What Oso says of a text holds none but the text; what is thrown while an inline query runs,
 * or by an application's own function, may hold values.
 */
function whyRefused(cause: unknown): string {
  if (!(cause instanceof Error)) return 'what loads it threw, see the cause';
  const { code } = cause as { code?: unknown };
  const isOwn = typeof code === 'string' && code.startsWith('ERR_KOA_OSO_');
  const isOfText =
    /^(Parse|Validation)Error::/.test(cause.name) ||
    /^(Inline query failed: |Could not find file: |Polar files must have \.polar)/.test(cause.message);
  const isOfFile = typeof code === 'string' && 'syscall' in cause;
  if (isOwn || isOfText || isOfFile) return (cause.message.split('\n')[0] as string).replace(/[.:\s]+$/, '');
  return /^[\w:]+$/.test(cause.name) ? `${cause.name}, see the cause` : 'what loads it threw, see the cause';
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
 *
 * An error that Koa could not answer with, because it throws when it is looked at, is replaced: a request always ends.
 */
export function answerWith(thrown: unknown): Error {
  if (typeof thrown === 'object' && thrown !== null && answers.has(thrown)) return thrown as Error;
  let error: Error;
  try {
    error = thrown instanceof Error ? answerable(thrown) : errors.unauthorizedActionFailed(thrown);
  } catch {
    error = errors.unauthorizedActionFailed(thrown);
  }
  answers.add(error);
  return error;
}

/**
 * What a handler threw, in a form that Koa can answer with: `undefined` and `null` it takes for no error, and an error that
 * throws when it is read stops it, so that the request would never end.
 */
export function thrownBy(thrown: unknown): unknown {
  try {
    if (thrown === undefined || thrown === null) return new Error(`non-error thrown: ${thrown}`);
    return thrown instanceof Error ? answerable(thrown) : thrown;
  } catch {
    return new Error('The error that was thrown cannot be read.');
  }
}

/** What Koa reads of an error. */
const READ_BY_KOA = [
  'message',
  'headers',
  'expose',
  'statusCode',
  'status',
  'name',
  'code',
  'stack',
] as const;
/** The part of it that decides the answer; a getter could say something else the next time, or throw. */
const DECIDING = READ_BY_KOA.slice(0, 5);

/** The error itself, if Koa can read and write what it has to; else a copy of what can be read of it. */
function answerable(thrown: Error): Error {
  const { read, isWhole } = readFrom(thrown, READ_BY_KOA);
  const httpCode = readFrom(thrown, ['httpCode']).read.httpCode;
  const filledIn =
    typeof httpCode === 'number' && read.status === undefined
      ? { status: httpCode, expose: httpCode < 500 }
      : {};
  const isKept = isWhole && !isProxy(thrown) && Object.isExtensible(thrown);
  try {
    // Koa asks by this whether it is an error.
    Object.prototype.toString.call(thrown);
    if (isKept) return withProperties(thrown, { ...fixed(thrown, read), ...filledIn });
  } catch {
    // It has a property that cannot be defined again.
  }
  return withProperties(new Error(String(read.message)), { ...read, ...filledIn });
}

function withProperties(error: Error, properties: Readonly<Record<string, unknown>>): Error {
  const known = Object.entries(properties).filter(([, value]) => value !== undefined);
  if (known.length > 0) defineHidden(error, Object.fromEntries(known));
  return error;
}

/** What has to become a property of the error's own, because Koa could not write it, or because it is a getter. */
function fixed(error: Error, read: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const keys = DECIDING.filter(key => {
    const descriptor = descriptorOf(error, key);
    return descriptor !== undefined && descriptor.writable !== true;
  });
  return Object.fromEntries(keys.map(key => [key, read[key]]));
}

function descriptorOf(object: object, name: string): PropertyDescriptor | undefined {
  for (let each: object | null = object; each !== null; each = Object.getPrototypeOf(each)) {
    const descriptor = Object.getOwnPropertyDescriptor(each, name);
    if (descriptor !== undefined) return descriptor;
  }
  return undefined;
}

/** Properties of an error, each read once, and whether none threw; what throws counts as absent. */
function readFrom(error: Error, keys: readonly string[]) {
  const read: Record<string, unknown> = {};
  let isWhole = true;
  for (const key of keys) {
    try {
      read[key] = propertyOf(error, key);
    } catch {
      isWhole = false;
    }
  }
  return { read, isWhole };
}

/** The status that an error is answered with: 500 if it has none, or none that can be read. */
export function statusOf(error: unknown): number {
  if (!(error instanceof Error)) return 500;
  const { status } = readFrom(error, ['status']).read;
  return typeof status === 'number' && status >= 400 && status < 600 ? status : 500;
}

/** Whether `error` is how koa-oso ends a request: a denial, a resource that is not there, or a KoaOsoError. */
export function isAnswer(error: unknown): error is Error {
  // By its code, which the errors of koa-oso/polar have as well.
  return (
    error instanceof Error && (answers.has(error) || String(propertyOf(error, 'code')).startsWith(CODES))
  );
}

/** What every code of the package begins with. */
const CODES = 'ERR_KOA_OSO_';

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

  cannotExplain(): KoaOsoError {
    return new KoaOsoError(
      'ERR_KOA_OSO_INVALID_ARGUMENT',
      "This Oso cannot tell why. Load the same policy into a CompiledOso of koa-oso/polar, and give that to KoaOso: it takes Oso's place.",
    );
  },

  noTransactions(): KoaOsoError {
    return new KoaOsoError(
      'ERR_KOA_OSO_INVALID_ARGUMENT',
      'This Oso knows of no database, so it has no transactions. Call registerEntities(oso, …) of koa-oso/typeorm, ' +
        'koa-oso/kysely or koa-oso/drizzle before using(…).',
    );
  },

  /**
   * @param question as it stands in the code: `ctx.oso.isAllowed(…)`
   * @param effect what was done about it
   */
  notAwaited(question: string, effect = ''): KoaOsoError {
    return new KoaOsoError(
      'ERR_KOA_OSO_NOT_AWAITED',
      `Nobody looked at the answer of ${question}. Its promise is always true in a condition, and has none of ` +
        `the properties of the answer${effect}. Write await ${question}, and ask only what is used.`,
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

  noEntities(): KoaOsoError {
    return new KoaOsoError(
      'ERR_KOA_OSO_INVALID_ARGUMENT',
      'No entities are registered with this Oso, so it knows no database to ask. ' +
        'Call registerEntities(oso, …) of koa-oso/typeorm, /kysely, /drizzle or /array.',
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

  engineDead(cause: unknown): KoaOsoError {
    return new KoaOsoError(
      'ERR_KOA_OSO_ENGINE_DEAD',
      "Oso's WebAssembly engine has died: of a value that is nested too deep, or of a rule that recurses without end. " +
        'The next question is put to a fresh engine with the same policy, if that can be had; if this error goes ' +
        'on, call koaOso.reloadPolicy(…), or restart the process. CompiledOso answers without that engine.',
      cause,
    );
  },

  policyRefused(cause: unknown, reason = whyRefused(cause)): PolicyRefusedError {
    return new PolicyRefusedError(reason, cause);
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

  noAuthorizedResource(target: string, wanted: string | undefined, loaded: readonly string[]): KoaOsoError {
    const found = loaded.length === 0 ? 'nothing' : loaded.join(' and ');
    const was = `but ${found} ${loaded.length > 1 ? 'were' : 'was'} loaded`;
    return new KoaOsoError(
      'ERR_KOA_OSO_NO_AUTHORIZED_RESOURCE',
      `@AuthorizedResource() on ${target} wants ${wanted ?? 'the one resource of the request'}, ${was}. ` +
        'Give the method @Authorize({ resource: ctx => … }), and name the class: @AuthorizedResource(Expense).',
    );
  },

  ambiguousResource(target: string, what: string): KoaOsoError {
    return new KoaOsoError(
      'ERR_KOA_OSO_INVALID_ARGUMENT',
      `@AuthorizedResource() on ${target} ${what}, and it cannot be told which is meant. ` +
        'Name a class of its own for each: @AuthorizedResource(Expense). TypeScript tells it only of classes that are ' +
        'imported as values, and only with emitDecoratorMetadata, which tsx and esbuild do not have.',
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
