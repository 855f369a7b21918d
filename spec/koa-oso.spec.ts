import { AsyncResource } from 'node:async_hooks';
import { EventEmitter } from 'node:events';
import { ServerResponse } from 'node:http';
import { expect } from 'chai';
import mount from 'koa-mount';
import { KoaOso, KoaOsoError } from 'koa-oso';
import { Oso } from 'oso';
import request from 'supertest';
import { codeOf, Expense, setUp, User } from './support/app.js';
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

  it('gives each middleware a name, for Koa prints it', () => {
    const koaOso = new KoaOso();
    const middlewares = [
      koaOso.middleware(),
      koaOso.requireAuthorization(),
      koaOso.performRouteAuthorization(),
      koaOso.authorize(),
      koaOso.skipAuthorization(),
    ];
    expect(middlewares.map(({ name }) => name)).to.deep.equal([
      'koaOso',
      'requireAuthorization',
      'performRouteAuthorization',
      'authorize',
      'skipAuthorization',
    ]);
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
        expect(JSON.parse(JSON.stringify(ctx.state.oso))).to.deep.equal({
          authorized: false,
          skipped: false,
          decisions: [],
        });
        ctx.body = 'ok';
      });
      expect(app.middleware).to.have.length(2);
      await send('/').expect(200);
      await send('/').expect(200);
      expect(seen.size).to.equal(4);
    });

    describe('and what is merged into ctx.state', () => {
      const merges: Record<string, (state: object, body: object) => void> = {
        'Object.assign': Object.assign,
        'a deep merge': function merge(into: object, from: object) {
          for (const [key, value] of Object.entries(from)) {
            const existing: unknown = Reflect.get(into, key);
            const isDeep = typeof value === 'object' && typeof existing === 'object' && existing !== null;
            if (isDeep) merge(existing, value);
            // As code that is not strict assigns.
            else Reflect.set(into, key, value);
          }
        },
        'a deep merge in strict code': function merge(into: object, from: object) {
          for (const [key, value] of Object.entries(from)) {
            const existing: unknown = Reflect.get(into, key);
            if (typeof existing === 'object' && existing !== null) merge(existing, value);
            else (into as Record<string, unknown>)[key] = value;
          }
        },
      };
      const bodies = {
        'its authorized': { oso: { authorized: true, skipped: true, skipReason: 'so' } },
        'its decisions': { oso: { decisions: [{ allowed: true, kind: 'authorize' }, { allowed: true }] } },
        'its place': { oso: 1 },
        'its class': JSON.parse('{"oso": {"__proto__": {"authorized": true, "skipped": true}}}'),
      };
      for (const [merge, into] of Object.entries(merges)) {
        for (const [what, body] of Object.entries(bodies)) {
          it(`does not write ${what} (${merge})`, async () => {
            const { app, koaOso, router, send, errors } = await setUp();
            app.use(koaOso.requireAuthorization());
            router.get('/', async ctx => {
              expect(await ctx.oso.isAllowed(rent, read)).to.equal(false);
              try {
                into(ctx.state, body);
              } catch (error) {
                expect(error).to.be.instanceOf(TypeError);
              }
              expect(ctx.state.oso).to.equal(ctx.oso.state);
              const { authorized, skipped, decisions } = ctx.state.oso;
              expect({ authorized, skipped }).to.deep.equal({ authorized: false, skipped: false });
              expect(decisions).to.have.length(1);
              expect(decisions[0]).to.include({ allowed: false, kind: 'isAllowed' });
              ctx.body = 'not authorized';
            });
            await send('/', 'bob').expect(500);
            // That of an assertion is another.
            expect(codeOf(errors)).to.equal('ERR_KOA_OSO_AUTHORIZATION_MISSING');
          });
        }
      }

      it('does not decide anything in place of a ctx.state that was replaced', async () => {
        const { app, koaOso, router, send } = await setUp();
        app.use(koaOso.requireAuthorization());
        router.get('/', ctx => {
          ctx.state = { oso: { authorized: true, skipped: true, decisions: [] } };
          ctx.body = 'not authorized';
        });
        await send('/', 'ann').expect(500);
      });
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

    describe('in an app that another calls in process', () => {
      /** Two apps with one KoaOso; the outer one calls the inner one, as eve, and is asked by ann. */
      async function nested(outerStorage: boolean, innerStorage: boolean) {
        const outer = await setUp({ app: new Koa({ asyncLocalStorage: outerStorage }) });
        const { koaOso } = outer;
        const inner = new Koa({ asyncLocalStorage: innerStorage });
        inner.silent = true;
        inner.use((ctx, next) => {
          ctx.state.user = new User('eve');
          return next();
        });
        inner.use(koaOso.middleware());
        inner.use(async ctx => {
          const actor = await koaOso.current.currentActor;
          await koaOso.current.authorize(rent, read);
          ctx.body = (actor as User).name;
        });
        outer.router.get('/', async ctx => {
          const { status, text } = await request(inner.callback()).get('/');
          const own = (await koaOso.current.currentActor) as User;
          await ctx.oso.authorize(rent, read);
          ctx.body = { inner: [status, text], outer: own.name };
        });
        outer.router.get('/injected', async ctx => {
          // Without a connection in between, as server-side rendering and light-my-request do.
          const req = Object.assign(Object.create(ctx.req), { url: '/', method: 'GET' });
          const res = new ServerResponse(ctx.req);
          await inner.callback()(req, res);
          await ctx.oso.authorize(rent, read);
          ctx.body = { inner: [res.statusCode], outer: ((await koaOso.current.currentActor) as User).name };
        });
        return outer;
      }

      it('is that of the inner request: eve has not the rights of ann', async () => {
        const { send } = await nested(true, true);
        await send('/injected', 'ann').expect(200, { inner: [403], outer: 'ann' });
        await send('/', 'ann').expect(200, { inner: [403, 'Forbidden'], outer: 'ann' });
      });

      it('is that of the inner request also if only the app around it keeps its requests', async () => {
        const { send } = await nested(true, false);
        await send('/injected', 'ann').expect(200, { inner: [403], outer: 'ann' });
      });

      it('is not that of the request around an app which has another KoaOso', async () => {
        const { app, koaOso, send } = await setUp({ app: new Koa({ asyncLocalStorage: true }) });
        const inner = new Koa();
        inner.use(new KoaOso().middleware());
        inner.use(ctx => {
          expect(() => koaOso.current).to.throw(KoaOsoError, 'asyncLocalStorage: true');
          ctx.body = 'refused';
        });
        app.use(async ctx => {
          await ctx.oso.authorize(rent, read);
          ctx.body = (await request(inner.callback()).get('/')).text;
        });
        await send('/', 'ann').expect(200, 'refused');
      });
    });

    it('is that of the request which emits an event, in a listener of it, unless that is bound', async () => {
      const { app, koaOso, send } = await setUp({ app: new Koa({ asyncLocalStorage: true }) });
      const emitter = new EventEmitter();
      const heard: string[] = [];
      app.use(async ctx => {
        const note = async () => void heard.push(((await koaOso.current.currentActor) as User).name);
        if (ctx.path === '/listen') emitter.on('event', note).on('event', AsyncResource.bind(note));
        else emitter.emit('event');
        ctx.body = 'ok';
      });
      await send('/listen', 'ann').expect(200);
      await send('/emit', 'eve').expect(200);
      expect(heard).to.have.members(['eve', 'ann']);
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
