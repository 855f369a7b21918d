// What flask-oso documents and tests, as a user of Koa meets it.
import { expect } from 'chai';
import { KoaOso } from 'koa-oso';
import { Authorize, SkipAuthorization } from 'koa-oso/routing-controllers';
import { Oso } from 'oso';
import { Controller, Get, useKoaServer } from 'routing-controllers';
import request from 'supertest';
import { codeOf } from '../support/app.js';
import { Koa, Router } from '../support/koa.js';

const POLICY = `
  allow("user", "read", "resource");
  allow("other_user", "read", "other_resource");
  allow("user", "GET", "action_resource");
`;

async function loadedOso(): Promise<Oso> {
  const oso = new Oso();
  await oso.loadStr(POLICY);
  return oso;
}

/** An app whose one route authorizes "read" on "resource". */
function appOf(...koaOsos: KoaOso[]) {
  const app = new Koa();
  const errors: Error[] = [];
  app.on('error', error => errors.push(error));
  for (const koaOso of koaOsos) app.use(koaOso.middleware());
  const router = new Router();
  router.get('/', async ctx => {
    await ctx.oso.authorize('resource', { action: 'read' });
    ctx.body = 'Hello';
  });
  return { app, router, errors, get: (path = '/') => request(app.use(router.routes()).callback()).get(path) };
}

