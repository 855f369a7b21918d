// One describe for each thing that can go wrong, and what the client gets then.
import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import { type AddressInfo, connect } from 'node:net';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { inspect } from 'node:util';
import { expect } from 'chai';
import mount from 'koa-mount';
import request from 'supertest';
import { codeOf, Expense, messageOfCause, PASSWORD_HASH, POLICY, setUp, User } from '../support/app.js';
import { type Context, Koa, type Middleware, type Router } from '../support/koa.js';

const rent = new Expense('1', 'ann', 1000);

/** An app whose one route runs the handler behind requireAuthorization. */
async function appWith(
  handler: Parameters<Router['get']>[1],
  options: Parameters<typeof setUp>[0] & { required?: boolean } = {},
) {
  const { required = true, ...rest } = options;
  const set = await setUp(rest);
  if (required) set.app.use(set.koaOso.requireAuthorization());
  set.router.all('/', handler as never);
  return set;
}

describe('failing closed', () => {
  describe('denied', () => {
    it('is 403 by default, and the rest of the handler does not run', async () => {
      let ran = false;
      const { send, errors } = await appWith(async ctx => {
        await ctx.oso.authorize(rent, { action: 'read' });
        ran = true;
        ctx.body = rent;
      });
      await send('/', 'bob')
        .expect(403, 'Forbidden')
        .expect('Content-Type', /text\/plain/);
      expect(ran).to.equal(false);
      expect(codeOf(errors)).to.equal('ERR_KOA_OSO_FORBIDDEN');
      await send('/', 'ann').expect(200, { id: '1', owner: 'ann', amount: 1000 });
    });

    it("is the unauthorized action's error where there is one, with message and headers", async () => {
      const unauthorizedAction = async (ctx: Context) =>
        ctx.throw(401, 'Who are you?', { headers: { 'WWW-Authenticate': 'Basic' } });
      const { send } = await appWith(ctx => ctx.oso.authorize(rent, { action: 'read' }), {
        unauthorizedAction,
      });
      await send('/', 'bob').expect(401, 'Who are you?').expect('WWW-Authenticate', 'Basic');
    });
  });

  describe('the unauthorized action returns instead of throwing', () => {
    it('is 403 all the same: the handler never goes on', async () => {
      let ran = false;
      const unauthorizedAction = (ctx: Context) => {
        ctx.redirect('/login');
        ctx.body = 'go on';
      };
      const { send } = await appWith(
        async ctx => {
          await ctx.oso.authorize(rent, { action: 'read' });
          ran = true;
        },
        { unauthorizedAction },
      );
      const { headers } = await send('/', 'bob').expect(403, 'Forbidden');
      expect(headers).not.to.have.property('location');
      expect(ran).to.equal(false);
    });

    it('is 403 also where it is async, or throws what is no error', async () => {
      const handler = (ctx: Context) => ctx.oso.authorize(rent, { action: 'read' });
      const later = await appWith(handler, { unauthorizedAction: () => sleep(5) });
      await later.send('/', 'bob').expect(403, 'Forbidden');

      const odd = await appWith(handler, {
        unauthorizedAction: () => {
          throw 'a string';
        },
      });
      await odd.send('/', 'bob').expect(500, 'Internal Server Error');
      expect(codeOf(odd.errors)).to.equal('ERR_KOA_OSO_UNAUTHORIZED_ACTION_FAILED');
    });
  });

  describe('ctx.state.user is absent or null', () => {
    const handler = async (ctx: Context) => {
      if ('nobody' in ctx.query) ctx.state.user = null;
      await ctx.oso.authorize(ctx.query.page ?? rent, { action: 'read' });
      ctx.body = 'allowed';
    };

    for (const query of ['', 'nobody&']) {
      it(`asks the policy with nil: anonymous is allowed only where it says so (/?${query})`, async () => {
        const { send } = await appWith(handler);
        await send(`/?${query}page=the front page`).expect(200, 'allowed');
        await send(`/?${query}page=the back page`).expect(403, 'Forbidden');
        await send(`/?${query}`).expect(403, 'Forbidden');
      });
    }
  });

  describe('getActor, a loader or the policy throws', () => {
    const secret = () => {
      throw new Error(`cannot read ${PASSWORD_HASH}`);
    };

    it('is 500 where getActor throws', async () => {
      const { send, errors } = await appWith(ctx => ctx.oso.authorize(rent), { getActor: secret });
      await send('/', 'ann').expect(500, 'Internal Server Error');
      expect(codeOf(errors)).to.equal('ERR_KOA_OSO_GET_ACTOR_FAILED');
      expect(errors[0]?.message).not.to.contain(PASSWORD_HASH);
      expect(messageOfCause(errors)).to.contain(PASSWORD_HASH);
    });

    it('is 500 where a loader throws', async () => {
      const { send, router, koaOso, errors } = await setUp();
      router.get('/', koaOso.authorize({ resource: async () => secret() }), ctx => {
        ctx.body = 'never';
      });
      await send('/', 'ann').expect(500, 'Internal Server Error');
      expect(codeOf(errors)).to.equal('ERR_KOA_OSO_LOADER_FAILED');
      expect(errors[0]?.message).not.to.contain(PASSWORD_HASH);
    });

    it('is 500 where the policy throws, and again where the handler swallows it', async () => {
      const { send, errors } = await appWith(async ctx => {
        const check = ctx.oso.authorize(rent, { action: 'fail' });
        if ('swallow' in ctx.query) await check.catch(() => {});
        else await check;
        ctx.body = 'never';
      });
      for (const path of ['/', '/?swallow']) await send(path, 'ann').expect(500, 'Internal Server Error');
      for (const error of errors) expect(error).to.have.property('code', 'ERR_KOA_OSO_POLICY_FAILED');
      expect(messageOfCause(errors)).to.contain(PASSWORD_HASH);
    });
  });

  describe('the resource is undefined', () => {
    it('is 500 and a coded error', async () => {
      const { send, errors } = await appWith(ctx => ctx.oso.authorize(undefined, { action: 'read' }), {
        policy: 'allow(_, _, _);',
      });
      await send('/', 'ann').expect(500, 'Internal Server Error');
      expect(codeOf(errors)).to.equal('ERR_KOA_OSO_INVALID_ARGUMENT');
      expect(errors[0]?.message).to.contain('resource is undefined');
    });

    it('is 500 as well where the resource, or the actor, is a promise that was not awaited', async () => {
      const { send, errors } = await appWith(
        ctx =>
          'actor' in ctx.query
            ? ctx.oso.authorize(rent, { actor: Promise.resolve(new User('ann')) })
            : ctx.oso.authorize(Promise.resolve(rent)),
        { policy: 'allow(_, _, _);' },
      );
      await send('/', 'ann').expect(500);
      await send('/?actor', 'ann').expect(500);
      expect(errors.map(error => error.message.split('.')[0])).to.deep.equal([
        'The resource is a promise',
        'The actor is a promise',
      ]);
    });

    it('asks about nil where it is null', async () => {
      const handler = async (ctx: Context) => {
        await ctx.oso.authorize(null, { action: 'read' });
        ctx.body = 'nil';
      };
      const open = await appWith(handler, { policy: 'allow(_, "read", nil);' });
      await open.send('/', 'ann').expect(200, 'nil');
      const closed = await appWith(handler);
      await closed.send('/', 'ann').expect(403);
    });
  });

  describe('no Oso configured, or no rules loaded', () => {
    it('is 500, and an error that says what to call', async () => {
      const noRules = await appWith(ctx => ctx.oso.authorize(rent), { policy: '' });
      await noRules.send('/', 'ann').expect(500, 'Internal Server Error');
      expect(codeOf(noRules.errors)).to.equal('ERR_KOA_OSO_NO_RULES');
      expect(noRules.errors[0]?.message).to.contain('oso.loadFiles([…])');
    });
  });

  describe('a matched route neither authorized nor skipped', () => {
    it('is 500 in place of its response', async () => {
      const { send, errors } = await appWith(ctx => {
        ctx.set('X-Secret', 'yes');
        ctx.body = rent;
      });
      const { headers } = await send('/', 'ann').expect(500, 'Internal Server Error');
      expect(headers).not.to.have.property('x-secret');
      expect(codeOf(errors)).to.equal('ERR_KOA_OSO_AUTHORIZATION_MISSING');
    });

    it('holds for redirects, empty answers and handlers without a router as well', async () => {
      const { app, send } = await appWith(ctx => {
        if ('redirect' in ctx.query) ctx.redirect('/secret');
        else ctx.status = 204;
      });
      app.use((ctx, next) => {
        if (ctx.path !== '/plain') return next();
        ctx.body = 'secret';
      });
      const { headers } = await send('/?redirect', 'ann').expect(500);
      expect(headers).not.to.have.property('location');
      await send('/', 'ann').expect(500);
      await send('/plain', 'ann').expect(500);
    });

    it('passes unmatched, 405, automatic OPTIONS and error responses untouched', async () => {
      const { router, send, errors } = await appWith(ctx => {
        ctx.status = 422;
        ctx.body = { missing: 'amount' };
      });
      router.get('/read-only', ctx => ctx.oso.skipAuthorization());
      await send('/nowhere').expect(404, 'Not Found');
      await send('/read-only', 'ann', 'post').expect(405).expect('Allow', 'HEAD, GET');
      await send('/read-only', 'ann', 'options').expect(200, '').expect('Allow', 'HEAD, GET');
      await send('/').expect(422, { missing: 'amount' });
      expect(errors).to.deep.equal([]);
    });

    it('does not mask an exception', async () => {
      const { send, errors } = await appWith(ctx => ctx.throw(409, 'Paid already'));
      await send('/').expect(409, 'Paid already');
      expect(errors.map(error => error.message)).to.deep.equal(['Paid already']);
    });

    it('does not take isAllowed for authorization', async () => {
      const { send, errors } = await appWith(async ctx => {
        ctx.body = { mayRead: await ctx.oso.isAllowed(rent, { action: 'read' }) };
      });
      await send('/', 'ann').expect(500);
      expect(codeOf(errors)).to.equal('ERR_KOA_OSO_AUTHORIZATION_MISSING');
    });
  });

  describe('the same, and the headers are already sent', () => {
    async function expectCut(handler: (ctx: Context) => void | Promise<void>, required = true) {
      const { send, errors } = await appWith(handler, { required });
      const failure = await send('/', 'bob').then(
        response => response,
        error => error,
      );
      expect(failure).to.have.property('code', 'ECONNRESET');
      return errors;
    }

    it('cuts the connection of a stream, and the error event fires', async () => {
      const errors = await expectCut(ctx => {
        ctx.res.writeHead(200, { 'Content-Type': 'text/plain' });
        ctx.res.write('the beginning');
      });
      expect(codeOf(errors)).to.equal('ERR_KOA_OSO_AUTHORIZATION_MISSING');
    });

    it('cuts the connection with ctx.respond = false, also where the handler writes on', async () => {
      const errors = await expectCut(ctx => {
        ctx.respond = false;
        setTimeout(() => ctx.res.end('secret'), 5);
      });
      expect(codeOf(errors)).to.equal('ERR_KOA_OSO_AUTHORIZATION_MISSING');
      await sleep(10);
      expect(errors).to.have.length(1);
    });

    it('cuts a stream of HTTP/2 so that the client sees it', async () => {
      const { app, router, errors } = await appWith(ctx => {
        ctx.res.writeHead(200);
        ctx.res.write('the beginning');
      });
      const server = http2.createServer(app.use(router.routes()).callback()).listen(0);
      await once(server, 'listening');
      const client = http2.connect(`http://localhost:${(server.address() as AddressInfo).port}`);
      try {
        const stream = client.request({ ':path': '/' }).resume();
        const [error] = await once(stream, 'close').then(
          () => [undefined],
          failure => [failure],
        );
        expect(error).to.have.property('code', 'ERR_HTTP2_STREAM_ERROR');
        expect(codeOf(errors)).to.equal('ERR_KOA_OSO_AUTHORIZATION_MISSING');
      } finally {
        client.close();
        server.close();
      }
    });

    it('cuts an upgraded connection, whose response has no socket', async () => {
      const { app, router, errors } = await appWith(ctx => {
        ctx.respond = false;
        setTimeout(() => ctx.req.socket.write('secret'), 5);
      });
      const handle = app.use(router.routes()).callback();
      const server = http.createServer().on('upgrade', req => void handle(req, new http.ServerResponse(req)));
      await once(server.listen(0), 'listening');
      try {
        const socket = connect((server.address() as AddressInfo).port);
        socket.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
        expect(await socket.toArray().catch(error => error.code)).to.satisfy(
          (received: unknown) => received === 'ECONNRESET' || String(received) === '',
        );
        expect(codeOf(errors)).to.equal('ERR_KOA_OSO_AUTHORIZATION_MISSING');
      } finally {
        server.close();
      }
    });

    it('cuts the connection where a check that was not awaited is denied', async () => {
      const errors = await expectCut(ctx => {
        ctx.oso.authorize(rent, { action: 'read' });
        ctx.res.write('the beginning');
      }, false);
      expect(codeOf(errors)).to.equal('ERR_KOA_OSO_FORBIDDEN');
    });

    it('puts 500 in place of a stream that has not begun, and closes it', async () => {
      const stream = Readable.from(['secret']);
      const { send } = await appWith(ctx => {
        ctx.body = stream;
      });
      await send('/', 'ann').expect(500, 'Internal Server Error');
      expect(stream.destroyed).to.equal(true);
    });

    it('lets the streams of authorized routes pass', async () => {
      const { send, errors } = await appWith(async ctx => {
        await ctx.oso.authorize(rent, { action: 'read' });
        if ('raw' in ctx.query) {
          ctx.respond = false;
          ctx.res.writeHead(200).end('streamed');
        } else ctx.body = Readable.from(['stre', 'amed']);
      });
      const { body } = await send('/', 'ann').expect(200);
      expect(String(body)).to.equal('streamed');
      await send('/?raw', 'ann').expect(200, 'streamed');
      expect(errors).to.deep.equal([]);
    });
  });

  describe('ctx.oso.authorize(…) not awaited', () => {
    it('makes the response wait, and a denial still wins over the body', async () => {
      const { send } = await appWith(ctx => {
        ctx.oso.authorize(rent, { action: 'read' });
        ctx.set('X-Secret', 'yes');
        ctx.body = rent;
      });
      const { headers } = await send('/', 'bob').expect(403, 'Forbidden');
      expect(headers).not.to.have.property('x-secret');
      await send('/', 'ann').expect(200);
    });

    it('does not end the process where the promise goes on with then, and nobody returns it', async () => {
      const unhandled: unknown[] = [];
      const note = (reason: unknown) => unhandled.push(reason);
      process.on('unhandledRejection', note);
      try {
        const { send } = await appWith(ctx => {
          ctx.oso.authorize(rent, { action: 'read' }).then(() => {
            ctx.body = rent;
            if ('own' in ctx.query) throw new Error('of its own');
          });
        });
        await send('/', 'bob').expect(403, 'Forbidden');
        expect(unhandled).to.deep.equal([]);
        await send('/?own', 'ann').expect(200);
        // Mocha hands it on, so that it comes more than once.
        expect([...new Set(unhandled.map(String))]).to.deep.equal(['Error: of its own']);
      } finally {
        process.off('unhandledRejection', note);
      }
    });

    it('wins also where there is no body', async () => {
      const { send } = await appWith(ctx => void ctx.oso.authorize(rent, { action: 'read' }));
      await send('/', 'bob').expect(403, 'Forbidden');
    });

    it('waits for getActor too', async () => {
      const getActor = async () => {
        await sleep(10);
        return new User('bob');
      };
      const { send } = await appWith(
        ctx => {
          ctx.oso.authorize(rent, { action: 'read' });
          ctx.body = rent;
        },
        { getActor },
      );
      await send('/').expect(403, 'Forbidden');
    });

    it('ends in a denial where one of two checks is denied, awaited or not, swallowed or not', async () => {
      const { send } = await appWith(async ctx => {
        const cheap = new Expense('2', 'eve', 1);
        if ('late' in ctx.query) ctx.oso.authorize(rent, { action: 'read' });
        else await ctx.oso.authorize(rent, { action: 'read' }).catch(() => {});
        await ctx.oso.authorize(cheap, { action: 'read' });
        ctx.body = cheap;
      });
      await send('/', 'bob').expect(403, 'Forbidden');
      await send('/?late', 'bob').expect(403, 'Forbidden');
      await send('/', 'ann').expect(200);
    });

    it('refuses the response where the answer of isAllowed was taken for true', async () => {
      const { send, errors } = await appWith(
        ctx => {
          // TypeScript sees this one; JavaScript, and a promise that goes through a variable of type unknown, do not.
          const answer: unknown = ctx.oso.isAllowed(rent, { action: 'read' });
          if (answer) ctx.body = rent;
        },
        { required: false },
      );
      for (const user of ['bob', 'ann']) await send('/', user).expect(500, 'Internal Server Error');
      for (const error of errors) expect(error).to.have.property('code', 'ERR_KOA_OSO_NOT_AWAITED');
    });
  });

  describe('the answer of another question not awaited', () => {
    const questions: [string, (ctx: Context) => unknown][] = [
      ['authorizedQuery', ctx => ctx.oso.authorizedQuery(Expense)],
      ['authorizedResources', ctx => ctx.oso.authorizedResources(Expense)],
      ['authorizedActions', ctx => ctx.oso.authorizedActions(rent)],
      ['authorizedFields', ctx => ctx.oso.authorizedFields(rent)],
      ['currentActor', ctx => ctx.oso.currentActor],
    ];
    for (const [verb, ask] of questions) {
      it(`refuses the response: ${verb}`, async () => {
        const { send, oso, errors } = await appWith(
          ctx => {
            if (ask(ctx)) ctx.body = rent;
          },
          { required: false, policy: `${POLICY} allow_field(_: User, "GET", _: Expense, "amount");` },
        );
        oso.setDataFilteringAdapter({ buildQuery: () => ({}), executeQuery: async () => [] });
        await send('/', 'ann').expect(500, 'Internal Server Error');
        expect(codeOf(errors)).to.equal('ERR_KOA_OSO_NOT_AWAITED');
        expect(errors[0]?.message).to.contain(`await ctx.oso.${verb}`);
      });
    }
  });

  describe('an error response beside a check that nobody looked at', () => {
    it('gives way to the denial, and its body with it', async () => {
      const { send } = await appWith(ctx => {
        ctx.oso.authorize(rent, { action: 'read' });
        ctx.status = 409;
        ctx.body = { conflict: rent };
      });
      await send('/', 'bob').expect(403, 'Forbidden');
      await send('/', 'ann').expect(409);
    });

    it('is cut off where it is streamed already', async () => {
      const { send, errors } = await appWith(ctx => {
        ctx.oso.authorize(rent, { action: 'read' });
        ctx.respond = false;
        ctx.status = 400;
        ctx.res.write('the beginning');
      });
      const failure = await send('/', 'bob').catch(error => error);
      expect(failure).to.have.property('code', 'ECONNRESET');
      expect(codeOf(errors)).to.equal('ERR_KOA_OSO_FORBIDDEN');
    });
  });

  describe('an error handler that swallows the refusal', () => {
    const handlers: [string, (ctx: Context) => unknown][] = [
      [
        'forgotten',
        ctx => {
          ctx.body = rent;
        },
      ],
      [
        'denied, not awaited',
        ctx => {
          ctx.oso.authorize(rent, { action: 'read' });
          ctx.body = rent;
        },
      ],
      [
        'denied, after the body was set',
        async ctx => {
          ctx.body = rent;
          await ctx.oso.authorize(rent, { action: 'read' });
        },
      ],
      [
        'forgotten, and then thrown',
        ctx => {
          ctx.body = rent;
          throw new Error('no connection');
        },
      ],
      [
        'denied, not awaited, and then thrown',
        ctx => {
          ctx.oso.authorize(rent, { action: 'read' });
          ctx.body = rent;
          throw new Error('no connection');
        },
      ],
    ];
    for (const [name, handler] of handlers) {
      for (const place of ['around koaOso.middleware()', 'inside of it', 'inside, that sets the status']) {
        it(`sends no body (${name}; ${place})`, async () => {
          const swallow: Middleware = async (ctx, next) => {
            try {
              await next();
            } catch (error) {
              if (place.endsWith('status')) ctx.status = (error as { status: number }).status;
            }
          };
          const { koaOso } = await setUp();
          const app = new Koa();
          app.silent = true;
          const actor: Middleware = (ctx, next) => {
            ctx.state.user = new User('bob');
            return next();
          };
          if (place.startsWith('around')) app.use(swallow);
          app.use(actor).use(koaOso.middleware());
          if (place.startsWith('inside')) app.use(swallow);
          app.use(koaOso.requireAuthorization()).use(async ctx => void (await handler(ctx)));
          const { status, text } = await request(app.callback()).get('/');
          expect(status).to.be.oneOf([403, 500]);
          expect(text).not.to.contain('ann');
        });
      }
    }
  });

  describe('an error page of the application', () => {
    it('is left alone, also where a second check is denied after it was made', async () => {
      const { send } = await appWith(
        async ctx => {
          try {
            await Promise.all([
              ctx.oso.authorize(rent, { action: 'read' }),
              ctx.oso.authorize(rent, { action: 'update' }),
            ]);
          } catch {
            ctx.status = 403;
            ctx.body = 'no';
          }
        },
        {
          unauthorizedAction: async (_ctx, { action }) => {
            if (action === 'update') await sleep(5);
          },
        },
      );
      await send('/', 'bob').expect(403, 'no');
    });

    it('is left alone beside a question that became needless', async () => {
      const { send } = await appWith(ctx => {
        void ctx.oso.isAllowed(rent, { action: 'read' });
        ctx.status = 410;
        ctx.body = 'gone';
      });
      await send('/', 'ann').expect(410, 'gone');
    });
  });

  describe('a check that is refused when the response is out', () => {
    it('is told to the error event, and cuts a response that is still being sent', async () => {
      const { send, errors, app } = await appWith(
        ctx => {
          sleep(20)
            .then(() => ctx.oso.authorize(rent, { action: 'read' }))
            .catch(() => {});
          ctx.body = 'stream' in ctx.query ? Readable.from(endless()) : 'out';
        },
        { required: false },
      );
      const told = once(app, 'error');
      await send('/', 'bob').expect(200, 'out');
      await told;
      const failure = await send('/?stream', 'bob').catch(error => error);
      expect(failure).to.have.property('code', 'ECONNRESET');
      expect(errors.map(error => (error as { code?: string }).code)).to.include('ERR_KOA_OSO_FORBIDDEN');
    });

    it('leaves the answer to an error alone, and is told once', async () => {
      const { app, koaOso } = await setUp();
      const outer = new Koa();
      const told: Error[] = [];
      outer.on('error', error => told.push(error));
      outer.use(async (ctx, next) => {
        try {
          await next();
        } catch (error) {
          await sleep(20);
          ctx.status = (error as { status: number }).status;
          ctx.body = 'an error page';
          if ('tell' in ctx.query) throw error;
        }
      });
      for (const middleware of app.middleware) outer.use(middleware);
      outer.use(koaOso.requireAuthorization()).use(async ctx => {
        if ('throw' in ctx.query) {
          ctx.oso.authorize(rent, { action: 'read' });
          ctx.throw(409, 'Paid already');
        }
        const later = sleep(5).then(() => ctx.oso.authorize(rent, { action: 'update' }));
        await Promise.all([ctx.oso.authorize(rent, { action: 'read' }), later]);
      });
      const agent = request(outer.callback());
      await agent.get('/').set('x-user', 'bob').expect(403, 'an error page');
      await agent.get('/?throw').set('x-user', 'bob').expect(409, 'an error page');
      expect(told).to.deep.equal([]);
      await agent.get('/?tell').set('x-user', 'bob').expect(403, 'Forbidden');
      await sleep(20);
      expect(told).to.have.length(1);
    });

    async function* endless() {
      for (;;) {
        yield 'more';
        await sleep(2);
      }
    }
  });

  describe('a response that was written past Koa, without a status', () => {
    it('is cut off where it was not authorized, though Koa takes it for a 404', async () => {
      const { send, errors } = await appWith(ctx => void ctx.res.write('secret'));
      for (const method of ['get', 'options'] as const) {
        const failure = await send('/', 'ann', method).catch(error => error);
        expect(failure).to.have.property('code', 'ECONNRESET');
      }
      for (const error of errors) expect(error).to.have.property('code', 'ERR_KOA_OSO_AUTHORIZATION_MISSING');
      expect(errors).to.have.length(2);
    });
  });

  describe('a check used where the middleware was not installed', () => {
    it('is 500, and an error that says app.use(koaOso.middleware())', async () => {
      const { koaOso } = await setUp();
      const app = new Koa();
      const errors: Error[] = [];
      app.on('error', error => errors.push(error));
      const { send } = await setUp({ app: mounting(app, koaOso.authorize({ resource: rent })) });
      await send('/bare', 'ann').expect(500, 'Internal Server Error');
      expect(codeOf(errors)).to.equal('ERR_KOA_OSO_MIDDLEWARE_MISSING');
      expect(errors[0]?.message).to.contain('app.use(koaOso.middleware())');
    });

    function mounting(app: Koa, check: Middleware): Koa {
      return app.use(mount('/bare', check));
    }
  });

  describe('secrets', () => {
    it('reach no body, message, JSON, enumerable property or default log line', async () => {
      const logged: string[] = [];
      const { error: log } = console;
      console.error = (...args: unknown[]) => logged.push(args.join(' '));
      try {
        for (const defaultLog of [true, false]) {
          const app = new Koa();
          const { send, errors } = await appWith(ctx => ctx.oso.authorize(rent, { action: 'fail' }), { app });
          if (defaultLog) {
            app.removeAllListeners('error');
            const { text } = await send('/', 'ann').expect(500, 'Internal Server Error');
            expect(text).not.to.contain(PASSWORD_HASH);
            continue;
          }
          await send('/', 'ann').expect(500, 'Internal Server Error');
          const [error] = errors as [Error];
          const visible = [
            error.message,
            error.stack,
            String(error),
            JSON.stringify(error),
            JSON.stringify({ ...error }),
            inspect(error),
            inspect(error, { depth: 10 }),
          ].join('\n');
          expect(visible).to.contain('ERR_KOA_OSO_POLICY_FAILED').and.not.to.contain(PASSWORD_HASH);
          expect(visible).not.to.contain('ann');
          expect(inspect(error, { customInspect: false, showHidden: true })).not.to.contain(PASSWORD_HASH);
          expect((error.cause as Error).message).to.contain(PASSWORD_HASH);
        }
      } finally {
        console.error = log;
      }
      expect(logged.join('\n')).to.contain('The policy could not decide').and.not.to.contain(PASSWORD_HASH);
    });
  });
});
