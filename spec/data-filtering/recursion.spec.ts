import { expect } from 'chai';
import { registerEntities } from 'koa-oso/kysely';
import { Kysely, SqliteDialect } from 'kysely';
import type { Oso } from 'oso';
import type { EntityAdapter } from '../../src/data-filtering/adapter.js';
import { CompiledOso } from '../../src/polar/index.js';
import { randomRun } from '../support/random-run.js';
import { forKysely, openSqlJs } from '../support/sql-js.js';
import type { ActorsEngine } from './support/agreement.js';
import { actorOf, stores, world } from './support/forest.js';
import type { Engine } from './support/store.js';
import {
  type Data,
  description,
  type EntityName,
  type Expense,
  keyOf,
  type Line,
  type Organization,
  USER_IDS,
  type User,
} from './support/world.js';

const { cases: CASES, seed: SEED } = randomRun('LISTS', 12, 200);

/** An organization is in another one, a user has a manager, a line comes after another one of its expense. */
const POLICIES = {
  roles: `
    allow(actor, action, resource) if has_permission(actor, action, resource);
    actor User {}
    resource Organization {
      permissions = ["read"];
      roles = ["owner", "member"];
      relations = { parent: Organization };
      "read" if "member";
      "member" if "owner";
      "member" if "member" on "parent";
      "owner" if "owner" on "parent";
    }
    resource Expense {
      permissions = ["read"];
      relations = { organization: Organization };
      "read" if "member" on "organization";
    }
    has_relation(parent: Organization, "parent", child: Organization) if child.parent = parent;
    has_relation(organization: Organization, "organization", expense: Expense) if
      organization = expense.organization;
    has_role(user: User, name: String, organization: Organization) if
      membership in user.memberships and membership.role = name and
      membership.organizationId = organization.id;
  `,
  rows: `
    allow(user: User, "read", organization: Organization) if reads(user, organization);
    allow(user: User, "read", expense: Expense) if reads(user, expense.organization) and expense.cents > 0;
    reads(user: User, organization: Organization) if
      membership in organization.members and membership.user = user;
    reads(user: User, organization: Organization) if
      organization.isPublic = true and reads(user, organization.parent) and organization.name != "a";
  `,
  managers: `
    allow(boss: User, "read", user: User) if oversees(boss, user);
    allow(boss: User, "read", expense: Expense) if oversees(boss, expense.owner);
    oversees(boss: User, user: User) if user.manager = boss;
    oversees(boss: User, user: User) if oversees(boss, user.manager);
  `,
  lines: `
    allow(_: User, "read", line: Line) if follows(line);
    follows(line: Line) if line.cents = 1;
    follows(line: Line) if line.cents != 0 and follows(line.previous);
  `,
} as const;

/** What the policies mean, said without Polar: whether one of the rows that a row leads to meets a condition. */
function reaches<Row>(
  row: Row | undefined,
  next: (row: Row) => Row | undefined,
  base: (row: Row) => boolean,
  step: (row: Row) => boolean = () => true,
): boolean {
  const seen = new Set<Row>();
  for (let at = row; at !== undefined && !seen.has(at); at = next(at)) {
    if (base(at)) return true;
    if (!step(at)) return false;
    seen.add(at);
  }
  return false;
}

type Meaning = Partial<Record<EntityName, (row: never) => boolean>>;

