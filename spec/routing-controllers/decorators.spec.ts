import 'reflect-metadata';
import { expect } from 'chai';
import { IsInt } from 'class-validator';
import { KoaOso, KoaOsoError } from 'koa-oso';
import { Authorize, AuthorizedResource, CurrentActor, SkipAuthorization } from 'koa-oso/routing-controllers';
import {
  type Action,
  Authorized,
  Body,
  CurrentUser,
  createKoaServer,
  createServer,
  Delete,
  Get,
  getMetadataArgsStorage,
  JsonController,
  KoaDriver,
  MetadataArgsStorage,
  Middleware,
  Param,
  Post,
  UploadedFile,
  UseBefore,
  UseInterceptor,
  useContainer,
  useKoaServer,
} from 'routing-controllers';
import request from 'supertest';
import { Container, Service } from 'typedi';
import type { Expense as TypeOnlyExpense } from '../support/app.js';
import { codeOf, Expense, POLICY, setUp, User } from '../support/app.js';
import { type Context, type Koa, Router } from '../support/koa.js';

const expenses = new Map([
  ['1', new Expense('1', 'ann', 1000)],
  ['2', new Expense('2', 'bob', 9)],
]);
const loads: string[] = [];
const find = async (ctx: Context) => {
  loads.push(ctx.params.id);
  return expenses.get(ctx.params.id);
};
const ran: string[] = [];

const accepted: string[] = [];
const countingStorage = {
  _handleFile(
    _request: unknown,
    file: { originalname: string; stream: NodeJS.ReadableStream },
    done: (error: unknown, info?: { size: number }) => void,
  ) {
    accepted.push(file.originalname);
    let size = 0;
    file.stream.on('data', chunk => {
      size += chunk.length;
    });
    file.stream.on('end', () => done(null, { size }));
  },
  _removeFile(_request: unknown, _file: unknown, done: (error: null) => void) {
    done(null);
  },
};

type Options = Parameters<typeof useKoaServer>[1];

async function serve(
  controllers: (new (...args: never[]) => object)[],
  options: Options = {},
  setup: Parameters<typeof setUp>[0] = {},
) {
  const set = await setUp(setup);
  set.app.use(set.koaOso.requireAuthorization());
  useKoaServer(set.app, { controllers, development: false, ...options });
  loads.length = 0;
  ran.length = 0;
  const send = (path: string, user?: string, method: 'get' | 'post' | 'delete' = 'get') => {
    const sent = request(set.app.callback())[method](path);
    return user === undefined ? sent : sent.set('x-user', user);
  };
  return { ...set, send };
}

