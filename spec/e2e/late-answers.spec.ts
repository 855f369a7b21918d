// What gets out of a refused request, in whatever order things happen: until the head is written, and after it.
import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import { type AddressInfo, connect } from 'node:net';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'chai';
import compose from 'koa-compose';
import { KoaOso } from 'koa-oso';
import session from 'koa-session';
import { Oso } from 'oso';
import request from 'supertest';
import { codeOf, Expense, setUp, User } from '../support/app.js';
import { type Context, Koa, type Middleware, Router } from '../support/koa.js';

const rent = new Expense('1', 'ann', 1000);
const SECRET = 'the-secret';

interface Around {
  /** In front of koaOso.middleware(). */
  around?: Middleware[];
  /** Behind it, and in front of requireAuthorization(). */
  inside?: Middleware[];
  required?: boolean;
  app?: Koa;
  unauthorizedAction?: (ctx: Context) => void;
}

/** An app whose actor is bob, for whom ann's rent is denied. */
async function appOf(handler: Middleware, options: Around = {}) {
  const { around = [], inside = [], required = true, app = new Koa(), unauthorizedAction } = options;
  const errors: Error[] = [];
  app.on('error', error => errors.push(error));
  for (const middleware of around) app.use(middleware);
  app.use((ctx, next) => {
    ctx.state.user = new User('bob');
    return next();
  });
  const set = await setUp({ app: new Koa(), ...(unauthorizedAction && { unauthorizedAction }) });
  app.use(set.koaOso.middleware());
  for (const middleware of inside) app.use(middleware);
  if (required) app.use(set.koaOso.requireAuthorization());
  app.use(handler);
  return { app, errors, koaOso: set.koaOso, get: (path = '/') => request(app.callback()).get(path) };
}

const waiting: Middleware = async (_ctx, next) => {
  await next();
  await sleep(30);
};

async function load(milliseconds = 10): Promise<string> {
  await sleep(milliseconds);
  return SECRET;
}

const deny = (ctx: Context) => ctx.oso.authorize(rent, { action: 'read' });

/** Everything that came over the wire. */
const wire = ({ text, headers }: request.Response) => JSON.stringify([text, headers]);