describe('parity with flask-oso', () => {
  describe('initialisation', () => {
    it('takes the Oso in the constructor', async () => {
      const { get } = appOf(new KoaOso({ oso: await loadedOso(), getActor: () => 'user' }));
      await get().expect(200, 'Hello');
    });

    it('says what to do where there is no Oso, and works once setOso has given one', async () => {
      const koaOso = new KoaOso({ getActor: () => 'user' });
      const { get, errors } = appOf(koaOso);
      await get().expect(500, 'Internal Server Error');
      expect(errors[0]?.message).to.contain('koaOso.setOso(oso)');
      expect(codeOf(errors)).to.equal('ERR_KOA_OSO_NO_OSO');

      koaOso.setOso(await loadedOso());
      await get().expect(200, 'Hello');
    });

    it('takes the app in initApp, so that a factory can make it', async () => {
      const koaOso = new KoaOso({ oso: await loadedOso(), getActor: () => 'user' });
      const createApp = () => {
        const { app, get } = appOf();
        expect(koaOso.initApp(app)).to.equal(koaOso);
        return get();
      };
      await createApp().expect(200, 'Hello');
      await createApp().expect(200, 'Hello');
    });

    it('takes the app in the constructor', async () => {
      const { app, get } = appOf();
      new KoaOso({ app, oso: await loadedOso(), getActor: () => 'user' });
      await get().expect(200, 'Hello');
    });
  });

  describe('authorize', () => {
    async function allows(
      getActor: () => unknown,
      resource: string,
      options: { actor?: unknown; action?: string },
      method: 'get' | 'post' = 'get',
    ): Promise<boolean> {
      const { app, router } = appOf(new KoaOso({ oso: await loadedOso(), getActor }));
      router.all('/check', async ctx => {
        await ctx.oso.authorize(resource, options);
        ctx.body = 'allowed';
      });
      const { status, text } = await request(app.use(router.routes()).callback())[method]('/check');
      expect([
        [200, 'allowed'],
        [403, 'Forbidden'],
      ]).to.deep.include([status, text]);
      return status === 200;
    }

    it('takes the current actor by default', async () => {
      expect(await allows(() => 'user', 'resource', { action: 'read' })).to.equal(true);
      expect(await allows(() => 'other_user', 'resource', { action: 'read' })).to.equal(false);
    });

    it('takes another actor for one call', async () => {
      expect(await allows(() => 'user', 'resource', { actor: 'other', action: 'read' })).to.equal(false);
      const options = { actor: 'other_user', action: 'read' };
      expect(await allows(() => 'user', 'other_resource', options)).to.equal(true);
    });

    it("takes the request's method for the action by default", async () => {
      expect(await allows(() => 'user', 'action_resource', {}, 'get')).to.equal(true);
      expect(await allows(() => 'user', 'action_resource', {}, 'post')).to.equal(false);
    });

    it('finds the actor anew with setGetActor, sync and async', async () => {
      const koaOso = new KoaOso({ oso: await loadedOso(), getActor: () => 'user' });
      const { get } = appOf(koaOso);
      await get().expect(200);
      koaOso.setGetActor(() => 'other_user');
      await get().expect(403);
      koaOso.setGetActor(async () => 'user');
      await get().expect(200);
    });

    it('answers a denial with the custom unauthorized action', async () => {
      const koaOso = new KoaOso({ oso: await loadedOso(), getActor: () => 'nobody' });
      const { get } = appOf(koaOso);
      koaOso.setUnauthorizedAction(ctx => ctx.throw(418, 'No tea for you'));
      await get().expect(418, 'No tea for you');
    });
  });

  describe('requireAuthorization', () => {
    @Controller('/controller')
    class ParityController {
      @Get('/checked')
      @Authorize({ resource: 'resource', action: 'read' })
      checked() {
        return 'Hello';
      }

      @Get('/open')
      @SkipAuthorization()
      open() {
        return 'open';
      }

      @Get('/forgot')
      forgot() {
        return 'forgot';
      }
    }

    async function requiringApp() {
      const koaOso = new KoaOso({ oso: await loadedOso(), getActor: () => 'user' });
      const { app, router, errors, get } = appOf(koaOso);
      app.use(koaOso.requireAuthorization());
      useKoaServer(app, { controllers: [ParityController] });
      router.get('/forgot', ctx => {
        ctx.body = 'forgot';
      });
      router.get('/middleware', koaOso.authorize({ resource: 'resource', action: 'read' }), ctx => {
        ctx.body = 'Hello';
      });
      router.get('/open', koaOso.skipAuthorization('public'), ctx => {
        ctx.body = 'open';
      });
      router.get('/teapot', ctx => ctx.throw(418, 'short and stout'));
      router.get('/broken', () => {
        throw new Error('You messed this one up');
      });
      return { get, errors };
    }

    for (const path of ['/forgot', '/controller/forgot']) {
      it(`turns the response of a route that forgot into 500 (${path})`, async () => {
        const { get, errors } = await requiringApp();
        await get(path).expect(500, 'Internal Server Error');
        expect(codeOf(errors)).to.equal('ERR_KOA_OSO_AUTHORIZATION_MISSING');
        expect(errors[0]?.message).to.contain(`GET ${path}`);
      });
    }

    it('is satisfied by authorize, as a call, as route middleware and as decorator', async () => {
      const { get, errors } = await requiringApp();
      for (const path of ['/', '/middleware', '/controller/checked']) await get(path).expect(200, 'Hello');
      expect(errors).to.deep.equal([]);
    });

    it('is satisfied by skip, as route middleware and as decorator', async () => {
      const { get } = await requiringApp();
      for (const path of ['/open', '/controller/open']) await get(path).expect(200, 'open');
    });

    it('leaves an unknown path its 404', async () => {
      const { get } = await requiringApp();
      await get('/nonexistent').expect(404, 'Not Found');
    });

    it('leaves a thrown error its own status', async () => {
      const { get, errors } = await requiringApp();
      await get('/teapot').expect(418, 'short and stout');
      await get('/broken').expect(500);
      expect(errors.map(error => error.message)).to.deep.equal(['short and stout', 'You messed this one up']);
    });
  });

  describe('performRouteAuthorization', () => {
    async function routeApp() {
      const oso = new Oso();
      let actor = 'other_user';
      const koaOso = new KoaOso({ oso, getActor: () => actor });
      const app = new Koa();
      const errors: Error[] = [];
      app.on('error', error => errors.push(error));
      app.use(koaOso.middleware()).use(koaOso.performRouteAuthorization());
      const router = new Router();
      router.get('/test_route', ctx => {
        ctx.body = 'Test';
      });
      app.use(router.routes()).use(router.allowedMethods());
      return { oso, errors, agent: request(app.callback()), become: (name: string) => (actor = name) };
    }

    it('says clearly that no rules are loaded', async () => {
      const { agent, errors } = await routeApp();
      await agent.get('/test_route').expect(500, 'Internal Server Error');
      expect(codeOf(errors)).to.equal('ERR_KOA_OSO_NO_RULES');
      expect(errors[0]?.message).to.contain('no rule `allow`').and.contain('oso.loadFiles');
    });

    it('lets a rule on Request allow one actor and not another', async () => {
      const { oso, agent, become } = await routeApp();
      await oso.loadStr('allow("user", "GET", _: Request{path: "/test_route"});');
      await agent.get('/test_route').expect(403, 'Forbidden');
      become('user');
      await agent.get('/test_route').expect(200, 'Test');
    });

    it('leaves unknown paths 404, and known paths with a wrong method 405', async () => {
      const { oso, agent } = await routeApp();
      await oso.loadStr('allow("user", "GET", _: Request{path: "/test_route"});');
      await agent.get('/not_a_route').expect(404, 'Not Found');
      await agent.post('/test_route').expect(405).expect('Allow', 'HEAD, GET');
    });
  });

  it('authorizes the route by hand with ctx.request', async () => {
    let actor = 'other_user';
    const oso = new Oso();
    const koaOso = new KoaOso({ oso, getActor: () => actor });
    const { router, get, errors } = appOf(koaOso);
    router.get('/test_route', koaOso.authorize(), ctx => {
      ctx.body = 'authed';
    });
    router.get('/by_hand', async ctx => {
      await ctx.oso.authorize(ctx.request);
      ctx.body = 'authed';
    });
    await get('/test_route').expect(500);
    expect(codeOf(errors)).to.equal('ERR_KOA_OSO_NO_RULES');

    await oso.loadStr(
      'allow("user", "GET", request: Request) if request.path in ["/test_route", "/by_hand"];',
    );
    for (const path of ['/test_route', '/by_hand']) {
      actor = 'other_user';
      await get(path).expect(403, 'Forbidden');
      actor = 'user';
      await get(path).expect(200, 'authed');
    }
  });

  it('says clearly that the decorator was used without the middleware', async () => {
    @Controller()
    class LonelyController {
      @Get('/lonely')
      @Authorize({ resource: 'resource', action: 'read' })
      lonely() {
        return 'never';
      }
    }
    const app = new Koa();
    const errors: Error[] = [];
    app.on('error', error => errors.push(error));
    useKoaServer(app, { controllers: [LonelyController], defaultErrorHandler: false });
    await request(app.callback()).get('/lonely').expect(500, 'Internal Server Error');
    expect(codeOf(errors)).to.equal('ERR_KOA_OSO_MIDDLEWARE_MISSING');
    expect(errors[0]?.message).to.contain('app.use(koaOso.middleware())');
  });
});
