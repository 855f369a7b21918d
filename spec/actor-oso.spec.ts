import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect } from 'chai';
import { KoaOso, KoaOsoError, type Verbs } from 'koa-oso';
import { CompiledOso } from 'koa-oso/polar';
import { Oso } from 'oso';
import { Expense, PASSWORD_HASH, POLICY, setUp, User } from './support/app.js';

const rent = new Expense('1', 'ann', 1000);
const lunch = new Expense('2', 'ann', 9);
const ann = new User('ann');
const bob = new User('bob');

const FAILING = /allow\(user: User, "fail".*\n/;
const FIELDS = `
  allow_field(user: User, "read", expense: Expense, field) if
    expense.owner = user.name and field in ["amount", "owner"];
`;

/** What a promise rejects with. */
async function rejection(promise: Promise<unknown>): Promise<Error & { code?: string; status?: number }> {
  try {
    await promise;
  } catch (error) {
    return error as Error;
  }
  throw new Error('It was not rejected.');
}

for (const Engine of [Oso, CompiledOso]) {
  describe(`koaOso.for(actor), with ${Engine.name}`, () => {
    async function make(options: ConstructorParameters<typeof KoaOso>[0] = {}, policy = POLICY + FIELDS) {
      const oso = new Engine();
      oso.registerClass(User);
      oso.registerClass(Expense);
      const koaOso = new KoaOso({ oso, ...options });
      await oso.loadStr(policy);
      return { oso, koaOso };
    }

    it('has the verbs of ctx.oso, which ask for this actor', async () => {
      const { koaOso } = await make({}, POLICY.replace(FAILING, '') + FIELDS);
      const [anns, bobs] = [koaOso.for(ann), koaOso.for(bob)];
      await anns.authorize(rent, { action: 'read' });
      await anns.check(rent, { action: 'read' });
      await anns.authorizeField(rent, 'amount', { action: 'read' });
      expect(await anns.isAllowed(rent, { action: 'read' })).to.equal(true);
      expect(await bobs.isAllowed(rent, { action: 'read' })).to.equal(false);
      expect(await bobs.isAllowed(rent, { action: 'read', actor: ann })).to.equal(true);
      expect([...(await anns.authorizedActions(rent))].sort()).to.deep.equal(['read', 'update']);
      expect([...(await anns.authorizedFields(rent, { action: 'read' }))].sort()).to.deep.equal([
        'amount',
        'owner',
      ]);
      expect(await koaOso.for(null).isAllowed('the front page', { action: 'read' })).to.equal(true);
      expect(await bobs.isAllowed('the front page', { action: 'read' })).to.equal(false);
    });

    it('throws a denial as an HTTP error with a code, also of a field', async () => {
      const { koaOso } = await make();
      const oso = koaOso.for(bob);
      for (const check of [
        oso.authorize(rent, { action: 'read' }),
        oso.check(rent, { action: 'read' }),
        oso.authorizeField(rent, 'amount', { action: 'read' }),
      ]) {
        const error = await rejection(check);
        expect(error).to.include({ status: 403, expose: true, message: 'Forbidden' });
        expect(error.code).to.equal('ERR_KOA_OSO_FORBIDDEN');
        expect(JSON.stringify(error)).not.to.contain('argon');
      }
    });

    it('is the 404 of a missing resource if checkRead hides it', async () => {
      const { koaOso } = await make({ checkRead: true });
      const oso = koaOso.for(bob);
      const hidden = await rejection(oso.authorize(rent, { action: 'update' }));
      const missing = await rejection(oso.notFound());
      expect(hidden).to.include({ status: 404, message: 'Not Found' });
      expect(hidden.code).to.equal('ERR_KOA_OSO_NOT_FOUND');
      expect({ ...hidden }).to.deep.equal({ ...missing });
      expect(await rejection(oso.authorize(lunch, { action: 'update' }))).to.include({ status: 403 });
      expect(await rejection(oso.authorize(rent, { action: 'read', checkRead: false }))).to.include({
        status: 403,
      });
    });

    it('does not ask what takes a ctx', async () => {
      const fail = () => expect.fail('there is no ctx');
      const { koaOso } = await make({ getActor: fail, unauthorizedAction: fail });
      expect(await rejection(koaOso.for(bob).authorize(rent, { action: 'read' }))).to.include({
        status: 403,
      });
    });

    it('refuses an actor, a resource or an action that is not there', async () => {
      const { koaOso } = await make();
      expect(() => koaOso.for(undefined as unknown as User)).to.throw(KoaOsoError, 'The actor is undefined');
      expect(() => koaOso.for(Promise.resolve(ann))).to.throw(KoaOsoError, 'The actor is a promise');
      const oso = koaOso.for(ann) as unknown as Verbs<unknown, unknown, true>;
      for (const [question, message] of [
        [oso.authorize(undefined, { action: 'read' }), 'The resource is undefined'],
        [oso.check(Promise.resolve(rent), { action: 'read' }), 'The resource is a promise'],
        [oso.isAllowed(rent), 'names no action'],
        [oso.authorize(rent, {}), 'names no action'],
        [oso.authorizedFields(rent), 'names no action'],
        [oso.isAllowed(rent, { action: undefined }), 'The action is undefined'],
        [oso.isAllowed(rent, { action: ['read'] }), 'The action is an array'],
        [oso.isAllowed(rent, { action: 'read', actor: undefined }), 'The actor is undefined'],
        [oso.authorizeField(rent, ['amount'] as unknown as string, { action: 'read' }), 'The field is not'],
      ] as const) {
        const error = await rejection(question);
        expect(error.code).to.equal('ERR_KOA_OSO_INVALID_ARGUMENT');
        expect(error.message).to.contain(message);
      }
      expect(oso.state).to.include({ authorized: false }).and.have.property('decisions').with.length(0);
    });

    it('says what is missing, and tells no value', async () => {
      expect((await rejection(new KoaOso().for(ann).isAllowed(rent, { action: 'read' }))).code).to.equal(
        'ERR_KOA_OSO_NO_OSO',
      );
      const { koaOso } = await make();
      const failed = await rejection(koaOso.for(ann).authorize(rent, { action: 'fail' }));
      expect(failed.code).to.equal('ERR_KOA_OSO_POLICY_FAILED');
      expect(failed.message).not.to.contain(PASSWORD_HASH);
      const { koaOso: empty } = await make({}, '');
      expect((await rejection(empty.for(ann).isAllowed(rent, { action: 'read' }))).code).to.equal(
        'ERR_KOA_OSO_NO_RULES',
      );
    });

    it('takes anything but true for no', async () => {
      const { oso, koaOso } = await make();
      oso.isAllowed = async () => 'yes' as unknown as boolean;
      expect(await koaOso.for(ann).isAllowed(rent, { action: 'read' })).to.equal(false);
    });

    it('asks the policy that is in force at each question', async () => {
      const { koaOso } = await make();
      const oso = koaOso.for(ann);
      expect(await oso.isAllowed(rent, { action: 'read' })).to.equal(true);
      const version = await koaOso.reloadPolicy(each => each.loadStr('allow(_: User, "audit", _: Expense);'));
      expect(await oso.isAllowed(rent, { action: 'read' })).to.equal(false);
      expect(await oso.isAllowed(rent, { action: 'audit' })).to.equal(true);
      const versions = oso.state.decisions.map(({ policyVersion }) => policyVersion);
      expect(versions[0]).not.to.equal(version);
      expect(versions.slice(1)).to.deep.equal([version, version]);
    });
  });
}

describe('ActorOso', () => {
  it('is seen as ctx.oso is: the same decisions, but of a request', async () => {
    const { koaOso, router, send } = await setUp();
    const ask = async (verbs: Verbs) => {
      await verbs.authorize(rent, { action: 'read' });
      await verbs.isAllowed(rent, { action: 'delete' });
      await verbs.check(rent, { action: 'delete' }).catch(() => {});
      const { authorized, skipped } = verbs.state;
      const decisions = verbs.state.decisions.map(({ kind, action, allowed, policyVersion }) => ({
        kind,
        action,
        allowed,
        policyVersion,
      }));
      return { authorized, skipped, decisions };
    };
    router.get('/', async ctx => {
      ctx.body = await ask(ctx.oso);
    });
    const seen = await ask(koaOso.for(ann));
    await send('/', 'ann').expect(200, seen);
    expect(seen.decisions.map(({ kind }) => kind)).to.deep.equal(['authorize', 'isAllowed', 'check']);
  });

  it('counts for no request', async () => {
    const { app, koaOso, router, send } = await setUp();
    app.use(koaOso.requireAuthorization());
    router.get('/', async ctx => {
      await koaOso.for(ann).authorize(rent, { action: 'read' });
      ctx.body = 'secret';
    });
    await send('/', 'ann').expect(500, 'Internal Server Error');
  });

  it('remembers the latest thousand decisions', async () => {
    const { koaOso } = await setUp();
    const oso = koaOso.for(ann);
    for (let each = 0; each < 1002; each++) await oso.isAllowed(`${each}`, { action: 'read' });
    expect(oso.state.decisions).to.have.length(1000);
    expect(oso.state.decisions[0]).to.have.property('resource', '2');
  });

  it('warns of an answer that nobody looked at, and of no other', async () => {
    const { koaOso } = await setUp();
    const warnings: Error[] = [];
    const note = (warning: Error) => warnings.push(warning);
    process.on('warning', note);
    try {
      await (async () => {
        const oso = koaOso.for(ann);
        oso.isAllowed(rent, { action: 'read' });
        await oso.isAllowed(rent, { action: 'read' });
        await Promise.all([
          oso.authorizedActions('the front page'),
          oso.isAllowed(lunch, { action: 'read' }),
        ]);
        await sleep(5);
      })();
      setFlagsFromString('--expose-gc');
      const collect = runInNewContext('gc') as () => void;
      for (let tries = 0; tries < 20 && warnings.length === 0; tries++) {
        collect();
        await sleep(5);
      }
      await sleep(20);
    } finally {
      process.off('warning', note);
    }
    expect(warnings.map(each => (each as { code?: string }).code)).to.deep.equal(['ERR_KOA_OSO_NOT_AWAITED']);
    expect(warnings[0]?.message).to.contain('koaOso.for(…).isAllowed(…)').and.not.to.contain('response');
  });

  it('leaves a denial that nobody handles to Node', async () => {
    const { koaOso } = await setUp();
    const others = process.listeners('unhandledRejection');
    process.removeAllListeners('unhandledRejection');
    try {
      const unhandled = once(process, 'unhandledRejection');
      void koaOso.for(bob).authorize(rent, { action: 'read' });
      expect((await unhandled)[0]).to.have.property('code', 'ERR_KOA_OSO_FORBIDDEN');
    } finally {
      for (const listener of others) process.on('unhandledRejection', listener);
    }
  });
});
