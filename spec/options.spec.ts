import 'reflect-metadata';
import { expect } from 'chai';
import { KoaOso } from 'koa-oso';
import { entityEquality, registerEntities } from 'koa-oso/array';
import { CompiledOso } from 'koa-oso/polar';
import { Authorize } from 'koa-oso/routing-controllers';
import { Oso, Variable } from 'oso';
import { Predicate } from 'oso/dist/src/Predicate.js';
import { Get, JsonController, useKoaServer } from 'routing-controllers';
import { EngineDeadError } from '../src/engine/wasm.js';
import { codeOf, Expense, POLICY, setUp, User } from './support/app.js';
import type { Context } from './support/koa.js';

const rent = new Expense('1', 'ann', 1000);

/** Runs with a property on Object.prototype, as code leaves it that merges what a client has sent. */
function polluted<Result>(name: string, value: unknown, run: () => Result): Result {
  Object.defineProperty(Object.prototype, name, {
    value,
    configurable: true,
    enumerable: true,
    writable: true,
  });
  const clean = () => Reflect.deleteProperty(Object.prototype, name);
  let result: Result;
  try {
    result = run();
  } catch (error) {
    clean();
    throw error;
  }
  if (!(result instanceof Promise)) clean();
  return result instanceof Promise ? (result.finally(clean) as Result) : result;
}

/** An app as setUp makes it, in which Object.prototype has the property while a request runs. */
async function pollutedApp(name: string, value: unknown, options: Parameters<typeof setUp>[0] = {}) {
  const set = await setUp(options);
  set.app.middleware.unshift((_ctx, next) => polluted(name, value, next));
  return set;
}

