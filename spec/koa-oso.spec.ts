import { expect } from 'chai';
import mount from 'koa-mount';
import { KoaOso, KoaOsoError } from 'koa-oso';
import { Oso } from 'oso';
import request from 'supertest';
import { codeOf, Expense, setUp } from './support/app.js';
import { type Context, Koa } from './support/koa.js';

const rent = new Expense('1', 'ann', 1000);
const read = { action: 'read' };

describe('KoaOso', () => {
  describe('setters', () => {
    it('return the KoaOso, so that they chain', () => {
      const koaOso = new KoaOso();
      const chained = koaOso
        .setOso(new Oso())
        .setGetActor(ctx => ctx.state.account)
        .setUnauthorizedAction(ctx => ctx.throw(404))
        .initApp(new Koa());
      expect(chained).to.equal(koaOso);
    });

    it('take effect at once, also for an app that is running', async () => {
      const { send, router, koaOso } = await setUp();
      router.get('/', ctx => ctx.oso.authorize(rent, read));
      await send('/', 'bob').expect(403);
      koaOso.setUnauthorizedAction((ctx, denial) => ctx.throw(404, `${denial.action} ${denial.allowed}`));
      await send('/', 'bob').expect(404, 'read false');
    });
  });

  describe('setOso', () => {
    it('registers Request once for an Oso that several KoaOsos share', () => {
      const oso = new Oso();
      new KoaOso({ oso }).setOso(oso);
      new KoaOso({ oso });
      expect(oso.getHost().getType('Request')?.name).to.equal('Request');
    });

    it('refuses an Oso that has another class by the name of Request', () => {
      const oso = new Oso();
      oso.registerClass(class Request {});
      expect(() => new KoaOso({ oso }))
        .to.throw(KoaOsoError, "registered as 'Request'")
        .with.property('code', 'ERR_KOA_OSO_INVALID_ARGUMENT');
    });
  });

  it('refuses what is no function, or no Oso', () => {
    const invalid = (options: object) =>
      expect(() => new KoaOso(options))
        .to.throw(KoaOsoError, /no (function|Oso)/)
        .with.property('code', 'ERR_KOA_OSO_INVALID_ARGUMENT');
    invalid({ getActor: 'ann' });
    invalid({ unauthorizedAction: 403 });
    invalid({ oso: null });
    expect(() => new KoaOso().setOso(undefined as never)).to.throw(KoaOsoError, 'no Oso');
  });

  describe('middleware', () => {
    it('gives every request its own ctx.oso and ctx.state.oso', async () => {
      const { app, router, send } = await setUp();
      const seen = new Set<unknown>();
      router.get('/', ctx => {
        seen.add(ctx.oso).add(ctx.state.oso);
        expect(ctx.oso.state).to.equal(ctx.state.oso);
        expect(ctx.state.oso).to.deep.equal({ authorized: false, skipped: false, decisions: [] });
        ctx.body = 'ok';
      });
      expect(app.middleware).to.have.length(2);
      await send('/').expect(200);
      await send('/').expect(200);
      expect(seen.size).to.equal(4);
    });

    it('does nothing the second time on the way of one request', async () => {
      const { app, router, send, koaOso } = await setUp();
      const first: unknown[] = [];
      app.use((ctx, next) => {
        first.push(ctx.oso);
        return next();
      });
      app.use(koaOso.middleware());
      router.get('/', ctx => {
        ctx.body = String(ctx.oso === first[0]);
      });
      await send('/').expect(200, 'true');
    });

    it('leaves an error response as it is, where an error handler of the app has answered a denial', async () => {
      const { app, router, send } = await setUp();
      app.use(async (ctx, next) => {
        try {
          await next();
        } catch (error) {
          ctx.status = (error as { status: number }).status;
          if ('body' in ctx.query) ctx.body = { error: (error as Error).message };
        }
      });
      router.get('/', ctx => ctx.oso.authorize(rent, read));
      await send('/?body', 'bob').expect(403, { error: 'Forbidden' });
      await send('/', 'bob').expect(403, 'Forbidden');
    });

    it('lets a mounted app have a KoaOso of its own, whose authorization counts outside as well', async () => {
      const outer = await setUp();
      const oso = new Oso();
      const inner = new KoaOso({ oso, getActor: () => 'robot' });
      await oso.loadStr('allow("robot", "GET", "gears");');
      const mounted = new Koa().use(inner.middleware()).use(async ctx => {
        await ctx.oso.authorize(ctx.path === '/gears' ? 'gears' : 'springs');
        ctx.body = await ctx.oso.currentActor;
      });
      outer.app.use(outer.koaOso.requireAuthorization());
      outer.app.use(async (ctx, next) => {
        const before = ctx.oso;
        await next();
        ctx.set('X-Restored', String(ctx.oso === before));
      });
      outer.app.use(mount('/machine', mounted));
      await outer.send('/machine/gears').expect(200, 'robot').expect('X-Restored', 'true');
      await outer.send('/machine/springs').expect(403, 'Forbidden');
    });
  });

  describe('authorize, as route middleware', () => {
    it('authorizes before the handler runs', async () => {
      const { koaOso, router, send } = await setUp();
      let ran = 0;
      router.get('/', koaOso.authorize({ resource: rent, action: 'read' }), ctx => {
        ran++;
        ctx.body = 'read';
      });
      await send('/', 'bob').expect(403, 'Forbidden');
      expect(ran).to.equal(0);
      await send('/', 'ann').expect(200, 'read');
    });
  });

  describe('skipAuthorization, as route middleware', () => {
    it('marks the request as skipped, with the reason', async () => {
      const { koaOso, router, send } = await setUp();
      router.get('/', koaOso.skipAuthorization('health check'), ctx => {
        ctx.body = ctx.state.oso;
      });
      await send('/').expect(200, {
        authorized: false,
        skipped: true,
        decisions: [],
        skipReason: 'health check',
      });
    });

    it('says clearly that the middleware is missing', async () => {
      const app = new Koa();
      const errors: Error[] = [];
      app.on('error', error => errors.push(error)).use(new KoaOso().skipAuthorization());
      await request(app.callback()).get('/').expect(500);
      expect(codeOf(errors)).to.equal('ERR_KOA_OSO_MIDDLEWARE_MISSING');
    });
  });

  describe('current', () => {
    it('is the RequestOso of the running request, in code that is handed no ctx', async () => {
      const { koaOso, router, send } = await setUp({ app: new Koa({ asyncLocalStorage: true }) });
      const loadRent = async () => {
        await koaOso.current.authorize(rent, read);
        return rent;
      };
      router.get('/', async ctx => {
        ctx.body = await loadRent();
        expect(koaOso.current).to.equal(ctx.oso);
      });
      await send('/', 'ann').expect(200);
      await send('/', 'bob').expect(403);
    });

    it('is known inside a KoaOso of a mounted app as well', async () => {
      const outer = await setUp({ app: new Koa({ asyncLocalStorage: true }) });
      const inner = new KoaOso({ oso: outer.oso, getActor: () => null });
      outer.app.use(inner.middleware());
      outer.router.get('/', async ctx => {
        expect(inner.current).to.equal(ctx.oso);
        await outer.koaOso.current.authorize(rent, read);
        ctx.body = 'by the outer one';
      });
      await outer.send('/', 'ann').expect(200, 'by the outer one');
    });

    it('says clearly that there is no request, or that Koa does not keep it', async () => {
      const { koaOso, router, send, errors } = await setUp();
      expect(() => koaOso.current).to.throw(KoaOsoError, 'asyncLocalStorage: true');
      router.get('/', () => koaOso.current.authorize(rent));
      await send('/').expect(500);
      expect(codeOf(errors)).to.equal('ERR_KOA_OSO_NO_CURRENT_REQUEST');
    });
  });

  it('never mixes up the actors of 500 concurrent requests', async () => {
    const { router, app, oso } = await setUp({
      policy: '',
      getActor: async (ctx: Context) => {
        await tick();
        return new SlowUser(String(ctx.query.name));
      },
    });
    oso.registerClass(SlowUser);
    await oso.loadStr('allow(user: SlowUser, "read", name: String) if user.slowName = name;');
    router.get('/', async ctx => {
      const { name, resource } = ctx.query as { name: string; resource: string };
      await ctx.oso.authorize(resource, read);
      ctx.body = `${name} ${((await ctx.oso.currentActor) as SlowUser).name}`;
    });
    const server = app.use(router.routes()).listen(0);
    try {
      const agent = request(server);
      const answers = await Promise.all(
        Array.from({ length: 500 }, async (_, index) => {
          const own = index % 2 === 0;
          const name = `user${index}`;
          const { status, text } = await agent.get(`/?name=${name}&resource=${own ? name : 'user0'}`);
          return own ? status === 200 && text === `${name} ${name}` : status === 403;
        }),
      );
      expect(answers.filter(right => !right)).to.deep.equal([]);
    } finally {
      server.close();
    }
  });
});

class SlowUser {
  constructor(readonly name: string) {}

  get slowName(): Promise<string> {
    return tick().then(() => this.name);
  }
}

function tick(): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, Math.random() * 5));
}
