// Lists of a million expenses on PostgreSQL: as koa-oso filters them, as an expert writes the query by hand, and by asking
// about each. With the indexes that each query uses.
import type { CompiledOso } from 'koa-oso/polar';
import { Brackets, type DataSource, type SelectQueryBuilder } from 'typeorm';
import {
  accountantOf,
  actor,
  EXPENSES,
  Expense,
  fill,
  loadedOso,
  openDatabase,
  type User,
} from './lists-data.js';
import { median, table } from './report.js';

const ROUNDS = Number(process.env.ROUNDS ?? 5);
const CALLS = Number(process.env.CALLS ?? 100);
const PAGE = 20;
/** Of these, what asking about each takes is worked out for all. */
const ASKED = 2_000;

type List = () => Promise<SelectQueryBuilder<Expense>>;

function byHand(database: DataSource, user: User): List {
  return async () => {
    const organizations = user.memberships
      .filter(({ role }) => role === 'accountant')
      .map(({ organizationId }) => organizationId);
    const query = database.getRepository(Expense).createQueryBuilder('Expense');
    if (organizations.length === 0) return query.where('Expense.ownerId = :user', { user: user.id });
    return query.where(
      new Brackets(where =>
        where
          .where('Expense.ownerId = :user', { user: user.id })
          .orWhere('Expense.organizationId IN (:...organizations) AND Expense.status <> :draft', {
            organizations,
            draft: 'draft',
          }),
      ),
    );
  };
}

function byPolicy(oso: CompiledOso, user: User): List {
  return async () => (await oso.authorizedQuery(user, 'read', Expense)) as SelectQueryBuilder<Expense>;
}

const QUESTIONS: Record<string, (list: SelectQueryBuilder<Expense>, count: number) => Promise<unknown>> = {
  'page 1': list => list.orderBy('Expense.id', 'DESC').take(PAGE).getMany(),
  'late page': (list, count) =>
    list
      .orderBy('Expense.id', 'DESC')
      .skip(Math.floor((count * 0.9) / PAGE) * PAGE)
      .take(PAGE)
      .getMany(),
  count: list => list.getCount(),
  'making the query': async list => list.getQueryAndParameters(),
};

async function milliseconds(list: List, question: string, count: number): Promise<number> {
  const ask = QUESTIONS[question] as (typeof QUESTIONS)[string];
  const start = performance.now();
  for (let call = 0; call < CALLS; call++) await ask(await list(), count);
  return (performance.now() - start) / CALLS;
}

/** The names of the indexes that PostgreSQL plans to use for the first page. */
async function indexesOf(database: DataSource, list: List): Promise<string> {
  const query = (await list()).orderBy('Expense.id', 'DESC').limit(PAGE);
  const [sql, parameters] = query.getQueryAndParameters();
  const [plan] = await database.query(`EXPLAIN (FORMAT JSON) ${sql}`, parameters);
  const names = new Set(JSON.stringify(plan).match(/(?<="Index Name":")[^"]+/g));
  return names.size === 0 ? 'none' : [...names].sort().join(', ');
}

async function askedOneByOne(database: DataSource, oso: CompiledOso, user: User): Promise<number> {
  const start = performance.now();
  const expenses = await database
    .getRepository(Expense)
    .find({ relations: { organization: true }, order: { id: 'DESC' }, take: ASKED });
  for (const expense of expenses) await oso.isAllowed(user, 'read', expense);
  return ((performance.now() - start) / ASKED) * EXPENSES;
}

const database = await openDatabase();
await fill(database);
const oso = await loadedOso(database);
const actors: [string, User][] = [
  ['an employee', await actor(database, 7)],
  ['an accountant', await actor(database, 20)],
  ['an accountant of five', await actor(database, 10)],
  ['an accountant of 400', accountantOf(await actor(database, 10), 400)],
];

const rows: string[][] = [];
const indexes: string[][] = [];
for (const [name, user] of actors) {
  const hand = byHand(database, user);
  const policy = byPolicy(oso, user);
  const count = await (await hand()).getCount();
  const found = await (await policy()).orderBy('Expense.id').getMany();
  const wanted = await (await hand()).orderBy('Expense.id').getMany();
  if (JSON.stringify(found) !== JSON.stringify(wanted)) throw new Error(`${name}: the two lists differ`);
  for (const question of Object.keys(QUESTIONS)) {
    const times: { hand: number; policy: number }[] = [];
    for (let round = 0; round <= ROUNDS; round++) {
      times.push({
        hand: await milliseconds(hand, question, count),
        policy: await milliseconds(policy, question, count),
      });
    }
    // The first round warms up.
    times.shift();
    const ratios = times.map(time => time.policy / time.hand);
    rows.push([
      `${name} (${count} of ${EXPENSES})`,
      question,
      median(times.map(time => time.hand)).toFixed(3),
      median(times.map(time => time.policy)).toFixed(3),
      median(ratios).toFixed(2),
      ratios.map(ratio => ratio.toFixed(2)).join(' '),
    ]);
  }
  rows.push([name, 'asking about each', '', (await askedOneByOne(database, oso, user)).toFixed(0), '', '']);
  indexes.push([name, await indexesOf(database, hand), await indexesOf(database, policy)]);
}
table(
  `Lists, milliseconds, median of ${ROUNDS} alternating rounds of ${CALLS}; asking about each worked out from ${ASKED}`,
  ['actor', 'question', 'by hand', 'koa-oso', 'ratio', 'all rounds'],
  rows,
);
table('Indexes used for page 1', ['actor', 'by hand', 'koa-oso'], indexes);
await database.destroy();
