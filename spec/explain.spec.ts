import { expect } from 'chai';
import type { Denial, Why } from 'koa-oso';
import { CompiledOso } from 'koa-oso/polar';
import { Expense, type Setup, setUp } from './support/app.js';

const POLICY = `
# @reason own: Only who has submitted an expense reads it.
allow(user: User, "read", expense: Expense) if
  expense.owner = user.name;
allow_field(user: User, "read", expense: Expense, "amount") if
  expense.owner = user.name;
allow_request(user: User, _: Request{path: "/open"}) if
  user.name = "ann";
`;

const rent = new Expense('1', 'ann', 1000);
const REASON = 'Only who has submitted an expense reads it.';

function setUpCompiled(options: Setup = {}) {
  return setUp({
    policy: POLICY,
    Engine: CompiledOso as unknown as NonNullable<Setup['Engine']>,
    ...options,
  });
}

describe('Why a request is denied', () => {
  it('can be asked without consequences', async () => {
    const { router, send } = await setUpCompiled();
    router.get('/', async ctx => {
      const why = await ctx.oso.explain(rent, { action: 'read' });
      const { authorized, decisions } = ctx.state.oso;
      ctx.body = { allowed: why.allowed, message: why.message, authorized, decisions: decisions.length };
    });
    await send('/', 'bob').expect(200, { allowed: false, message: REASON, authorized: false, decisions: 0 });
    await send('/', 'ann').expect(200, { allowed: true, authorized: false, decisions: 0 });
  });

  it('can be asked of a field, and outside of a request', async () => {
    const { koaOso } = await setUpCompiled();
    const { User } = await import('./support/app.js');
    const why = await koaOso.for(new User('bob')).explain(rent, { action: 'read', field: 'amount' });
    expect(String(why)).to.include('DENIED  allow_field(User, "read", Expense 1, "amount")');
    const misspelt = await koaOso.for(new User('ann')).explain(rent, { action: 'read', field: 'amuont' });
    expect(String(misspelt)).to.include('did you mean "amount"?');
  });

  it('has to be looked at', async () => {
    const { router, send } = await setUpCompiled();
    router.get('/', ctx => {
      const why: unknown = ctx.oso.explain(rent, { action: 'read' });
      if (why) ctx.body = 'everything';
    });
    await send('/', 'bob').expect(500);
  });

  it('is known to the unauthorized action, for each verb', async () => {
    const seen: string[] = [];
    const { router, send } = await setUpCompiled({
      unauthorizedAction: async (ctx, denial: Denial) => {
        const why = await denial.explain();
        seen.push(String(why).split('\n')[0] as string);
        expect(JSON.stringify(denial)).not.to.include('explain');
        ctx.throw(403, why.message ?? 'No');
      },
    });
    router.get('/expense', ctx => ctx.oso.authorize(rent, { action: 'read' }));
    router.get('/field', ctx => ctx.oso.authorizeField(rent, 'amount', { action: 'read' }));
    router.get('/open', ctx => ctx.oso.authorizeRequest());
    await send('/expense', 'bob').expect(403, REASON);
    await send('/field', 'bob').expect(403, 'No');
    await send('/open', 'bob').expect(403, 'No');
    expect(seen).to.deep.equal([
      'DENIED  allow(User, "read", Expense 1)  spec.polar',
      'DENIED  allow_field(User, "read", Expense 1, "amount")  spec.polar',
      'DENIED  allow_request(User, Request)  spec.polar',
    ]);
  });

  it('is carried by the error of a denial, if that is wanted, and by no response', async () => {
    const { router, send, errors } = await setUpCompiled({ explain: true });
    router.get('/', ctx => ctx.oso.authorize(rent, { action: 'read' }));
    const { text } = await send('/', 'bob').expect(403);
    expect(text).to.equal('Forbidden');
    const [error] = errors as (Error & { explanation?: string })[];
    expect(error?.explanation)
      .to.include('expense.owner = user.name')
      .and.to.include(`reason own: ${REASON}`);
    expect(JSON.stringify(error)).not.to.include('expense.owner');
    expect(Object.keys(error ?? {})).not.to.include('explanation');
  });

  it('is worked out for nobody in production, or if nobody wants it', async () => {
    const { NODE_ENV } = process.env;
    for (const [environment, explain] of [
      ['production', true],
      ['development', false],
    ] as const) {
      process.env.NODE_ENV = environment;
      try {
        const { router, send, errors, oso } = await setUpCompiled({ explain });
        let asked = 0;
        Object.assign(oso, { explain: () => void asked++ });
        router.get('/', ctx => ctx.oso.authorize(rent, { action: 'read' }));
        await send('/', 'bob').expect(403);
        expect((errors[0] as { explanation?: string }).explanation).to.equal(undefined);
        expect(asked).to.equal(0);
      } finally {
        if (NODE_ENV === undefined) delete process.env.NODE_ENV;
        else process.env.NODE_ENV = NODE_ENV;
      }
    }
  });

  it('leaves a denial what it is if it cannot be told', async () => {
    const { router, send, errors } = await setUp({ policy: POLICY, explain: true });
    router.get('/', ctx => ctx.oso.authorize(rent, { action: 'read' }));
    router.get('/asked', async ctx => {
      const why: Why | Error = await ctx.oso.explain(rent, { action: 'read' }).catch(error => error);
      ctx.body = (why as Error).message;
    });
    await send('/', 'bob').expect(403, 'Forbidden');
    expect(errors).to.have.length(1);
    const { text } = await send('/asked', 'bob').expect(200);
    expect(text).to.match(/^This Oso cannot tell why\. Load the same policy into a CompiledOso/);
  });
});
