import { once } from 'node:events';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { Agent, get, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { expect } from 'chai';
import { type Decision, KoaOso, PolicyRefusedError } from 'koa-oso';
import { entityEquality, registerEntities } from 'koa-oso/array';
import { CompiledOso } from 'koa-oso/polar';
import { Oso } from 'oso';
import { Expense, setUp, User } from './support/app.js';

const rent = new Expense('1', 'ann', 1000);
const READ = 'allow(user: User, "read", expense: Expense) if user.name = expense.owner;';
const NOBODY = 'allow(_: User, "nothing", _: Expense);';

async function refusalOf(reload: Promise<unknown>): Promise<PolicyRefusedError> {
  const error = await reload.then(
    () => undefined,
    thrown => thrown,
  );
  expect(error).to.be.instanceOf(PolicyRefusedError).with.property('code', 'ERR_KOA_OSO_POLICY_REFUSED');
  expect(error.message).to.contain('the old one stays in force');
  return error;
}

for (const engine of [Oso, CompiledOso]) {
  const start = async (policy = READ) => {
    const set = await setUp({ policy: '' });
    const oso = new engine();
    oso.registerClass(User);
    oso.registerClass(Expense);
    oso.registerConstant('carol', 'BOSS');
    set.koaOso.setOso(oso);
    await oso.loadStr(policy);
    set.router.get('/read', async ctx => {
      await ctx.oso.authorize(rent, { action: 'read' });
      ctx.body = ctx.state.oso.decisions[0]?.policyVersion;
    });
    return { ...set, oso };
  };

  describe(`reloadPolicy, for ${engine.name}`, () => {
    it('has the new policy decide, also for the Oso itself, and says its version', async () => {
      const { koaOso, oso, send } = await start();
      const before = (await send('/read', 'ann').expect(200)).text;
      expect(before)
        .to.equal(koaOso.policyVersion)
        .and.match(/^[0-9a-f]{16}$/);
      const version = await koaOso.reloadPolicy(candidate =>
        candidate.loadStr('allow(user: User, "read", _: Expense) if user.name = BOSS;'),
      );
      expect(version)
        .to.match(/^[0-9a-f]{16}$/)
        .and.not.equal(before);
      await send('/read', 'ann').expect(403);
      await send('/read', 'carol').expect(200, version);
      expect(koaOso.policyVersion).to.equal(version);
      expect(await oso.isAllowed(new User('carol'), 'read', rent)).to.equal(true);
      expect(await oso.isAllowed(new User('ann'), 'read', rent)).to.equal(false);
      expect(await koaOso.reloadPolicy(candidate => candidate.loadStr(READ))).to.equal(before);
      await send('/read', 'ann').expect(200, before);
    });

    it('knows what is registered between two policies, and while one is loaded', async () => {
      class Invoice {}
      const { koaOso, oso } = await start();
      oso.registerClass(Invoice);
      await koaOso.reloadPolicy(async candidate => {
        await candidate.loadStr(
          'allow(_, "pay", _: Invoice); allow(_, "made", _) if e = new Expense("1", "x") and e.owner = "x";',
        );
        oso.registerConstant('late', 'LATE');
      });
      expect(await oso.isAllowed(1, 'pay', new Invoice())).to.equal(true);
      expect(await oso.isAllowed(1, 'pay', rent)).to.equal(false);
      expect(await oso.isAllowed(1, 'made', rent)).to.equal(true);
      const late: unknown[] = [];
      for await (const result of oso.query('x = LATE')) late.push(result.get('x'));
      expect(late).to.deep.equal(['late']);
    });

    it('leaves the old policy in force where the new one does not load, and says where it is wrong', async () => {
      const { koaOso, send } = await start();
      const version = koaOso.policyVersion;
      const broken: [text: string, reason: string, line: number | undefined][] = [
        ['\nallow(_, _, _) if x = ;', "did not expect to find the token ';'", 2],
        ['allow(_, "read", _) if lonely = 1;', 'Singleton variable lonely', 1],
        ['\n\nallow(_: Nope, "read", _);', 'Nope', 3],
        [`${READ}\n?= 1 = 2;`, 'Inline query failed', 2],
        ['', 'loaded none', undefined],
      ];
      for (const [text, reason, line] of broken) {
        const refusal = await refusalOf(
          koaOso.reloadPolicy(candidate => (text === '' ? undefined : candidate.loadStr(text, 'new.polar'))),
        );
        expect(refusal.message).to.contain(reason);
        expect(refusal).to.include({ line, file: line === undefined ? undefined : 'new.polar' });
        expect(refusal.column).to.be.a(line === undefined ? 'undefined' : 'number');
        await send('/read', 'ann').expect(200, version);
        await send('/read', 'bob').expect(403);
      }
      const missing = await refusalOf(
        koaOso.reloadPolicy(candidate => candidate.loadFiles(['missing.polar'])),
      );
      expect(missing.message).to.contain('missing.polar');
      await send('/read', 'ann').expect(200, version);
    });

    it('asks verify, which says no by false, by an error, and by anything that is not yes', async () => {
      const { koaOso, send } = await start();
      const version = koaOso.policyVersion;
      const load = (candidate: Pick<Oso, 'loadStr'>) => candidate.loadStr('allow(_, _, _);');
      const asked: boolean[] = [];
      const verdicts = [false, 0, 'yes', null];
      for (const verdict of verdicts) {
        const verify = async (candidate: Pick<Oso, 'isAllowed'>) => {
          asked.push(await candidate.isAllowed(null, 'read', rent));
          return verdict as boolean;
        };
        expect((await refusalOf(koaOso.reloadPolicy(load, { verify }))).message).to.contain('verify said no');
      }
      expect(asked).to.deep.equal(verdicts.map(() => true));
      const secret = new Error('argon2id$');
      const verify = () => {
        throw secret;
      };
      const refusal = await refusalOf(koaOso.reloadPolicy(load, { verify }));
      expect(refusal.message).to.contain('verify threw').and.not.contain('argon2id');
      expect(refusal.cause).to.equal(secret);
      await send('/read', 'ann').expect(200, version);
      await send('/read', 'bob').expect(403);
      await koaOso.reloadPolicy(load, { verify: () => {} });
      await send('/read', 'bob').expect(200);
    });

    it('runs one after another, in the order of the calls', async () => {
      const { koaOso, send } = await start();
      const order: string[] = [];
      const load = (name: string, ms: number) => async (candidate: Pick<Oso, 'loadStr'>) => {
        order.push(`${name} begins`);
        await wait(ms);
        await candidate.loadStr(name === 'broken' ? 'allow(' : name === 'slow' ? NOBODY : READ);
        order.push(`${name} is loaded`);
      };
      const slow = koaOso.reloadPolicy(load('slow', 30));
      const broken = refusalOf(koaOso.reloadPolicy(load('broken', 0)));
      const fast = koaOso.reloadPolicy(load('fast', 0));
      await Promise.all([slow, broken, fast]);
      expect(order).to.deep.equal([
        'slow begins',
        'slow is loaded',
        'broken begins',
        'fast begins',
        'fast is loaded',
      ]);
      await send('/read', 'ann').expect(200);
    });

    it('gives up on a policy that takes too long, so that the next one has its turn', async () => {
      const { koaOso, send } = await start();
      const load = (candidate: Pick<Oso, 'loadStr'>) => candidate.loadStr(NOBODY);
      let settle = (): void => {};
      const never = () =>
        new Promise<void>(resolve => {
          settle = resolve;
        });
      const hanging = refusalOf(koaOso.reloadPolicy(load, { verify: never, timeout: 30 }));
      const withinItself = refusalOf(
        koaOso.reloadPolicy(() => koaOso.reloadPolicy(load, { verify: () => false }), { timeout: 30 }),
      );
      const next = koaOso.reloadPolicy(candidate => candidate.loadStr(READ));
      expect((await hanging).message).to.contain('took more than 30 milliseconds');
      expect((await withinItself).message).to.contain('took more than 30 milliseconds');
      await next;
      settle();
      await wait(5);
      await send('/read', 'ann').expect(200);
      for (const timeout of [0, Number.NaN, '5' as unknown as number]) {
        const error = await koaOso.reloadPolicy(load, { timeout }).catch(thrown => thrown);
        expect(error).to.have.property('code', 'ERR_KOA_OSO_INVALID_ARGUMENT');
      }
      await koaOso.reloadPolicy(load, { timeout: Number.POSITIVE_INFINITY });
      await send('/read', 'ann').expect(403);
    });

    it('waits for what the load function does not wait for', async () => {
      const { koaOso, send } = await start();
      const unhandled: unknown[] = [];
      const note = (error: unknown) => unhandled.push(error);
      process.on('unhandledRejection', note);
      try {
        const refusals: [text: string, reason: string][] = [
          [`${NOBODY}\n?= 1 = 2;`, 'Inline query failed'],
          ['allow(', 'hit the end of the file'],
        ];
        for (const [text, reason] of refusals) {
          const load = (candidate: Pick<Oso, 'loadStr'>) => {
            candidate.loadStr(text);
          };
          expect((await refusalOf(koaOso.reloadPolicy(load))).message).to.contain(reason);
        }
        await send('/read', 'ann').expect(200);
        await koaOso.reloadPolicy(async candidate => {
          await candidate.loadStr('allow(').catch(() => {});
          candidate.loadStr(`${NOBODY}\n?= 1 = 1;`);
        });
        await send('/read', 'ann').expect(403);
        await wait(5);
        expect(unhandled).to.deep.equal([]);
      } finally {
        process.off('unhandledRejection', note);
      }
    });

    it('has a request end on the policy by which it began; one that is answered goes by the new one', async () => {
      const { koaOso, router, send, app } = await start();
      const answers: boolean[] = [];
      let versions: (string | undefined)[] = [];
      const later: Promise<unknown>[] = [];
      router.get('/both', async ctx => {
        const ask = async () => answers.push(await ctx.oso.isAllowed(rent, { action: 'read' }));
        await ask();
        await koaOso.reloadPolicy(candidate => candidate.loadStr(NOBODY));
        await ask();
        answers.push((await ctx.oso.authorizedActions(rent)).has('read'));
        await ctx.oso.authorize(rent, { action: 'read' });
        versions = ctx.state.oso.decisions.map(({ policyVersion }: Decision) => policyVersion);
        ctx.body = 'done';
        later.push(
          once(ctx.res, 'finish')
            .then(() => wait(5))
            .then(ask),
        );
      });
      app.use((_ctx, next) => next());
      await send('/both', 'ann').expect(200, 'done');
      await Promise.all(later);
      expect(answers).to.deep.equal([true, true, true, false]);
      expect(new Set(versions).size).to.equal(1);
      await send('/read', 'ann').expect(403);
    });

    it('has a request within two KoaOso of one Oso go by one policy', async () => {
      const { koaOso, oso, app, router, send } = await start();
      const inner = new KoaOso({ oso });
      const answers: boolean[] = [];
      const outerOf = new WeakMap<object, { isAllowed: typeof koaOso.current.isAllowed }>();
      app.use((ctx, next) => {
        outerOf.set(ctx, ctx.oso);
        return next();
      });
      app.use(inner.middleware());
      router.get('/nested', async ctx => {
        answers.push(await ctx.oso.isAllowed(rent, { action: 'read' }));
        await inner.reloadPolicy(candidate => candidate.loadStr(NOBODY));
        answers.push((await outerOf.get(ctx)?.isAllowed(rent, { action: 'read' })) as boolean);
        ctx.body = 'done';
      });
      await send('/nested', 'ann').expect(200);
      expect(answers).to.deep.equal([true, true]);
      await send('/read', 'ann').expect(403);
    });

    it('has a decision end on the policy by which it began, also where it has to wait', async () => {
      let release: () => void = () => {};
      const slow = new Promise<number>(resolve => {
        release = () => resolve(1);
      });
      const waiting = Object.assign(new Expense('1', 'ann'), { slow });
      // CompiledOso gets to the integer after the reload, and hands the question on to Oso's engine.
      const SLOW = `allow(_, "read", e: Expense) if e.slow = 1 and fine(e);
        fine(_) if 9007199254740993 = 9007199254740993;`;
      const { koaOso, oso } = await start(SLOW);
      const begun = oso.isAllowed(1, 'read', waiting);
      await koaOso.reloadPolicy(candidate =>
        candidate.loadStr('allow(_, "read", e: Expense) if e.slow = 1 and fine(e); fine(1);'),
      );
      release();
      expect(await begun).to.equal(true);
      if (oso instanceof CompiledOso) expect(oso.fallbacks).to.have.length(1);
      expect(await oso.isAllowed(1, 'read', waiting)).to.equal(false);
    });

    it('has lists go by the new policy, and those of a request in flight by the old one', async () => {
      class Row {
        id!: string;
        owner!: string;
      }
      const description = {
        Row: { class: Row, table: 'row', key: ['id'], fields: { id: 'text', owner: 'text' } },
      } as const;
      const rows = ['ann', 'bob'].map(owner => Object.assign(new Row(), { id: owner, owner }));
      const oso = new engine({ equalityFn: entityEquality(description) });
      oso.registerClass(User);
      registerEntities(oso, { Row: rows }, description);
      const { koaOso, router, send } = await setUp({ policy: '' });
      koaOso.setOso(oso);
      await oso.loadStr('allow(user: User, "read", row: Row) if row.owner = user.name;');
      const list = async (ctx: import('koa').Context) =>
        (await ctx.oso.authorizedResources(Row, { action: 'read' })).map(({ id }: Row) => id);
      router.get('/list', async ctx => {
        ctx.body = await list(ctx);
      });
      router.get('/twice', async ctx => {
        const first = await list(ctx);
        await koaOso.reloadPolicy(candidate =>
          candidate.loadStr('allow(user: User, "read", row: Row) if row.owner != user.name;'),
        );
        ctx.body = [...first, ...(await list(ctx))];
      });
      await send('/list', 'ann').expect(200, ['ann']);
      await send('/twice', 'ann').expect(200, ['ann', 'ann']);
      await send('/list', 'ann').expect(200, ['bob']);
      await refusalOf(koaOso.reloadPolicy(candidate => candidate.loadStr('allow(')));
      await send('/list', 'ann').expect(200, ['bob']);
    });

    // Plain Oso takes its time.
    const REQUESTS = engine === Oso ? 2_000 : 10_000;
    it(`loses no request of ${REQUESTS} while 100 policies are tried, a third of them broken, and answers none by a mixture`, async () => {
      // A policy allows the actions "first" and "second" or none; which, is told by its version.
      const policy = (allows: boolean, n: number) =>
        `allow(_: User, action: String, e: Expense) if action in [${allows ? '"first", "second"' : '"other"'}] and e.later = 1; # ${n}`;
      const { app, koaOso, router } = await start(policy(true, 0));
      const allowing = new Map([[koaOso.policyVersion, true]]);
      router.get('/ask', async ctx => {
        const resource = Object.assign(new Expense('1', 'ann'), { later: Promise.resolve(1) });
        const first = await ctx.oso.isAllowed(resource, { action: 'first' });
        await wait(1);
        const second = await ctx.oso.isAllowed(resource, { action: 'second' });
        ctx.body = { first, second, versions: ctx.state.oso.decisions.map((d: Decision) => d.policyVersion) };
      });
      app.use(router.routes());
      const server: Server = app.listen(0, '127.0.0.1');
      await once(server, 'listening');
      const agent = new Agent({ keepAlive: true, maxSockets: 20 });
      const { port } = server.address() as AddressInfo;
      const ask = () =>
        new Promise<{ status: number | undefined; text: string }>((resolve, reject) => {
          get({ port, host: '127.0.0.1', path: '/ask', agent, headers: { 'x-user': 'ann' } }, response => {
            let text = '';
            response.setEncoding('utf8');
            response.on('data', chunk => {
              text += chunk;
            });
            response.on('end', () => resolve({ status: response.statusCode, text }));
          }).on('error', reject);
        });
      const RELOADS = 100;
      let answered = 0;
      const seen = new Set<string>();
      const worker = async () => {
        while (sent < REQUESTS && !failed) {
          sent++;
          const { status, text } = await ask();
          expect(status).to.equal(200);
          const { first, second, versions } = JSON.parse(text);
          expect(second).to.equal(first);
          expect(versions[1]).to.equal(versions[0]);
          expect(allowing.get(versions[0])).to.equal(first);
          seen.add(versions[0]);
          answered++;
        }
      };
      let sent = 0;
      let refused = 0;
      let failed = false;
      const reloads = async () => {
        for (let n = 1; n <= RELOADS; n++) {
          while (answered < (n * REQUESTS) / (RELOADS + 1) && !failed) await new Promise(setImmediate);
          const load = async (candidate: Pick<Oso, 'loadStr'>) => {
            await candidate.loadStr(n % 3 === 0 ? 'allow(_, _, _) if' : policy(n % 2 === 0, n));
            await wait(1);
          };
          const verify = (candidate: Pick<Oso, 'isAllowed'>) => {
            // Its version is known before it takes over.
            return candidate
              .isAllowed(new User('ann'), 'first', Object.assign(new Expense('1', 'a'), { later: 1 }))
              .then(() => undefined);
          };
          try {
            allowing.set(await koaOso.reloadPolicy(load, { verify }), n % 2 === 0);
          } catch (error) {
            expect(error).to.be.instanceOf(PolicyRefusedError);
            refused++;
          }
        }
      };
      try {
        const fail = (error: unknown) => {
          failed = true;
          throw error;
        };
        await Promise.all([reloads(), ...Array.from({ length: 20 }, () => worker().catch(fail))]);
      } finally {
        agent.destroy();
        server.close();
      }
      expect(answered).to.equal(REQUESTS);
      expect(refused).to.equal(33);
      expect(seen.size).to.be.greaterThan(50);
    }).timeout(120_000);
  });
}

describe('reloadPolicy', () => {
  it('refuses what is not a function, and to work without an Oso', async () => {
    const koaOso = new KoaOso();
    const codeOf = (error: { code: string }) => error.code;
    expect(await koaOso.reloadPolicy(undefined as never).catch(codeOf)).to.equal(
      'ERR_KOA_OSO_INVALID_ARGUMENT',
    );
    expect(await koaOso.reloadPolicy(() => {}).catch(codeOf)).to.equal('ERR_KOA_OSO_NO_OSO');
    expect(koaOso.policyVersion).to.equal(undefined);
  });
});

describe('watchPolicy', () => {
  let folder: string;
  let file: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'koa-oso-'));
    file = join(folder, 'policy.polar');
    await writeFile(file, READ);
  });
  afterEach(() => rm(folder, { recursive: true }));

  async function until(condition: () => boolean): Promise<void> {
    for (let tries = 0; tries < 300 && !condition(); tries++) await wait(10);
    expect(condition()).to.equal(true);
  }

  async function start() {
    const set = await setUp({ policy: '' });
    await set.oso.loadFiles([file]);
    set.router.get('/read', async ctx => {
      await ctx.oso.authorize(rent, { action: 'read' });
      ctx.body = 'read';
    });
    return set;
  }

  it('takes a file that was written, and one that was renamed over it', async () => {
    const { koaOso, send } = await start();
    const watcher = koaOso.watchPolicy({ files: [file] });
    try {
      await send('/read', 'ann').expect(200);
      let { policyVersion } = koaOso;
      await writeFile(file, NOBODY);
      await until(() => koaOso.policyVersion !== policyVersion);
      await send('/read', 'ann').expect(403);
      for (const text of [READ, NOBODY, READ]) {
        ({ policyVersion } = koaOso);
        await writeFile(`${file}.tmp`, text);
        await rename(`${file}.tmp`, file);
        await until(() => koaOso.policyVersion !== policyVersion);
      }
      await send('/read', 'ann').expect(200);
    } finally {
      watcher.close();
    }
  });

  it('tells the error event of the app what is wrong and where, and goes on', async () => {
    const { koaOso, send, errors } = await start();
    const watcher = koaOso.watchPolicy({ files: [file] });
    try {
      await send('/read', 'ann').expect(200);
      await writeFile(file, '\nallow(');
      await until(() => errors.length === 1);
      expect(errors[0]).to.be.instanceOf(PolicyRefusedError).and.include({ file, line: 2 });
      await send('/read', 'ann').expect(200);
      await rm(file);
      await until(() => errors.length === 2);
      expect(errors[1]?.message).to.contain(file);
      const { policyVersion } = koaOso;
      await writeFile(file, NOBODY);
      await until(() => koaOso.policyVersion !== policyVersion);
      await send('/read', 'ann').expect(403);
    } finally {
      watcher.close();
    }
  });

  it('prints what is wrong where no app has had a request', async () => {
    const { koaOso } = await start();
    const { error } = console;
    const printed: unknown[] = [];
    console.error = (...args: unknown[]) => printed.push(...args);
    const watcher = koaOso.watchPolicy({ files: [file] });
    try {
      await writeFile(file, 'allow(');
      await until(() => printed.length > 0);
      expect(printed[0]).to.be.instanceOf(PolicyRefusedError);
    } finally {
      console.error = error;
      watcher.close();
    }
  });

  it('ends with close(), and does not reload for other files', async () => {
    const { koaOso, oso } = await start();
    const loads: unknown[] = [];
    const watcher = koaOso.watchPolicy({ files: [file], verify: () => void loads.push(1) });
    await writeFile(join(folder, 'other.polar'), READ);
    await wait(300);
    watcher.close();
    await writeFile(file, NOBODY);
    await wait(300);
    expect(loads).to.deep.equal([]);
    expect(await oso.isAllowed(new User('ann'), 'read', rent)).to.equal(true);
  });
});
