import { expect } from 'chai';
import createError from 'http-errors';
import type { Denial } from 'koa-oso';
import { codeOf, Expense, messageOfCause, setUp, User } from './support/app.js';
import type { Context, Middleware } from './support/koa.js';

const rent = new Expense('1', 'ann', 1000);
const lunch = new Expense('2', 'ann', 9);

describe('RequestOso', () => {
  describe('currentActor', () => {
    it('is what getActor gives, asked once a request', async () => {
      let asked = 0;
      const { router, send } = await setUp({
        getActor: async () => {
          asked++;
          return new User('ann');
        },
      });
      router.get('/', async ctx => {
        await Promise.all([
          ctx.oso.authorize(rent, { action: 'read' }),
          ctx.oso.authorize(lunch, { action: 'read' }),
        ]);
        expect(await ctx.oso.currentActor).to.equal(await ctx.oso.currentActor);
        ctx.body = 'ok';
      });
      await send('/').expect(200);
      expect(asked).to.equal(1);
    });

    it('is null for nobody', async () => {
      const { router, send } = await setUp();
      router.get('/', async ctx => {
        ctx.body = { actor: await ctx.oso.currentActor };
      });
      await send('/').expect(200, { actor: null });
    });

    it('may be left alone, also where getActor throws: the process lives on', async () => {
      const { router, send } = await setUp({ getActor: ctx => ctx.throw(401, 'Token expired') });
      router.get('/', ctx => void ctx.oso.currentActor);
      const unhandled: unknown[] = [];
      const note = (reason: unknown) => unhandled.push(reason);
      process.on('unhandledRejection', note);
      try {
        await send('/').expect(500);
        expect(unhandled).to.deep.equal([]);
      } finally {
        process.off('unhandledRejection', note);
      }
    });

    it('lets an error pass that getActor made for the client', async () => {
      const { router, send } = await setUp({ getActor: ctx => ctx.throw(401, 'Token expired') });
      router.get('/', ctx => ctx.oso.authorize(rent));
      await send('/').expect(401, 'Token expired');
    });
  });

  describe('authorize', () => {
    it('ends also if the unauthorized action asks for what is denied, be it awaited or not', async () => {
      for (const awaited of [true, false]) {
        let calls = 0;
        const { router, send } = await setUp({
          unauthorizedAction: async ctx => {
            calls++;
            await ctx.oso.authorize(rent, { action: 'read' });
          },
        });
        router.get('/', ctx => {
          const check = ctx.oso.authorize(rent, { action: 'read' });
          if (awaited) return check;
          ctx.body = 'secret';
        });
        await send('/', 'bob').timeout(5000).expect(403, 'Forbidden');
        expect(calls).to.equal(100);
      }
    });

    it('hands the unauthorized action the denial', async () => {
      const denials: Denial[] = [];
      const { router, send, koaOso } = await setUp({
        unauthorizedAction: (_ctx, denial) => void denials.push(denial),
      });
      router.post('/', ctx => ctx.oso.authorize(rent));
      await send('/', 'bob', 'post').expect(403);
      expect(denials).to.have.length(1);
      const { duration, actor, policyVersion, ...rest } = denials[0] as Denial;
      expect(rest).to.deep.equal({
        kind: 'authorize',
        action: 'POST',
        resource: rent,
        field: undefined,
        allowed: false,
        status: 403,
      });
      expect(actor).to.be.instanceOf(User).with.property('name', 'bob');
      expect(duration).to.be.greaterThan(0);
      expect(policyVersion)
        .to.equal(koaOso.policyVersion)
        .and.match(/^[0-9a-f]{16}$/);
    });

    it('takes null for an actor as nobody, and undefined for a mistake', async () => {
      const { router, send, errors } = await setUp();
      router.get('/:who', async ctx => {
        const actor = ctx.params.who === 'null' ? null : undefined;
        await ctx.oso.authorize(rent, { actor, action: 'read' });
      });
      await send('/null', 'ann').expect(403);
      await send('/undefined', 'ann').expect(500, 'Internal Server Error');
      expect(errors.at(-1)?.message).to.contain('The actor is undefined');
    });

    it('answers with a copy of a frozen error, which Koa could not write to', async () => {
      const frozen = Object.freeze(createError(402, 'Pay first', { headers: { 'X-Price': '5' } }));
      const { router, send } = await setUp({
        unauthorizedAction: () => {
          throw frozen;
        },
      });
      router.get('/', ctx => ctx.oso.authorize(rent, { action: 'read' }));
      await send('/', 'bob').expect(402, 'Pay first').expect('X-Price', '5');
    });

    it('is not kept waiting by a check that hangs where the handler throws', async () => {
      const { router, send } = await setUp({ getActor: () => new Promise(() => {}) });
      router.get('/', ctx => {
        ctx.oso.authorize(rent, { action: 'read' });
        ctx.throw(503, 'Too slow');
      });
      await send('/').expect(503);
    });

    it('takes an action that is not there for a mistake', async () => {
      const { router, send, errors } = await setUp({ policy: 'allow(_, "GET", _);' });
      router.get('/:action', ctx =>
        ctx.oso.authorize(rent, { action: ctx.params.action === 'null' ? null : undefined }),
      );
      for (const action of ['null', 'undefined']) {
        await send(`/${action}`, 'ann').expect(500, 'Internal Server Error');
        expect(errors.at(-1)?.message).to.contain(`The action is ${action}`);
      }
    });

    it('takes anything but true for no', async () => {
      const { router, send, oso } = await setUp();
      oso.isAllowed = async () => 'yes' as unknown as boolean;
      router.get('/', ctx => ctx.oso.authorize(rent, { action: 'read' }));
      await send('/', 'ann').expect(403);
    });
  });

  describe('check', () => {
    /** An app that must authorize, and whose handler is given. */
    async function asked(handler: (ctx: Context) => unknown, options: Parameters<typeof setUp>[0] = {}) {
      const set = await setUp(options);
      set.app.use(set.koaOso.requireAuthorization());
      set.router.get('/', handler as Middleware);
      return set;
    }

    it('counts as having authorized if it is allowed', async () => {
      const { send } = await asked(async ctx => {
        await ctx.oso.check(rent, { action: 'read' });
        ctx.body = ctx.state.oso;
      });
      const { body } = await send('/', 'ann').expect(200);
      expect(body).to.include({ authorized: true });
      expect(body.decisions[0]).to.include({ kind: 'check', action: 'read', allowed: true });
    });

    it('lets a denial be caught, and the request be answered in part', async () => {
      const { send } = await asked(async ctx => {
        await ctx.oso.authorize(rent, { action: 'read' });
        const [data, denied] = await Promise.allSettled([
          ctx.oso.check(rent, { action: 'read' }).then(() => rent.amount),
          ctx.oso.check(rent, { action: 'read', actor: new User('bob') }).then(() => rent.amount),
        ]);
        ctx.body = { data, code: denied.status === 'rejected' && denied.reason.code };
      });
      await send('/', 'ann').expect(200, {
        data: { status: 'fulfilled', value: 1000 },
        code: 'ERR_KOA_OSO_FORBIDDEN',
      });
    });

    it('does not count as having authorized if it was denied, though that was caught', async () => {
      const { send, errors } = await asked(async ctx => {
        await ctx.oso.check(rent, { action: 'read' }).catch(() => {});
        ctx.body = 'secret';
      });
      await send('/', 'bob').expect(500, 'Internal Server Error');
      expect(codeOf(errors)).to.equal('ERR_KOA_OSO_AUTHORIZATION_MISSING');
    });

    it('ends the request as authorize does if nobody catches it', async () => {
      const { send } = await asked(
        async ctx => {
          await ctx.oso.check(rent, { action: 'read' });
          ctx.body = 'secret';
        },
        { unauthorizedAction: ctx => ctx.throw(401, 'Log in first') },
      );
      await send('/').expect(401, 'Log in first');
    });

    it('hides what may not be read', async () => {
      const { send } = await asked(ctx => ctx.oso.check(rent, { action: 'update', checkRead: true }));
      await send('/', 'bob').expect(404, 'Not Found');
    });

    for (const [what, forget] of Object.entries({
      'was not awaited': (check: Promise<void>) => check,
      'was not awaited and has a finally': (check: Promise<void>) => check.finally(() => {}),
      'is mapped and not awaited': (check: Promise<void>) => check.then(() => 'fine'),
    })) {
      it(`withholds the response if it ${what}`, async () => {
        const { send } = await asked(async ctx => {
          await ctx.oso.authorize(lunch, { action: 'read' });
          forget(ctx.oso.check(rent, { action: 'read' }));
          ctx.body = 'secret';
        });
        await send('/', 'bob').expect(403, 'Forbidden');
        await send('/', 'ann').expect(200, 'secret');
      });
    }

    it('may be awaited later than it is answered', async () => {
      const { send } = await asked(async ctx => {
        await ctx.oso.authorize(lunch, { action: 'read' });
        const check = ctx.oso.check(rent, { action: 'read' });
        await new Promise(resolve => setTimeout(resolve, 30));
        ctx.body = await check.then(
          () => 'all',
          () => 'a part',
        );
      });
      await send('/', 'ann').expect(200, 'all');
      await send('/', 'bob').expect(200, 'a part');
    });

    it('is told if it is denied when the answer stands, and nobody looks', async () => {
      for (const look of [true, false]) {
        const { send, errors } = await asked(async ctx => {
          await ctx.oso.authorize(lunch, { action: 'read' });
          ctx.body = 'sent';
          setTimeout(() => {
            const check = ctx.oso.check(rent, { action: 'read' });
            if (look) check.catch(() => {});
          }, 20);
        });
        await send('/', 'bob').expect(200, 'sent');
        await new Promise(resolve => setTimeout(resolve, 60));
        expect(errors.map(each => (each as { code?: string }).code)).to.deep.equal(
          look ? [] : ['ERR_KOA_OSO_FORBIDDEN'],
        );
      }
    });
  });

  describe('checkRead', () => {
    for (const [where, options, perCall] of [
      ['KoaOso', { checkRead: true }, {}],
      ['the call', {}, { checkRead: true }],
    ] as const) {
      it(`answers 404 where the actor may not read, 403 where he may (option of ${where})`, async () => {
        const { router, send } = await setUp(options);
        router.put('/rent', ctx => ctx.oso.authorize(rent, { action: 'update', ...perCall }));
        router.put('/lunch', ctx => ctx.oso.authorize(lunch, { action: 'update', ...perCall }));
        router.get('/rent', ctx => ctx.oso.authorize(rent, { action: 'read', ...perCall }));
        await send('/rent', 'bob', 'put').expect(404, 'Not Found');
        await send('/lunch', 'bob', 'put').expect(403, 'Forbidden');
        await send('/rent', 'bob').expect(404, 'Not Found');
      });
    }

    it('asks for the whole resource where the denial is of a field', async () => {
      const { router, send } = await setUp({
        checkRead: true,
        policy: 'allow(_: User, "read", _: Expense); allow_field(_: User, "read", _: Expense, "amount");',
      });
      router.get('/:field', ctx =>
        ctx.oso.authorizeField(rent, String(ctx.params.field), { action: 'read' }),
      );
      await send('/owner', 'bob').expect(403, 'Forbidden');
    });

    it('is not asked of requests', async () => {
      const { router, send } = await setUp({ checkRead: true });
      router.get('/', ctx => ctx.oso.authorize(ctx.request));
      await send('/', 'bob').expect(403, 'Forbidden');
    });

    it('can be turned off for one call', async () => {
      const { router, send } = await setUp({ checkRead: true });
      router.put('/', ctx => ctx.oso.authorize(rent, { action: 'update', checkRead: false }));
      await send('/', 'bob', 'put').expect(403, 'Forbidden');
    });

    it('asks for the readAction', async () => {
      const { router, send } = await setUp({ checkRead: true, readAction: 'update' });
      router.put('/', ctx => ctx.oso.authorize(lunch, { action: 'delete' }));
      await send('/', 'ann', 'put').expect(403);
      await send('/', 'bob', 'put').expect(404);
    });

    it('answers by itself, and does not ask the unauthorized action', async () => {
      const denials: Denial[] = [];
      const { router, send } = await setUp({
        checkRead: true,
        unauthorizedAction: (ctx, denial) => {
          denials.push(denial);
          ctx.throw(denial.status, `custom ${denial.status}`);
        },
      });
      router.put('/rent', ctx => ctx.oso.authorize(rent, { action: 'update' }));
      router.put('/lunch', ctx => ctx.oso.authorize(lunch, { action: 'update' }));
      await send('/rent', 'bob', 'put').expect(404, 'Not Found');
      await send('/lunch', 'bob', 'put').expect(403, 'custom 403');
      expect(denials.map(({ resource }) => resource)).to.deep.equal([lunch]);
    });
  });

  describe('isAllowed', () => {
    it('answers without consequences', async () => {
      const { router, send } = await setUp();
      router.get('/', async ctx => {
        const [may, mayNot] = await Promise.all([
          ctx.oso.isAllowed(rent, { action: 'read' }),
          ctx.oso.isAllowed(rent, { action: 'read', actor: new User('bob') }),
        ]);
        const { authorized } = ctx.state.oso;
        ctx.body = { may, mayNot, authorized };
      });
      await send('/', 'ann').expect(200, { may: true, mayNot: false, authorized: false });
    });

    it('rejects where the policy fails, which a handler may catch', async () => {
      const { router, send, errors } = await setUp();
      router.get('/', async ctx => {
        const answer = ctx.oso.isAllowed(rent, { action: 'fail' });
        ctx.body = 'caught' in ctx.query ? await answer.catch(error => error.code) : await answer;
      });
      await send('/?caught', 'ann').expect(200, 'ERR_KOA_OSO_POLICY_FAILED');
      await send('/', 'ann').expect(500, 'Internal Server Error');
      expect(messageOfCause(errors)).to.contain('missing');
    });

    it('is an ordinary promise to those who use then, catch and finally', async () => {
      const { router, send } = await setUp();
      router.get('/', async ctx => {
        let finished = false;
        const answer = ctx.oso.isAllowed(rent, { action: 'read' }).finally(() => {
          finished = true;
        });
        expect(answer).to.be.instanceOf(Promise);
        ctx.body = { allowed: await answer.then(allowed => allowed), finished };
      });
      await send('/', 'ann').expect(200, { allowed: true, finished: true });
    });
  });

  describe('authorizeRequest', () => {
    it('asks allow_request, and counts as having authorized', async () => {
      const { router, app, koaOso, send } = await setUp({
        policy: 'allow_request(user: User, request: Request) if request.header("X-Team") = user.name;',
      });
      app.use(koaOso.requireAuthorization());
      router.get('/', async ctx => {
        await ctx.oso.authorizeRequest();
        ctx.body = 'sent';
      });
      await send('/', 'ann').set('X-Team', 'ann').expect(200, 'sent');
      await send('/', 'ann').set('X-Team', 'bob').expect(403, 'Forbidden');
      await send('/', 'ann').expect(403, 'Forbidden');
    });

    it('says which rule is missing', async () => {
      const { router, send, errors } = await setUp();
      router.get('/', ctx => ctx.oso.authorizeRequest({ actor: new User('ann') }));
      await send('/').expect(500);
      expect(codeOf(errors)).to.equal('ERR_KOA_OSO_NO_RULES');
      expect(errors[0]?.message).to.contain('`allow_request`');
    });
  });

  describe('fields and actions', () => {
    const policy = `
      allow_field(user: User, "update", expense: Expense, field) if
        field in ["amount", "owner"] and expense.owner = user.name;
      allow(user: User, action, expense: Expense) if
        action in ["read", "update"] and expense.owner = user.name;
      allow(_: User, "read", _: Expense);
      allow_field(_: User, "read", _: Expense, _field);
      allow(nil, _action, _: Expense);
    `;

    it('authorizeField decides on one field, and counts as having authorized', async () => {
      const { router, app, koaOso, send } = await setUp({ policy });
      app.use(koaOso.requireAuthorization());
      router.put('/:field', async ctx => {
        await ctx.oso.authorizeField(rent, String(ctx.params.field), { action: 'update' });
        ctx.body = ctx.state.oso.decisions.map(({ kind, field, allowed }) => ({ kind, field, allowed }));
      });
      await send('/amount', 'ann', 'put').expect(200, [
        { kind: 'authorizeField', field: 'amount', allowed: true },
      ]);
      await send('/id', 'ann', 'put').expect(403, 'Forbidden');
      await send('/amount', 'bob', 'put').expect(403, 'Forbidden');
    });

    it('authorizedActions lists what the actor may do, authorizedFields on what', async () => {
      const { router, send } = await setUp({ policy });
      router.get('/', async ctx => {
        const actions = [...(await ctx.oso.authorizedActions(rent))].sort();
        const fields = [...(await ctx.oso.authorizedFields(rent, { action: 'update' }))].sort();
        ctx.body = { actions, fields, authorized: ctx.state.oso.authorized };
      });
      await send('/', 'ann').expect(200, {
        actions: ['read', 'update'],
        fields: ['amount', 'owner'],
        authorized: false,
      });
      await send('/', 'bob').expect(200, { actions: ['read'], fields: [], authorized: false });
    });

    it('gives * for an open rule only where allowWildcard is set', async () => {
      const { router, send } = await setUp({ policy });
      router.get('/', async ctx => {
        const allowWildcard = 'wild' in ctx.query;
        ctx.body = {
          actions: [...(await ctx.oso.authorizedActions(rent, { actor: null, allowWildcard }))],
          fields: [...(await ctx.oso.authorizedFields(rent, { action: 'read', allowWildcard }))],
        };
      });
      await send('/?wild', 'ann').expect(200, { actions: ['*'], fields: ['*'] });
      await send('/', 'ann').expect(500, 'Internal Server Error');
    });
  });

  describe('lists', () => {
    async function listing(policy: string) {
      const expenses = [rent, lunch, new Expense('3', 'bob', 50)];
      const set = await setUp({ policy: '' });
      class Bill extends Expense {}
      set.oso.registerClass(Bill, { fields: { owner: String, amount: Number } });
      await set.oso.loadStr(policy);
      set.oso.setDataFilteringAdapter({
        buildQuery: filter => filter,
        executeQuery: async filter => {
          const { conditions } = filter as { conditions: { lhs: object; rhs: object }[][] };
          const sides = conditions.flat().flatMap(({ lhs, rhs }) => [lhs, rhs]);
          const owners = sides.flatMap(side => ('value' in side ? [side.value] : []));
          return expenses.filter(expense => owners.includes(expense.owner));
        },
      });
      set.app.use(set.koaOso.requireAuthorization());
      set.router.get('/query', async ctx => {
        const query = await ctx.oso.authorizedQuery<{ model: string }>(Bill, { action: 'read' });
        ctx.body = query.model;
      });
      set.router.get('/resources', async ctx => {
        ctx.body = (await ctx.oso.authorizedResources(Bill, { action: 'read' })).map(bill => bill.id);
      });
      return set;
    }

    it('authorizedQuery and authorizedResources use the adapter, and count as having authorized', async () => {
      const { send } = await listing('allow(user: User, "read", bill: Bill) if bill.owner = user.name;');
      await send('/query', 'ann').expect(200, 'Bill');
      await send('/resources', 'ann').expect(200, ['1', '2']);
      await send('/resources', 'bob').expect(200, ['3']);
    });

    it('fail closed where the query cannot be made', async () => {
      const { send, errors } = await listing(
        'allow(user: User, "read", bill: Bill) if bill.owner > user.nothing;',
      );
      await send('/resources', 'ann').expect(500, 'Internal Server Error');
      expect(codeOf(errors)).to.equal('ERR_KOA_OSO_POLICY_FAILED');
    });
  });

  describe('skipAuthorization', () => {
    it('satisfies requireAuthorization, and keeps the reason', async () => {
      const { router, app, koaOso, send } = await setUp();
      app.use(koaOso.requireAuthorization());
      router.get('/', ctx => {
        ctx.oso.skipAuthorization('public');
        ctx.body = ctx.state.oso.skipReason;
      });
      await send('/').expect(200, 'public');
    });

    it('does not undo a denial', async () => {
      const { router, send } = await setUp();
      router.get('/', async ctx => {
        await ctx.oso.authorize(rent, { action: 'read' }).catch(() => {});
        ctx.oso.skipAuthorization('never mind');
        ctx.body = rent;
      });
      await send('/', 'bob').expect(403);
    });
  });

  describe('state', () => {
    it('stops growing when the answer stands, for connections that stay open', async () => {
      const { app, router, send } = await setUp();
      let decisions: readonly unknown[] = [];
      router.get('/', async ctx => {
        await ctx.oso.authorize(rent, { action: 'read' });
        ctx.respond = false;
        ctx.res.writeHead(200);
        ({ decisions } = ctx.state.oso);
        setTimeout(async () => {
          for (let event = 0; event < 5; event++) {
            ctx.res.write(String(await ctx.oso.isAllowed(rent, { action: 'read' })));
          }
          ctx.res.end();
        }, 5);
      });
      await send('/', 'ann').expect(200).buffer(true);
      expect(decisions).to.have.length(1);
      expect(app.listenerCount('error')).to.equal(1);
    });

    it('keeps every decision in order, each with its kind, duration and answer', async () => {
      const { app, router, send } = await setUp({ checkRead: true });
      let state: unknown;
      app.use(async (ctx, next) => {
        await next().catch(() => {});
        state = ctx.state.oso;
        ctx.status = 204;
      });
      router.put('/', async ctx => {
        await ctx.oso.authorize(lunch, { action: 'read' });
        await ctx.oso.isAllowed(lunch, { action: 'read' });
        await ctx.oso.authorize(lunch, { action: 'update' });
      });
      await send('/', 'bob', 'put').expect(403);
      const { decisions, authorized } = state as {
        decisions: Record<string, unknown>[];
        authorized: boolean;
      };
      expect(authorized).to.equal(true);
      expect(decisions.map(({ kind, action, allowed }) => [kind, action, allowed])).to.deep.equal([
        ['authorize', 'read', true],
        ['isAllowed', 'read', true],
        ['authorize', 'update', false],
        ['isAllowed', 'read', true],
      ]);
      for (const decision of decisions) {
        expect(decision.resource).to.equal(lunch);
        expect(decision.actor).to.have.property('name', 'bob');
        expect(decision.duration).to.be.a('number').greaterThan(0);
      }
    });
  });
});
