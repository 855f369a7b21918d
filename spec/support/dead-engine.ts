/** Programs for a process of their own, in which Oso's WebAssembly engine dies. Prints what happened, as JSON. */
import { entityEquality, registerEntities } from 'koa-oso/array';
import { CompiledOso } from 'koa-oso/polar';
import { Oso } from 'oso';
import { Expense, setUp, User } from './app.js';

/** Hands a bare Oso's engine a value that is nested too deep, until it is dead for all Osos. */
function killEngine(): void {
  let engine: ReturnType<Oso['getFfi']>;
  try {
    engine = new Oso().getFfi();
  } catch {
    // It is dead already.
    return;
  }
  let term: object = { value: { String: 'x' } };
  for (let level = 0; level < 5_000; level++) term = { value: { List: [term] } };
  const { error } = console;
  console.error = () => {};
  for (let times = 0; times < 100; times++) {
    try {
      engine.newQueryFromTerm({ value: { Call: { name: 'f', args: [term] } } });
    } catch {
      if (!isDead(engine)) continue;
      console.error = error;
      return;
    }
  }
  throw new Error('The engine is still alive');
}

function isDead(engine: ReturnType<Oso['getFfi']>): boolean {
  try {
    engine.newQueryFromStr('1 = 1').free();
    return false;
  } catch {
    return true;
  }
}

const rent = new Expense('1', 'ann', 1000);
const BOSS = 'allow(user: User, "read", expense: Expense) if user.name = BOSS and expense.amount > 1;';

async function outcomeOf(action: () => unknown): Promise<unknown> {
  try {
    return (await action()) ?? 'done';
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
}

async function run(engine: typeof Oso | typeof CompiledOso): Promise<Record<string, unknown>> {
  const description = {
    Expense: {
      class: Expense,
      table: 'expense',
      key: ['id'],
      fields: { id: 'text', owner: 'text', amount: 'number' },
    },
  } as const;
  const oso = new engine({ equalityFn: entityEquality(description) });
  oso.registerClass(User);
  oso.registerConstant('bob', 'BOSS');
  const rows = [rent, new Expense('2', 'bob', 0)];
  registerEntities(oso, { Expense: rows }, description);
  const { koaOso, router, send, errors } = await setUp({ policy: '' });
  koaOso.setOso(oso);
  await oso.loadStr(BOSS);
  router.get('/', async ctx => {
    await ctx.oso.authorize(rent, { action: 'read' });
    ctx.body = 'read';
  });
  router.get('/list', async ctx => {
    ctx.body = (await ctx.oso.authorizedResources(Expense, { action: 'read' })).map(({ id }) => id);
  });
  const statuses = async () => [
    (await send('/', 'bob')).status,
    (await send('/', 'ann')).status,
    (await send('/list', 'bob')).text,
    (await send('/list', 'ann')).text,
  ];

  killEngine();
  const seen: Record<string, unknown> = {};
  seen.requests = await statuses();
  seen.errors = errors.map(error => (error as { code?: string }).code);

  killEngine();
  seen.broken = await outcomeOf(() => koaOso.reloadPolicy(candidate => candidate.loadStr('allow(')));
  seen.afterBroken = await statuses();
  seen.reload = await outcomeOf(() =>
    koaOso.reloadPolicy(candidate => candidate.loadStr(BOSS.replace('= BOSS', '!= BOSS')), {
      verify: candidate => candidate.isAllowed(new User('ann'), 'read', rent),
    }),
  );
  seen.afterReload = await statuses();

  killEngine();
  seen.secondLoad = await outcomeOf(() => oso.loadStr(BOSS));
  seen.clear = await outcomeOf(() => oso.clearRules());
  seen.load = await outcomeOf(() => oso.loadStr(`${BOSS} allow(_, "debug", _) if debug();`));
  seen.afterLoad = await statuses();
  seen.register = await outcomeOf(() => oso.registerConstant(1, 'ONE'));
  seen.made = await outcomeOf(() => new engine().constructor.name);
  return seen;
}

/** The question of which the engine dies: what it is told as. */
async function lastQuestion(): Promise<unknown> {
  const { koaOso, router, send, errors } = await setUp({ policy: '' });
  const oso = new Oso();
  oso.registerClass(User);
  koaOso.setOso(oso);
  await oso.loadStr('allow(_, "read", _);');
  const { isAllowed } = oso;
  oso.isAllowed = async function (...args) {
    killEngine();
    // What a query that was running meets.
    new (Object.getPrototypeOf(oso.getFfi()).constructor)();
    return isAllowed.apply(this, args);
  };
  router.get('/', ctx => ctx.oso.authorize('anything', { action: 'read' }));
  const { status, text } = await send('/', 'ann');
  return { status, text, codes: errors.map(error => (error as { code?: string }).code) };
}

const [what] = process.argv.slice(2);
const seen = await (what === 'last' ? lastQuestion() : run(what === 'Oso' ? Oso : CompiledOso));
process.stdout.write(JSON.stringify(seen));
