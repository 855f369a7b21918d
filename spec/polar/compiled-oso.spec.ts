import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect } from 'chai';
import { Oso, Variable } from 'oso';
import {
  CompiledOso,
  type Fallback,
  PolicyBudgetError,
  PolicyError,
  UnregisteredClassError,
} from '../../src/polar/index.js';
import { Admin, User } from './support/world.js';

async function load(policy: string, options: ConstructorParameters<typeof CompiledOso>[0] = {}) {
  const oso = new CompiledOso(options);
  oso.registerClass(User);
  await oso.loadStr(policy, 'policy.polar');
  return oso;
}

async function failure(action: () => unknown): Promise<unknown> {
  try {
    await action();
  } catch (error) {
    return error;
  }
  throw new Error('Nothing was thrown');
}

/** Node hides its garbage collector unless it is told not to; a new context sees what it is told later. */
function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
}

const alice = new User('alice', 34);

describe('CompiledOso', () => {
  // Many of these policies have no allow rule, about which Oso would warn each time.
  const { POLAR_IGNORE_NO_ALLOW_WARNING } = process.env;
  before(() => {
    process.env.POLAR_IGNORE_NO_ALLOW_WARNING = '1';
  });
  after(() => {
    if (POLAR_IGNORE_NO_ALLOW_WARNING === undefined) delete process.env.POLAR_IGNORE_NO_ALLOW_WARNING;
    else process.env.POLAR_IGNORE_NO_ALLOW_WARNING = POLAR_IGNORE_NO_ALLOW_WARNING;
  });

  it('is an Oso', () => {
    expect(new CompiledOso()).to.be.instanceOf(Oso);
  });

  describe('loadFiles', () => {
    let folder: string;
    beforeEach(async () => {
      folder = await mkdtemp(join(tmpdir(), 'polar-'));
    });
    afterEach(() => rm(folder, { recursive: true }));

    it('loads several files as one policy', async () => {
      const files = [join(folder, 'one.polar'), join(folder, 'two.polar')];
      await writeFile(files[0] as string, 'allow(user: User, "read", _) if adult(user);');
      await writeFile(files[1] as string, 'adult(user: User) if user.age >= 18;');
      const oso = new CompiledOso();
      oso.registerClass(User);
      await oso.loadFiles(files);
      expect(await oso.isAllowed(alice, 'read', null)).to.equal(true);
      expect(oso.fallbacks).to.deep.equal([]);
    });

    it('refuses a missing file and a wrong extension as Oso does', async () => {
      for (const file of [join(folder, 'missing.polar'), join(folder, 'policy.txt')]) {
        const expected = (await failure(() => new Oso().loadFiles([file]))) as Error;
        const actual = (await failure(() => new CompiledOso().loadFiles([file]))) as Error;
        expect(actual.message).to.equal(expected.message);
      }
    });
  });

  describe('a load that fails', () => {
    it('leaves the policy that was loaded before', async () => {
      const oso = await load('allow("a", _, _);');
      await failure(() => oso.loadStr('allow(_, _, _);'));
      await failure(() => oso.loadFiles(['missing.polar']));
      expect(await oso.isAllowed('a', 1, 1)).to.equal(true);
      expect(await oso.isAllowed('b', 1, 1)).to.equal(false);
      expect(oso.fallbacks).to.deep.equal([]);
    });

    it('leaves the policy loaded where only its inline query failed, as in Oso', async () => {
      for (const query of ['?= allow("b", 1, 1);', '?= 1 == "1";']) {
        const policy = `allow("a", _, _); ${query}`;
        const plain = new Oso();
        await failure(() => plain.loadStr(policy));
        const oso = new CompiledOso();
        await failure(() => oso.loadStr(policy));
        for (const actor of ['a', 'b']) {
          expect(await oso.isAllowed(actor, 1, 1)).to.equal(await plain.isAllowed(actor, 1, 1));
        }
      }
    });
  });

  describe('a class that is not registered', () => {
    it('is an error when the policy is loaded, with its place', async () => {
      const error = await failure(() => load('allow(_: User, _, _);\nallow(_,\n  _: Exspense, _);'));
      expect(error).to.be.instanceOf(UnregisteredClassError);
      expect(error).to.include({
        code: 'ERR_KOA_OSO_UNREGISTERED_CLASS',
        className: 'Exspense',
        rule: 'allow',
        file: 'policy.polar',
        line: 3,
        column: 6,
      });
      expect((error as Error).message)
        .to.contain('policy.polar:3:6')
        .and.to.contain('registerClass');
    });

    it('is found in patterns within patterns and after matches', async () => {
      for (const policy of [
        'f(_: User{manager: Boss{}});',
        'f(x) if x matches Boss;',
        'f(x) if not x matches Boss{name: 1};',
      ]) {
        expect(await failure(() => load(policy)), policy).to.be.instanceOf(UnregisteredClassError);
      }
    });

    it('leaves nothing loaded', async () => {
      const oso = new CompiledOso();
      await failure(() => oso.loadStr('allow(_: Nobody, _, _); allow(_, _, _);'));
      await oso.loadStr('allow("a", _, _);');
      expect(await oso.isAllowed('b', 'read', 'c')).to.equal(false);
    });
  });

  describe('fallbacks', () => {
    it('says which construct, in which rule, on which line', async () => {
      const seen: Fallback[] = [];
      const oso = await load(
        'f(x) if\n  x.name = "alice" and\n  not (y = 1 and g(y)) and x = x;\ng(_);\nh(x) if not x = 1;',
        {
          onFallback: fallback => seen.push(fallback),
        },
      );
      expect(await oso.queryRuleOnce('f', alice)).to.equal(false);
      expect(seen).to.deep.equal([]);
      const results: unknown[] = [];
      await failure(async () => {
        for await (const result of oso.queryRule('h', new Variable('x'))) results.push(result);
      });
      const expected = {
        construct: '"not" on a variable without a value',
        rule: 'h',
        file: 'policy.polar',
        line: 5,
        column: 13,
      };
      expect(seen).to.deep.equal([expected]);
      expect(oso.fallbacks).to.deep.equal([{ ...expected, count: 1 }]);
    });

    it('gives the results of Oso, none of them twice', async () => {
      const policy = 'f(1); f(2); f(x) if x in y and y = [3, 4];';
      const oso = await load(policy);
      const plain = new Oso();
      await plain.loadStr(policy);
      const collect = async (from: Oso) => {
        const results: unknown[] = [];
        for await (const bindings of from.queryRule('f', new Variable('x'))) results.push(bindings.get('x'));
        return results;
      };
      expect(await collect(oso as unknown as Oso)).to.deep.equal(await collect(plain));
      expect(oso.fallbacks).to.have.length(1);
    });

    it('counts partial evaluation', async () => {
      const oso = await load('allow(_: User, "read", x) if x = 1;');
      const query = oso.queryRule({ acceptExpression: true }, 'allow', alice, 'read', new Variable('x'));
      await query.next();
      await query.return();
      expect(oso.fallbacks.map(({ construct }) => construct)).to.deep.equal(['partial evaluation']);
    });
  });

  describe('errors', () => {
    const secret = Object.assign(new User('SECRET-NAME', 987654321), { passwordHash: 'SECRET-HASH' });

    it('are named as Oso names them, and say where', async () => {
      const policy = 'allow(actor, _, _) if\n  actor.missing = 1;';
      const plain = new Oso();
      await plain.loadStr(policy);
      const expected = (await failure(() => plain.isAllowed(secret, 'read', 1))) as Error;
      const oso = await load(policy);
      const error = (await failure(() => oso.isAllowed(secret, 'read', 1))) as PolicyError;
      expect(error).to.be.instanceOf(PolicyError);
      expect(error.name).to.equal(expected.name);
      expect(error).to.include({
        code: 'ERR_KOA_OSO_POLICY',
        rule: 'allow',
        file: 'policy.polar',
        line: 2,
        column: 3,
      });
    });

    it('hold no value of the actor or the resource, not even from Oso', async () => {
      for (const policy of [
        'allow(actor, _, _) if actor.missing = 1;',
        'allow(actor, _, _) if actor.name() = 1;',
        'allow(actor, _, _) if actor.passwordHash + 1 = 2;',
        'allow(actor, _, _) if actor.passwordHash > 1;',
        'allow(actor, _, _) if actor;',
        'allow(actor, _, _) if x in actor.age and x = 1;',
        // Beyond the compiled form, and then an error.
        'allow(actor, _, _) if x in y and y = [1] and actor.missing = x;',
      ]) {
        const oso = await load(policy);
        const error = (await failure(() => oso.isAllowed(secret, 'read', 1))) as Error;
        expect(error, policy).to.be.instanceOf(PolicyError);
        expect(`${error.message} ${JSON.stringify(error)} ${error.stack}`, policy).not.to.match(
          /SECRET|987654321/,
        );
      }
    });

    it('of the host are passed on as they are', async () => {
      const oso = await load('allow(actor, _, _) if actor.broken = 1;');
      expect(await failure(() => oso.isAllowed(alice, 'read', 1))).to.be.instanceOf(RangeError);
    });

    it('keep a TypeError of the host as their cause, out of sight', async () => {
      const oso = await load('allow(actor, _, _) if actor.typeBroken = 1;');
      const error = (await failure(() => oso.isAllowed(alice, 'read', 1))) as Error;
      expect(error.cause).to.be.instanceOf(TypeError);
      expect(Object.keys(error)).not.to.include('cause');
      // As the console prints it.
      expect(inspect(error)).not.to.include(inspect(error.cause).split('\n')[0]);
    });
  });

  describe('budget', () => {
    /** Runs `action` beside a timer that should fire every 10 ms; how late it was at worst. */
    async function latestTimer(action: () => Promise<unknown>): Promise<number> {
      let latest = 0;
      let due = performance.now() + 10;
      const timer = setInterval(() => {
        latest = Math.max(latest, performance.now() - due);
        due = performance.now() + 10;
      }, 10);
      try {
        await action();
        return latest;
      } finally {
        clearInterval(timer);
      }
    }

    function* endless() {
      for (let number = 0; ; number++) yield number;
    }
    async function* endlessLater() {
      for (let number = 0; ; number++) yield number;
    }

    for (const [what, policy] of [
      ['an endless recursion', 'allow(a, b, c) if allow(a, b, c);'],
      ['a recursion that grows', 'allow(a, b, c) if allow([a], b, c) and true;'],
      [
        'two rules that call each other',
        'allow(a, b, c) if f(a, b, c) and true; f(a, b, c) if allow(a, b, c) and true;',
      ],
      ['a runaway iterator', 'allow(_, _, c) if x in c.endless() and x = "never";'],
      ['a runaway asynchronous iterator', 'allow(_, _, c) if x in c.endlessLater() and x = "never";'],
      ['a runaway negation', 'allow(_, _, c) if not (x in c.endless() and x = "never");'],
    ] as const) {
      it(`ends ${what} while timers keep firing`, async () => {
        const oso = await load(policy, { budget: { steps: 1_000_000, milliseconds: 300 } });
        const start = performance.now();
        const late = await latestTimer(async () => {
          const error = await failure(() => oso.isAllowed(1, 2, { endless, endlessLater }));
          expect(error).to.be.instanceOf(PolicyBudgetError);
          expect(error).to.include({ code: 'ERR_KOA_OSO_POLICY_BUDGET' });
        });
        expect(performance.now() - start).to.be.below(1500);
        expect(late).to.be.below(250);
      });
    }

    it('ends a query whose host code never answers', async () => {
      const oso = await load('allow(_, _, c) if c.never = 1;', { budget: { milliseconds: 30 } });
      const never = new Promise(() => {});
      expect(await failure(() => oso.isAllowed(1, 2, { never }))).to.include({
        exceeded: 'milliseconds',
        limit: 30,
      });
    });

    it('counts steps', async () => {
      const oso = await load('allow(x, _, _) if y in x and y = "never";', { budget: { steps: 500 } });
      expect(await oso.isAllowed([1, 2, 3], 1, 1)).to.equal(false);
      const long = Array.from({ length: 5000 }, (_, number) => number);
      expect(await failure(() => oso.isAllowed(long, 1, 1))).to.include({ exceeded: 'steps', limit: 500 });
    });
  });

  describe('depth', () => {
    it('takes long lists and deep recursion without growing the stack', async () => {
      const oso = await load(
        'length([], 0); length([_, *rest], n) if length(rest, m) and n = m + 1; down(0); down(n) if n > 0 and m = n - 1 and down(m) and true; same(x, x);',
      );
      const long = Array.from({ length: 1500 }, (_, number) => number);
      expect(await oso.queryRuleOnce('length', long, 1500)).to.equal(true);
      expect(await oso.queryRuleOnce('down', 30_000)).to.equal(true);
      const huge = Array.from({ length: 100_000 }, (_, number) => number);
      expect(await oso.queryRuleOnce('same', huge, [...huge])).to.equal(true);
      expect(oso.fallbacks).to.deep.equal([]);
    });

    it('takes deep values', async () => {
      let deep: unknown[] = [];
      for (let depth = 1; depth < 100; depth++) deep = [deep];
      const oso = await load('same(x, x);');
      expect(await oso.queryRuleOnce('same', deep, structuredClone(deep))).to.equal(true);
    });
  });

  it('knows classes and constants that are registered after the policy was loaded and asked', async () => {
    const oso = await load('f(x) if x = LIMIT and LIMIT = LIMIT; g(user: User) if user.name = "root";');
    expect(await oso.queryRuleOnce('f', 7)).to.equal(true);
    oso.registerConstant(5, 'LIMIT');
    expect(await oso.queryRuleOnce('f', 7)).to.equal(false);
    expect(await oso.queryRuleOnce('f', 5)).to.equal(true);
    oso.registerClass(Admin);
    expect(await oso.queryRuleOnce('g', new Admin('root', 1))).to.equal(true);
  });

  it('answers many questions at once, each on its own', async () => {
    const oso = await load('allow(user: User, n, _) if role in user.rolesLater and role.name = n;');
    const users = Array.from(
      { length: 50 },
      (_, n) => new User(`user${n}`, n, [{ name: `role${n}`, resource: 1 }]),
    );
    const answers = await Promise.all(
      users.flatMap((user, n) => [
        oso.isAllowed(user, `role${n}`, 1),
        oso.isAllowed(user, `role${n + 1}`, 1),
      ]),
    );
    expect(answers).to.deep.equal(users.flatMap(() => [true, false]));
  });

  it('leaves the heap where it was after a million decisions', async function () {
    this.timeout(60_000);
    const oso = await load('allow(user: User, action, _) if user.name = action and not action = "bob";');
    const decide = async (decisions: number): Promise<number> => {
      for (let n = 0; n < decisions; n++) await oso.isAllowed(alice, `action${n}`, n);
      collectGarbage();
      return process.memoryUsage().heapUsed;
    };
    await decide(100_000);
    const before = await decide(100_000);
    expect((await decide(1_000_000)) - before).to.be.below(1_000_000);
  });
});
