import { STATUS_CODES } from 'node:http';
import type { Context, Middleware, Next } from 'koa';
import {
  type ActionMetadata,
  getMetadataArgsStorage,
  HttpError,
  KoaDriver,
  type MetadataArgsStorage,
  UseMetadata,
} from 'routing-controllers';
import { type HttpError as ClientError, isAnswer, isClientError } from '../errors.js';
import { propertyOf } from '../guard/own-properties.js';
import { requestOso } from '../request-oso.js';
import { check } from '../route-check.js';
import { declarationsOf, lineage } from './declarations.js';
import { refuseAmbiguity } from './injected-resource.js';

/** The functions by which koa-oso's own parameter decorators find their values. */
export const ownParameters = new WeakSet<object>();

type Check = (ctx: Context) => Promise<void>;

/** The checks, by the middleware that runs them. */
const checks = new WeakMap<object, Check>();

/**
 * Joins koa-oso to routing-controllers, which has no hook for either of two things. One is a check that is inherited
 * and knows its method: its storage of decorators is asked for the middleware of each method, and gets the check added
 * there. The other is an answer: its driver knows only its own errors, and is taught koa-oso's.
 *
 * The check hangs on the storage, which all copies of routing-controllers in a process share; were there a second copy,
 * only the form of its error bodies would differ.
 */
export function install(): void {
  // That of all its instances: one that takes the place of the first must not lose the checks.
  const storage: MetadataArgsStorage = Object.getPrototypeOf(getMetadataArgsStorage());
  addChecks(storage);
  keepInheritedParameters(storage);
  answerFromChecks();
  answerAsHttp();
}

function addChecks(storage: MetadataArgsStorage): void {
  const filterUses = storage.filterUsesWithTargetAndMethod;
  storage.filterUsesWithTargetAndMethod = function (target, method: string | undefined) {
    const uses = filterUses.call(this, target, method as string);
    const middleware = method === undefined ? undefined : checkMiddleware(target, method);
    if (middleware === undefined) return uses;
    return [...uses, { target, method: method as string, middleware, afterAction: false }];
  };
}

// biome-ignore lint/complexity/noBannedTypes: a class, of whatever constructor
function checkMiddleware(controller: Function, method: string): Middleware | undefined {
  const declarations = declarationsOf(controller, method);
  if (declarations.length === 0) return undefined;
  refuseAmbiguity(controller, method, declarations);
  const checkAll: Check = async ctx => {
    for (const declaration of declarations) {
      if (declaration.kind === 'skip') requestOso(ctx).skipAuthorization(declaration.reason);
      else await check(ctx, declaration.check);
    }
  };
  const checkAction: Middleware = async (ctx, next) => {
    await checkAll(ctx);
    return next();
  };
  checks.set(checkAction, checkAll);
  return checkAction;
}

/**
 * routing-controllers looks for the parameters of a method in the class of the controller only, so that an inherited
 * method is called without any. Those that use a decorator of koa-oso get them from the class that declares the method.
 */
function keepInheritedParameters(storage: MetadataArgsStorage): void {
  const filterParams = storage.filterParamsWithTargetAndMethod;
  storage.filterParamsWithTargetAndMethod = function (target, method) {
    const own = filterParams.call(this, target, method);
    if (own.length > 0 || Object.hasOwn(target.prototype, method)) return own;
    const declaring = lineage(target).findLast(each => Object.hasOwn(each.prototype, method));
    const inherited = declaring ? filterParams.call(this, declaring, method) : own;
    return inherited.some(each => each.transform && ownParameters.has(each.transform)) ? inherited : own;
  };
}

/** What a check throws goes the way of what the method itself throws, so that the two are answered in the same form. */
function answerFromChecks(): void {
  const { registerAction } = KoaDriver.prototype;
  KoaDriver.prototype.registerAction = function (action, execute) {
    action.uses = action.uses.map(use => {
      const checkAll = checks.get(use.middleware);
      return checkAll ? new UseMetadata({ ...use, middleware: answering(this, action, checkAll) }) : use;
    });
    registerAction.call(this, action, execute);
  };
}

function answering(driver: KoaDriver, action: ActionMetadata, checkAll: Check): Middleware {
  return async function checkAction(context: Context, next: Next) {
    try {
      await checkAll(context);
    } catch (error) {
      const { request, response } = context;
      return driver.handleError(error, action, { request, response, context, next });
    }
    return next();
  };
}

/**
 * The default error handler takes all that is no HttpError of its own for a 500, prints the message of every error, and
 * tells nobody. For koa-oso's errors it gets an HttpError of the right status, without a message that is not for the
 * client; what is not for the client goes to the app's `error` event instead.
 */
function answerAsHttp(): void {
  const { handleError } = KoaDriver.prototype;
  KoaDriver.prototype.handleError = function (error, action, options) {
    const answered = this.isDefaultErrorHandlingEnabled && isAnswer(error) && !(error instanceof HttpError);
    if (!answered) return handleError.call(this, error, action, options);

    const context: Context = options.context;
    if (!isClientError(error)) context.app.emit('error', error, context);
    return handleError.call(this, asHttpError(error), action, options).then(() => {
      context.set((propertyOf(error, 'headers') as ClientError['headers']) ?? {});
    });
  };
}

function asHttpError(error: Error): HttpError {
  const status = Number(propertyOf(error, 'status')) || 500;
  const httpError = new HttpError(status);
  if (isClientError(error)) {
    httpError.name = error.name;
    httpError.message = error.message;
  } else {
    httpError.message = STATUS_CODES[status] ?? 'Error';
    httpError.name = httpError.message.replaceAll(' ', '').replace(/(Error)?$/, 'Error');
  }
  // In development it is sent. It would hold what is not for the client, and tell a hidden resource from a missing one.
  httpError.stack = `${httpError.name}: ${httpError.message}`;
  return httpError;
}