describe('options', () => {
  // A request that hangs would leave it there for all other specs.
  afterEach(() => {
    for (const name of Object.keys(Object.prototype)) Reflect.deleteProperty(Object.prototype, name);
  });

  describe('on Object.prototype decide nothing:', () => {
    it('actor', async () => {
      const { router, send } = await pollutedApp('actor', new User('ann'));
      router.get('/', ctx => ctx.oso.authorize(rent, { action: 'read' }));
      router.get('/asked', async ctx => {
        ctx.body = String(await ctx.oso.isAllowed(rent, { action: 'read' }));
      });
      await send('/', 'bob').expect(403);
      await send('/asked', 'bob').expect(200, 'false');
    });

    it('action', async () => {
      const { router, send } = await pollutedApp('action', 'read');
      router.get('/', ctx => ctx.oso.authorize(rent));
      await send('/', 'ann').expect(403);
    });

    it('resource', async () => {
      const { koaOso, router, send } = await pollutedApp('resource', rent);
      router.get('/', koaOso.authorize({ action: 'read' }), ctx => {
        ctx.body = 'never';
      });
      await send('/', 'ann').expect(403);
    });

    it('checkRead', async () => {
      const { router, send } = await pollutedApp('checkRead', false, { checkRead: true });
      router.get('/', ctx => ctx.oso.authorize(rent, { action: 'update' }));
      await send('/', 'bob').expect(404);
    });

    it('allowWildcard', async () => {
      const { router, send, errors } = await pollutedApp('allowWildcard', true, {
        policy: 'allow(_: User, _, _: Expense); allow_field(_, _, _, _);',
      });
      router.get('/actions', async ctx => {
        ctx.body = [...(await ctx.oso.authorizedActions(rent))];
      });
      router.get('/fields', async ctx => {
        ctx.body = [...(await ctx.oso.authorizedFields(rent, { action: 'read' }))];
      });
      await send('/actions', 'ann').expect(500);
      await send('/fields', 'ann').expect(500);
      expect(codeOf(errors)).to.equal('ERR_KOA_OSO_POLICY_FAILED');
    });

    it('field, in a decision', async () => {
      const { router, send } = await pollutedApp('field', 'owner');
      router.get('/', async ctx => {
        await ctx.oso.authorize(rent, { action: 'read' });
        ctx.body = { field: ctx.state.oso.decisions[0]?.field ?? null };
      });
      await send('/', 'ann').expect(200, { field: null });
    });

    for (const [name, value] of [
      ['skip', 'everything'],
      ['reason', 'everything'],
      ['kind', 'skip'],
      ['authorize', { resource: 'the front page', actor: null, action: 'read' }],
      ['check', { resource: 'the front page', actor: null, action: 'read' }],
      ['resource', rent],
      ['actor', new User('ann')],
    ] as const) {
      it(`${name}, in decorators`, async () => {
        @JsonController('/decorated')
        class DecoratedController {
          @Get('/')
          @Authorize({ action: 'read' })
          show() {
            return { ran: true };
          }
        }
        const { app, send } = await pollutedApp(name, value);
        useKoaServer(app, { controllers: [DecoratedController], development: false });
        await send('/decorated', 'ann').expect(403);
      });
    }

    it('user, in ctx.state', async () => {
      const { router, send } = await pollutedApp('user', new User('ann'));
      router.get('/', ctx => ctx.oso.authorize(rent, { action: 'read' }));
      await send('/').expect(403);
      await send('/', 'ann').expect(404);
    });

    it('oso, in ctx', async () => {
      const { app, send, errors } = await pollutedApp('oso', { authorize: async () => {} });
      const middleware = app.middleware.pop();
      app.use(new KoaOso().authorize({ resource: rent }));
      app.use(ctx => {
        ctx.body = 'never';
      });
      await send('/', 'ann').expect(500);
      expect(codeOf(errors)).to.equal('ERR_KOA_OSO_MIDDLEWARE_MISSING');
      app.middleware.splice(2, 0, middleware as never);
      await send('/', 'ann').expect(403);
    });

    for (const [name, value, condition] of [
      ['params', { team: '7' }, 'request.params.team = "7"'],
      ['_matchedRoute', '/teams/:team', 'request.route = "/teams/:team"'],
      ['x-role', 'admin', 'request.header("x-role") = "admin"'],
      ['role', 'admin', 'request.query.role = "admin"'],
      ['role', 'admin', 'request.headers.role = "admin"'],
    ] as const) {
      it(`${name}, for ${condition}`, async () => {
        const { app, send } = await pollutedApp(name, value, {
          policy: `allow(_, _, request: Request) if ${condition};`,
        });
        app.use(async ctx => {
          await ctx.oso.authorize(ctx.request);
          ctx.body = 'allowed';
        });
        await send('/').expect(403);
      });
    }

    it('expose and status, in what a loader throws', async () => {
      const { app, koaOso, router, send, errors } = await setUp();
      // Koa itself asks for expose, at the end.
      app.use((_ctx, next) => polluted('expose', true, () => polluted('status', 200, next)));
      const find = (): never => {
        throw new Error('the disk of server 7 is full');
      };
      router.get('/', koaOso.authorize({ resource: find }), () => {});
      await send('/', 'ann').expect(500, 'Internal Server Error');
      expect(codeOf(errors)).to.equal('ERR_KOA_OSO_LOADER_FAILED');
    });

    it('httpCode, in what the unauthorized action throws', async () => {
      const { router, send } = await pollutedApp('httpCode', 200, {
        unauthorizedAction: () => {
          throw new Error('no status');
        },
      });
      router.get('/', ctx => ctx.oso.authorize(rent, { action: 'read' }));
      await send('/', 'bob').expect(500);
    });

    it('enumerable and value, in the cause of an error', async () => {
      for (const name of ['enumerable', 'writable']) {
        const { app, send } = await pollutedApp(name, true);
        app.middleware.unshift(async (ctx, next) => {
          await next().catch((error: Error) => {
            ctx.status = 500;
            ctx.body = { code: (error as { code?: string }).code, hidden: !('cause' in { ...error }) };
          });
        });
        app.use(ctx => ctx.oso.authorize(rent, { action: 'fail' }));
        await send('/', 'ann').expect(500, { code: 'ERR_KOA_OSO_POLICY_FAILED', hidden: true });
      }
    });

    for (const [name, value] of [
      ['getActor', () => new User('ann')],
      ['unauthorizedAction', (ctx: Context) => ctx.throw(418)],
      ['checkRead', true],
      ['oso', { isAllowed: async () => true }],
    ] as const) {
      it(`${name}, for KoaOso`, async () => {
        const { app, oso, router, send } = await setUp();
        app.middleware.pop();
        app.use(polluted(name, value, () => new KoaOso({ oso })).middleware());
        router.get('/', ctx => ctx.oso.authorize(rent, { action: 'read' }));
        await send('/', 'bob').expect(403);
      });
    }

    for (const [kind, Engine] of [
      ['Oso', Oso],
      ['CompiledOso', CompiledOso],
    ] as const) {
      it(`acceptExpression, for queries of ${kind}`, async () => {
        const oso = new Engine();
        new KoaOso({ oso });
        await oso.loadStr('small(x) if x < 10;');
        const ask = async () => {
          const results: unknown[] = [];
          for await (const result of oso.query(new Predicate('small', [new Variable('x')]), {})) {
            results.push(result);
          }
          return results;
        };
        const failed = await polluted('acceptExpression', true, () => ask().catch((error: Error) => error));
        expect(failed).to.be.instanceOf(Error);
      });
    }

    for (const [kind, Engine] of [
      ['Oso', Oso],
      ['CompiledOso', CompiledOso],
    ] as const) {
      for (const [name, value] of [
        ['Debug', { message: '' }],
        ['Done', true],
        ['Result', { bindings: new Map() }],
        ['ExternalIsSubclass', { call_id: 1, left_class_tag: 'User', right_class_tag: 'User' }],
        ['String', 'x'],
        ['Number', { Integer: 1 }],
        ['Boolean', true],
        ['Dictionary', { fields: new Map() }],
        ['get', true],
      ] as const) {
        it(`${name}, in what the engine of ${kind} says, and while its policy is replaced`, async () => {
          const oso = new Engine();
          oso.registerClass(User);
          const koaOso = new KoaOso({ oso });
          await oso.loadStr('allow(user: User, "leave", team: User) if not user = team.boss;');
          const boss = new User('ann');
          const team = Object.assign(new User('team'), { boss });
          const ask = (user: User) => polluted(name, value, () => oso.isAllowed(user, 'leave', team));
          expect(await ask(boss)).to.equal(false);
          expect(await ask(new User('eve'))).to.equal(true);
          const load = (candidate: Pick<Oso, 'loadStr'>) =>
            candidate.loadStr('allow(user: User, "leave", team: User) if user = team.boss;\n?= not 1 = 2;');
          await polluted(name, value, () => koaOso.reloadPolicy(load));
          expect(await ask(boss)).to.equal(true);
          expect(await ask(new User('eve'))).to.equal(false);
        });
      }
    }

    it('budget, name and the rest, for CompiledOso', async () => {
      const oso = polluted('budget', { steps: 0 }, () => new CompiledOso());
      polluted('name', 'Admin', () => oso.registerClass(User));
      oso.registerClass(Expense);
      await oso.loadStr(POLICY);
      expect(await oso.isAllowed(new User('ann'), 'read', rent)).to.equal(true);
    });

    for (const [name, value] of [
      ['deletedAt', 'owner'],
      ['table', 'others'],
      ['key', ['nothing']],
      ['relations', { owner: { one: 'Nobody' } }],
      ['type', 'number'],
    ] as const) {
      it(`${name}, in the description of an entity`, async () => {
        const description = {
          Expense: { class: Expense, fields: { id: 'text', owner: { type: 'text' } } },
        } as const;
        const oso = new Oso({ equalityFn: entityEquality(description) });
        polluted(name, value, () => {
          registerEntities(oso, { Expense: [rent] }, description);
        });
        await oso.loadStr('allow(_, "read", expense: Expense) if expense.owner = "ann";');
        expect(await oso.authorizedResources('eve', 'read', Expense)).to.deep.equal([rent]);
      });
    }
  });

  it('makes the error of a dead engine, whatever is on Object.prototype', () => {
    const cause = new Error('trapped');
    const error = polluted('value', 'other', () => new EngineDeadError(cause));
    expect(error.cause).to.equal(cause);
    expect(error).to.have.property('code', 'ERR_KOA_OSO_ENGINE_DEAD');
  });

  it('that are not an object are refused', async () => {
    const { router, send, errors } = await setUp({ policy: 'allow(_, _, _);' });
    router.get('/', ctx => ctx.oso.authorize(rent, 'read' as never));
    await send('/', 'ann').expect(500);
    expect(codeOf(errors)).to.equal('ERR_KOA_OSO_INVALID_ARGUMENT');
    expect(() => new KoaOso().authorize(null as never)).to.throw('not an object');
  });
});
