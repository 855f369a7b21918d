/**
 * What one decision costs: Oso, CompiledOso and their neighbours, asked the same question.
 *
 * Each figure is the median of five rounds in one run, in microseconds of wall-clock time for one decision. Every engine
 * is asked in the way that its documentation recommends for speed; `-` stands where it cannot express the question.
 */
import { AbilityBuilder, createMongoAbility, type MongoAbility, subject } from '@casl/ability';
import {
  type AuthorizationAnswer,
  type EntityJson,
  preparsePolicySet,
  statefulIsAuthorized,
} from '@cedar-policy/cedar-wasm/nodejs';
import { type Enforcer, newEnforcer, newModelFromString } from 'casbin';
import { CompiledOso } from 'koa-oso/polar';
import { Oso } from 'oso';
import {
  ATTRIBUTE_POLICY,
  alice,
  bob,
  deepest,
  type Expense,
  expense,
  FOLDER_POLICY,
  type Folder,
  load,
  type Repository,
  ROLE_POLICY,
  repository,
  rolePolicy,
  type User,
} from './policy.js';

const ENGINES = ['Oso', 'CompiledOso', 'casbin', 'CASL', 'CASL built', 'cedar-wasm', 'TypeScript'] as const;
type Engine = (typeof ENGINES)[number];
type Ask = () => unknown;
interface Row {
  readonly name: string;
  readonly asks: Partial<Record<Engine, Ask>>;
}

const ROUNDS = 5;
const ROUND_MILLISECONDS = 60;
const WARM_UP_MILLISECONDS = 200;

async function osoAsks(policy: string, ask: (oso: Oso) => unknown): Promise<Row['asks']> {
  const oso = await load(new Oso(), policy);
  const compiled = await load(new CompiledOso() as unknown as Oso, policy);
  if (JSON.stringify(await plain(ask(oso))) !== JSON.stringify(await plain(ask(compiled)))) {
    throw new Error(`Oso and CompiledOso differ on ${policy}`);
  }
  return { Oso: () => ask(oso), CompiledOso: () => ask(compiled) };
}

async function plain(answer: unknown): Promise<unknown> {
  const known = await answer;
  return known instanceof Set ? [...known] : known;
}

async function casbin(model: string, policies: readonly string[]): Promise<Enforcer> {
  const enforcer = await newEnforcer(newModelFromString(model));
  for (const line of policies) {
    const [type, ...fields] = line.split(', ');
    if (type === 'p') await enforcer.addPolicy(...fields);
    else await enforcer.addNamedGroupingPolicy(type as string, ...fields);
  }
  return enforcer;
}

const FACT_MODEL = `[request_definition]
r = sub, obj, act
[policy_definition]
p = sub, obj, act
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = r.sub == p.sub && r.obj == p.obj && r.act == p.act`;

const ATTRIBUTE_MODEL = `[request_definition]
r = sub, obj, act
[policy_definition]
p = act
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = r.act == p.act && r.sub.role == "manager" && r.obj.amount < 100`;

const ROLE_MODEL = `[request_definition]
r = sub, dom, act
[policy_definition]
p = sub, act
[role_definition]
g = _, _, _
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = r.act == p.act && g(r.sub, p.sub, r.dom)`;

const FOLDER_MODEL = `[request_definition]
r = sub, obj, act
[policy_definition]
p = sub, obj, act
[role_definition]
g = _, _
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = r.sub == p.sub && r.act == p.act && g(r.obj, p.obj)`;

type Rule = (can: AbilityBuilder<MongoAbility>['can']) => void;

function casl(define: Rule): MongoAbility {
  const { can, build } = new AbilityBuilder<MongoAbility>(createMongoAbility);
  define(can);
  return build();
}

function caslAsks(define: Rule, ask: (ability: MongoAbility) => boolean, expected: boolean): Row['asks'] {
  const ability = casl(define);
  if (ask(ability) !== expected) throw new Error('CASL answers otherwise');
  return { CASL: () => ask(ability), 'CASL built': () => ask(casl(define)) };
}

