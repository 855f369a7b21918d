import type Koa from 'koa';
import type { Middleware } from 'koa';
import { ActorOso } from './actor-oso.js';
import { requireAction } from './arguments.js';
import { currentOso, runAsCurrent } from './current-request.js';
import { denyByDefault } from './end-with.js';
import { answerWith, errors, statusOf, thrownBy } from './errors.js';
import { defineConstant, propertyOf } from './guard/own-properties.js';
import { given } from './options.js';
import { type PolicyEngine, policyInForce, prepare } from './policy-engine.js';
import { type PolicyWatcher, type WatchOptions, watchFiles } from './policy-watcher.js';
import { type LoadPolicy, type ReloadOptions, reloadPolicy } from './reload-policy.js';
import { RequestOso, requestOso } from './request-oso.js';
import { RequestOutcome } from './request-outcome.js';
import { requireAuthorization } from './require-authorization.js';
import { isAnsweredWithError } from './response.js';
import { ResponseGuard } from './response-guard.js';
import { type AppWithRouters, performRouteAuthorization } from './route-authorization.js';
import { check, type RouteCheck, routeCheck } from './route-check.js';
import type { GetActor, Settings, UnauthorizedAction } from './settings.js';
import type { DefaultAction, DefaultActor } from './types.js';

/** What takes middleware: a Koa app, whatever the types of its state and context are. */
export interface AppLike {
  use(middleware: Middleware): unknown;
}

export interface KoaOsoOptions<Actor = DefaultActor, Action = DefaultAction> {
  /** The Oso that decides. Give it here or with `setOso`, before its policy is loaded. */
  oso?: PolicyEngine;
  /** An app to call `initApp` with. */
  app?: AppLike;
  /** Default: `ctx => ctx.state.user`, unless it is only on `Object.prototype`. */
  getActor?: GetActor<Actor>;
  /** Default: throws 403 Forbidden. */
  unauthorizedAction?: UnauthorizedAction<Actor, Action>;
  /**
   * Answer 404 instead of 403 if the actor may not even read the resource, so that nobody can find out which ids exist.
   * Default: `false`.
   */
  checkRead?: boolean;
  /** The action that `checkRead` asks for. Default: `'read'`. */
  readAction?: unknown;
  /**
   * Gives the error of a denial the property `explanation`: why, as a text for developers. It is not enumerable, so that no
   * response and no JSON has it. Only if the Oso can tell why, and not if `NODE_ENV` is `production`. Default: `false`.
   */
  explain?: boolean;
}

/**
 * Oso for a Koa app: configuration, and the middleware that goes to `app.use`.
 *
 * @typeParam Actor what `getActor` gives
 * @typeParam Action the actions that may be asked for
 * @example
 * const koaOso = new KoaOso({ oso });
 * app.use(authenticate); // sets ctx.state.user
 * app.use(koaOso.middleware());
 * app.use(koaOso.requireAuthorization());
 */
export class KoaOso<Actor = DefaultActor, Action = DefaultAction> {
  readonly #settings: Settings;
  /** The apps that have had a request. */
  readonly #apps = new Set<Koa>();