describe('@Authorize', () => {
  @JsonController('/expenses')
  class ExpensesController {
    @Get('/:id')
    @Authorize({ resource: find, action: 'read' })
    show(@AuthorizedResource() expense: Expense, @CurrentActor() user: User, @Param('id') id: string) {
      ran.push('show');
      return { expense, actor: user.name, id };
    }

    @Get('/:id/value')
    @Authorize({ resource: 'the front page', action: 'read', actor: null })
    value() {
      return { ran: true };
    }

    @Get('/:id/request')
    @Authorize()
    request() {
      return { ran: true };
    }
  }

  it('authorizes what it loads before the method runs, once', async () => {
    const { send } = await serve([ExpensesController]);
    await send('/expenses/1', 'bob').expect(403, { name: 'ForbiddenError', message: 'Forbidden' });
    expect(ran).to.deep.equal([]);
    const expense = { id: '1', owner: 'ann', amount: 1000 };
    await send('/expenses/1', 'ann').expect(200, { expense, actor: 'ann', id: '1' });
    expect(loads).to.deep.equal(['1', '1']);
  });

  it('answers 404 where nothing was loaded', async () => {
    const { send } = await serve([ExpensesController]);
    await send('/expenses/3', 'ann').expect(404, { name: 'NotFoundError', message: 'Not Found' });
    expect(ran).to.deep.equal([]);
  });

  it('takes a value, and the request where no resource is given', async () => {
    const { send } = await serve(
      [ExpensesController],
      {},
      {
        policy:
          'allow(nil, "read", "the front page"); allow(_: User, "GET", _: Request{path: "/expenses/1/request"});',
      },
    );
    await send('/expenses/1/value', 'bob').expect(200, { ran: true });
    await send('/expenses/1/request', 'bob').expect(200, { ran: true });
    await send('/expenses/2/request', 'bob').expect(403);
  });

  it('works with routePrefix, and in a server made by createKoaServer', async () => {
    const { send } = await serve([ExpensesController], { routePrefix: '/api' });
    await send('/api/expenses/1', 'bob').expect(403);
    await send('/api/expenses/1', 'ann').expect(200);

    const { koaOso } = await setUp();
    @Middleware({ type: 'before' })
    class OsoMiddleware {
      use = koaOso.middleware();
    }
    const app: Koa = createKoaServer({
      controllers: [ExpensesController],
      middlewares: [OsoMiddleware],
      defaultErrorHandler: false,
    });
    // It would be in the apps of the other specs too.
    getMetadataArgsStorage().middlewares = [];
    app.silent = true;
    koaOso.setGetActor(ctx => new User(ctx.get('x-user')));
    await request(app.callback()).get('/expenses/1').set('x-user', 'bob').expect(403, 'Forbidden');
    await request(app.callback()).get('/expenses/1').set('x-user', 'ann').expect(200);
  });

  it('checks in a middleware that has a name, for routers print it', async () => {
    const { app } = await serve([ExpensesController]);
    const routers = app.middleware.flatMap(middleware => (middleware as { router?: Router }).router ?? []);
    const layers = routers.flatMap(({ stack }) => stack).filter(({ path }) => path === '/expenses/:id');
    expect(layers).to.have.length.above(0);
    for (const { stack } of layers) expect(stack.map(({ name }) => name)).to.include('checkAction');
  });

  it('works with the router that it is given', async () => {
    const set = await setUp();
    createServer(new KoaDriver(set.app, new Router()), { controllers: [ExpensesController] });
    const agent = request(set.app.callback());
    await agent.get('/expenses/1').set('x-user', 'bob').expect(403);
    await agent.get('/expenses/1').set('x-user', 'ann').expect(200);
  });

  it('checks for controllers that a container makes', async () => {
    @Service()
    class Clock {
      readonly now = 'now';
    }

    @Service()
    @JsonController('/made')
    class MadeController {
      constructor(private readonly clock: Clock) {}

      @Get('/:id')
      @Authorize({ resource: find, action: 'read' })
      show(@AuthorizedResource() expense: Expense) {
        return { now: this.clock.now, id: expense.id };
      }
    }
    useContainer(Container);
    try {
      const { send } = await serve([MadeController]);
      await send('/made/1', 'ann').expect(200, { now: 'now', id: '1' });
      await send('/made/1', 'bob').expect(403);
    } finally {
      useContainer({ get: type => new (type as new () => never)() });
    }
  });

  it('is refused where the class is defined, with resource: undefined', () => {
    expect(() => Authorize({ resource: undefined })).to.throw(KoaOsoError, 'resource is undefined');
  });

  describe('on a class', () => {
    @JsonController('/team')
    @Authorize({ resource: find, action: 'read' })
    class TeamController {
      @Get('/:id')
      show() {
        ran.push('show');
        return { ran: true };
      }

      @Delete('/:id')
      @Authorize({ resource: find, action: 'update' })
      @Authorize({ resource: 'the back page', action: 'read' })
      remove() {
        ran.push('remove');
        return { ran: true };
      }

      @Get('/')
      @SkipAuthorization('a list of names')
      list() {
        return { listed: true };
      }

      @Post('/:id')
      @Authorize({ resource: find, action: 'update' })
      update() {
        ran.push('update');
        return { ran: true };
      }
    }

    it('holds for all methods', async () => {
      const { send } = await serve([TeamController]);
      await send('/team/1', 'bob').expect(403);
      await send('/team/1', 'ann').expect(200);
      expect(ran).to.deep.equal(['show']);
    });

    it('adds up with those on the method: all must pass', async () => {
      const { send } = await serve([TeamController]);
      await send('/team/2', 'ann').expect(200);
      await send('/team/2', 'ann', 'post').expect(403);
      await send('/team/1', 'bob', 'post').expect(403);
      await send('/team/1', 'ann', 'post').expect(200);
      await send('/team/1', 'ann', 'delete').expect(403);
      expect(ran).to.deep.equal(['show', 'update']);
    });

    it('is lifted by @SkipAuthorization on a method', async () => {
      const { send } = await serve([TeamController]);
      await send('/team').expect(200, { listed: true });
      expect(loads).to.deep.equal([]);
    });
  });

  it('is refused on a static method, which is no route', () => {
    expect(() => {
      class Static {
        @Authorize()
        static method() {}

        other() {}
      }
      return Static;
    }).to.throw(KoaOsoError, 'Static.method is static');
  });

  it('survives another storage of decorators in the place of the first', async () => {
    const holder = globalThis as { routingControllersMetadataArgsStorage?: MetadataArgsStorage };
    const first = getMetadataArgsStorage();
    holder.routingControllersMetadataArgsStorage = new MetadataArgsStorage();
    try {
      @JsonController('/anew')
      class AnewController {
        @Get('/:id')
        @Authorize({ resource: find, action: 'read' })
        show() {
          return { ran: true };
        }
      }
      const { send } = await serve([AnewController]);
      await send('/anew/1', 'bob').expect(403);
      await send('/anew/1', 'ann').expect(200, { ran: true });
    } finally {
      holder.routingControllersMetadataArgsStorage = first;
    }
  });

  it('leaves actions alone that are properties', async () => {
    @JsonController('/property')
    class PropertyController {
      @Get('/')
      action = () => ({ property: true });
    }
    const { app } = await setUp();
    useKoaServer(app, { controllers: [PropertyController] });
    await request(app.callback()).get('/property').expect(200, { property: true });
  });

  describe('and inheritance', () => {
    @Authorize({ resource: find, action: 'read' })
    abstract class BaseController {
      @Get('/:id')
      show(@AuthorizedResource() expense: Expense, @Param('id') id: string, @CurrentActor() user: User) {
        return { expense: expense.id, id, actor: user.name };
      }

      @Post('/:id')
      @Authorize({ resource: find, action: 'update' })
      update() {
        return { updated: true };
      }

      @Get('/:id/open')
      @SkipAuthorization('base')
      open() {
        return { open: true };
      }

      @Delete('/:id')
      @Authorize({ resource: find, action: 'update' })
      remove() {
        return { removed: 'by base' };
      }
    }

    @JsonController('/derived')
    class DerivedController extends BaseController {
      override remove() {
        return { removed: 'by derived' };
      }
    }

    @JsonController('/strict')
    @Authorize({ resource: 'the back page', action: 'read' })
    class StrictController extends BaseController {}

    @JsonController('/lax')
    @SkipAuthorization('derived')
    class LaxController extends BaseController {}

    it('holds for the methods that a controller inherits, with all their parameters', async () => {
      const { send } = await serve([DerivedController]);
      await send('/derived/1', 'ann').expect(200, { expense: '1', id: '1', actor: 'ann' });
      await send('/derived/1', 'bob').expect(403);
      await send('/derived/2', 'ann', 'post').expect(403);
      await send('/derived/1', 'ann', 'post').expect(200, { updated: true });
      await send('/derived/1/open').expect(200, { open: true });
    });

    it('holds for the methods that a controller overrides', async () => {
      const { send } = await serve([DerivedController]);
      await send('/derived/2', 'ann', 'delete').expect(403);
      await send('/derived/1', 'ann', 'delete').expect(200, { removed: 'by derived' });
    });

    it('adds what the derived class demands, also to what the base class skips', async () => {
      const { send } = await serve([StrictController]);
      await send('/strict/1', 'ann').expect(403);
      await send('/strict/1/open', 'ann').expect(403);
    });

    it('does not skip a method that overrides one that is skipped', async () => {
      @JsonController('/overriding')
      class OverridingController extends BaseController {
        override open() {
          return { open: false };
        }
      }
      const { send } = await serve([OverridingController]);
      await send('/overriding/2/open', 'ann').expect(200);
      await send('/overriding/1/open', 'bob').expect(403);
    });

    it('lets the derived class lift what the base class demands as a whole, and no method', async () => {
      const { send } = await serve([LaxController], {}, { policy: `allow(_: User, "read", _: Expense);` });
      await send('/lax/1/open').expect(200);
      await send('/lax/1', 'ann', 'post').expect(403);
    });
  });

  describe('beside what routing-controllers has', () => {
    class Change {
      @IsInt()
      amount!: number;
    }
    const order: string[] = [];

    @JsonController('/beside')
    class BesideController {
      @Post('/:id/body')
      @Authorize({ resource: find, action: 'update' })
      change(@Body() change: Change, @AuthorizedResource() expense: Expense) {
        return { id: expense.id, amount: change.amount };
      }

      @Post('/:id/file')
      @Authorize({ resource: find, action: 'update' })
      upload(@UploadedFile('receipt', { options: { storage: countingStorage } }) receipt: { size: number }) {
        return { size: receipt.size };
      }

      @Get('/:id/all')
      @Authorized('accountant')
      @Authorize({ resource: find, action: 'read' })
      @UseBefore((_ctx: Context, next: () => Promise<unknown>) => {
        order.push('before');
        return next();
      })
      @UseInterceptor((_action: Action, content: object) => ({ ...content, intercepted: true }))
      all(@CurrentUser() user: { name: string }) {
        order.push('method');
        return { user: user.name };
      }
    }

    it('runs before the body is validated', async () => {
      const { send } = await serve([BesideController]);
      await send('/beside/1/body', 'bob', 'post').send({ amount: 'much' }).expect(403);
      const { body } = await send('/beside/1/body', 'ann', 'post').send({ amount: 'much' }).expect(400);
      expect(body.errors).to.have.length(1);
      await send('/beside/1/body', 'ann', 'post').send({ amount: 5 }).expect(200, { id: '1', amount: 5 });
    });

    it('runs before files are accepted', async () => {
      const { send } = await serve([BesideController]);
      accepted.length = 0;
      await send('/beside/1/file', 'bob', 'post')
        .attach('receipt', Buffer.from('12345'), 'a.txt')
        .expect(403);
      expect(accepted).to.deep.equal([]);
      await send('/beside/1/file', 'ann', 'post')
        .attach('receipt', Buffer.from('12345'), 'a.txt')
        .expect(200, { size: 5 });
      expect(accepted).to.deep.equal(['a.txt']);
    });

    it('leaves @Authorized, @CurrentUser, @UseBefore and interceptors at work', async () => {
      const options: Options = {
        authorizationChecker: ({ context }: Action, roles: string[]) => {
          order.push(`authorized ${roles}`);
          return context.get('x-role') === 'accountant';
        },
        currentUserChecker: ({ context }: Action) => ({ name: `current ${context.state.user.name}` }),
      };
      const { send } = await serve([BesideController], options);
      order.length = 0;
      await send('/beside/1/all', 'bob').set('x-role', 'accountant').expect(403);
      expect(order).to.deep.equal(['before']);
      await send('/beside/1/all', 'ann').expect(403);
      order.length = 0;
      await send('/beside/1/all', 'ann')
        .set('x-role', 'accountant')
        .expect(200, { user: 'current ann', intercepted: true });
      expect(order).to.deep.equal(['before', 'authorized accountant', 'method']);
    });
  });
});