let policySets = 0;

function cedar(
  policies: string,
  [principal, action, resource]: readonly [string, string, string],
  entities: EntityJson[],
  expected: boolean,
): Ask {
  const preparsedPolicySetId = `bench${policySets++}`;
  const prepared = preparsePolicySet(preparsedPolicySetId, { staticPolicies: policies });
  if (prepared.type !== 'success') throw new Error(JSON.stringify(prepared));
  const call = {
    principal: { type: 'User', id: principal },
    action: { type: 'Action', id: action },
    resource: { type: 'Resource', id: resource },
    context: {},
    preparsedPolicySetId,
    entities,
  };
  const ask = (): AuthorizationAnswer => statefulIsAuthorized(call);
  const answer = ask();
  if (answer.type !== 'success' || (answer.response.decision === 'allow') !== expected) {
    throw new Error(`cedar-wasm answers otherwise: ${JSON.stringify(answer)}`);
  }
  return ask;
}

async function check(enforcer: Enforcer, args: readonly unknown[], expected: boolean): Promise<Ask> {
  if ((await enforcer.enforce(...args)) !== expected) throw new Error('casbin answers otherwise');
  return () => enforcer.enforce(...args);
}

const uid = (type: string, id: string) => ({ type, id });

async function constantFact(): Promise<Row> {
  const policy = 'allow("alice", "read", "report");';
  return {
    name: 'a constant fact',
    asks: {
      ...(await osoAsks(policy, oso => oso.isAllowed('alice', 'read', 'report'))),
      casbin: await check(
        await casbin(FACT_MODEL, ['p, alice, report, read']),
        ['alice', 'report', 'read'],
        true,
      ),
      ...caslAsks(
        can => can('read', 'report'),
        ability => ability.can('read', 'report'),
        true,
      ),
      'cedar-wasm': cedar(
        'permit(principal == User::"alice", action == Action::"read", resource == Resource::"report");',
        ['alice', 'read', 'report'],
        [],
        true,
      ),
      TypeScript: () => isFact('alice', 'read', 'report'),
    },
  };
}

const fact = { actor: 'alice', action: 'read', resource: 'report' };
function isFact(actor: string, action: string, resource: string): boolean {
  return actor === fact.actor && action === fact.action && resource === fact.resource;
}

async function attributes(): Promise<Row> {
  return {
    name: 'two attribute tests',
    asks: {
      ...(await osoAsks(ATTRIBUTE_POLICY, oso => oso.isAllowed(alice, 'approve', expense))),
      casbin: await check(await casbin(ATTRIBUTE_MODEL, ['p, approve']), [alice, expense, 'approve'], true),
      ...caslAsks(
        can => {
          if (alice.role === 'manager') can('approve', 'Expense', { amount: { $lt: 100 } });
        },
        ability => ability.can('approve', subject('Expense', expense)),
        true,
      ),
      'cedar-wasm': cedar(
        'permit(principal, action == Action::"approve", resource) when { principal.role == "manager" && resource.amount < 100 };',
        ['alice', 'approve', 'expense'],
        [
          { uid: uid('User', 'alice'), attrs: { role: alice.role }, parents: [] },
          { uid: uid('Resource', 'expense'), attrs: { amount: expense.amount }, parents: [] },
        ],
        true,
      ),
      TypeScript: () => mayApprove(alice, expense),
    },
  };
}

function mayApprove(user: User, { amount }: Expense): boolean {
  return user.role === 'manager' && amount < 100;
}

