import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { inspect } from 'node:util';
import { expect } from 'chai';
import mount from 'koa-mount';
import { HttpRequest, KoaOso } from 'koa-oso';
import { CompiledOso } from 'koa-oso/polar';
import { Oso } from 'oso';
import request from 'supertest';
import { setUp } from './support/app.js';
import { Koa, Router } from './support/koa.js';

/** Whether a rule whose body is the condition allows the request. */
async function holds(
  condition: string,
  send = (set: Awaited<ReturnType<typeof setUp>>) => set.send('/teams/7?page=2'),
) {
  const set = await setUp({
    app: new Koa({ proxy: true }),
    policy: `allow(_, _, request: Request) if ${condition};`,
  });
  set.router.all('/teams/:team', async ctx => {
    await ctx.oso.authorize(ctx.request);
    ctx.body = 'allowed';
  });
  const { status, text } = await send(set);
  expect([status, text]).to.be.deep.oneOf([
    [200, 'allowed'],
    [403, 'Forbidden'],
  ]);
  return status === 200;
}

describe('HttpRequest', () => {
  describe('as policies see it', () => {
    const facts = [
      'request.method = "GET"',
      'request.path = "/teams/7"',
      'request.route = "/teams/:team"',
      'request.url = "/teams/7?page=2"',
      'request.originalUrl = "/teams/7?page=2"',
      'request.query.page = "2"',
      'request.query.absent = nil',
      'request.querystring = "page=2"',
      'request.params.team = "7"',
      'request.params.absent = nil',
      'request.headers.accept = "text/csv"',
      'request.headers.absent = nil',
      'request.header("X-Api-Key") = "k"',
      'request.header("X-Absent") = nil',
      'request.host = "eu.example.com:8080"',
      'request.hostname = "eu.example.com"',
      'request.subdomains = ["eu"]',
      'request.protocol = "https"',
      'request.secure = true',
      'request.ip = "203.0.113.9"',
      'request.ips = ["203.0.113.9", "10.0.0.1"]',
      'request.type = ""',
      'request.length = nil',
    ];
    const describedRequest = (set: Awaited<ReturnType<typeof setUp>>) =>
      set
        .send('/teams/7?page=2')
        .set('Accept', 'text/csv')
        .set('X-Api-Key', 'k')
        .set('Host', 'eu.example.com:8080')
        .set('X-Forwarded-Host', 'eu.example.com:8080')
        .set('X-Forwarded-Proto', 'https')
        .set('X-Forwarded-For', '203.0.113.9, 10.0.0.1');

    for (const fact of facts) {
      it(`has ${fact}, and not its opposite`, async () => {
        expect(await holds(fact, describedRequest)).to.equal(true);
        expect(await holds(`not ${fact}`, describedRequest)).to.equal(false);
      });
    }

    it('has type and length of the body', async () => {
      const post = (set: Awaited<ReturnType<typeof setUp>>) =>
        set
          .send('/teams/7', undefined, 'post')
          .set('Content-Type', 'application/json; charset=utf-8')
          .send('{"a":1}');
      expect(await holds('request.type = "application/json" and request.length = 7', post)).to.equal(true);
    });

    it('has a list where a name of the query is repeated', async () => {
      const repeated = (set: Awaited<ReturnType<typeof setUp>>) => set.send('/teams/7?page=2&page=3');
      expect(await holds('request.query.page = ["2", "3"]', repeated)).to.equal(true);
      expect(await holds('request.query.page = "2"', repeated)).to.equal(false);
    });

    it('is not fooled by the names of JavaScript', async () => {
      const odd = (set: Awaited<ReturnType<typeof setUp>>) => set.send('/teams/7?__proto__=x&constructor=y');
      expect(
        await holds('request.query.toString = nil and request.query.hasOwnProperty = nil', odd),
      ).to.equal(true);
      expect(await holds('request.query.constructor = "y"', odd)).to.equal(true);
    });

    for (const [sent, condition] of [
      ['/teams/7', 'request.header("constructor") = nil and request.header("toString") = nil'],
      ['/teams/7', 'request.header("__proto__") = nil and request.headers.__proto__ = nil'],
      ['/teams/7', 'request.query.__proto__ = nil and request.params.__proto__ = nil'],
      ['/teams/7', 'request.query.constructor = nil and request.params.constructor = nil'],
      ['/teams/7', 'request.headers.constructor = nil'],
      ['/teams/7?__proto__=a', 'request.query.__proto__ = "a"'],
      [
        '/teams/7?__proto__=a&__proto__=b',
        'request.query.__proto__ = ["a", "b"] and request.query.length = nil',
      ],
      ['/teams/7?constructor=a', 'request.query.constructor = "a" and request.query.name = nil'],
    ] as const) {
      it(`has no other names than were sent: ${condition} for ${sent}`, async () => {
        expect(await holds(condition, set => set.send(sent))).to.equal(true);
      });
    }

    for (const [kind, Engine] of [
      ['Oso', Oso],
      ['CompiledOso', CompiledOso],
    ] as const) {
      it(`names no class, whatever the client sends (${kind})`, async () => {
        class Admin {}
        const oso = new Engine();
        oso.registerClass(Admin);
        const koaOso = new KoaOso({ oso });
        await oso.loadStr(`
          allow(_, "query", request: Request) if request.query matches Admin;
          allow(_, "headers", request: Request) if request.headers matches Admin;
          allow(_, "params", request: Request) if request.params matches Admin;
          allow(_, "sent", request: Request) if request.query.constructor = "Admin";
        `);
        const app = new Koa();
        app.silent = true;
        app.use(koaOso.middleware());
        const router = new Router();
        router.get('/:action/:constructor', async ctx => {
          await ctx.oso.authorize(ctx.request, { action: ctx.params.action as string });
          ctx.body = 'allowed';
        });
        app.use(router.routes());
        for (const action of ['query', 'headers', 'params']) {
          const sent = request(app.callback()).get(`/${action}/Admin?constructor=Admin`);
          await sent.set('constructor', 'Admin').expect(403);
        }
        await request(app.callback()).get('/sent/Admin?constructor=Admin').expect(200, 'allowed');
      });
    }

    it('has a header by the name of constructor, and one for either spelling of referrer', async () => {
      const sent = (set: Awaited<ReturnType<typeof setUp>>) =>
        set.send('/teams/7').set('constructor', 'c').set('Referer', 'r');
      expect(await holds('request.header("Constructor") = "c"', sent)).to.equal(true);
      expect(await holds('request.headers.constructor = "c"', sent)).to.equal(true);
      expect(
        await holds('request.header("Referrer") = "r" and request.header("referer") = "r"', sent),
      ).to.equal(true);
    });

    it('has a parameter by the name of constructor', async () => {
      const { app, koaOso, router, send } = await setUp({
        policy: 'allow(_, _, request: Request) if request.params.constructor = "7";',
      });
      app.use(koaOso.performRouteAuthorization());
      router.get('/:constructor', ctx => {
        ctx.body = 'allowed';
      });
      await send('/7').expect(200, 'allowed');
      await send('/8').expect(403);
    });

    it('is matched by fields in the head of a rule', async () => {
      const { router, send } = await setUp({
        policy: 'allow(nil, "GET", _: Request{path: "/health", secure: false});',
      });
      router.get(['/health', '/wealth'], async ctx => {
        await ctx.oso.authorize(ctx.request);
        ctx.body = 'ok';
      });
      await send('/health').expect(200, 'ok');
      await send('/wealth').expect(403);
    });
  });

  it('has no route where none was matched', async () => {
    const { app, send } = await setUp({ policy: 'allow(_, _, request: Request) if request.route = nil;' });
    app.use(async ctx => {
      await ctx.oso.authorize(ctx.request);
      ctx.body = 'no route';
    });
    await send('/').expect(200, 'no route');
  });

  it('is what ctx.request and ctx.req mean as the resource', async () => {
    const { router, send } = await setUp({
      policy: 'allow(_, "GET", request: Request) if request.path = "/";',
    });
    router.get('/', async ctx => {
      await ctx.oso.authorize(ctx.request);
      await ctx.oso.authorize(ctx.req);
      expect(new Set(ctx.state.oso.decisions.map(({ resource }) => resource)).size).to.equal(1);
      expect(ctx.state.oso.decisions[0]?.resource).to.be.instanceOf(HttpRequest);
      ctx.body = 'ok';
    });
    await send('/').expect(200, 'ok');
  });

  it('prints without header values, query and parameters', async () => {
    const { router, send } = await setUp();
    let printed = '';
    router.get('/teams/:team', ctx => {
      const { request } = ctx.oso;
      printed = inspect([request, request.headers, request.query, request.params]);
      ctx.body = 'ok';
    });
    await send('/teams/7?token=t0ken').set('Authorization', 'Bearer s3cret').expect(200);
    expect(printed).to.contain('Request { GET /teams/7 }').and.contain('authorization').and.contain('token');
    for (const secret of ['s3cret', 't0ken', "'7'"]) expect(printed).not.to.contain(secret);
  });

  it('prints without values also if the client has sent __proto__', async () => {
    const { router, send } = await setUp();
    let printed = '';
    router.get('/', ctx => {
      printed = inspect(ctx.oso.request.query);
      ctx.body = 'ok';
    });
    await send('/?__proto__=s3cret&__proto__=t0ken&a=s3cret').expect(200);
    expect(printed).to.equal('{ __proto__, a }');
  });

  it('reads nothing from the request before a policy asks', async () => {
    const { app, router, send } = await setUp({ policy: 'allow(_, "GET", _: Request);' });
    const read: string[] = [];
    for (const name of ['query', 'headers', 'ip', 'host'] as const) {
      const { get } = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(app.request), name) as {
        get(): unknown;
      };
      Object.defineProperty(app.request, name, {
        get() {
          read.push(name);
          return get.call(this);
        },
      });
    }
    router.get('/', async ctx => {
      read.length = 0;
      await ctx.oso.authorize(ctx.request);
      ctx.body = read;
    });
    await send('/').expect(200, []);
  });

  describe('path', () => {
    async function pathIn(
      prefixes: string[],
      path: string,
      rewrite?: (path: string) => string,
    ): Promise<string> {
      const { app, send } = await setUp();
      let mounted = new Koa().use(async (ctx, next) => {
        if ('after' in ctx.query) return next();
        ctx.body = ctx.oso.request.path;
      });
      for (const prefix of prefixes) mounted = new Koa().use(mount(prefix, mounted));
      if (rewrite) {
        app.use((ctx, next) => {
          ctx.path = rewrite(ctx.path);
          return next();
        });
      }
      app.use(async (ctx, next) => {
        try {
          await next();
          ctx.body ??= ctx.oso.request.path;
        } catch (error) {
          ctx.body = (error as { code: string }).code;
        }
      });
      app.use(mount(mounted));
      const { text } = await send(path).expect(200);
      return text;
    }

    it('is whole in mounted apps, so that a rule for / opens no other root', async () => {
      expect(await pathIn(['/admin'], '/admin')).to.equal('/admin');
      expect(await pathIn(['/admin'], '/admin/users')).to.equal('/admin/users');
    });

    it('is the path of the request again behind a mounted app', async () => {
      expect(await pathIn(['/admin'], '/admin/users?after')).to.equal('/admin/users');
    });

    it('is not guessed: where it cannot be told, asking for it is an error', async () => {
      const strip = (path: string) => path.replace('/de', '');
      for (const path of [
        pathIn(['/v1', '/admin'], '/admin/v1/users'),
        pathIn(['/admin'], '/de/admin/users', strip),
        pathIn(['/admin'], '/x', () => '/admin/users'),
      ]) {
        expect(await path).to.equal('ERR_KOA_OSO_UNKNOWN_PATH');
      }
    });

    it('is told from a request target with scheme and host', async () => {
      const { app } = await setUp();
      const mounted = new Koa().use(ctx => {
        ctx.body = ctx.oso.request.path;
      });
      app.use(mount('/admin', mounted));
      const server = app.listen(0);
      try {
        await once(server, 'listening');
        const { port } = server.address() as AddressInfo;
        const request = http.request({ port, path: 'http://example.com/admin/users?a' }).end();
        const [response] = (await once(request, 'response')) as [http.IncomingMessage];
        expect(Buffer.concat(await response.toArray()).toString()).to.equal('/admin/users');
      } finally {
        server.close();
      }
    });

    it('follows a rewritten path', async () => {
      const drop = (path: string) => path.replace('/de', '');
      expect(await pathIn([], '/de/users', drop)).to.equal('/users');
    });
  });
});
