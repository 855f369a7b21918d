import 'reflect-metadata';
import { createRequire } from 'node:module';
import { expect } from 'chai';
import createError from 'http-errors';
import type { UnauthorizedAction } from 'koa-oso';
import { CompiledOso } from 'koa-oso/polar';
import { Authorize } from 'koa-oso/routing-controllers';
import * as routingControllers from 'routing-controllers';
import {
  Controller,
  Ctx,
  ForbiddenError,
  Get,
  Header,
  JsonController,
  type RoutingControllersOptions,
  useKoaServer,
} from 'routing-controllers';
import request from 'supertest';
import { codeOf, Expense, PASSWORD_HASH, setUp } from '../support/app.js';
import type { Context } from '../support/koa.js';

const rent = new Expense('1', 'ann', 1000);

@JsonController('/json')
class DenyingJsonController {
  @Get('/decorator/:action')
  @Header('X-Own', 'own')
  @Authorize({ resource: rent, action: 'read' })
  decorator() {
    return { read: true };
  }

  @Get('/action/:action')
  @Header('X-Own', 'own')
  async action(@Ctx() ctx: Context) {
    await ctx.oso.authorize(rent, { action: 'read' });
    return { read: true };
  }
}

@Controller('/text')
class DenyingTextController {
  @Get('/decorator/:action')
  @Authorize({ resource: rent, action: 'read' })
  decorator() {
    return 'read';
  }

  @Get('/action/:action')
  async action(@Ctx() ctx: Context) {
    await ctx.oso.authorize(rent, { action: 'read' });
    return 'read';
  }
}

@JsonController('/failing')
class FailingController {
  @Get('/decorator')
  @Authorize({ resource: rent, action: 'fail' })
  decorator() {
    return { read: true };
  }

  @Get('/action')
  async action(@Ctx() ctx: Context) {
    await ctx.oso.authorize(rent, { action: 'fail' });
    return { read: true };
  }

  @Get('/loader')
  @Authorize({ resource: (ctx: Context) => ctx.throw(410, 'Moved on') })
  loader() {
    return { read: true };
  }

  @Get('/own')
  own() {
    throw new ForbiddenError('its own');
  }

  @Get('/other')
  other() {
    throw createError(403, 'not of koa-oso');
  }
}

async function serve(options: RoutingControllersOptions, unauthorizedAction?: UnauthorizedAction) {
  const set = await setUp({ unauthorizedAction });
  useKoaServer(set.app, {
    controllers: [DenyingJsonController, DenyingTextController, FailingController],
    ...options,
  });
  return {
    ...set,
    get: (path: string, user = 'bob') => request(set.app.callback()).get(path).set('x-user', user),
  };
}

const production = { development: false };

