// What koa-oso costs in an application like GitClub on PostgreSQL: statements and milliseconds of decisions, pages and lists,
// in one run with queries that an expert writes by hand. Answers that differ end it; targets that are missed are shown.
import type { CompiledOso } from 'koa-oso/polar';
import type { DataSource, ObjectLiteral, SelectQueryBuilder } from 'typeorm';
import * as byHand from './application-by-hand.js';
import {
  copyOf,
  fill,
  Issue,
  idOfUserWith,
  isFilled,
  loadedOso,
  openApplication,
  Repository,
  ROLES,
  type Size,
  statementsOf,
  type User,
  userOf,
} from './application-data.js';
import { median, table } from './report.js';

const SIZE: Size = { organizations: 1_000, repositories: 4_000, issues: 100_000, users: 1_000 };
/** Each side of a question is asked so often, unless that takes longer than this. */
const CALLS = Number(process.env.CALLS ?? 200);
const MILLISECONDS = Number(process.env.MILLISECONDS ?? 1_000);
const WARM_UP = 0.2;
const PAGE = 49;

interface Question {
  name: string;
  byHand: () => Promise<unknown>;
  byPolicy: () => Promise<unknown>;
  /** Whether the figures keep to what is aimed at. */
  target: { text: string; isMet: (cost: { byHand: Cost; byPolicy: Cost }) => boolean };
}

interface Cost {
  statements: number;
  /** The median. */
  milliseconds: number;
  /** The fastest tenth took less: what is left of it if no other program is in the way. */
  undisturbed: number;
}

const ONE_MORE: Question['target'] = {
  text: '1 statement more',
  isMet: ({ byHand, byPolicy }) => byPolicy.statements <= byHand.statements + 1,
};
const PAGE_TARGET: Question['target'] = {
  text: '1.3 times',
  isMet: ({ byHand, byPolicy }) => byPolicy.milliseconds <= 1.3 * byHand.milliseconds,
};
const LIST_TARGET: Question['target'] = {
  text: '1.1 times, 1.3 below 1 ms',
  isMet: ({ byHand, byPolicy }) =>
    byPolicy.milliseconds <= (byHand.milliseconds < 1 ? 1.3 : 1.1) * byHand.milliseconds,
};

/** A value as it can be compared: what is in a set has no order. */
function comparable(answer: unknown): string {
  return JSON.stringify(answer, (_, value: unknown) => (value instanceof Set ? [...value].sort() : value));
}

async function costOf(database: DataSource, question: Question): Promise<{ byHand: Cost; byPolicy: Cost }> {
  const times: { byHand: number[]; byPolicy: number[] } = { byHand: [], byPolicy: [] };
  const sides = ['byHand', 'byPolicy'] as const;
  const statements = { byHand: 0, byPolicy: 0 };
  const answers = new Set<string>();
  for (const side of sides) {
    const sent = await statementsOf(database, async () => answers.add(comparable(await question[side]())));
    statements[side] = sent.length;
  }
  if (answers.size > 1) throw new Error(`${question.name}: the answers differ`);
  const start = performance.now();
  while (times.byHand.length < CALLS && performance.now() - start < MILLISECONDS) {
    for (const side of sides) {
      const asked = performance.now();
      await question[side]();
      times[side].push(performance.now() - asked);
    }
  }
  const cost = (side: 'byHand' | 'byPolicy'): Cost => ({
    statements: statements[side],
    // The first calls warm up.
    milliseconds: median(times[side].slice(Math.floor(times[side].length * WARM_UP))),
    undisturbed: [...times[side]].sort((a, b) => a - b)[Math.floor(times[side].length / 10)] as number,
  });
  return { byHand: cost('byHand'), byPolicy: cost('byPolicy') };
}

/** The question whether somebody may close the last issue that they may read. Of neither is any relation loaded. */
async function decision(
  database: DataSource,
  oso: CompiledOso,
  name: string,
  userId: number,
): Promise<Question> {
  const user = await userOf(database, userId);
  const withRoles = await userOf(database, userId, true);
  const issue = await byHand
    .issues(database, withRoles, 'read')
    .orderBy('Issue.id', 'DESC')
    .limit(1)
    .getOneOrFail();
  return {
    name,
    byHand: () => byHand.mayClose(database, copyOf(user), copyOf(issue)),
    byPolicy: () => oso.isAllowed(copyOf(user), 'close', copyOf(issue)),
    target: ONE_MORE,
  };
}

