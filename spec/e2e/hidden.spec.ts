// A resource that checkRead hides, and one that is missing, get the same answer: to the last header.
import 'reflect-metadata';
import { expect } from 'chai';
import type { UnauthorizedAction } from 'koa-oso';
import { Authorize } from 'koa-oso/routing-controllers';
import {
  Controller,
  Ctx,
  ForbiddenError,
  Get,
  JsonController,
  NotFoundError,
  Put,
  useKoaServer,
} from 'routing-controllers';
import request from 'supertest';
import { Expense, POLICY, setUp } from '../support/app.js';
import type { Context, Middleware } from '../support/koa.js';

const expenses = new Map([['1', new Expense('1', 'ann', 1000)]]);
const HIDDEN = '1';
const MISSING = '2';

/** What unauthorized actions do that would tell the two apart. */
const unauthorizedActions: Record<string, UnauthorizedAction> = {
  'of the README': (ctx, denial) => {
    if (denial.actor === null) ctx.throw(401, 'Log in first');
    ctx.throw(denial.status, 'You may not do this');
  },
  'that sets headers': ctx => {
    ctx.set('X-Denied', 'yes');
    ctx.cookies.set('denied', 'yes');
    ctx.throw(403, { headers: { 'X-Reason': 'denied' } });
  },
  'that answers by itself': ctx => {
    ctx.status = 200;
    ctx.body = { denied: true };
  },
  'that throws an error of routing-controllers': () => {
    throw new ForbiddenError('Ask your manager');
  },
  'that throws what is no error': () => {
    throw 'denied';
  },
};

/** Handlers of errors that say more than they need to. */
const errorHandlers: Record<string, Middleware> = {
  none: (_ctx, next) => next(),
  'that sends what is enumerable': async (ctx, next) => {
    try {
      await next();
    } catch (thrown) {
      const { name, message, ...error } = thrown as Error & { status?: number };
      ctx.status = (thrown as { status?: number }).status ?? 500;
      ctx.body = { name, message, ...error };
    }
  },
  'that goes by what the client accepts': async (ctx, next) => {
    try {
      await next();
    } catch (thrown) {
      const error = thrown as Error & { status?: number };
      ctx.status = error.status ?? 500;
      ctx.body = ctx.accepts('json', 'html') === 'html' ? `<h1>${error.message}</h1>` : { ...error };
    }
  },
};

const loaders: Record<string, (ctx: Context) => unknown> = {
  undefined: ctx => expenses.get(ctx.params.id as string),
  null: async ctx => expenses.get(ctx.params.id as string) ?? null,
  'ctx.throw(404)': ctx =>
    expenses.get(ctx.params.id as string) ?? ctx.throw(404, 'There is no such expense'),
  NotFoundError: ctx => {
    const found = expenses.get(ctx.params.id as string);
    if (found === undefined) throw new NotFoundError('There is no such expense');
    return found;
  },
};

interface Sent {
  method?: 'get' | 'head' | 'put';
  user?: string | undefined;
  accept?: string;
}

/** Expects the same answer for both ids, and gives it. */
async function expectSame(
  app: { callback(): never },
  path: string,
  { method = 'get', user, accept = '*/*' }: Sent,
) {
  const answers = [];
  for (const id of [HIDDEN, MISSING]) {
    const sent = request(app.callback())[method](path.replace(':id', id)).set('Accept', accept);
    const { status, headers, text } = await (user === undefined ? sent : sent.set('x-user', user));
    const { date, ...rest } = headers;
    answers.push({ status, headers: rest, text });
  }
  expect(answers[0]).to.deep.equal(answers[1]);
  return answers[0] as (typeof answers)[0];
}

const ways: Sent[] = [
  { user: 'bob' },
  { user: undefined },
  { user: 'bob', method: 'head' },
  { user: 'bob', method: 'put' },
  { user: 'bob', accept: 'text/html' },
  { user: 'bob', accept: 'application/json' },
];

