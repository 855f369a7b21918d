import { expect } from 'chai';
import { registerEntities as registerArrays, type SchemaDescription } from 'koa-oso/array';
import { registerEntities } from 'koa-oso/kysely';
import { CompiledOso } from 'koa-oso/polar';
import { Kysely, PostgresDialect, SqliteDialect } from 'kysely';

class User {
  orgRoles: OrgRole[] = [];
  repoRoles: RepoRole[] = [];
  constructor(readonly id: number) {}
}
class Org {
  constructor(readonly id: number) {}
}
class Repo {
  constructor(
    readonly id: number,
    readonly orgId: number | null,
  ) {}
}
class Issue {
  constructor(
    readonly id: number,
    readonly repoId: number | null,
    readonly kind: string,
  ) {}
}
class OrgRole {
  constructor(
    readonly orgId: number,
    readonly role: string,
  ) {}
}
class RepoRole {
  constructor(
    readonly repoId: number,
    readonly role: string,
  ) {}
}
const id = { type: 'integer', nullable: false } as const;
/** A foreign key may be null, as TypeORM has it by default. */
const description: SchemaDescription = {
  User: { class: User, table: 'users', fields: { id } },
  Org: { class: Org, table: 'orgs', fields: { id } },
  Repo: {
    class: Repo,
    table: 'repos',
    fields: { id, orgId: 'integer' },
    relations: { org: { one: 'Org', on: { orgId: 'id' }, foreignKey: true } },
  },
  Issue: {
    class: Issue,
    table: 'issues',
    fields: { id, repoId: 'integer', kind: 'text' },
    relations: { repo: { one: 'Repo', on: { repoId: 'id' }, foreignKey: true } },
  },
};

const POLICY = `
  allow(actor, action, resource) if has_permission(actor, action, resource);
  actor User {}
  resource Org {
    permissions = ["read"];
    roles = ["owner", "member"];
    "read" if "member";
    "member" if "owner";
  }
  resource Repo {
    permissions = ["read"];
    roles = ["admin", "writer", "reader"];
    relations = { parent: Org };
    "read" if "reader";
    "reader" if "writer";
    "writer" if "admin";
    "admin" if "owner" on "parent";
    "reader" if "member" on "parent";
  }
  resource Issue {
    permissions = ["read"];
    relations = { parent: Repo };
    "read" if "reader" on "parent";
  }
  has_relation(org: Org, "parent", repo: Repo) if repo.org = org;
  has_relation(repo: Repo, "parent", issue: Issue) if issue.repo = repo;
  has_role(user: User, name: String, org: Org) if
    role in user.orgRoles and role.role = name and role.orgId = org.id;
  has_role(user: User, name: String, repo: Repo) if
    role in user.repoRoles and role.role = name and role.repoId = repo.id;
  has_permission(user: User, "list", issue: Issue) if
    not (role in user.repoRoles and issue.repo.id = role.repoId);
`;

/** A user who has as many roles of each class. */
function userWith(roles: number): User {
  const user = new User(1);
  for (let at = 1; at <= roles; at++) {
    user.orgRoles.push(new OrgRole(at, ['owner', 'member'][at % 2] as string));
    user.repoRoles.push(new RepoRole(3 * at, ['admin', 'writer', 'reader'][at % 3] as string));
  }
  return user;
}

/** Compiles, and runs nothing. */
const databases = {
  PostgreSQL: new Kysely<unknown>({ dialect: new PostgresDialect({ pool: {} as never }) }),
  SQLite: new Kysely<unknown>({ dialect: new SqliteDialect({ database: {} as never }) }),
};

async function compiled(
  database: Kysely<unknown>,
  user: User,
  action: string,
  resource: new (...args: never[]) => object,
): Promise<{ sql: string; parameters: readonly unknown[] }> {
  const oso = new CompiledOso();
  registerEntities(oso, database, description as never);
  await oso.loadStr(POLICY);
  const query = await oso.authorizedQuery(user, action, resource as never);
  return (query as { compile(): { sql: string; parameters: readonly unknown[] } }).compile();
}

const rowsOf = (sql: string): string => sql.replace(/\(select value from json_each\(\?\)\)/g, '(…)');

describe('the roles of an actor', () => {
  for (const [name, database] of Object.entries(databases)) {
    for (const [action, resource] of [
      ['read', Org],
      ['read', Repo],
      ['read', Issue],
      ['list', Issue],
    ] as const) {
      it(`are bound values, and the same text however many, on ${name}: ${action} ${resource.name}`, async () => {
        const few = await compiled(database, userWith(4), action, resource);
        const many = await compiled(database, userWith(400), action, resource);
        expect(many.sql).to.equal(few.sql);
        expect(many.parameters).to.have.length(few.parameters.length);
        expect(few.sql.length).to.be.below(500);
      });
    }

    it(`are asked for in one look at the related row, on ${name}`, async () => {
      const { sql } = await compiled(database, userWith(4), 'read', Issue);
      const among = name === 'SQLite' ? () => 'in (…)' : (at: number) => `= any($${at})`;
      const ofOrgs =
        name === 'SQLite'
          ? 'exists (select 1 as "found" from "repos" as "t1" where "t1"."id" = "t0"."repoId" and "t1"."orgId" in (…))'
          : '"t0"."repoId" = any(array(select "t1"."id" as "found" from "repos" as "t1" where "t1"."orgId" = any($2)))';
      expect(rowsOf(sql)).to.equal(
        'select "issues".* from (select "t0".* from "issues" as "t0" where (' +
          `"t0"."repoId" ${among(1)} or ${ofOrgs})) as "issues"`,
      );
    });
  }

  it('are sent as one text', async () => {
    const user = userWith(4);
    const [postgres, sqlite] = await Promise.all(
      Object.values(databases).map(database => compiled(database, user, 'read', Repo)),
    );
    expect(postgres?.parameters).to.deep.equal(['{6,3,12,9}', '{2,4,1,3}']);
    expect(sqlite?.parameters).to.deep.equal(['[6,3,12,9]', '[2,4,1,3]']);
  });

  it('allow what isAllowed allows', async () => {
    const orgs = [1, 2, 9].map(each => new Org(each));
    const repos = [1, 2, 9, null].map((orgId, at) => Object.assign(new Repo(at, orgId), { org: orgs[at] }));
    const issues = [0, 1, 2, 3, null].map((repoId, at) =>
      Object.assign(new Issue(at, repoId, 'bug'), { repo: repos[at] ?? null }),
    );
    const oso = new CompiledOso();
    registerArrays(oso, { User: [], Org: orgs, Repo: repos, Issue: issues }, description);
    await oso.loadStr(POLICY);
    const user = userWith(4);
    for (const [action, all] of [
      ['read', repos],
      ['read', issues],
      ['list', issues],
    ] as const) {
      const expected: object[] = [];
      for (const row of all) if (await oso.isAllowed(user, action, row)) expected.push(row);
      const [{ constructor: resource }] = all as unknown as [{ constructor: never }];
      expect(await oso.authorizedResources(user, action, resource)).to.deep.equal(expected);
      expect(expected.length).to.be.within(1, all.length - 1);
    }
  });
});
