import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { KoaOsoError } from 'koa-oso';
import { CompiledOso } from 'koa-oso/polar';
import { Oso } from 'oso';
import { codeOf, Expense, messageOfCause, PASSWORD_HASH, setUp, User } from './support/app.js';

const rent = new Expense('1', 'ann', 1000);

/** What Oso prints while something runs. */
async function printedBy(run: () => Promise<unknown>): Promise<string> {
  const { warn, error } = console;
  const lines: string[] = [];
  console.warn = (...args: unknown[]) => lines.push(args.join(' '));
  console.error = (...args: unknown[]) => lines.push(args.join(' '));
  try {
    await run();
  } finally {
    console.warn = warn;
    console.error = error;
  }
  return lines.join('\n');
}

async function failureOf(run: () => Promise<unknown>): Promise<KoaOsoError> {
  const error = await run().then(
    () => undefined,
    thrown => thrown,
  );
  expect(error).to.be.instanceOf(KoaOsoError);
  return error;
}

describe('a policy that names an unregistered class', () => {
  const POLICY = `allow(user: User, "read", expense: Expense) if expense.owner = user.name;
    allow(_: User, "pay", _: Invoice);
    allow(_: User, "open", expense: Expense) if expense matches Receipt;`;

  describe('where koa-oso sees the load', () => {
    it('fails to load, and names each class and its place', async () => {
      const { oso } = await setUp({ policy: '' });
      const error = await failureOf(() => oso.loadStr(POLICY, 'spec.polar'));
      expect(error.code).to.equal('ERR_KOA_OSO_UNREGISTERED_CLASS');
      expect(error.message)
        .to.contain('Invoice at line 2, column 30 of file spec.polar')
        .and.contain('Receipt at line 3, column 65 of file spec.polar')
        .and.contain('oso.registerClass');
    });

    it('fails to load from files as well, and leaves no rules behind', async () => {
      const folder = await mkdtemp(join(tmpdir(), 'koa-oso-'));
      try {
        const { oso } = await setUp({ policy: '' });
        const file = join(folder, 'policy.polar');
        await writeFile(file, POLICY);
        expect((await failureOf(() => oso.loadFiles([file]))).message).to.contain('Invoice');
        await oso.loadStr('allow(_: User, "read", _: Expense);');
        expect(await oso.isAllowed(new User('bob'), 'read', rent)).to.equal(true);
      } finally {
        await rm(folder, { recursive: true });
      }
    });

    it('leaves other warnings, errors and the results of inline queries as they are', async () => {
      const { oso } = await setUp({ policy: '' });
      const warning = await printedBy(() => oso.loadStr('f(1);'));
      expect(warning).to.contain('does not contain an allow rule');
      const { oso: other } = await setUp({ policy: '' });
      const failure = await other.loadStr('f(').catch(error => error);
      expect(failure.name).to.match(/^ParseError/);
    });
  });

  describe('where the policy was loaded before', () => {
    async function loadedBefore() {
      const oso = new Oso();
      oso.registerClass(User);
      oso.registerClass(Expense);
      await printedBy(() => oso.loadStr(POLICY));
      const set = await setUp({ policy: '' });
      set.koaOso.setOso(oso);
      set.router.get('/:action', async ctx => {
        await ctx.oso.authorize(ctx.params.action === 'pay' ? 'an invoice' : rent, {
          action: ctx.params.action,
        });
        ctx.body = 'allowed';
      });
      return set;
    }

    it('is 500 with the name of the class at the query that gets there, and later requests are decided as before', async () => {
      const { send, errors } = await loadedBefore();
      await send('/read', 'ann').expect(200, 'allowed');
      await send('/pay', 'ann').expect(500, 'Internal Server Error');
      expect(codeOf(errors)).to.equal('ERR_KOA_OSO_UNREGISTERED_CLASS');
      expect(errors[0]?.message).to.contain('names Invoice').and.contain('oso.registerClass');
      await send('/read', 'ann').expect(200, 'allowed');
    });

    it("turns a panic of Oso's engine into 500, and later requests are decided as before", async () => {
      const { send, errors } = await loadedBefore();
      const panic = await printedBy(() => send('/open', 'ann').expect(500, 'Internal Server Error'));
      expect(panic).to.contain('panicked');
      expect(codeOf(errors)).to.equal('ERR_KOA_OSO_UNREGISTERED_CLASS');
      expect(errors[0]?.message).to.contain('oso.registerClass');
      await send('/read', 'ann').expect(200, 'allowed');
      await send('/read', 'bob').expect(403, 'Forbidden');
    });
  });
});

describe('a policy that fails', () => {
  it('is told with rule and place where CompiledOso runs it', async () => {
    const { router, send, errors, koaOso } = await setUp({ policy: '' });
    const compiled = new CompiledOso();
    compiled.registerClass(User);
    compiled.registerClass(Expense);
    koaOso.setOso(compiled);
    await compiled.loadStr('allow(user: User, "fail", _: Expense) if\n  user.missing = 1;', 'spec.polar');
    router.get('/', ctx => ctx.oso.authorize(rent, { action: 'fail' }));
    await send('/', 'ann').expect(500, 'Internal Server Error');
    expect(codeOf(errors)).to.equal('ERR_KOA_OSO_POLICY_FAILED');
    expect(errors[0]?.message).to.contain('rule "allow" at spec.polar:2').and.not.contain('ann');
  });

  it('is told by the name of its error alone; the values are in the cause', async () => {
    const { router, send, errors } = await setUp();
    router.get('/', ctx => ctx.oso.authorize(rent, { action: 'fail' }));
    await send('/', 'ann').expect(500, 'Internal Server Error');
    expect(errors[0]?.message).to.contain(': RuntimeError::Application.').and.not.contain('ann');
    expect(messageOfCause(errors)).to.contain(PASSWORD_HASH);
  });

  it('keeps the values of errors of host code, and of what is no error, to the cause', async () => {
    for (const thrown of [
      Object.assign(new Error(PASSWORD_HASH), { name: `x ${PASSWORD_HASH}` }),
      PASSWORD_HASH,
    ]) {
      const { router, send, errors, oso } = await setUp();
      oso.isAllowed = () => Promise.reject(thrown);
      router.get('/', ctx => ctx.oso.authorize(rent));
      await send('/', 'ann').expect(500, 'Internal Server Error');
      expect(codeOf(errors)).to.equal('ERR_KOA_OSO_POLICY_FAILED');
      expect(errors[0]?.message).to.contain('unknown error').and.not.contain(PASSWORD_HASH);
      expect(errors[0]?.cause).to.equal(thrown);
    }
  });
});
