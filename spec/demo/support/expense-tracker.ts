import { expect } from 'chai';
import type Koa from 'koa';
import type { KoaOso } from 'koa-oso';
import { CompiledOso } from 'koa-oso/polar';
import { entityEquality } from 'koa-oso/typeorm';
import { Oso } from 'oso';
import supertest from 'supertest';
import { createApp } from '../../../demo/app.js';
import { expenseOso } from '../../../demo/authorization.js';
import { database, openDatabase } from '../../../demo/database.js';
import { Credential } from '../../../demo/entities/credential.js';
import { Expense, type ExpenseStatus } from '../../../demo/entities/expense.js';
import { Membership, type MembershipRole } from '../../../demo/entities/membership.js';
import { Organization } from '../../../demo/entities/organization.js';
import { User } from '../../../demo/entities/user.js';
import { hashPassword } from '../../../demo/passwords.js';
import { people } from '../../../demo/seed.js';

type Agent = ReturnType<typeof supertest.agent>;

interface GivenExpense {
  owner: string;
  organization?: string;
  description?: string;
  amountInCents?: number;
  status?: ExpenseStatus;
  decidedBy?: string;
}

interface GivenUser {
  name: string;
  memberOf?: Record<string, MembershipRole>;
  approvalLimitInCents?: number;
}

type Engine = new (options: ConstructorParameters<typeof Oso>[0]) => Oso;

/** What the expense tracker is promised to run on. */
export const ENGINES: readonly Engine[] = [Oso, CompiledOso];

/** An Oso as the expense tracker makes its own. */
export function engineOf(Engine: Engine): Oso {
  return new Engine({ equalityFn: entityEquality(database) });
}

/** A describe block for each engine, with an expense tracker of its own in which that engine decides. */
export function describeTracker(title: string, define: (tracker: ExpenseTracker) => void): void {
  for (const Engine of ENGINES) {
    describe(`${title}, decided by ${Engine.name}`, () => define(expenseTracker(Engine)));
  }
}

type ExpenseTracker = ReturnType<typeof expenseTracker>;

/** The expense tracker with its seeds, for the describe block that calls this; driven over HTTP. */
function expenseTracker(Engine: Engine) {
  const agents = new Map<string, Promise<Agent>>();
  const passwords = new Map(people.map(({ name, email, password }) => [name, { email, password }]));
  const engines: Oso[] = [];
  const authorizers: KoaOso[] = [];
  let app: Koa;

  before(async () => {
    await openDatabase();
    app = await start();
  });
  after(() => database.destroy());
  after('all was decided without falling back', () => {
    for (const oso of engines) if (oso instanceof CompiledOso) expect(oso.fallbacks).to.deep.equal([]);
  });

  /** The app as another start makes it, on the same database. */
  async function start(): Promise<Koa> {
    const oso = engineOf(Engine);
    engines.push(oso);
    const koaOso = await expenseOso(oso);
    authorizers.push(koaOso);
    return createApp(koaOso);
  }

  /** What decides for those who come by HTTP. */
  function engine(): Oso {
    return engines[0] as Oso;
  }

  /** What checks those who come by HTTP. */
  function koaOso(): KoaOso {
    return authorizers[0] as KoaOso;
  }

  /** Somebody who has not logged in. */
  function visitor(): Agent {
    return supertest.agent(app.callback());
  }

  async function logIn(name: string): Promise<Agent> {
    const agent = visitor();
    await agent.post('/session').send(passwords.get(name)).expect(200);
    return agent;
  }

  /** Somebody who has logged in, by name. */
  function as(name: string): Promise<Agent> {
    const agent = agents.get(name) ?? logIn(name);
    agents.set(name, agent);
    return agent;
  }

  /** Adds an expense, and gives its id. */
  async function givenExpense({ owner, organization = 'Acme', decidedBy, ...given }: GivenExpense) {
    const { id } = await database.manager.save(Expense, {
      description: 'Tickets',
      amountInCents: 10_00,
      status: 'submitted',
      ...given,
      owner: await userNamed(owner),
      organization: await organizationNamed(organization),
      decidedBy: decidedBy === undefined ? null : await userNamed(decidedBy),
    });
    return id;
  }

  /** Adds a user who can log in. */
  async function givenUser({ name, memberOf = {}, approvalLimitInCents = 0 }: GivenUser): Promise<User> {
    const login = { email: `${name.toLowerCase()}@example.com`, password: `password of ${name}` };
    passwords.set(name, login);
    const user = await database.manager.save(User, { name, email: login.email, approvalLimitInCents });
    const passwordHash = await hashPassword(login.password);
    await database.manager.insert(Credential, { userId: user.id, passwordHash });
    for (const [organization, role] of Object.entries(memberOf)) {
      const { id: organizationId } = await organizationNamed(organization);
      await database.manager.insert(Membership, { userId: user.id, organizationId, role });
    }
    return user;
  }

  return { start, engine, koaOso, visitor, as, givenExpense, givenUser };
}

export function userNamed(name: string): Promise<User> {
  return database.manager.findOneByOrFail(User, { name });
}

export function organizationNamed(name: string): Promise<Organization> {
  return database.manager.findOneByOrFail(Organization, { name });
}

/** What the database holds of an expense. */
export async function expenseRow(id: number): Promise<Pick<Expense, 'status' | 'decidedById'>> {
  const { status, decidedById } = await database.manager.findOneByOrFail(Expense, { id });
  return { status, decidedById };
}

export function expectError(response: supertest.Response, status: number, message: string): void {
  expect(response.body).to.deep.equal({ error: { status, message } });
  expect(response.status).to.equal(status);
  expect(response.headers['content-type']).to.equal('application/json; charset=utf-8');
}