async function role(user: User, expected: boolean): Promise<Row> {
  const policies = [
    'p, owner, push',
    'p, owner, pull',
    'p, member, pull',
    'g, alice, owner, acme',
    'g, bob, owner, globex',
  ];
  return {
    name: `role-based, ${expected ? 'allow' : 'deny'}`,
    asks: {
      ...(await osoAsks(ROLE_POLICY, oso => oso.isAllowed(user, 'push', repository))),
      casbin: await check(await casbin(ROLE_MODEL, policies), [user.id, 'acme', 'push'], expected),
      ...caslAsks(
        can => {
          for (const { name, organization } of user.roles) {
            if (name === 'owner') can('push', 'Repository', { 'organization.id': organization.id });
            can('pull', 'Repository', { 'organization.id': organization.id });
          }
        },
        ability => ability.can('push', subject('Repository', repository)),
        expected,
      ),
      'cedar-wasm': cedar(
        `permit(principal, action in [Action::"push", Action::"pull"], resource) when { principal in resource.organization.owners };
         permit(principal, action == Action::"pull", resource) when { principal in resource.organization.members };`,
        [user.id, 'push', 'engine'],
        [
          { uid: uid('User', 'alice'), attrs: {}, parents: [uid('Role', 'acme-owner')] },
          { uid: uid('User', 'bob'), attrs: {}, parents: [uid('Role', 'globex-owner')] },
          {
            uid: uid('Organization', 'acme'),
            attrs: {
              owners: { __entity: uid('Role', 'acme-owner') },
              members: { __entity: uid('Role', 'acme-member') },
            },
            parents: [],
          },
          {
            uid: uid('Resource', 'engine'),
            attrs: { organization: { __entity: uid('Organization', 'acme') } },
            parents: [],
          },
        ],
        expected,
      ),
      TypeScript: () => mayPush(user, repository),
    },
  };
}

function mayPush({ roles }: User, { organization }: Repository): boolean {
  return roles.some(each => each.name === 'owner' && each.organization === organization);
}

async function chain(): Promise<Row> {
  const folders = Array.from({ length: 10 }, (_, depth) => `folder${depth}`);
  return {
    name: 'a chain of 10 folders',
    asks: {
      ...(await osoAsks(FOLDER_POLICY, oso => oso.isAllowed(alice, 'read', deepest))),
      casbin: await check(
        await casbin(FOLDER_MODEL, [
          'p, alice, engine, read',
          ...folders.map((folder, depth) => `g, ${folder}, ${depth === 0 ? 'engine' : `folder${depth - 1}`}`),
        ]),
        ['alice', 'folder9', 'read'],
        true,
      ),
      'cedar-wasm': cedar(
        'permit(principal == User::"alice", action == Action::"read", resource in Resource::"engine");',
        ['alice', 'read', 'folder9'],
        folders.map((folder, depth) => ({
          uid: uid('Resource', folder),
          attrs: {},
          parents: [uid('Resource', depth === 0 ? 'engine' : `folder${depth - 1}`)],
        })),
        true,
      ),
      TypeScript: () => mayRead(alice, deepest),
    },
  };
}

function mayRead(user: User, folder: Folder): boolean {
  if (folder.repository && mayPush(user, folder.repository)) return true;
  return folder.parent !== undefined && mayRead(user, folder.parent);
}

function factPolicy(count: number): string {
  return Array.from({ length: count }, (_, n) => `allow("user${n}", "read", "report${n}");`).join('\n');
}

async function facts(count: number): Promise<Row> {
  const last = count - 1;
  // A different fact each time: nothing but an index can find it soon.
  let at = 0;
  const next = (): string => {
    at = (at + 7919) % count;
    return String(at);
  };
  const lines = Array.from({ length: count }, (_, n) => `p, user${n}, report${n}, read`);
  const known = new Set(Array.from({ length: count }, (_, n) => `user${n} read report${n}`));
  const asks: Row['asks'] = {
    ...(await osoAsks(factPolicy(count), oso => {
      const n = next();
      return oso.isAllowed(`user${n}`, 'read', `report${n}`);
    })),
    casbin: await check(await casbin(FACT_MODEL, lines), [`user${last}`, `report${last}`, 'read'], true),
    ...caslAsks(
      can => {
        for (let n = 0; n < count; n++) can('read', `report${n}`);
      },
      ability => ability.can('read', `report${next()}`),
      true,
    ),
    'cedar-wasm': cedar(
      Array.from(
        { length: count },
        (_, n) =>
          `permit(principal == User::"user${n}", action == Action::"read", resource == Resource::"report${n}");`,
      ).join('\n'),
      [`user${last}`, 'read', `report${last}`],
      [],
      true,
    ),
    TypeScript: () => {
      const n = next();
      return known.has(`user${n} read report${n}`);
    },
  };
  return { name: `one of ${count.toLocaleString('en')} facts`, asks };
}