describe('@SkipAuthorization', () => {
  it('on a class holds for the methods that have no @Authorize', async () => {
    @JsonController('/public')
    @SkipAuthorization('public')
    class PublicController {
      @Get('/')
      open(@CurrentActor() actor: User | null) {
        return { actor };
      }

      @Get('/:id')
      @Authorize({ resource: find, action: 'read' })
      checked() {
        return { checked: true };
      }
    }
    const { send } = await serve([PublicController]);
    await send('/public').expect(200, { actor: null });
    await send('/public/1', 'bob').expect(403);
    await send('/public/1', 'ann').expect(200, { checked: true });
  });

  it('keeps its reason on ctx.state.oso', async () => {
    let reason: unknown;
    @JsonController('/reason')
    class ReasonController {
      @Get('/')
      @SkipAuthorization('the load balancer has no account')
      health() {
        return {};
      }
    }
    const set = await setUp();
    set.app.use(async (ctx, next) => {
      await next();
      reason = ctx.state.oso.skipReason;
    });
    useKoaServer(set.app, { controllers: [ReasonController] });
    await request(set.app.callback()).get('/reason').expect(200);
    expect(reason).to.equal('the load balancer has no account');
  });

  it('and @Authorize on one target is an error when the class is defined', () => {
    const conflict = (target: string, define: () => unknown) =>
      expect(define)
        .to.throw(KoaOsoError, `${target} has both @Authorize and @SkipAuthorization`)
        .with.property('code', 'ERR_KOA_OSO_CONFLICTING_DECORATORS');
    conflict('Conflict.method', () => {
      class Conflict {
        @SkipAuthorization()
        @Authorize()
        method() {}
      }
      return Conflict;
    });
    conflict('Conflict', () => {
      @Authorize()
      @SkipAuthorization()
      class Conflict {}
      return Conflict;
    });
  });
});

