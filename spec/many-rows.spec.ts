import { expect } from 'chai';
import type { Denial } from 'koa-oso';
import { CompiledOso } from 'koa-oso/polar';
import { Oso } from 'oso';
import { codeOf, Expense, messageOfCause, POLICY, setUp as setUpWith, User } from './support/app.js';
import type { Context } from './support/koa.js';

const rent = new Expense('1', 'ann', 1000);
const lunch = new Expense('2', 'bob', 9);
const car = new Expense('3', 'bob', 9000);
const all = [rent, lunch, car];

const FIELDS = `
  allow_field(user: User, "read", expense: Expense, field) if
    expense.owner = user.name and field in ["amount", "owner"];
  allow_field(_: User, "read", _: Expense, "id");
`;

for (const Engine of [Oso, CompiledOso] as (typeof Oso)[]) {
  describe(`questions about many rows, with ${Engine.name}`, () => {
    const setUp = (options: Parameters<typeof setUpWith>[0] = {}) =>
      setUpWith({ policy: POLICY + FIELDS, Engine, ...options });

    /** What a handler that ann asks answers with. */
    async function answered<Answer>(handler: (ctx: Context) => Promise<Answer>, policy = POLICY + FIELDS) {
      const { router, send, errors } = await setUp({ policy });
      let answer: Answer | undefined;
      let state: Context['state']['oso'] | undefined;
      router.get('/', async ctx => {
        state = ctx.state.oso;
        answer = await handler(ctx);
        ctx.body = 'ok';
      });
      await send('/', 'ann').expect(200);
      expect(errors).to.deep.equal([]);
      return { answer, state: state as Context['state']['oso'] };
    }

    /** The code with which the request of a handler ends. */
    async function failing(handler: (ctx: Context) => unknown) {
      const { router, send, errors } = await setUp();
      router.get('/', async ctx => {
        ctx.body = 'ok';
        await handler(ctx);
      });
      await send('/', 'ann').expect(500);
      return { code: codeOf(errors), message: `${errors[0]?.message} ${messageOfCause(errors)}` };
    }

    describe('allowed', () => {
      it('gives each row its actions, in the order of the rows', async () => {
        const { answer, state } = await answered(ctx =>
          ctx.oso.allowed(all, { actions: ['update', 'read', 'sell'] }),
        );
        expect([...(answer as Map<unknown, Set<string>>)]).to.deep.equal([
          [rent, new Set(['update', 'read'])],
          [lunch, new Set(['read'])],
          [car, new Set()],
        ]);
        expect(state.authorized).to.equal(false);
      });

      it('is recorded as single questions are', async () => {
        const many = await answered(ctx => ctx.oso.allowed(all, { actions: ['update', 'read'] }));
        const single = await answered(async ctx => {
          for (const row of all) {
            for (const action of ['update', 'read']) await ctx.oso.isAllowed(row, { action });
          }
        });
        const decisions = ({ decisions }: Context['state']['oso']) =>
          decisions.map(({ duration, policyVersion, field, ...decision }) => {
            expect(duration).to.be.at.least(0);
            expect(policyVersion).to.match(/^[0-9a-f]{16}$/);
            expect(field).to.equal(undefined);
            return decision;
          });
        expect(decisions(many.state)).to.deep.equal(decisions(single.state));
        expect(decisions(many.state)).to.have.length(6);
      });

      it('gives all actions that the policy names', async () => {
        const policy = POLICY.replace(/.*"fail".*\n/, '');
        const { answer, state } = await answered(ctx => ctx.oso.allowed([rent, lunch]), policy);
        expect(answer).to.deep.equal(
          new Map([
            [rent, new Set(['read', 'update'])],
            [lunch, new Set(['read'])],
          ]),
        );
        expect(state.decisions.map(({ kind, action }) => [kind, action])).to.deep.equal([
          ['authorizedActions', undefined],
          ['authorizedActions', undefined],
        ]);
      });

      it('gives "*" only if it is asked to', async () => {
        const { router, send, koaOso } = await setUp({ policy: 'allow(_, _, _: Expense);' });
        router.get('/', async ctx => {
          const any = await ctx.oso.allowed([rent], { allowWildcard: true });
          ctx.body = [...(any.get(rent) as Set<string>)];
        });
        await send('/').expect(200, ['*']);
        const error = await koaOso
          .for(null)
          .allowed([rent])
          .catch((reason: unknown) => reason);
        expect(error).to.include({ code: 'ERR_KOA_OSO_POLICY_FAILED' });
      });

      it('asks of another actor, of a row that comes twice once, and of none', async () => {
        const { answer, state } = await answered(ctx =>
          ctx.oso.allowed([car, car], { actions: ['update', 'update'], actor: new User('bob') }),
        );
        expect(answer).to.deep.equal(new Map([[car, new Set(['update'])]]));
        expect(state.decisions).to.have.length(1);
        const none = await answered(ctx => ctx.oso.allowed([], { actions: ['read'] }));
        expect(none.answer).to.deep.equal(new Map());
      });

      it('takes more rows than are asked at once', async () => {
        const rows = Array.from({ length: 1001 }, (_, id) => new Expense(String(id), id % 2 ? 'ann' : 'bob'));
        const { answer } = await answered(ctx => ctx.oso.allowed(rows, { actions: ['update'] }));
        const counts = [...(answer as Map<Expense, Set<string>>)].map(
          ([row, may]) => may.has('update') === (row.owner === 'ann'),
        );
        expect(counts).to.have.length(1001);
        expect(counts).not.to.include(false);
      });

      it('fails if the policy fails for one of the rows, and says no value', async () => {
        const { code, message } = await failing(ctx => ctx.oso.allowed(all, { actions: ['read', 'fail'] }));
        expect(code).to.equal('ERR_KOA_OSO_POLICY_FAILED');
        if (Engine !== Oso) expect(message).not.to.include('argon2id');
      });

      it('refuses what cannot be meant', async () => {
        const mistakes: readonly (readonly [unknown, unknown, RegExp])[] = [
          [[rent, undefined], ['read'], /resource is undefined/],
          [[rent, Promise.resolve(car)], ['read'], /resource is a promise/],
          // biome-ignore lint/suspicious/noSparseArray: this is what is refused
          [[rent, ,], ['read'], /resource is undefined/],
          [Promise.resolve([rent]), ['read'], /rows are a promise/],
          [new Set([rent]), ['read'], /rows are no array/],
          [undefined, ['read'], /rows are no array/],
          [[rent], undefined, /actions are no array/],
          [[rent], 'read', /actions are no array/],
          [[rent], ['read', undefined], /action is undefined/],
          [[rent], [['read']], /action is an array/],
        ];
        for (const [rows, actions, message] of mistakes) {
          const failed = await failing(ctx =>
            ctx.oso.allowed(rows as Expense[], { actions: actions as string[] }),
          );
          expect(failed.code, String(message)).to.equal('ERR_KOA_OSO_INVALID_ARGUMENT');
          expect(failed.message).to.match(message);
        }
      });

      it('has to be looked at', async () => {
        const { code } = await failing(ctx => {
          ctx.body = { may: ctx.oso.allowed(all, { actions: ['read'] }) };
        });
        expect(code).to.equal('ERR_KOA_OSO_NOT_AWAITED');
      });

      it('is there outside of a request', async () => {
        const { koaOso } = await setUp();
        const may = await koaOso.for(new User('bob')).allowed(all, { actions: ['update'] });
        expect(may.get(rent)).to.deep.equal(new Set());
        expect(may.get(car)).to.deep.equal(new Set(['update']));
      });
    });

    describe('allowedFields', () => {
      it('gives each row its fields', async () => {
        const { answer, state } = await answered(ctx => ctx.oso.allowedFields(all, { action: 'read' }));
        expect(answer).to.deep.equal(
          new Map([
            [rent, new Set(['amount', 'owner', 'id'])],
            [lunch, new Set(['id'])],
            [car, new Set(['id'])],
          ]),
        );
        expect(state.decisions.map(({ kind }) => kind)).to.deep.equal(Array(3).fill('authorizedFields'));
        expect(state.authorized).to.equal(false);
      });

      it('asks for the method of the request by default', async () => {
        const { answer } = await answered(ctx => ctx.oso.allowedFields([rent]));
        expect(answer).to.deep.equal(new Map([[rent, new Set()]]));
      });

      it('has to be looked at', async () => {
        const { code } = await failing(ctx => {
          ctx.body = { fields: ctx.oso.allowedFields(all, { action: 'read' }) };
        });
        expect(code).to.equal('ERR_KOA_OSO_NOT_AWAITED');
      });
    });

    describe('authorizeAll', () => {
      it('authorizes if all are allowed', async () => {
        const { state } = await answered(ctx => ctx.oso.authorizeAll([rent, lunch], { action: 'read' }));
        expect(state.authorized).to.equal(true);
        expect(state.decisions.map(({ kind, resource }) => [kind, resource])).to.deep.equal([
          ['authorize', rent],
          ['authorize', lunch],
        ]);
      });

      it('authorizes if there are none', async () => {
        const { state } = await answered(ctx => ctx.oso.authorizeAll([], { action: 'read' }));
        expect(state.authorized).to.equal(true);
        expect(state.decisions).to.deep.equal([]);
      });

      it('denies the first that is denied, also if nobody awaits it, or the error is swallowed', async () => {
        for (const handler of [
          (ctx: Context) => ctx.oso.authorizeAll([rent, car, lunch], { action: 'update' }),
          (ctx: Context) => void ctx.oso.authorizeAll([rent, car, lunch], { action: 'update' }),
          (ctx: Context) => ctx.oso.authorizeAll([rent, car, lunch], { action: 'update' }).catch(() => {}),
        ]) {
          const denials: Denial[] = [];
          const { router, send } = await setUp({
            unauthorizedAction: (ctx, denial) => {
              denials.push(denial as Denial);
              ctx.throw(418);
            },
          });
          router.get('/', async ctx => {
            ctx.body = 'ok';
            await handler(ctx);
            expect(ctx.state.oso.authorized).to.equal(false);
          });
          await send('/', 'ann').expect(418);
          expect(denials).to.have.length(1);
          expect(denials[0]).to.include({
            kind: 'authorize',
            resource: car,
            action: 'update',
            allowed: false,
          });
        }
      });

      it('hides what may not be read', async () => {
        const { router, send } = await setUp();
        router.get('/:ids', async ctx => {
          const rows = all.filter(({ id }) => ctx.params.ids?.includes(id));
          await ctx.oso.authorizeAll(rows, { action: 'update', checkRead: true });
          ctx.body = 'ok';
        });
        await send('/1', 'ann').expect(200);
        await send('/12', 'ann').expect(403);
        await send('/13', 'ann').expect(404);
      });

      it('denies before it fails, in the order of the rows', async () => {
        const { koaOso } = await setUp({
          policy: 'allow(_, "x", e: Expense) if e.amount < 10 or e.amount > e.missing;',
        });
        const ask = (rows: readonly Expense[]) =>
          koaOso
            .for(null)
            .authorizeAll(rows, { action: 'x' })
            .catch((error: { code: string }) => error.code);
        const other = 'no expense' as unknown as Expense;
        expect(await ask([lunch, other, rent])).to.equal('ERR_KOA_OSO_FORBIDDEN');
        expect(await ask([lunch, rent, other])).to.equal('ERR_KOA_OSO_POLICY_FAILED');
        expect(await ask([lunch])).to.equal(undefined);
      });

      it('refuses what cannot be meant, and lets nothing pass', async () => {
        for (const rows of [[rent, undefined], undefined, Promise.resolve([])]) {
          const { code } = await failing(ctx =>
            ctx.oso.authorizeAll(rows as Expense[], { action: 'read' }).catch(() => {}),
          );
          expect(code).to.equal('ERR_KOA_OSO_INVALID_ARGUMENT');
        }
      });
    });
  });
}