describe('what is answered late', () => {
  const unhandled: unknown[] = [];
  const note = (reason: unknown) => unhandled.push(reason);
  beforeEach(() => {
    unhandled.length = 0;
    process.on('unhandledRejection', note);
  });
  afterEach(async () => {
    await sleep(1);
    process.off('unhandledRejection', note);
    expect(unhandled).to.deep.equal([]);
  });

  describe('without authorization', () => {
    const lateHandlers: [string, Middleware][] = [
      [
        'a body',
        ctx =>
          void load().then(data => {
            ctx.body = data;
          }),
      ],
      [
        'a body of JSON',
        ctx =>
          void load().then(data => {
            ctx.body = { data };
          }),
      ],
      [
        'a stream',
        ctx =>
          void load().then(data => {
            ctx.body = Readable.from([data]);
          }),
      ],
      ['ctx.res.end', ctx => void load().then(data => ctx.res.end(data))],
      [
        'ctx.res.end with ctx.respond = false',
        ctx =>
          void load().then(data => {
            ctx.respond = false;
            ctx.res.writeHead(200, { 'X-Secret': data }).end(data);
          }),
      ],
      [
        'ctx.res.write from a timer',
        ctx => {
          setTimeout(() => {
            ctx.res.write(SECRET);
            ctx.res.end(SECRET);
          }, 5);
        },
      ],
      [
        'ctx.res.flushHeaders from a timer',
        ctx => {
          setTimeout(() => {
            ctx.set('X-Secret', SECRET);
            ctx.res.flushHeaders();
            ctx.res.end(SECRET);
          }, 5);
        },
      ],
    ];
    for (const [name, handler] of lateHandlers) {
      it(`is refused at the head: ${name}`, async () => {
        const { get, errors } = await appOf(handler, { around: [waiting] });
        const response = await get().catch(error => error);
        if (response instanceof Error) expect(response).to.have.property('code', 'ECONNRESET');
        else {
          expect(response.status).to.equal(500);
          expect(wire(response)).not.to.contain(SECRET);
        }
        await sleep(30);
        expect(errors.map(error => (error as { code?: string }).code)).to.deep.equal([
          'ERR_KOA_OSO_AUTHORIZATION_MISSING',
        ]);
      });
    }

    it('is refused with a session that is kept in a store', async () => {
      const app = new Koa();
      app.keys = ['key'];
      const store = {
        get: async () => ({}),
        set: () => sleep(30),
        destroy: async () => {},
      };
      const { get, errors } = await appOf(
        ctx => {
          (ctx as unknown as { session: { seen: boolean } }).session.seen = true;
          void load().then(data => {
            ctx.body = data;
          });
        },
        { app, around: [session({ store }, app) as unknown as Middleware] },
      );
      expect(wire(await get().expect(500, 'Internal Server Error'))).not.to.contain(SECRET);
      expect(codeOf(errors)).to.equal('ERR_KOA_OSO_AUTHORIZATION_MISSING');
    });

    it('is refused before anything gets out, if the handler writes past Koa at once', async () => {
      for (const write of [
        (ctx: Context) => ctx.res.end(SECRET),
        (ctx: Context) => ctx.res.writeHead(200, { 'X-Secret': SECRET }).end(),
        (ctx: Context) => ctx.res.write(SECRET),
        (ctx: Context) => {
          ctx.body = SECRET;
          ctx.res.flushHeaders();
        },
      ]) {
        const { app, errors } = await appOf(ctx => void write(ctx));
        const received = await rawly(app, 'GET / HTTP/1.1\r\nHost: x\r\n\r\n');
        expect(received).not.to.contain(SECRET);
        expect(errors).to.have.length(1);
        expect(codeOf(errors)).to.equal('ERR_KOA_OSO_AUTHORIZATION_MISSING');
      }
    });

    it('is refused over HTTP/2', async () => {
      const { app } = await appOf(
        ctx =>
          void load().then(data => {
            ctx.body = data;
          }),
        { around: [waiting] },
      );
      const server = http2.createServer(app.callback()).listen(0);
      await once(server, 'listening');
      const client = http2.connect(`http://localhost:${(server.address() as AddressInfo).port}`);
      try {
        const stream = client.request({ ':path': '/' });
        const [headers] = (await once(stream, 'response')) as [http2.IncomingHttpHeaders];
        expect(headers[':status']).to.equal(500);
        expect(String(await Readable.from(stream).toArray())).to.equal('Internal Server Error');
      } finally {
        client.close();
        server.close();
      }
    });

    it('is refused beside an exception that an error handler answers', async () => {
      const handler: Middleware = ctx =>
        Promise.all([
          load(0).then(() => ctx.throw(409)),
          load().then(data => {
            ctx.body = data;
          }),
        ]);
      const answer: Middleware = async (ctx, next) => {
        try {
          await next();
        } catch (error) {
          await sleep(30);
          ctx.status = (error as { status: number }).status;
        }
      };
      const { get } = await appOf(handler, { around: [answer] });
      expect(wire(await get().expect(409))).not.to.contain(SECRET);
    });

    it('leaves alone what is authorized late, what needs none, and an error page', async () => {
      const notFound: Middleware = async (ctx, next) => {
        await next();
        await sleep(1);
        if (ctx.status !== 404) return;
        ctx.status = 404;
        ctx.body = 'no such page';
      };
      const handler: Middleware = ctx => {
        if ('nothing' in ctx.query) return;
        if ('error' in ctx.query) ctx.throw(418);
        void load().then(async data => {
          await ctx.oso.authorize(new Expense('2', 'bob'), { action: 'read' });
          ctx.body = data;
        });
      };
      const { get } = await appOf(handler, { around: [waiting] });
      await get().expect(200, SECRET);
      const pages = await appOf(handler, { around: [notFound] });
      await pages.get('/?nothing').expect(404, 'no such page');
      await pages.get('/?error').expect(418, /^I'm a teapot$/i);
      const plain = await appOf(handler);
      await plain.get('/?nothing').expect(404, 'Not Found');
      await request(plain.app.callback()).head('/?nothing').expect(404);
    });
  });

  describe('with a check that is denied', () => {
    const setAll = (ctx: Context) => {
      ctx.cookies.set('secret', SECRET);
      ctx.attachment(`${SECRET}.pdf`);
      ctx.etag = SECRET;
      ctx.set('X-Secret', SECRET);
      ctx.body = SECRET;
    };
    const answers: [string, (ctx: Context, error: { status: number }) => Promise<void>, string][] = [
      [
        'sets the status alone',
        async (ctx, { status }) => {
          await sleep(20);
          ctx.status = status;
        },
        'Forbidden',
      ],
      [
        'answers at once',
        async (ctx, { status }) => {
          ctx.status = status;
          ctx.set('X-Page', 'yes');
          ctx.body = 'an error page';
        },
        'an error page',
      ],
      [
        'answers at once, and then waits',
        async (ctx, { status }) => {
          ctx.set('X-Page', 'yes');
          ctx.body = 'an error page';
          ctx.status = status;
          await sleep(30);
        },
        'an error page',
      ],
      [
        'waits, and then answers',
        async (ctx, { status }) => {
          await sleep(30);
          ctx.status = status;
          ctx.set('X-Page', 'yes');
          ctx.body = 'an error page';
        },
        'an error page',
      ],
    ];
    for (const [name, answer, text] of answers) {
      for (const place of ['around', 'inside'] as const) {
        for (const order of ['before', 'after'] as const) {
          it(`lets out what an error handler ${place} sets that ${name}; of what was set ${order}, nothing`, async () => {
            const onError: Middleware = async (ctx, next) => {
              try {
                await next();
              } catch (error) {
                await answer(ctx, error as { status: number });
              }
            };
            const handler: Middleware = ctx => {
              if (order === 'before') setAll(ctx);
              return Promise.all([
                sleep(order === 'before' ? 5 : 0).then(() => deny(ctx)),
                load(order === 'before' ? 0 : 10).then(() => setAll(ctx)),
              ]);
            };
            const { get } = await appOf(handler, { around: [waiting], [place]: [onError] });
            const response = await (place === 'around'
              ? await appOf(handler, { around: [waiting, onError] })
              : { get }
            ).get();
            expect(response.status).to.equal(403);
            expect(wire(response)).not.to.contain(SECRET);
            expect(response.text).to.equal(text);
            if (text !== 'Forbidden') expect(response.headers['x-page']).to.equal('yes');
          });
        }
      }
    }

    it('sends the headers that were there before', async () => {
      const { get } = await appOf(
        ctx => {
          setAll(ctx);
          ctx.set('X-Before', SECRET);
          return deny(ctx);
        },
        {
          around: [
            async (ctx, next) => {
              ctx.set('X-Before', 'yes');
              await next().catch(error => {
                ctx.status = error.status;
                ctx.body = { error: error.status };
              });
            },
          ],
        },
      );
      const response = await get().expect(403, { error: 403 }).expect('X-Before', 'yes');
      expect(wire(response)).not.to.contain(SECRET);
    });

    it('lets a page be compressed, or made of what is there, on the way back', async () => {
      const { get } = await appOf(
        ctx =>
          Promise.all([
            deny(ctx),
            load().then(data => {
              ctx.body = data;
            }),
          ]),
        {
          around: [
            async (ctx, next) => {
              await next();
              await sleep(20);
              ctx.body = `<${ctx.body}>`;
              ctx.set('X-Wrapped', 'yes');
            },
            async (ctx, next) => {
              await next().catch(error => {
                ctx.status = error.status;
                ctx.body = 'page';
              });
            },
          ],
        },
      );
      await get().expect(403, '<page>').expect('X-Wrapped', 'yes');
    });

    it('lets nothing be written past Koa beside a page', async () => {
      for (const page of ['page', { error: 'page' }]) {
        const { get } = await appOf(ctx => Promise.all([deny(ctx), load().then(data => ctx.res.end(data))]), {
          around: [
            waiting,
            async (ctx, next) => {
              await next().catch(error => {
                ctx.status = error.status;
                ctx.body = page;
              });
            },
          ],
        });
        expect(wire(await get().expect(403, 'Forbidden'))).not.to.contain(SECRET);
      }
    });

    it('lets an error handler redirect', async () => {
      const { get } = await appOf(deny, {
        around: [
          async (ctx, next) => {
            await next().catch(() => ctx.redirect('/login'));
          },
        ],
      });
      await get().expect(302).expect('Location', '/login');
    });

    it('knows the error handler by its context, with asyncLocalStorage', async () => {
      const handler: Middleware = ctx =>
        Promise.all([
          deny(ctx),
          load().then(data => {
            ctx.set('X-Secret', data);
            ctx.status = 200;
            ctx.body = data;
          }),
        ]);
      const { get } = await appOf(handler, {
        app: new Koa({ asyncLocalStorage: true }),
        around: [
          async (ctx, next) => {
            await next().catch(async error => {
              ctx.status = error.status;
              await sleep(20);
              ctx.body = 'a page that was made slowly';
            });
          },
        ],
      });
      const response = await get().expect(403, 'a page that was made slowly');
      expect(wire(response)).not.to.contain(SECRET);
    });

    it('is refused if the check is denied after koa-oso, and before the head', async () => {
      const { get, errors } = await appOf(
        ctx => {
          ctx.oso.skipAuthorization();
          ctx.body = SECRET;
          setTimeout(() => void deny(ctx), 5);
        },
        { around: [waiting] },
      );
      expect(wire(await get().expect(403, 'Forbidden'))).not.to.contain(SECRET);
      expect(codeOf(errors)).to.equal('ERR_KOA_OSO_FORBIDDEN');
    });

    it('cuts a response that has begun, also if the denial is awaited', async () => {
      const { get, errors } = await appOf(async ctx => {
        ctx.oso.skipAuthorization();
        ctx.respond = false;
        ctx.res.writeHead(200);
        ctx.res.write('the beginning');
        await deny(ctx);
      });
      const failure = await get().catch(error => error);
      expect(failure).to.have.property('code', 'ECONNRESET');
      expect(codeOf(errors)).to.equal('ERR_KOA_OSO_FORBIDDEN');
    });
  });

  it('is cut over HTTP/2 with an error of the stream: it does not look like the end', async () => {
    const { app } = await appOf(async ctx => {
      ctx.oso.skipAuthorization();
      ctx.respond = false;
      ctx.res.writeHead(200);
      ctx.res.write('the beginning');
      await deny(ctx);
    });
    const server = http2.createServer(app.callback()).listen(0);
    await once(server, 'listening');
    const client = http2.connect(`http://localhost:${(server.address() as AddressInfo).port}`);
    try {
      const stream = client.request({ ':path': '/' }).resume();
      const failure = await once(stream, 'close').catch(error => error);
      expect(failure).to.have.property('code', 'ERR_HTTP2_STREAM_ERROR');
      expect(stream.rstCode).to.equal(http2.constants.NGHTTP2_INTERNAL_ERROR);
    } finally {
      client.close();
      server.close();
    }
  });

  describe('two KoaOso', () => {
    it('are refused by a denial of the inner one that is swallowed between them', async () => {
      const swallow: Middleware = (_ctx, next) => next().catch(() => {});
      for (const awaited of [true, false]) {
        const inner = await setUp();
        const nested = compose([
          swallow,
          inner.koaOso.middleware(),
          async (ctx: Context) => {
            if (awaited) await deny(ctx);
            else void deny(ctx);
          },
        ]);
        const { get } = await appOf(
          async (ctx, next) => {
            await nested(ctx, next);
            ctx.body = SECRET;
          },
          { required: false },
        );
        expect(wire(await get().expect(403, 'Forbidden'))).not.to.contain(SECRET);
      }
    });
  });

  describe('a promise that was handed on, and not awaited', () => {
    const rethrow = (error: unknown) => {
      throw error;
    };
    const chains: [string, (check: Promise<unknown>) => unknown][] = [
      ['.finally(f)', check => check.finally(() => {})],
      ['.catch(rethrow)', check => check.catch(rethrow)],
      ['.then(f, rethrow)', check => check.then(() => {}, rethrow)],
      [
        '.then(f).then(g).finally(h)',
        check =>
          check
            .then(() => {})
            .then(() => {})
            .finally(() => {}),
      ],
      ['two chains', check => [check.finally(() => {}), check.then(() => {})]],
    ];
    for (const [name, chain] of chains) {
      it(`is refused, and does not end the process: authorize(…)${name}`, async () => {
        const { get } = await appOf(ctx => {
          chain(deny(ctx));
          if ('error' in ctx.query) ctx.status = 409;
          ctx.body = SECRET;
        });
        await get().expect(403, 'Forbidden');
        await get('/?error').expect(403, 'Forbidden');
      });

      it(`is refused, and does not end the process: isAllowed(…)${name}`, async () => {
        const { get, errors } = await appOf(
          ctx => {
            chain(ctx.oso.isAllowed(rent, { action: 'fail' }));
            ctx.body = SECRET;
          },
          { required: false, around: [waiting] },
        );
        expect(wire(await get().expect(500, 'Internal Server Error'))).not.to.contain(SECRET);
        expect(codeOf(errors)).to.equal('ERR_KOA_OSO_POLICY_FAILED');
      });
    }

    it('is refused, and does not end the process, also if it is handed on when it is rejected', async () => {
      const { get } = await appOf(async ctx => {
        const check = deny(ctx);
        if ('seen' in ctx.query) await check.catch(() => {});
        else await sleep(5);
        for (const [, chain] of chains) chain(check);
        ctx.body = SECRET;
      });
      await get().expect(403, 'Forbidden');
      await get('/?seen').expect(403, 'Forbidden');
    });

    it('is an ordinary promise to whoever handles it later in the chain', async () => {
      const { get } = await appOf(async ctx => {
        try {
          await deny(ctx)
            .then(() => {})
            .finally(() => {});
        } catch (error) {
          ctx.status = 403;
          ctx.body = (error as Error).message;
        }
      });
      await get().expect(403, 'Forbidden');
    });
  });

  describe('an unauthorized action that throws what is hostile', () => {
    class GetterOnly extends Error {
      get status() {
        return 418;
      }
    }
    const throwing = (name: string) =>
      Object.defineProperty(new Error('hostile'), name, {
        get() {
          throw new Error(`do not read ${name}`);
        },
      });
    const hostile: [string, () => unknown, number][] = [
      ['undefined', () => undefined, 500],
      ['null', () => null, 500],
      ['a getter for status', () => throwing('status'), 500],
      ['a getter for expose', () => throwing('expose'), 500],
      ['a getter for headers', () => throwing('headers'), 500],
      ['a getter for message', () => throwing('message'), 500],
      ['a getter for httpCode', () => throwing('httpCode'), 500],
      ['a getter for stack', () => throwing('stack'), 500],
      [
        'expose that cannot be configured',
        () =>
          Object.defineProperty(Object.assign(new Error('x'), { httpCode: 401 }), 'expose', { value: false }),
        401,
      ],
      [
        'a status that cannot be written',
        () => Object.defineProperty(new Error('x'), 'status', { value: 401 }),
        401,
      ],
      ['a status of a getter alone', () => new GetterOnly('x'), 418],
      [
        'what is frozen',
        () => Object.freeze(Object.assign(new Error('x'), { status: 401, expose: true })),
        401,
      ],
      [
        'a Proxy',
        () =>
          new Proxy(new Error('x'), {
            get() {
              throw new Error('do not read');
            },
            has() {
              throw new Error('do not ask');
            },
          }),
        500,
      ],
      [
        'a Proxy whose prototype cannot be had',
        () =>
          new Proxy(new Error('x'), {
            getPrototypeOf() {
              throw new Error('do not ask');
            },
          }),
        500,
      ],
    ];
    for (const [name, make, status] of hostile) {
      for (const awaited of [true, false]) {
        it(`ends in ${status}: ${name}${awaited ? '' : ', not awaited'}`, async () => {
          const { get } = await appOf(
            ctx => {
              ctx.body = SECRET;
              const check = deny(ctx);
              if (awaited) return check;
            },
            {
              unauthorizedAction() {
                throw make();
              },
            },
          );
          const response = await get().timeout(8000);
          expect(response.status).to.equal(status);
          expect(wire(response)).not.to.contain(SECRET);
        });
      }
    }

    for (const [name, make, status] of hostile) {
      for (const place of ['unauthorized', 'refused', 'authorized']) {
        it(`ends also if the handler itself throws it, ${place}: ${name}`, async () => {
          const { get } = await appOf(async ctx => {
            ctx.body = SECRET;
            if (place === 'refused') void deny(ctx);
            if (place === 'authorized') ctx.oso.skipAuthorization();
            throw make();
          });
          const response = await get().timeout(8000);
          // Koa knows nothing of httpCode, and of undefined the refusal takes the place.
          expect(response.status).to.be.oneOf([status, 500, 403]);
          expect(wire(response)).not.to.contain(SECRET);
        });
      }
    }

    it('ends also if the handler itself throws undefined, refused or unauthorized', async () => {
      const { get } = await appOf(async ctx => {
        ctx.body = SECRET;
        if ('refused' in ctx.query) await deny(ctx).catch(() => {});
        throw undefined;
      });
      await get('/?refused').timeout(8000).expect(403, 'Forbidden');
      await get().timeout(8000).expect(500, 'Internal Server Error');
    });
  });

  describe('with a check that is denied after the head was written', () => {
    const ways: [string, (ctx: Context) => Promise<void>][] = [
      ['swallowed', async ctx => await deny(ctx).catch(() => {})],
      ['not awaited', async ctx => void deny(ctx)],
      ['handed on', async ctx => void deny(ctx).finally(() => {})],
    ];
    for (const [name, denied] of ways) {
      for (const required of [true, false]) {
        it(`cuts at once, before the handler sends the rest: ${name}${required ? '' : ', without requireAuthorization()'}`, async () => {
          const { app, errors } = await appOf(
            async ctx => {
              await ctx.oso.authorize(new Expense('2', 'bob'), { action: 'read' });
              ctx.respond = false;
              ctx.res.writeHead(200);
              ctx.res.write('begun');
              await denied(ctx);
              await sleep(20);
              ctx.res.write(SECRET);
              ctx.res.end(SECRET);
            },
            { required },
          );
          const received = await rawly(app, 'GET / HTTP/1.1\r\nHost: x\r\n\r\n');
          expect(received).not.to.contain(SECRET);
          await sleep(40);
          expect(codeOf(errors)).to.equal('ERR_KOA_OSO_FORBIDDEN');
        });
      }
    }
  });

  describe('what goes out beside headers and body', () => {
    const page: Middleware = async (ctx, next) => {
      try {
        await next();
      } catch (error) {
        ctx.status = (error as { status: number }).status;
        await sleep(30);
      }
    };
    const hello = 'GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n';

    it('does not have the words beside the status from a refused handler', async () => {
      for (const set of [
        (ctx: Context) => {
          ctx.message = SECRET;
        },
        (ctx: Context) => {
          ctx.res.statusMessage = SECRET;
        },
      ]) {
        const { app } = await appOf(ctx => Promise.all([deny(ctx), load().then(() => set(ctx))]), {
          around: [page],
        });
        const received = await rawly(app, hello);
        expect(received).to.match(/^HTTP\/1\.1 403 Forbidden\r\n/);
        expect(received).not.to.contain(SECRET);
      }
    });

    it('has the words that an error handler sets with the status', async () => {
      const { app } = await appOf(deny, {
        around: [
          async (ctx, next) => {
            await next().catch(error => {
              ctx.status = error.status;
              ctx.message = 'Not for you';
            });
          },
        ],
      });
      const received = await rawly(app, hello);
      expect(received).to.match(/^HTTP\/1\.1 403 Not for you\r\n/);
      expect(received).to.match(/\r\n\r\nNot for you$/);
    });

    it('does not have trailers of a refused handler', async () => {
      const streamed: Middleware = async (ctx, next) => {
        await next().catch(async error => {
          ctx.status = error.status;
          ctx.body = Readable.from(['page']);
          await sleep(30);
        });
      };
      const trail = (ctx: Context) => ctx.res.addTrailers({ 'x-secret': SECRET });
      for (const handler of [
        (ctx: Context) => {
          trail(ctx);
          return deny(ctx);
        },
        (ctx: Context) => Promise.all([deny(ctx), load().then(() => trail(ctx))]),
      ] as Middleware[]) {
        const { app } = await appOf(handler, { around: [streamed] });
        expect(await rawly(app, hello)).not.to.contain(SECRET);

        const server = http2.createServer(app.callback()).listen(0);
        await once(server, 'listening');
        const client = http2.connect(`http://localhost:${(server.address() as AddressInfo).port}`);
        try {
          const stream = client.request({ ':path': '/' });
          let trailers: unknown;
          stream.on('trailers', received => {
            trailers = received;
          });
          expect(String(await Readable.from(stream).toArray())).to.equal('page');
          expect(trailers).to.equal(undefined);
        } finally {
          client.close();
          server.close();
        }
      }
    });
  });

  it('asks again at the head, if what wanted to write it has failed', async () => {
    const attempts: ((ctx: Context) => void)[] = [
      ctx => ctx.res.write(undefined),
      ctx => {
        ctx.status = 404;
        ctx.res.writeHead(404, { 'x-broken': 'a\nb' });
      },
    ];
    for (const attempt of attempts) {
      const { app, errors } = await appOf(async ctx => {
        expect(() => attempt(ctx)).to.throw();
        ctx.res.statusCode = 200;
        ctx.res.end(SECRET);
      });
      expect(await rawly(app, 'GET / HTTP/1.1\r\nHost: x\r\n\r\n')).not.to.contain(SECRET);
      expect(codeOf(errors)).to.equal('ERR_KOA_OSO_AUTHORIZATION_MISSING');
    }
  });

  it('is refused whatever Object.prototype says of statuses and streams', async () => {
    const polluted = Object.prototype as { _explicitStatus?: boolean; stream?: string };
    const { app } = await appOf(async ctx => {
      if ('written' in ctx.query) ctx.res.write(SECRET);
      ctx.body = SECRET;
    });
    for (const path of ['/', '/?written']) {
      polluted._explicitStatus = true;
      polluted.stream = 'x';
      try {
        const received = await rawly(app, `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`);
        expect(received).not.to.contain(SECRET);
      } finally {
        delete polluted._explicitStatus;
        delete polluted.stream;
      }
    }
  });

  for (const begun of [false, true]) {
    it(`is refused whatever Object.prototype says of streams at the denial${begun ? ', after the head' : ''}`, async () => {
      const polluted = Object.prototype as { stream?: string };
      let end = () => {};
      const ended = new Promise<void>(resolve => {
        end = resolve;
      });
      const handler: Middleware = async ctx => {
        await ctx.oso.authorize(new Expense('2', 'bob'), { action: 'read' });
        ctx.respond = false;
        if (begun) ctx.res.writeHead(200).flushHeaders();
        polluted.stream = 'x';
        try {
          await deny(ctx).catch(() => {});
          ctx.res.write(SECRET);
          ctx.res.end(SECRET);
        } finally {
          delete polluted.stream;
          end();
        }
      };
      const { app } = await appOf(handler, { required: false });
      const received = await rawly(app, 'GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
      await ended;
      expect(received).not.to.contain(SECRET);
    });
  }

  describe('a connection that is kept alive', () => {
    it('is left to the next request by a refusal that comes when the answer is through', async () => {
      const { app, errors } = await appOf(
        async ctx => {
          if (ctx.path === '/next') {
            ctx.oso.skipAuthorization();
            await sleep(60);
            ctx.body = 'next';
            return;
          }
          ctx.oso.skipAuthorization();
          ctx.respond = false;
          ctx.res.end('first');
          await sleep(30);
          void deny(ctx);
        },
        { required: false },
      );
      const server = app.listen(0);
      const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
      const { port } = server.address() as AddressInfo;
      const get = async (path: string) => {
        const [response] = (await once(http.get({ port, path, agent }), 'response')) as [
          http.IncomingMessage,
        ];
        return [String(await response.toArray())];
      };
      try {
        expect((await get('/first'))[0]).to.equal('first');
        expect((await get('/next'))[0]).to.equal('next');
        expect(codeOf(errors)).to.equal('ERR_KOA_OSO_FORBIDDEN');
      } finally {
        agent.destroy();
        server.close();
      }
    });

    it('is left to the response before it that is still being sent', async () => {
      const { app } = await appOf(
        async ctx => {
          ctx.oso.skipAuthorization();
          if (ctx.path === '/slow') {
            await sleep(50);
            ctx.body = 'slow, and whole';
            return;
          }
          ctx.respond = false;
          ctx.res.write(SECRET);
          void deny(ctx);
        },
        { required: false },
      );
      const received = await rawly(
        app,
        'GET /slow HTTP/1.1\r\nHost: x\r\n\r\nGET /refused HTTP/1.1\r\nHost: x\r\n\r\n',
      );
      expect(received).to.contain('slow, and whole');
      expect(received).not.to.contain(SECRET);
    });
  });

  describe('when the handler is done, and the connection stays', () => {
    it('tells of a check that is denied, and of an answer that nobody looked at', async () => {
      const { app, errors } = await appOf(ctx => {
        ctx.oso.skipAuthorization('a feed');
        ctx.respond = false;
        ctx.res.writeHead(200, { 'Content-Type': 'text/event-stream' });
        ctx.res.write('data: 1\n\n');
        if ('question' in ctx.query) setTimeout(() => void ctx.oso.isAllowed(rent), 5);
        else setTimeout(() => void deny(ctx).finally(() => {}), 5);
      });
      for (const path of ['/', '/?question']) {
        const received = await rawly(app, `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`);
        expect(received).to.contain('data: 1');
      }
      expect(errors.map(error => (error as { code?: string }).code)).to.deep.equal([
        'ERR_KOA_OSO_FORBIDDEN',
        'ERR_KOA_OSO_NOT_AWAITED',
      ]);
    });

    it('tells of them after an error as well', async () => {
      const { app, errors } = await appOf(ctx => {
        setTimeout(() => void deny(ctx), 20);
        ctx.throw(409);
      });
      await request(app.callback()).get('/').expect(409);
      await sleep(30);
      expect(errors.map(error => error.message)).to.deep.equal(['Conflict', 'Forbidden']);
    });
  });

  describe('OPTIONS', () => {
    it('with a body is no automatic answer, whatever the body', async () => {
      for (const body of [0, false, 'x']) {
        const { app } = await appOf(ctx => {
          ctx.body = body;
        });
        await request(app.callback()).options('/').expect(500, 'Internal Server Error');
      }
      const { app } = await appOf(ctx => {
        ctx.status = 200;
        ctx.body = '';
      });
      await request(app.callback()).options('/').expect(200, '');
    });
  });

  describe('performRouteAuthorization()', () => {
    it('allows a route for the host alone that was asked for', async () => {
      const oso = new Oso();
      const koaOso = new KoaOso({ oso });
      await oso.loadStr('allow(_, "GET", request: Request) if request.header("host") = "public";');
      const app = new Koa();
      app.silent = true;
      const open = new Router({ host: 'public' }).get('/', (_ctx, next) => next());
      const internal = new Router({ host: 'internal' }).get('/', ctx => {
        ctx.body = SECRET;
      });
      app.use(koaOso.middleware()).use(koaOso.performRouteAuthorization());
      app.use(open.routes());
      app.use((ctx, next) => {
        ctx.req.headers.host = 'internal';
        return next();
      });
      app.use(internal.routes());
      const response = await request(app.callback()).get('/').set('Host', 'public');
      expect(response.status).to.equal(500);
      expect(wire(response)).not.to.contain(SECRET);
    });
  });

  async function rawly(app: Koa, sent: string): Promise<string> {
    const server = app.listen(0);
    const socket = connect((server.address() as AddressInfo).port);
    socket.write(sent);
    const received: Buffer[] = [];
    // A machine that is busy takes its time to begin with an answer.
    socket.setTimeout(5000, () => socket.destroy());
    socket.on('data', data => {
      received.push(data);
      socket.setTimeout(300);
    });
    await once(socket, 'close').catch(() => {});
    server.close();
    return Buffer.concat(received).toString();
  }
});
