import { expect } from 'chai';
import compose from 'koa-compose';
import mount from 'koa-mount';
import { Get, JsonController, useKoaServer } from 'routing-controllers';
import 'koa-oso/routing-controllers';
import { codeOf, setUp } from './support/app.js';
import { type Context, Koa, Router } from './support/koa.js';

const POLICY = `
  allow(nil, "GET", request: Request) if request.path in ["/open", "/v1/open", "/v1/deep/open", "/admin/open"];
  allow(nil, "GET", request: Request) if request.params.team = "7";
`;

/** An app with route authorization, and what its handlers ran. */
async function routeApp() {
  const set = await setUp({ policy: POLICY });
  const ran: string[] = [];
  set.app.use(set.koaOso.performRouteAuthorization());
  const handler = (ctx: Context) => {
    ran.push(ctx.path);
    ctx.body = 'ran';
  };
  return { ...set, ran, handler };
}

describe('performRouteAuthorization', () => {
  it('authorizes the request before any handler runs', async () => {
    const { router, send, ran, handler, errors } = await routeApp();
    router.get('/open', handler).get('/closed', handler);
    await send('/open').expect(200, 'ran');
    await send('/closed').expect(403, 'Forbidden');
    expect(ran).to.deep.equal(['/open']);
    expect(codeOf(errors)).to.equal('ERR_KOA_OSO_FORBIDDEN');
  });

  it('leaves unknown paths, wrong methods and automatic OPTIONS alone', async () => {
    const { router, send, handler, errors } = await routeApp();
    router.get('/closed', handler);
    await send('/unknown').expect(404, 'Not Found');
    await send('/closed', undefined, 'post').expect(405).expect('Allow', 'HEAD, GET');
    await send('/closed', undefined, 'options').expect(200).expect('Allow', 'HEAD, GET');
    expect(errors).to.deep.equal([]);
  });

  it('asks for the method HEAD where a HEAD request runs the handler of GET', async () => {
    const { router, send, handler, ran } = await routeApp();
    router.get('/open', handler);
    await send('/open', undefined, 'head').expect(403);
    expect(ran).to.deep.equal([]);
  });

  it('finds nested and prefixed routers', async () => {
    const { router, send, handler, ran } = await routeApp();
    const deep = new Router({ prefix: '/deep' }).get('/open', handler).get('/closed', handler);
    const v1 = new Router({ prefix: '/v1' }).get('/open', handler).get('/closed', handler);
    v1.use(deep.routes());
    router.use(v1.routes());
    await send('/v1/open').expect(200);
    await send('/v1/deep/open').expect(200);
    await send('/v1/closed').expect(403);
    await send('/v1/deep/closed').expect(403);
    await send('/v1/unknown').expect(404);
    expect(ran).to.deep.equal(['/v1/open', '/v1/deep/open']);
  });

  it('finds every router of an app, and those that are added later', async () => {
    const { app, router, send, handler } = await routeApp();
    router.get('/open', handler);
    await send('/open').expect(200);
    app.use(new Router().get('/closed', handler).routes());
    await send('/closed').expect(403);
  });

  it('finds the router of useKoaServer', async () => {
    const ran: string[] = [];
    @JsonController('/v1')
    class V1Controller {
      @Get('/open')
      open() {
        ran.push('open');
        return { ran: true };
      }

      @Get('/closed')
      closed() {
        ran.push('closed');
        return { ran: true };
      }
    }
    const { app, send } = await routeApp();
    useKoaServer(app, { controllers: [V1Controller] });
    await send('/v1/open').expect(200, { ran: true });
    await send('/v1/closed').expect(403, 'Forbidden');
    await send('/v1/unknown').expect(404);
    expect(ran).to.deep.equal(['open']);
  });

  it('heeds the host of a router', async () => {
    const { app, send, handler } = await routeApp();
    app.use(new Router({ host: 'api.example.com' }).get('/closed', handler).routes());
    await send('/closed').set('Host', 'www.example.com').expect(404);
    await send('/closed').set('Host', 'api.example.com').expect(403);
  });

  it('lets the policy see the parameters of the route, and leaves ctx.params to the router', async () => {
    const { app, koaOso, send } = await setUp({ policy: POLICY });
    app.use((ctx, next) => {
      ctx.set('X-Params-Before', String(ctx.params));
      return next();
    });
    app.use(koaOso.performRouteAuthorization());
    const router = new Router().get('/teams/me', ctx => {
      ctx.body = ctx.params;
    });
    router.get('/teams/:team', ctx => {
      ctx.body = ctx.params;
    });
    app.use(router.routes());
    await send('/teams/7').expect(200, { team: '7' }).expect('X-Params-Before', 'undefined');
    await send('/teams/8').expect(403);
    await send('/teams/me').expect(403);
  });

  it('asks for the parameters of each route that matches, of whichever the client would profit', async () => {
    const { app, koaOso, send } = await setUp({ policy: POLICY });
    app.use(koaOso.performRouteAuthorization());
    const router = new Router();
    router.get('/teams/:team/:page', ctx => {
      ctx.body = `secret of team ${ctx.params.team}`;
    });
    router.get('/:a/:b/:team', () => {});
    app.use(router.routes());
    await send('/teams/7/7').expect(200, 'secret of team 7');
    await send('/teams/9/7').expect(403);
  });

  it('lets the policy see the pattern of the route, however the client writes the path', async () => {
    const { app, koaOso, send, router } = await setUp({
      policy: 'allow(nil, "GET", request: Request) if request.route = "/open/:id";',
    });
    app.use(koaOso.performRouteAuthorization());
    router.get('/open/:id', ctx => {
      ctx.body = 'open';
    });
    router.get('/closed/:id', ctx => {
      ctx.body = 'closed';
    });
    for (const path of ['/open/1', '/OPEN/1', '/open/1/']) await send(path).expect(200, 'open');
    for (const path of ['/closed/1', '/CLOSED/1', '/closed/1/']) await send(path).expect(403);
  });

  describe('refuses loudly, before the handler runs, a route that it had not seen', () => {
    async function expectRefused(
      arrange: (set: Awaited<ReturnType<typeof routeApp>>) => void,
      path = '/open',
    ) {
      const set = await routeApp();
      arrange(set);
      await set.send(path).expect(500, 'Internal Server Error');
      expect(codeOf(set.errors)).to.equal('ERR_KOA_OSO_ROUTE_NOT_AUTHORIZED');
      expect(set.ran).to.deep.equal([]);
    }

    it('of a router behind a compose of the app', async () => {
      await expectRefused(({ app, handler }) => {
        app.use(compose([new Router().get('/open', handler).routes()]));
      });
    });

    it('also where a route that it had seen matches the same path', async () => {
      await expectRefused(({ app, router, handler }) => {
        router.get('/:page', ctx => {
          ctx.body = 'page';
        });
        app.use(compose([new Router().get('/open', handler).routes()]));
      });
    });

    it('of a mounted app', async () => {
      await expectRefused(({ app, handler }) => {
        app.use(mount('/admin', new Koa().use(new Router().get('/open', handler).routes())));
      }, '/admin/open');
    });

    it('under a path that was rewritten in between', async () => {
      await expectRefused(({ app, router, handler }) => {
        router.get('/open', handler).get('/closed', handler);
        app.use((ctx, next) => {
          ctx.path = '/closed';
          return next();
        });
      });
    });

    it('under a method that was rewritten in between', async () => {
      await expectRefused(({ app, router, handler }) => {
        router.get('/open', handler).delete('/open', handler);
        app.use((ctx, next) => {
          ctx.method = 'DELETE';
          return next();
        });
      });
    });

    it('under another path for the router alone', async () => {
      await expectRefused(({ app, router, handler }) => {
        router.get('/open', handler).get('/closed', handler);
        app.use((ctx, next) => {
          ctx.newRouterPath = '/closed';
          return next();
        });
      });
    });
  });

  it('covers a mounted app that performs it itself, with the whole path', async () => {
    const { app, koaOso, router, send, handler, ran } = await routeApp();
    router.get('/open', handler);
    const admin = new Koa();
    admin.use(koaOso.performRouteAuthorization(admin));
    admin.use(new Router().get('/open', handler).get('/closed', handler).routes());
    app.use(mount('/admin', admin));
    await send('/admin/open').expect(200, 'ran');
    await send('/admin/closed').expect(403, 'Forbidden');
    await send('/open').expect(200, 'ran');
    expect(ran).to.deep.equal(['/open', '/open']);
  });

  it('says clearly that the middleware is missing', async () => {
    const { koaOso } = await setUp();
    const app = new Koa().use(koaOso.performRouteAuthorization());
    const { send, errors } = await setUp({ app });
    await send('/').expect(500);
    expect(codeOf(errors)).to.equal('ERR_KOA_OSO_MIDDLEWARE_MISSING');
  });
});