describe('errors of koa-oso in routing-controllers', () => {
  for (const thrownBy of ['decorator', 'action']) {
    for (const defaultErrorHandler of [true, false]) {
      describe(`thrown by the ${thrownBy}, default error handler ${defaultErrorHandler ? 'on' : 'off'}`, () => {
        const options = { ...production, defaultErrorHandler };

        it('answer a denial with 403, in the form of the controller', async () => {
          const { get } = await serve(options);
          const json = await get(`/json/${thrownBy}/1`).expect(403);
          const text = await get(`/text/${thrownBy}/1`).expect(403);
          expect(text.text).to.equal('Forbidden');
          if (defaultErrorHandler) {
            expect(json.body).to.deep.equal({ name: 'ForbiddenError', message: 'Forbidden' });
            expect(json.headers).to.include({ 'x-own': 'own' });
          } else expect(json.text).to.equal('Forbidden');
          await get(`/json/${thrownBy}/1`, 'ann').expect(200, { read: true });
        });

        it('answer with what the unauthorized action throws: status, message and headers', async () => {
          for (const action of [
            (ctx: Context) => ctx.throw(404, 'No such expense', { headers: { 'X-Hint': 'look elsewhere' } }),
            () => {
              throw createError(404, 'No such expense', { headers: { 'X-Hint': 'look elsewhere' } });
            },
          ]) {
            const { get } = await serve(options, action);
            const { text, headers } = await get(`/json/${thrownBy}/1`).expect(404);
            expect(headers).to.include({ 'x-hint': 'look elsewhere' });
            expect(text).to.equal(
              defaultErrorHandler
                ? '{"name":"NotFoundError","message":"No such expense"}'
                : 'No such expense',
            );
          }
        });

        it('keep a message to themselves that is not exposed', async () => {
          const { get, errors } = await serve(options, ctx => ctx.throw(503, 'the ledger is down'));
          const { text } = await get(`/json/${thrownBy}/1`).expect(503);
          expect(text).to.match(/^(\{"name":"ServiceUnavailableError","message":")?Service Unavailable/);
          expect(errors.map(error => error.message)).to.deep.equal(['the ledger is down']);
        });

        it('answer what getActor throws for the client with its status', async () => {
          const { get, koaOso } = await serve(options);
          koaOso.setGetActor(ctx => ctx.throw(401, 'Token expired'));
          const { text } = await get(`/json/${thrownBy}/1`).expect(401);
          expect(text).to.contain('Token expired');
        });

        it('leave no redirect behind where the unauthorized action redirects and returns', async () => {
          const { get } = await serve(options, ctx => ctx.redirect('/login'));
          const { headers } = await get(`/json/${thrownBy}/1`).expect(403);
          expect(headers).not.to.have.property('location');
        });

        it("answer with routing-controllers' own errors where the unauthorized action throws one", async () => {
          const { get } = await serve(options, () => {
            throw new ForbiddenError('Ask your manager');
          });
          const { text } = await get(`/json/${thrownBy}/1`).expect(403);
          expect(text).to.equal(
            defaultErrorHandler
              ? '{"name":"ForbiddenError","message":"Ask your manager"}'
              : 'Ask your manager',
          );
        });

        for (const development of [true, false]) {
          it(`let nothing secret out where the policy fails (development: ${development})`, async () => {
            const { get, errors } = await serve({ defaultErrorHandler, development });
            const { text, headers } = await get(`/failing/${thrownBy}`, 'ann').expect(500);
            expect(text + JSON.stringify(headers)).not.to.contain(PASSWORD_HASH);
            if (!development)
              expect(text).to.match(/^(\{"name":"InternalServerError","message":")?Internal Server Error/);
            expect(codeOf(errors)).to.equal('ERR_KOA_OSO_POLICY_FAILED');
            expect(errors).to.have.length(1);
          });
        }
      });
    }
  }

  it('have the same form from both places', async () => {
    const { get } = await serve(production);
    const [decorator, action] = await Promise.all([get('/json/decorator/1'), get('/json/action/1')]);
    expect(decorator?.body).to.deep.equal(action?.body);
    expect(decorator?.headers['content-type']).to.equal(action?.headers['content-type']);
  });

  it('have no stack but their name, also in development: it would tell what is not for the client', async () => {
    const { get } = await serve({ development: true });
    for (const place of ['decorator', 'action']) {
      const { body } = await get(`/json/${place}/1`).expect(403);
      expect(body).to.deep.equal({
        name: 'ForbiddenError',
        message: 'Forbidden',
        stack: 'ForbiddenError: Forbidden',
      });
      await get(`/text/${place}/1`).expect(403, 'ForbiddenError: Forbidden');
    }
  });

  it('tell nothing of a KoaOsoError in development: it goes to the error event', async () => {
    for (const place of ['decorator', 'action']) {
      const { get, errors } = await serve({
        development: true,
        errorOverridingMap: { KoaOsoError: { x: 1 } },
      });
      const { body } = await get(`/failing/${place}`, 'ann').expect(500);
      expect(body).to.deep.equal({
        name: 'InternalServerError',
        message: 'Internal Server Error',
        stack: 'InternalServerError: Internal Server Error',
      });
      expect(codeOf(errors)).to.equal('ERR_KOA_OSO_POLICY_FAILED');
    }
  });

  it('tell nothing of what koa-oso/polar throws, where a controller asks by itself', async () => {
    const oso = new CompiledOso();
    oso.registerClass(Expense);
    await oso.loadStr('allow(_, _, expense: Expense) if expense.missing = 1;', 'secret.polar');
    @JsonController('/by-itself')
    class AskingController {
      @Get('/')
      async show() {
        return { allowed: await oso.isAllowed('eve', 'read', rent) };
      }
    }
    const { app, errors } = await setUp();
    useKoaServer(app, { controllers: [AskingController], development: true });
    const { body } = await request(app.callback()).get('/by-itself').expect(500);
    expect(body).to.include({ name: 'InternalServerError', message: 'Internal Server Error' });
    expect(JSON.stringify(body)).not.to.match(/secret\.polar|ERR_KOA_OSO|missing/);
    expect(codeOf(errors)).to.equal('ERR_KOA_OSO_POLICY');
  });

  it('can be overridden by errorOverridingMap, by their names', async () => {
    const { get } = await serve({
      ...production,
      errorOverridingMap: { ForbiddenError: { message: 'Nein' } },
    });
    await get('/json/action/1').expect(403, { name: 'ForbiddenError', message: 'Nein' });
  });

  it('that a loader made for the client pass', async () => {
    const { get } = await serve(production);
    await get('/failing/loader').expect(410, { name: 'GoneError', message: 'Moved on' });
  });

  it('come from checks that hold in a second copy of routing-controllers as well, answered by Koa', async () => {
    const require = createRequire(import.meta.url);
    const loaded = Object.keys(require.cache).filter(file => file.includes('/routing-controllers/'));
    const first = loaded.map(file => [file, require.cache[file]] as const);
    for (const file of loaded) delete require.cache[file];
    const second: typeof routingControllers = require('routing-controllers');
    for (const [file, module] of first) require.cache[file] = module;
    expect(second.KoaDriver).not.to.equal(routingControllers.KoaDriver);

    const { app } = await setUp();
    second.useKoaServer(app, { controllers: [DenyingJsonController], ...production });
    const agent = request(app.callback());
    await agent.get('/json/decorator/1').set('x-user', 'bob').expect(403, 'Forbidden');
    await agent.get('/json/decorator/1').set('x-user', 'ann').expect(200, { read: true });
  });

  it("leave other errors to routing-controllers' rules", async () => {
    const { get } = await serve(production);
    await get('/failing/own').expect(403, { name: 'ForbiddenError', message: 'its own' });
    const { body } = await get('/failing/other').expect(500);
    expect(body).to.include({ message: 'not of koa-oso' });
  });
});

describe("routing-controllers' own errors, outside of it", () => {
  it('answer with their httpCode where the unauthorized action of a plain route throws one', async () => {
    const { router, send } = await setUp({
      unauthorizedAction: () => {
        throw new ForbiddenError('Ask your manager');
      },
    });
    router.get('/', ctx => ctx.oso.authorize(rent, { action: 'read' }));
    await send('/', 'bob').expect(403, 'Ask your manager');
  });
});