function meanings(data: Data, actor: User): Record<keyof typeof POLICIES, Meaning> {
  const organization = (id: string | null) =>
    data.Organization.find(each => each.id === id && each.deletedAt === null);
  const user = (id: string | null) => data.User.find(each => each.id === id);
  const isMember = (roles: readonly (string | null)[]) => (row: Organization) =>
    data.Membership.some(
      each => each.userId === actor.id && each.organizationId === row.id && roles.includes(each.role),
    );
  const parent = (row: Organization) => organization(row.parentId);
  const inherits = (row: Organization | undefined) => reaches(row, parent, isMember(['owner', 'member']));
  const reads = (row: Organization | undefined) =>
    reaches(
      row,
      parent,
      isMember(['owner', 'member', 'guest', null]),
      ({ isPublic, name }) => isPublic === true && name !== 'a',
    );
  const manager = (row: User) => user(row.managerId);
  const oversees = (row: User | undefined) => reaches(row, manager, each => each.managerId === actor.id);
  const previous = (row: Line) =>
    data.Line.find(each => each.expenseId === row.expenseId && each.number === row.previousNumber);
  return {
    roles: {
      Organization: inherits,
      Expense: (row: Expense) => inherits(organization(row.organizationId)),
    },
    rows: {
      Organization: reads,
      Expense: (row: Expense) => reads(organization(row.organizationId)) && row.cents > 0,
    },
    managers: { User: oversees, Expense: (row: Expense) => oversees(user(row.ownerId)) },
    lines: {
      Line: (row: Line) =>
        reaches(
          row,
          previous,
          each => each.cents === 1,
          each => each.cents !== 0,
        ),
    },
  };
}

/** Rules that call themselves for the resource, for what it belongs to, and for the actors, of whom none is known. */
const WHO = `
  allow(user: User, "read", line: Line) if follows(line) and isUnderAnn(user);
  allow(user: User, "read", expense: Expense) if isInA(expense.organization) and expense.owner = user;
  follows(line: Line) if line.cents = 1;
  follows(line: Line) if line.cents != 0 and follows(line.previous);
  isUnderAnn(user: User) if user.managerId = "ann";
  isUnderAnn(user: User) if isUnderAnn(user.manager);
  isInA(organization: Organization) if organization.name = "a";
  isInA(organization: Organization) if isInA(organization.parent);
`;

/** What {@link WHO} means. */
function whoMeans(data: Data) {
  const organization = (id: string | null) =>
    data.Organization.find(each => each.id === id && each.deletedAt === null);
  return {
    follows: (line: Line) =>
      reaches(
        line,
        row => data.Line.find(each => each.expenseId === row.expenseId && each.number === row.previousNumber),
        ({ cents }) => cents === 1,
        ({ cents }) => cents !== 0,
      ),
    isUnderAnn: (user: User) =>
      reaches(
        user,
        row => data.User.find(each => each.id === row.managerId),
        ({ managerId }) => managerId === 'ann',
      ),
    isInA: (expense: Expense) =>
      reaches(
        organization(expense.organizationId),
        row => organization(row.parentId),
        ({ name }) => name === 'a',
      ),
  };
}

const isThere = (row: object): boolean => (row as { deletedAt?: Date | null }).deletedAt == null;

async function listed(oso: Oso, actor: User, entity: EntityName): Promise<readonly string[]> {
  const rows = (await oso.authorizedResources(actor, 'read', description[entity].class as never)) as object[];
  return rows.map(row => keyOf(entity, row)).sort();
}

async function actorsOf(oso: Oso, row: object): Promise<readonly string[]> {
  const query = await (oso as unknown as ActorsEngine).authorizedActors(description.User.class, 'read', row);
  const { adapter } = oso.getHost() as unknown as { adapter: EntityAdapter<unknown, User> };
  return (await adapter.executeQuery(query)).map(({ id }) => id).sort();
}