class Team {
  constructor(readonly name: string) {}
}

class Repo {
  readonly name = 'repo';
}

type TypeOnlyTeam = Pick<Team, 'name'>;

describe('@AuthorizedResource', () => {
  class Invoice extends Expense {}

  @JsonController('/typed')
  @Authorize({ resource: () => new Team('t'), action: 'read', actor: null })
  @Authorize({ resource: () => new Invoice('i', 'ann', 1), action: 'read' })
  class TypedController {
    @Get('/:id')
    @Authorize({ resource: find, action: 'read' })
    both(
      @AuthorizedResource() invoice: Invoice,
      @AuthorizedResource() expense: Expense,
      @AuthorizedResource(Team) typeOnly: TypeOnlyTeam,
    ) {
      return [invoice.id, expense.id, typeOnly.name];
    }

    @Get('/:id/missing')
    @SkipAuthorization()
    missing(@AuthorizedResource() invoice: Invoice) {
      return invoice;
    }

    @Get('/:id/other')
    other(@AuthorizedResource() repo: Repo) {
      return repo;
    }
  }

  const policy = `${POLICY} allow(nil, "read", _: Team);`;
  const withTeam = async (options?: Options) => {
    const set = await serve([TypedController], options, { policy: '' });
    set.oso.registerClass(Team);
    await set.oso.loadStr(policy);
    return set;
  };

  it('is the latest of its class, and not one of a derived class if there is one of its own', async () => {
    const { send } = await withTeam();
    await send('/typed/2', 'bob').expect(200, ['i', '2', 't']);
  });

  it('is of a derived class if there is none of its own', async () => {
    @JsonController('/derived-resource')
    class DerivedResourceController {
      @Get('/')
      @Authorize({ resource: () => new Invoice('i', 'ann', 1), action: 'read' })
      show(@AuthorizedResource() expense: Expense) {
        return expense.id;
      }
    }
    const { send } = await serve([DerivedResourceController]);
    await send('/derived-resource', 'ann').expect(200, 'i');
  });

  it('is a text or a plain object, if that is what was loaded', async () => {
    @JsonController('/plain')
    class PlainController {
      @Get('/')
      @Authorize({ resource: () => 'the front page', action: 'read', actor: null })
      show(@AuthorizedResource() page: string) {
        return page;
      }

      @Get('/object')
      @Authorize({ resource: () => ({ constructor: 'Secret', plain: true }), action: 'read' })
      object(@AuthorizedResource() page: { plain: boolean }) {
        return { plain: page.plain };
      }

      @Get('/secret')
      @Authorize({ resource: () => ({ constructor: { name: 'Secret' } }), action: 'read' })
      secret(@AuthorizedResource() expense: Expense) {
        return expense;
      }
    }
    const { send, errors } = await serve([PlainController], {}, { policy: 'allow(_, "read", _);' });
    await send('/plain').expect(200, 'the front page');
    await send('/plain/object').expect(200, { plain: true });
    await send('/plain/secret').expect(500);
    expect(errors[0]?.message).to.contain('wants an Expense, but a plain object was loaded');
  });

  it('is 500 where another class was loaded, by the names of both', async () => {
    const { send, errors } = await withTeam({ defaultErrorHandler: false });
    await send('/typed/2/other', 'bob').expect(500, 'Internal Server Error');
    expect(codeOf(errors)).to.equal('ERR_KOA_OSO_NO_AUTHORIZED_RESOURCE');
    expect(errors[0]?.message).to.contain(
      '@AuthorizedResource() on TypedController.other wants a Repo, but a Team and an Invoice were loaded',
    );
  });

  it('is 500 where several were loaded and no class is told, also by what no decorator knows of', async () => {
    const { koaOso } = await setUp();
    const load = (resource: Expense) => koaOso.authorize({ resource: () => resource, action: 'read' });
    @JsonController('/used')
    class UsedController {
      @Get('/one')
      @UseBefore(load(new Expense('1', 'ann')))
      one(@AuthorizedResource() any: unknown) {
        return (any as Expense).id;
      }

      @Get('/two')
      @UseBefore(load(new Expense('1', 'ann')), load(new Invoice('2', 'ann')))
      two(@AuthorizedResource() any: unknown) {
        return (any as Expense).id;
      }
    }
    const { send, errors } = await serve([UsedController]);
    await send('/used/one', 'ann').expect(200, '1');
    await send('/used/two', 'ann').expect(500);
    expect(errors[0]?.message).to.contain(
      'wants the one resource of the request, but an Expense and an Invoice were loaded',
    );
  });

  describe('is refused when the controller is defined', () => {
    const refused = (define: () => unknown, message: string) =>
      expect(define).to.throw(KoaOsoError, message).with.property('code', 'ERR_KOA_OSO_INVALID_ARGUMENT');

    it('for two parameters of one class', () => {
      refused(() => {
        class Moving {
          move(@AuthorizedResource() from: Team, @AuthorizedResource() to: Team) {
            return [from, to];
          }
        }
        return Moving;
      }, '@AuthorizedResource() on Moving.move stands on several parameters');
    });

    it('for one of two whose class is not told', () => {
      refused(() => {
        class Moving {
          move(@AuthorizedResource() team: Team, @AuthorizedResource() expense: TypeOnlyExpense) {
            return [team, expense];
          }
        }
        return Moving;
      }, 'stands on several parameters');
    });

    it('for one whose class is not told, where several resources are loaded', () => {
      refused(() => {
        class Moving {
          @Authorize({ resource: find, action: 'read' })
          @Authorize({ resource: find, action: 'update' })
          move(@AuthorizedResource() expense: TypeOnlyExpense) {
            return expense;
          }
        }
        return Moving;
      }, 'may get any of 2 resources');
    });

    it('or registered, where the class of the controller loads one more', async () => {
      @Authorize({ resource: find, action: 'read' })
      class Base {
        @Get('/')
        @Authorize({ resource: find, action: 'update' })
        move(@AuthorizedResource() expense: TypeOnlyExpense) {
          return expense;
        }
      }
      @JsonController('/ambiguous')
      class Derived extends Base {}
      const { app } = await setUp();
      refused(() => useKoaServer(app, { controllers: [Derived] }), 'Derived.move may get any of 2 resources');
    });

    it('with a class that is not there', () => {
      refused(() => AuthorizedResource(undefined), '@AuthorizedResource was given no class');
      refused(() => AuthorizedResource('Expense' as never), '@AuthorizedResource was given no class');
    });
  });

  it('is 500 where nothing of its class was loaded', async () => {
    const { send, errors } = await serve([TypedController], { defaultErrorHandler: false });
    await send('/typed/2/missing', 'bob').expect(500, 'Internal Server Error');
    expect(codeOf(errors)).to.equal('ERR_KOA_OSO_NO_AUTHORIZED_RESOURCE');
    expect(errors[0]?.message).to.contain('TypedController.missing');
  });
});

it('the parameters of inherited methods that use no decorator of koa-oso are as routing-controllers has them', async () => {
  class Plain {
    @Get('/:id')
    @SkipAuthorization()
    show(@Param('id') id: string) {
      return { id: id ?? null };
    }
  }
  @JsonController('/plain')
  class PlainController extends Plain {}
  const { send } = await serve([PlainController]);
  await send('/plain/1').expect(200, { id: null });
  expect(getMetadataArgsStorage().filterParamsWithTargetAndMethod(Plain, 'show')).to.have.length(1);
  expect(new KoaOso()).to.be.instanceOf(KoaOso);
});
