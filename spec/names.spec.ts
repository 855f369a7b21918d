// What a client may send in place of a name: of an action, a field, a class, an attribute.
import { json } from 'node:stream/consumers';
import { expect } from 'chai';
import { KoaOso, KoaOsoError } from 'koa-oso';
import { CompiledOso } from 'koa-oso/polar';
import { Oso } from 'oso';
import { codeOf, Expense, setUp, User } from './support/app.js';

const rent = new Expense('1', 'ann', 1000);
const notAName: unknown[] = [['salary'], [['salary']], { salary: true }, { toString: 'salary' }, 5, true];

describe('names that a client sends', () => {
  async function denyList() {
    const set = await setUp({
      policy: `
        allow_field(_: User, _, _: Expense, field) if not field in ["salary"];
        allow(_: User, action, _: Expense) if not action in ["delete"];
      `,
    });
    set.app.use(async ctx => {
      const { field, action } = (await json(ctx.req)) as { field: string; action: string };
      if (field !== undefined) await ctx.oso.authorizeField(rent, field, { action: 'read' });
      else if (ctx.path === '/asked') await ctx.oso.isAllowed(rent, { action });
      else await ctx.oso.authorize(rent, { action });
      ctx.body = 'allowed';
    });
    return set;
  }

  for (const field of notAName) {
    it(`are refused as a field if they are ${JSON.stringify(field)}`, async () => {
      const { send, errors } = await denyList();
      await send('/', 'ann', 'post').send({ field: 'owner' }).expect(200, 'allowed');
      await send('/', 'ann', 'post').send({ field: 'salary' }).expect(403);
      errors.length = 0;
      await send('/', 'ann', 'post').send({ field }).expect(500, 'Internal Server Error');
      expect(codeOf(errors)).to.equal('ERR_KOA_OSO_INVALID_ARGUMENT');
      expect(errors[0]?.message).not.to.contain('salary');
    });
  }

  for (const action of [['delete'], { delete: true }, [], {}]) {
    for (const path of ['/', '/asked']) {
      it(`are refused as an action if they are ${JSON.stringify(action)} (${path})`, async () => {
        const { send, errors } = await denyList();
        await send('/', 'ann', 'post').send({ action: 'delete' }).expect(403);
        errors.length = 0;
        await send(path, 'ann', 'post').send({ action }).expect(500, 'Internal Server Error');
        expect(codeOf(errors)).to.equal('ERR_KOA_OSO_INVALID_ARGUMENT');
      });
    }
  }

  it('may be single values and instances as actions, as enums and classes of actions are', async () => {
    class Transfer {
      constructor(readonly amount: number) {}
    }
    enum Step {
      Draft,
      Submit,
    }
    const { app, oso, send } = await setUp({ policy: '' });
    oso.registerClass(Transfer);
    await oso.loadStr(`
      allow(_, 1, _: Expense);
      allow(_, transfer: Transfer, _: Expense) if transfer.amount < 10;
    `);
    app.use(async ctx => {
      await ctx.oso.authorize(rent, { action: ctx.path === '/step' ? Step.Submit : new Transfer(5) });
      ctx.body = 'allowed';
    });
    await send('/step').expect(200, 'allowed');
    await send('/transfer').expect(200, 'allowed');
  });

  it('are refused as readAction as well', () => {
    expect(() => new KoaOso({ readAction: ['read'] })).to.throw(KoaOsoError, 'readAction is an array');
    expect(() => new KoaOso({ readAction: null })).to.throw(KoaOsoError, 'readAction is null');
  });

  it('are refused as a class: lists are asked for by a class itself', async () => {
    const { app, send, errors } = await setUp();
    app.use(async ctx => {
      const { name } = ctx.query as never;
      ctx.body = await (ctx.path === '/query'
        ? ctx.oso.authorizedQuery(name)
        : ctx.oso.authorizedResources(name));
    });
    for (const path of ['/query?name=User', '/resources?name=User', '/resources?name=User&name=User']) {
      errors.length = 0;
      await send(path, 'ann').expect(500, 'Internal Server Error');
      expect(codeOf(errors)).to.equal('ERR_KOA_OSO_INVALID_ARGUMENT');
    }
  });

  for (const [kind, Engine] of [
    ['Oso', Oso],
    ['CompiledOso', CompiledOso],
  ] as const) {
    it(`are refused by ${kind} as the name of an attribute, unless they are a string`, async () => {
      const oso = new Engine();
      oso.registerClass(Expense);
      await oso.loadStr('allow(_, name, expense: Expense) if expense.(name) = "ann";');
      expect(await oso.isAllowed('eve', 'owner', rent)).to.equal(true);
      for (const name of [['owner'], { owner: true }, 5, new User('owner'), { toString: () => 'owner' }]) {
        const outcome = await oso.isAllowed('eve', name, rent).catch((error: Error) => error);
        expect(outcome).to.be.instanceOf(Error);
      }
    });
  }
});
