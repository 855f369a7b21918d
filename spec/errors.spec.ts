import { inspect } from 'node:util';
import { expect } from 'chai';
import { KoaOsoError } from 'koa-oso';
import { Expense, setUp } from './support/app.js';
import { Koa } from './support/koa.js';

const rent = new Expense('1', 'ann', 1000);

/** What handlers of errors send that go by what is enumerable of an error, or by its JSON. */
const bodies: Record<string, (error: Error) => unknown> = {
  'the error': error => error,
  'its JSON': error => JSON.stringify(error),
  'its properties': error => ({ ...error }),
  'Object.assign': error => Object.assign({}, error),
  'its entries': error => Object.entries(error),
  'for … in': error => {
    const copy: Record<string, unknown> = {};
    for (const key in error) copy[key] = (error as unknown as Record<string, unknown>)[key];
    return copy;
  },
  'an error in JSON': error => ({ error }),
};

describe('KoaOsoError', () => {
  for (const [what, bodyOf] of Object.entries(bodies)) {
    it(`tells a client nothing, where an error handler sends ${what}`, async () => {
      const { app, koaOso, router, send } = await setUp();
      app.middleware.unshift(async (ctx, next) => {
        try {
          await next();
        } catch (error) {
          ctx.status = (error as KoaOsoError).status;
          ctx.body = bodyOf(error as Error);
        }
      });
      router.get('/failing', ctx => ctx.oso.authorize(rent, { action: 'fail' }));
      router.get('/undefined', ctx => ctx.oso.authorize(undefined));
      router.get(
        '/loader',
        koaOso.authorize({
          resource: () => {
            throw new Error('the disk is full');
          },
        }),
      );
      for (const path of ['/failing', '/undefined', '/loader']) {
        const { text } = await send(path, 'ann').expect(500);
        expect(text).not.to.match(/KOA|KoaOso|policy|resource|expose|status|disk/i);
      }
    });
  }

  it('tells the console its code, its message and where it comes from', async () => {
    const logged: string[] = [];
    const { error: log } = console;
    console.error = (...args: unknown[]) => logged.push(args.join(' '));
    try {
      const { app, router, send } = await setUp({ app: new Koa() });
      app.removeAllListeners('error');
      router.get('/', ctx => ctx.oso.authorize(undefined));
      await send('/', 'ann').expect(500, 'Internal Server Error');
    } finally {
      console.error = log;
    }
    const told = /KoaOsoError \[ERR_KOA_OSO_INVALID_ARGUMENT\]: The resource is undefined.*\n +at /s;
    expect(logged.join('\n')).to.match(told);
    expect(inspect(new KoaOsoError('ERR_KOA_OSO_INVALID_ARGUMENT', 'The resource is undefined'))).to.match(
      /^KoaOsoError \[ERR_KOA_OSO_INVALID_ARGUMENT\]: The resource is undefined\n +at /,
    );
  });

  it('has its properties, and Koa may write to it', () => {
    const error = new KoaOsoError('ERR_KOA_OSO_NO_OSO', 'no Oso', 'the cause');
    const { name, code, status, statusCode, expose, cause } = error;
    expect({ name, code, status, statusCode, expose, cause }).to.deep.equal({
      name: 'KoaOsoError',
      code: 'ERR_KOA_OSO_NO_OSO',
      status: 500,
      statusCode: 500,
      expose: false,
      cause: 'the cause',
    });
    expect(() => Object.assign(error, { status: 503, headerSent: true })).not.to.throw();
  });
});
