import { expect } from 'chai';
import { KoaOso, KoaOsoError } from 'koa-oso';
import { codeOf, Expense, setUp, User } from './support/app.js';
import type { Context } from './support/koa.js';

const rent = new Expense('1', 'ann', 1000);

/** An app whose one route is checked as said, and answers with what it decided on. */
async function checked(options: Parameters<KoaOso['authorize']>[0], policy?: string) {
  const set = await setUp({ policy });
  set.router.all('/', set.koaOso.authorize(options), ctx => {
    const [decision] = ctx.state.oso.decisions;
    const { name = null } = (decision?.actor ?? {}) as Partial<User>;
    ctx.body = { actor: name, action: decision?.action, isRent: decision?.resource === rent };
  });
  return set;
}

describe('RouteCheck', () => {
  describe('resource', () => {
    it('is a value', async () => {
      const { send } = await checked({ resource: rent, action: 'read' });
      await send('/', 'ann').expect(200, { actor: 'ann', action: 'read', isRent: true });
    });

    for (const [kind, resource] of [
      ['sync', () => rent],
      ['async', async () => rent],
    ] as const) {
      it(`is a function of ctx that loads it, ${kind}`, async () => {
        const { send } = await checked({ resource, action: 'read' });
        await send('/', 'ann').expect(200, { actor: 'ann', action: 'read', isRent: true });
        await send('/', 'bob').expect(403);
      });
    }

    it('is the request where it is left out', async () => {
      const { send } = await checked({}, 'allow(_: User, "POST", _: Request{path: "/"});');
      await send('/', 'ann', 'post').expect(200, { actor: 'ann', action: 'POST', isRent: false });
      await send('/', 'ann', 'put').expect(403);
    });

    it('is the class where it is a class, not a function to call', async () => {
      const { send } = await checked(
        { resource: Expense, action: 'create' },
        'allow(_: User, "create", Expense);',
      );
      await send('/', 'ann').expect(200);
      await send('/').expect(403);
    });

    for (const nothing of [null, undefined]) {
      it(`is 404 where ${nothing} was loaded, and the policy is not asked`, async () => {
        const { send, errors } = await checked({ resource: () => nothing }, 'allow(_, _, _);');
        await send('/', 'ann').expect(404, 'Not Found');
        expect(codeOf(errors)).to.equal('ERR_KOA_OSO_NOT_FOUND');
      });
    }

    it('lets an error pass that the function made for the client', async () => {
      const { send } = await checked({ resource: (ctx: Context) => ctx.throw(410, 'Moved on') });
      await send('/', 'ann').expect(410, 'Moved on');
    });

    it('is refused at once where it is given as undefined', () => {
      expect(() => new KoaOso().authorize({ resource: undefined }))
        .to.throw(KoaOsoError, 'resource is undefined')
        .with.property('code', 'ERR_KOA_OSO_INVALID_ARGUMENT');
    });
  });

  describe('actor', () => {
    it('is a value, or a function of ctx; null or undefined from it is nobody', async () => {
      const asBob = await checked({ resource: rent, actor: new User('bob') });
      await asBob.send('/', 'ann').expect(403);
      const asAnn = await checked({ resource: rent, action: 'read', actor: async () => new User('ann') });
      await asAnn.send('/', 'bob').expect(200, { actor: 'ann', action: 'read', isRent: true });
      const nobody = await checked({ resource: rent, action: 'read', actor: () => undefined });
      await nobody.send('/', 'ann').expect(403);
    });

    it('is 500 where its function throws', async () => {
      const { send, errors } = await checked({
        actor: () => {
          throw new Error('no token service');
        },
      });
      await send('/', 'ann').expect(500, 'Internal Server Error');
      expect(codeOf(errors)).to.equal('ERR_KOA_OSO_GET_ACTOR_FAILED');
    });
  });

  it('passes checkRead on', async () => {
    const { send } = await checked({ resource: rent, action: 'update', checkRead: true });
    await send('/', 'bob').expect(404, 'Not Found');
  });
});