for (const store of stores) {
  describe(`rules that call themselves, by ${store.name}`, () => {
    before(async function () {
      this.timeout(60_000);
      await store.open();
    });
    after(() => store.close());

    for (const [name, policy] of Object.entries(POLICIES) as [keyof typeof POLICIES, string][]) {
      it(`list what they hold of, also in circles, for ${CASES} random cases from seed ${SEED}: ${name}`, async function () {
        this.timeout(0);
        const oso = store.oso(CompiledOso as unknown as Engine);
        await oso.loadStr(policy);
        let [some, all] = [0, 0];
        for (let seed = SEED; seed < SEED + CASES; seed++) {
          const cycles = seed % 3 !== 0;
          const data = world(seed, cycles);
          await store.fill(data);
          const actor = actorOf(data, USER_IDS[seed % USER_IDS.length] as string);
          const meaning = meanings(data, actor)[name];
          for (const [entity, holds] of Object.entries(meaning) as [EntityName, (row: object) => boolean][]) {
            const rows = (data[entity] as readonly object[]).filter(isThere);
            const expected = rows.filter(row => holds(row)).map(row => keyOf(entity, row));
            store.statements();
            expect(await listed(oso, actor, entity), `${entity}, seed ${seed}`).to.deep.equal(
              expected.sort(),
            );
            const statements = store.statements();
            if (statements !== undefined) expect(statements).to.have.length(1);
            some += expected.length;
            all += rows.length;
            if (cycles || seed % 2 === 0) continue;
            const loaded = (await store.load())[entity] as readonly object[];
            const allowed: string[] = [];
            for (const row of loaded) {
              // Of nil, the hand-written rules ask nothing: their heads say which class they are for.
              if (await oso.isAllowed(actor, 'read', row)) allowed.push(keyOf(entity, row));
            }
            expect(allowed.sort(), `${entity}, seed ${seed}, isAllowed`).to.deep.equal(expected.sort());
          }
        }
        expect(some / all).to.be.within(0.05, 0.95);
      });
    }

    it(`find who may, for ${CASES} random cases from seed ${SEED}, in one statement`, async function () {
      this.timeout(0);
      const oso = store.oso(CompiledOso as unknown as Engine);
      await oso.loadStr(WHO);
      let [some, all] = [0, 0];
      for (let seed = SEED; seed < SEED + CASES; seed++) {
        const data = world(seed, seed % 3 !== 0);
        await store.fill(data);
        const { follows, isUnderAnn, isInA } = whoMeans(data);
        for (const [entity, may] of [
          ['Line', (user: User, line: Line) => follows(line) && isUnderAnn(user)],
          ['Expense', (user: User, expense: Expense) => isInA(expense) && expense.ownerId === user.id],
        ] as [EntityName, (user: User, row: object) => boolean][]) {
          for (const row of (data[entity] as readonly object[]).slice(seed % 3, (seed % 3) + 2)) {
            const expected = data.User.filter(user => may(user, row)).map(({ id }) => id);
            store.statements();
            const found = await actorsOf(oso, row);
            const statements = store.statements();
            expect(found, `${entity} ${keyOf(entity, row)}, seed ${seed}`).to.deep.equal(expected.sort());
            if (statements !== undefined) expect(statements).to.have.length(1);
            some += expected.length;
            all += data.User.length;
          }
        }
      }
      expect(some / all).to.be.within(0.05, 0.95);
    });
  });
}

describe('a rule that calls itself, of a table with a short name', () => {
  it('lists its rows', async () => {
    class Folder {}
    const database = await openSqlJs();
    database.run(`
      create table r1 (id integer primary key, lead text not null, parent_id integer references r1);
      insert into r1 values (1, 'ann', null), (2, 'bob', 1), (3, 'cid', null);
    `);
    const db = new Kysely<{ r1: { id: number; lead: string; parent_id: number | null } }>({
      dialect: new SqliteDialect({ database: forKysely(database) }),
    });
    const oso = new CompiledOso();
    registerEntities(oso, db, {
      Folder: {
        class: Folder,
        table: 'r1',
        fields: {
          id: 'integer',
          lead: 'text',
          parentId: { type: 'integer', column: 'parent_id', nullable: true },
        },
        relations: { parent: { one: 'Folder', on: { parentId: 'id' }, foreignKey: true } },
      },
    });
    await oso.loadStr(`
      allow(name: String, "read", folder: Folder) if leads(name, folder);
      leads(name: String, folder: Folder) if folder.lead = name;
      leads(name: String, folder: Folder) if leads(name, folder.parent);
    `);
    const rows = (await oso.authorizedResources('ann', 'read', Folder)) as { id: number }[];
    expect(rows.map(({ id }) => id)).to.deep.equal([1, 2]);
    await db.destroy();
  });
});