describe('a resource that is hidden, and one that is missing,', () => {
  for (const [action, unauthorizedAction] of Object.entries(unauthorizedActions)) {
    for (const [handling, errorHandler] of Object.entries(errorHandlers)) {
      it(`look the same, with an unauthorized action ${action} and a handler of errors ${handling}`, async () => {
        const policy = `${POLICY} allow_field(user: User, "update", expense: Expense, "owner") if expense.owner = user.name;`;
        const { app, koaOso, router } = await setUp({ unauthorizedAction, checkRead: true, policy });
        app.middleware.unshift(errorHandler as never);
        app.use(koaOso.requireAuthorization());
        for (const [index, resource] of Object.values(loaders).entries()) {
          router.all(`/route/${index}/:id`, koaOso.authorize({ resource, action: 'read' }), () => {});
        }
        router.all('/handler/:id', async ctx => {
          const expense = expenses.get(ctx.params.id as string) ?? (await ctx.oso.notFound());
          await ctx.oso.authorize(expense, { action: 'read' });
        });
        router.all('/field/:id', async ctx => {
          const expense = expenses.get(ctx.params.id as string) ?? (await ctx.oso.notFound());
          await ctx.oso.authorizeField(expense, 'owner', { action: 'update' });
        });
        router.all('/throw/:id', async ctx => {
          const expense = expenses.get(ctx.params.id as string) ?? ctx.throw(404);
          await ctx.oso.authorize(expense, { action: 'read' });
        });
        app.use(router.routes());
        const routes = Object.keys(loaders).map((_, index) => `/route/${index}`);
        const places = [...routes, '/throw', '/handler', '/field'];
        for (const place of places) {
          for (const way of ways) {
            const { status } = await expectSame(app as never, `${place}/:id`, way);
            expect(status).to.equal(404);
          }
        }
      });
    }

    for (const defaultErrorHandler of [true, false]) {
      for (const development of [true, false]) {
        it(`look the same in controllers (${action}, ${JSON.stringify({ defaultErrorHandler, development })})`, async () => {
          const { app } = await setUp({ unauthorizedAction, checkRead: true });
          useKoaServer(app, {
            controllers: [HidingJsonController, HidingTextController],
            defaultErrorHandler,
            development,
          });
          for (const kind of ['json', 'text']) {
            for (const place of ['undefined', 'throwing', 'own', 'action']) {
              for (const way of ways) {
                const { status, text } = await expectSame(app as never, `/${kind}/${place}/:id`, way);
                expect(status).to.equal(404);
                expect(text ?? '').not.to.contain('.js');
              }
            }
          }
        });
      }
    }
  }

  it('look the same where getActor fails for the client: as it does', async () => {
    const { app, koaOso, router } = await setUp({
      checkRead: true,
      getActor: ctx => ctx.throw(401, 'Token expired'),
    });
    router.get('/route/:id', koaOso.authorize({ resource: loaders.null as never, action: 'read' }));
    router.get(
      '/actor/:id',
      koaOso.authorize({
        resource: loaders.null as never,
        actor: (ctx: Context) => ctx.throw(402, 'Pay first'),
      }),
    );
    router.get('/handler/:id', async ctx => {
      const expense = expenses.get(ctx.params.id as string) ?? (await ctx.oso.notFound());
      await ctx.oso.authorize(expense, { action: 'read' });
    });
    app.use(router.routes());
    expect(await expectSame(app as never, '/route/:id', {})).to.include({
      status: 401,
      text: 'Token expired',
    });
    expect(await expectSame(app as never, '/handler/:id', {})).to.include({ status: 401 });
    expect(await expectSame(app as never, '/actor/:id', {})).to.include({ status: 402, text: 'Pay first' });
  });

  it('look the same where the handler swallows what was thrown', async () => {
    const { app, router } = await setUp({ checkRead: true });
    router.get('/:id', async ctx => {
      try {
        const expense = expenses.get(ctx.params.id as string) ?? (await ctx.oso.notFound());
        await ctx.oso.authorize(expense, { action: 'read' });
      } catch {}
      ctx.body = 'swallowed';
    });
    router.get('/forgotten/:id', ctx => {
      const expense = expenses.get(ctx.params.id as string);
      if (expense === undefined) void ctx.oso.notFound();
      else void ctx.oso.authorize(expense, { action: 'read' });
      ctx.body = 'forgotten';
    });
    app.use(router.routes());
    expect(await expectSame(app as never, '/:id', { user: 'bob' })).to.include({
      status: 404,
      text: 'Not Found',
    });
    expect(await expectSame(app as never, '/forgotten/:id', { user: 'bob' })).to.include({ status: 404 });
  });

  it('are told apart without checkRead, and a 404 of the loader is in its own words', async () => {
    const { koaOso, router, send } = await setUp();
    router.get('/:id', koaOso.authorize({ resource: loaders['ctx.throw(404)'] as never, action: 'read' }));
    await send('/1', 'bob').expect(403);
    await send('/2', 'bob').expect(404, 'There is no such expense');
  });

  it('tell by neither that somebody may read it and nothing else', async () => {
    const { koaOso, router, send } = await setUp({
      checkRead: true,
      unauthorizedAction: unauthorizedActions['of the README'] as never,
    });
    router.put('/:id', koaOso.authorize({ resource: () => new Expense('3', 'ann', 5), action: 'update' }));
    await send('/3', 'bob', 'put').expect(403, 'You may not do this');
  });
});

class Hiding {
  async action(ctx: Context) {
    const expense = expenses.get(ctx.params.id as string) ?? (await ctx.oso.notFound());
    await ctx.oso.authorize(expense, { action: 'read' });
  }
}

@JsonController('/json')
class HidingJsonController extends Hiding {
  @Get('/undefined/:id')
  @Put('/undefined/:id')
  @Authorize({ resource: loaders.undefined as never, action: 'read' })
  nothing() {}

  @Get('/throwing/:id')
  @Put('/throwing/:id')
  @Authorize({ resource: loaders['ctx.throw(404)'] as never, action: 'read' })
  throwing() {}

  @Get('/own/:id')
  @Put('/own/:id')
  @Authorize({ resource: loaders.NotFoundError as never, action: 'read' })
  own() {}

  @Get('/action/:id')
  @Put('/action/:id')
  override action(@Ctx() ctx: Context) {
    return super.action(ctx);
  }
}

@Controller('/text')
class HidingTextController extends Hiding {
  @Get('/undefined/:id')
  @Put('/undefined/:id')
  @Authorize({ resource: loaders.undefined as never, action: 'read' })
  nothing() {}

  @Get('/throwing/:id')
  @Put('/throwing/:id')
  @Authorize({ resource: loaders['ctx.throw(404)'] as never, action: 'read' })
  throwing() {}

  @Get('/own/:id')
  @Put('/own/:id')
  @Authorize({ resource: loaders.NotFoundError as never, action: 'read' })
  own() {}

  @Get('/action/:id')
  @Put('/action/:id')
  override action(@Ctx() ctx: Context) {
    return super.action(ctx);
  }
}