  /** @throws {KoaOsoError} `ERR_KOA_OSO_INVALID_ARGUMENT`, see {@link KoaOso.setOso} */
  constructor(options: KoaOsoOptions<Actor, Action> = {}) {
    const { oso, app, getActor, unauthorizedAction, checkRead = false, readAction = 'read' } = given(options);
    const { explain = false } = given(options);
    requireAction('readAction', readAction);
    this.#settings = {
      oso: undefined,
      getActor: ctx => propertyOf(ctx.state, 'user'),
      unauthorizedAction: denyByDefault,
      checkRead,
      readAction,
      explains: explain && process.env.NODE_ENV !== 'production',
    };
    if (getActor !== undefined) this.setGetActor(getActor);
    if (unauthorizedAction !== undefined) this.setUnauthorizedAction(unauthorizedAction);
    if (oso !== undefined) this.setOso(oso);
    if (app) this.initApp(app);
  }

  /**
   * Sets the Oso that decides, and registers the class `Request` with it. Call it before the policy is loaded, so that
   * rules on `Request` find their class, and a policy that names an unregistered class fails to load.
   *
   * @throws {KoaOsoError} `ERR_KOA_OSO_INVALID_ARGUMENT` if another class is registered as `Request`
   */
  setOso(oso: PolicyEngine): this {
    prepare(oso);
    this.#settings.oso = oso;
    return this;
  }

  /** Sets how the actor of a request is found; sync or async, asked once a request. */
  setGetActor(getActor: GetActor<Actor>): this {
    this.#settings.getActor = functionGiven('getActor', getActor);
    return this;
  }

  /**
   * Sets how a denied request is answered.
   *
   * @example
   * koaOso.setUnauthorizedAction((ctx, denial) => ctx.throw(denial.actor ? 403 : 401));
   */
  setUnauthorizedAction(unauthorizedAction: UnauthorizedAction<Actor, Action>): this {
    this.#settings.unauthorizedAction = functionGiven('unauthorizedAction', unauthorizedAction);
    return this;
  }

  /**
   * Replaces the policy as a whole, or not at all. The new one is loaded into an engine of its own, with the classes and
   * constants that are registered, and checked: its syntax, what Oso finds wrong with it, classes that are not registered,
   * inline queries (`?=`), and `verify`. Then it takes over at once. If anything fails, the old policy stays in force.
   *
   * A request that is being answered keeps the policy that was in force at its first question. The Oso itself, if it is
   * asked directly, goes by the new one at once. Reloads of one Oso run one after another, in the order of the calls. It
   * also works after Oso's engine has died.
   *
   * @param load loads the policy into the Oso that it is given
   * @returns the version of the new policy: the start of a hash of its texts, as in `decision.policyVersion`
   * @throws {PolicyRefusedError} (rejects) `ERR_KOA_OSO_POLICY_REFUSED`, with file, line and column, if it was not taken
   * @throws {KoaOsoError} (rejects) `ERR_KOA_OSO_NO_OSO` if there is no Oso
   * @example
   * await koaOso.reloadPolicy(oso => oso.loadFiles(['policy.polar']), {
   *   verify: async oso => (await oso.isAllowed(admin, 'read', expense)) && !(await oso.isAllowed(null, 'read', expense)),
   * });
   */
  async reloadPolicy(load: LoadPolicy, options: ReloadOptions = {}): Promise<string> {
    functionGiven('load', load);
    return reloadPolicy(this.#requireOso(), load, given(options));
  }

  /**
   * Reloads the policy whenever one of its files has changed, for development. What goes wrong is told to the `error` event
   * of the app, and the old policy stays in force; before the app has had a request, it is printed.
   *
   * It loads nothing by itself at first, and does not keep the process from ending.
   *
   * @throws an error of Node if the directory of a file is not there
   * @example
   * await oso.loadFiles(['policy.polar']);
   * if (process.env.NODE_ENV !== 'production') koaOso.watchPolicy({ files: ['policy.polar'] });
   */
  watchPolicy(watchOptions: WatchOptions): PolicyWatcher {
    const { files, ...options } = given(watchOptions);
    const load = (oso: PolicyEngine) => oso.loadFiles([...files]);
    return watchFiles(
      files,
      () => this.reloadPolicy(load, options),
      error => this.#tell(error),
    );
  }

  /** The version of the policy that is in force: see {@link KoaOso.reloadPolicy}. Undefined if it is not known. */
  get policyVersion(): string | undefined {
    const { oso } = this.#settings;
    return oso && policyInForce(oso).seat.engine.policy?.version;
  }

  #requireOso(): PolicyEngine {
    const { oso } = this.#settings;
    if (oso === undefined) throw errors.noOso();
    return oso;
  }

  /** Tells the apps of an error that no request has; the console, if no app listens. */
  #tell(error: unknown): void {
    try {
      const listening = [...this.#apps].filter(app => app.listenerCount('error') > 0);
      for (const app of listening) app.emit('error', error);
      if (listening.length > 0) return;
    } catch {
      // A listener that throws must not end the process.
    }
    // biome-ignore lint/suspicious/noConsole: Koa prints the errors that nobody listens for, too.
    console.error(error);
  }

  /** The same as `app.use(koaOso.middleware())`, for apps that are made by a factory. */
  initApp(app: AppLike): this {
    app.use(this.middleware());
    return this;
  }

  /**
   * The middleware that gives every request its `ctx.oso` and `ctx.state.oso`. It goes behind the one that sets
   * `ctx.state.user`, and in front of all that authorizes.
   *
   * On the way back it waits for the checks that were not awaited, and puts a denial in place of the response.
   */
  middleware(): Middleware {
    const koaOso: Middleware = async (ctx, next) => {
      const outer = Object.hasOwn(ctx, 'oso') ? (ctx.oso as RequestOso) : undefined;
      if (outer?.ofSettings(this.#settings)) return next();

      this.#apps.add(ctx.app);
      const guard = outer?.outcome.guard ?? new ResponseGuard(ctx);
      const outcome = new RequestOutcome(guard, outer?.outcome);
      const oso = new RequestOso(ctx, this.#settings, outcome, outer);
      ctx.oso = oso;
      if (outer === undefined) defineConstant(ctx.state, 'oso', oso.state);
      try {
        await runAsCurrent(ctx, oso, next);
        if (!outcome.isSettled) await outcome.settle();
      } catch (error) {
        // The error is the answer. What the handler had answered goes, be it that a check was refused or still may be.
        const { refusal } = outcome;
        if (refusal !== undefined) guard.takeBackFor(error, refusal);
        else if (!outcome.isSettled) guard.withhold(answerWith(error), statusOf(error));
        outcome.closeWithError();
        if (guard.hasTold(error)) return;
        throw thrownBy(error ?? refusal);
      } finally {
        if (outer !== undefined) ctx.oso = outer;
        else guard.isHandlerDone = true;
      }
      const { refusal } = outcome;
      const isAnswered =
        outcome.isEveryRefusalSeen && isAnsweredWithError(ctx) && guard.isAnswerOfErrorHandler;
      if (refusal === undefined || isAnswered) {
        outcome.close();
        return;
      }
      outcome.closeWithError();
      outer?.outcome.refuse(refusal);
      if (guard.hasTold(refusal)) return;
      throw guard.takeBack(refusal);
    };
    return koaOso;
  }

  /**
   * A middleware that turns the response of a route into 500 if the route neither authorized nor skipped. It
   * goes behind `middleware()`. What fails anyhow passes: unknown paths, wrong methods, errors; so does the answer of a
   * router or of CORS to OPTIONS.
   */
  requireAuthorization(): Middleware {
    return requireAuthorization();
  }

  /**
   * A middleware that authorizes each request that matches a route of the app's routers, as a resource: the policy is
   * asked `allow(actor, method, request)`, before any handler runs. It goes behind `middleware()`, and in front of the
   * routers; these are found by themselves, also the one of `useKoaServer`. A route that is reached
   * some other way is refused with 500.
   *
   * @param app the app whose routers are meant, in an app that is mounted into another; default: the app that runs
   */
  performRouteAuthorization(app?: AppWithRouters): Middleware {
    return performRouteAuthorization(app);
  }

  /**
   * A route middleware that authorizes before the handler runs.
   *
   * @throws {KoaOsoError} `ERR_KOA_OSO_INVALID_ARGUMENT`, at once, if `resource` is given as `undefined`
   * @example
   * router.get('/expenses/:id', koaOso.authorize({ resource: ctx => find(ctx.params.id), action: 'read' }), show);
   */
  authorize<Resource = unknown>(options: RouteCheck<Resource, Actor, Action> = {}): Middleware {
    const route = routeCheck(options);
    return async function authorize(ctx, next) {
      await check(ctx, route);
      return next();
    };
  }

  /** A route middleware that says that the route needs no authorization. */
  skipAuthorization(reason?: string): Middleware {
    const skipAuthorization: Middleware = (ctx, next) => {
      requestOso(ctx).skipAuthorization(reason);
      return next();
    };
    return skipAuthorization;
  }

  /**
   * The verbs of `ctx.oso` outside of a request: in workers, sockets and tests. The policy, the guards and the settings are the
   * same (but `getActor` and `unauthorizedAction`, which take a `ctx`). A denial is thrown.
   *
   * Make one for each job or message: it costs nothing, and its `state.decisions` then are those of the job.
   *
   * @param actor on whose behalf the questions are asked; `null` for nobody
   * @throws {KoaOsoError} `ERR_KOA_OSO_INVALID_ARGUMENT` if the actor is `undefined` or a promise
   * @example
   * const oso = koaOso.for(await users.find(job.userId));
   * await oso.authorize(expense, { action: 'pay' }); // throws 403, ERR_KOA_OSO_FORBIDDEN
   */
  for(actor: Actor | null): ActorOso<Actor, Action> {
    return new ActorOso<Actor, Action>(this.#settings, actor);
  }

  /**
   * The RequestOso of the request that is running, for code that is not handed a `ctx`: the data access layer. Needs
   * `new Koa({ asyncLocalStorage: true })`. If an app is called in process while a request is handled, it is that of the
   * inner request, once this has come to `koaOso.middleware()`.
   *
   * In a listener of an event it is that of the request which emits the event, not of the one which has added the listener;
   * so it is in what a pool or a queue calls. Hand `ctx.oso` on there, or wrap the function: `AsyncResource.bind(listener)`.
   *
   * @throws {KoaOsoError} `ERR_KOA_OSO_NO_CURRENT_REQUEST` outside of a request
   */
  get current(): RequestOso<Actor, Action> {
    const oso = currentOso<RequestOso>()?.ofSettings(this.#settings);
    if (oso === undefined) throw errors.noCurrentRequest();
    return oso as unknown as RequestOso<Actor, Action>;
  }
}

function functionGiven<Given>(name: string, given: Given): Given {
  if (typeof given === 'function') return given;
  throw errors.invalidArgument(`What was given as ${name} is no function of ctx.`);
}