/** A page of issues, with what the user may do to each and which fields of it they may read. */
function page(database: DataSource, oso: CompiledOso, name: string, user: User): Question {
  const onPage = (query: SelectQueryBuilder<Issue>) =>
    query.orderBy('Issue.id', 'DESC').limit(PAGE).getMany();
  return {
    name,
    byHand: async () => {
      const issues = await onPage(byHand.issues(database, user, 'read'));
      return { ids: issues.map(({ id }) => id), allowed: await byHand.allowed(database, user, issues) };
    },
    byPolicy: async () => {
      const issues = await onPage(await listed(oso, user, 'read', Issue));
      const batch = oso.batch();
      const allowed = await Promise.all(
        issues.map(async issue => {
          const [actions, fields] = await Promise.all([
            batch.authorizedActions(user, issue),
            batch.authorizedFields(user, 'read', issue),
          ]);
          return { actions, fields };
        }),
      );
      return { ids: issues.map(({ id }) => id), allowed };
    },
    target: PAGE_TARGET,
  };
}

async function listed<Row extends ObjectLiteral>(
  oso: CompiledOso,
  user: User,
  action: string,
  entity: new () => Row,
): Promise<SelectQueryBuilder<Row>> {
  return (await oso.authorizedQuery(user, action, entity)) as SelectQueryBuilder<Row>;
}

/** The first page of a list, and its count. */
function lists<Row extends ObjectLiteral>(
  name: string,
  alias: string,
  queries: { byHand: () => SelectQueryBuilder<Row>; byPolicy: () => Promise<SelectQueryBuilder<Row>> },
): Question[] {
  const found = (query: SelectQueryBuilder<Row>) =>
    query.orderBy(`${alias}.id`, 'DESC').limit(PAGE).getMany();
  return [
    {
      name: `${name}, a page`,
      byHand: () => found(queries.byHand()),
      byPolicy: async () => found(await queries.byPolicy()),
      target: LIST_TARGET,
    },
    {
      name: `${name}, the count`,
      byHand: () => queries.byHand().getCount(),
      byPolicy: async () => (await queries.byPolicy()).getCount(),
      target: LIST_TARGET,
    },
  ];
}

const database = await openApplication(
  process.env.DATABASE_URL ?? 'postgres://postgres@127.0.0.1:5432/test',
  'koa_oso_application',
);
if (await isFilled(database, SIZE)) process.stdout.write('The tables are full from last time\n');
else {
  const started = performance.now();
  await fill(database, SIZE);
  process.stdout.write(`Filled in ${((performance.now() - started) / 1_000).toFixed(1)} s\n`);
}
const oso = await loadedOso(database);

const questions: Question[] = [];
for (const roles of [4, 400] as const) {
  questions.push(await decision(database, oso, `a decision, ${roles} roles`, idOfUserWith(roles, SIZE)));
}
const users = new Map<number, User>();
for (const roles of ROLES) users.set(roles, await userOf(database, idOfUserWith(roles, SIZE), true));
for (const roles of [4, 400]) {
  questions.push(
    page(database, oso, `${PAGE} issues, their actions and fields, ${roles} roles`, users.get(roles) as User),
  );
}
for (const [roles, user] of users) {
  for (const action of ['read', 'close'] as const) {
    questions.push(
      ...lists(`issues to ${action}, ${roles} roles`, 'Issue', {
        byHand: () => byHand.issues(database, user, action),
        byPolicy: () => listed(oso, user, action, Issue),
      }),
    );
  }
  questions.push(
    ...lists(`repositories, ${roles} roles`, 'Repository', {
      byHand: () => byHand.repositories(database, user),
      byPolicy: () => listed(oso, user, 'read', Repository),
    }),
  );
}

/** The command line may name a part of the questions. */
const [, , part = ''] = process.argv;
const rows: string[][] = [];
for (const question of questions.filter(({ name }) => name.includes(part))) {
  const { name, target } = question;
  let cost: Awaited<ReturnType<typeof costOf>>;
  try {
    cost = await costOf(database, question);
  } catch (error) {
    const { code } = error as { code?: string };
    if (!code?.startsWith('ERR_KOA_OSO_')) throw error;
    rows.push([name, '', '', '', code, '', '', target.text, 'no']);
    continue;
  }
  const { byHand, byPolicy } = cost;
  rows.push([
    name,
    String(byHand.statements),
    String(byPolicy.statements),
    byHand.milliseconds.toFixed(2),
    byPolicy.milliseconds.toFixed(2),
    (byPolicy.milliseconds / byHand.milliseconds).toFixed(2),
    `${byHand.undisturbed.toFixed(2)}, ${byPolicy.undisturbed.toFixed(2)}, ${(byPolicy.undisturbed / byHand.undisturbed).toFixed(2)}`,
    target.text,
    target.isMet(cost) ? 'yes' : 'no',
  ]);
}
table(
  `${SIZE.issues} issues; statements, and milliseconds as the medians of up to ${CALLS} alternating calls`,
  [
    'question',
    'statements by hand',
    'koa-oso',
    'ms by hand',
    'koa-oso',
    'ratio',
    'the same of the fastest tenth',
    'at most',
    'met',
  ],
  rows,
);
await database.destroy();
