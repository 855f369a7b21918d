import { KoaOso, type KoaOsoOptions } from 'koa-oso';
import { Oso } from 'oso';
import request from 'supertest';
import { Koa, Router } from './koa.js';

export const PASSWORD_HASH = 'argon2id$the-hash-of-the-password';

/** An actor with something that must never leave. */
export class User {
  readonly passwordHash = PASSWORD_HASH;

  constructor(readonly name: string) {}
}

export class Expense {
  constructor(
    readonly id: string,
    readonly owner: string,
    readonly amount = 100,
  ) {}
}

/** The actor, the action and the resource in one policy: owners read and update, everybody may read what is cheap. */
export const POLICY = `
  allow(user: User, "read", expense: Expense) if expense.owner = user.name;
  allow(user: User, "update", expense: Expense) if expense.owner = user.name;
  allow(_: User, "read", expense: Expense) if expense.amount < 10;
  allow(user: User, "fail", _: Expense) if user.missing = 1;
  allow(nil, "read", "the front page");
`;

export interface Setup<Actor = unknown> extends KoaOsoOptions<Actor> {
  policy?: string | undefined;
  equalityFn?: ((left: unknown, right: unknown) => boolean) | undefined;
  /** Where the app's own settings matter, as for asyncLocalStorage. */
  app?: Koa;
  /** The class `Oso`, or `CompiledOso`. */
  Engine?: new (options: {
    equalityFn: Setup['equalityFn'];
  }) => Oso;
}

/**
 * An app with `koaOso.middleware()` and a router, whose actor is named by the header x-user; errors that reach the app
 * are kept in place of being printed.
 */
export async function setUp({
  policy = POLICY,
  equalityFn,
  app = new Koa(),
  Engine = Oso,
  ...options
}: Setup = {}) {
  const oso = new Engine({ equalityFn });
  oso.registerClass(User);
  oso.registerClass(Expense);
  const koaOso = new KoaOso({ oso, ...options });
  if (policy) await oso.loadStr(policy, 'spec.polar');

  const errors: Error[] = [];
  app.on('error', error => errors.push(error));
  app.use((ctx, next) => {
    const name = ctx.get('x-user');
    if (name) ctx.state.user = new User(name);
    return next();
  });
  app.use(koaOso.middleware());
  const router = new Router();

  return {
    app,
    oso,
    koaOso,
    router,
    errors,
    /** Adds the router, unless it is there; then sends the request as the actor of that name. */
    send(
      path: string,
      user?: string,
      method: 'get' | 'post' | 'put' | 'delete' | 'head' | 'options' = 'get',
    ) {
      if (!app.middleware.some(each => (each as { router?: unknown }).router === router)) {
        app.use(router.routes()).use(router.allowedMethods());
      }
      const sent = request(app.callback())[method](path);
      return user === undefined ? sent : sent.set('x-user', user);
    },
  };
}

/** The code that the only error of an app has. */
export function codeOf(errors: Error[]): string | undefined {
  return (errors[0] as { code?: string } | undefined)?.code;
}

/** What the original error of the first error of an app says. */
export function messageOfCause(errors: Error[]): string {
  return String((errors[0]?.cause as Error | undefined)?.message);
}