async function actions(): Promise<Row> {
  return {
    name: 'authorizedActions',
    asks: await osoAsks(ROLE_POLICY, oso => oso.authorizedActions(alice, repository)),
  };
}

async function promisedRoles(): Promise<Row> {
  return {
    name: 'roles from a promise',
    asks: {
      ...(await osoAsks(rolePolicy('rolesLater'), oso => oso.isAllowed(alice, 'push', repository))),
      TypeScript: async () => (await alice.rolesLater).some(each => each.name === 'owner'),
    },
  };
}

/** Microseconds for one call. */
async function measure(ask: Ask): Promise<number> {
  let calls = 1;
  let elapsed = await time(ask, calls);
  // The compiler takes its time, and more of it on a busy machine.
  for (let warm = elapsed; warm < WARM_UP_MILLISECONDS; warm += await time(ask, calls));
  while (elapsed < 10) {
    calls *= 2;
    elapsed = await time(ask, calls);
  }
  calls = Math.max(1, Math.round((calls * ROUND_MILLISECONDS) / elapsed));
  const rounds: number[] = [];
  for (let round = 0; round < ROUNDS; round++) rounds.push((await time(ask, calls)) / calls);
  rounds.sort((a, b) => a - b);
  return (rounds[Math.floor(ROUNDS / 2)] as number) * 1000;
}

async function time(ask: Ask, calls: number): Promise<number> {
  const start = performance.now();
  for (let call = 0; call < calls; call++) {
    const answer = ask();
    if (answer instanceof Promise) await answer;
  }
  return performance.now() - start;
}

/** Milliseconds to load 10,000 facts and answer the first question. */
async function loading(make: () => Oso): Promise<number> {
  const policy = factPolicy(10_000);
  const rounds: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const oso = make();
    const start = performance.now();
    await oso.loadStr(policy);
    await oso.isAllowed('user7', 'read', 'report7');
    rounds.push(performance.now() - start);
    oso.free();
  }
  return rounds.sort((a, b) => a - b)[Math.floor(ROUNDS / 2)] as number;
}

function print(cells: readonly string[]): void {
  const [first = '', ...rest] = cells;
  process.stdout.write(`${first.padEnd(24)}${rest.map(cell => cell.padStart(14)).join('')}\n`);
}

function show(microseconds: number | undefined): string {
  if (microseconds === undefined) return '-';
  return microseconds < 10 ? microseconds.toFixed(2) : microseconds.toFixed(microseconds < 100 ? 1 : 0);
}

const only = process.argv[2];
print(['µs for one decision', ...ENGINES, 'Oso / Compiled']);
const makers: readonly (() => Promise<Row>)[] = [
  constantFact,
  attributes,
  () => role(alice, true),
  () => role(bob, false),
  chain,
  ...[10, 100, 1000, 10_000].map(count => () => facts(count)),
  actions,
  promisedRoles,
];
for (const make of makers) {
  const { name, asks } = await make();
  if (only !== undefined && !name.includes(only)) continue;
  const figures: (number | undefined)[] = [];
  for (const each of ENGINES) {
    const ask = asks[each];
    figures.push(ask && (await measure(ask)));
  }
  const [oso = 0, compiled = 1] = figures;
  print([name, ...figures.map(show), `${(oso / compiled).toFixed(0)}×`]);
}
if (only === undefined) {
  const oso = await loading(() => new Oso());
  const compiled = await loading(() => new CompiledOso() as unknown as Oso);
  process.stdout.write(
    `\nLoading 10,000 facts: Oso ${oso.toFixed(0)} ms, CompiledOso ${compiled.toFixed(0)} ms (${(compiled / oso).toFixed(2)}×)\n`,
  );
}
