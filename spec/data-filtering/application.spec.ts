import { expect } from 'chai';
import { KoaOso } from 'koa-oso';
import type { CompiledOso } from 'koa-oso/polar';
import type { DataSource, ObjectLiteral, SelectQueryBuilder } from 'typeorm';
import {
  copyOf,
  fill,
  Issue,
  idOfUserWith,
  loadedOso,
  openApplication,
  Repository,
  ROLES,
  type Size,
  statementsOf,
  type User,
  userOf,
} from '../../bench/application-data.js';

const SIZE: Size = { organizations: 211, repositories: 300, issues: 400, users: 20 };

// What npm run bench:application measures, on few rows: how often the database is asked.
describe('an application like GitClub', () => {
  let database: DataSource;
  let oso: CompiledOso;
  let issue: Issue;

  before(async function () {
    this.timeout(60_000);
    database = await openApplication(process.env.DATABASE_URL, 'koa_oso_spec_application');
    await fill(database, SIZE);
    oso = await loadedOso(database);
    issue = await database.getRepository(Issue).findOneByOrFail({ id: SIZE.issues });
  });
  after(() => database.destroy());

  /** A user with these many roles, of whom they are loaded or nothing is. */
  const userWith = (roles: (typeof ROLES)[number], { loaded }: { loaded: boolean }): Promise<User> =>
    userOf(database, idOfUserWith(roles, SIZE), loaded);

  async function listed<Row extends ObjectLiteral>(
    user: User,
    action: string,
    entity: new () => Row,
  ): Promise<SelectQueryBuilder<Row>> {
    return (await oso.authorizedQuery(user, action, entity)) as SelectQueryBuilder<Row>;
  }

  describe('a decision', () => {
    it('loads the repository and the roles, each once, whatever the number of roles', async () => {
      for (const roles of ROLES) {
        const user = await userWith(roles, { loaded: false });
        const statements = await statementsOf(database, () =>
          oso.isAllowed(copyOf(user), 'close', copyOf(issue)),
        );
        const tables = statements.map(statement => /FROM (?:"\w+"\.)?"(\w+)" /.exec(statement)?.[1]);
        const read = ['repository', 'repository_role', 'organization_role'];
        expect(read).to.include.members(tables);
        expect(tables).to.have.length(new Set(tables).size);
        // Whoever has many roles is found to be a maintainer before all is read.
        if (roles === 4) expect(tables).to.have.length(read.length);
      }
    });

    it('loads only the repository if the roles are there', async () => {
      const user = await userWith(40, { loaded: true });
      const statements = await statementsOf(database, () => oso.isAllowed(user, 'close', copyOf(issue)));
      expect(statements).to.have.length(1);
    });

    it('leaves on the rows nothing of what it loads', async () => {
      const user = await userWith(4, { loaded: false });
      const [asked, about] = [copyOf(user), copyOf(issue)];
      await oso.isAllowed(asked, 'close', about);
      expect([asked, about]).to.deep.equal([user, issue]);
    });
  });

  describe('a page of 49 issues', () => {
    const page = (): Promise<Issue[]> =>
      database.getRepository(Issue).find({ order: { id: 'DESC' }, take: 49 });

    for (const { loaded, statements } of [
      { loaded: true, statements: 1 },
      { loaded: false, statements: 3 },
    ]) {
      it(`takes ${statements} to tell what is allowed on each, if the roles are ${loaded ? '' : 'not '}loaded`, async () => {
        for (const roles of ROLES) {
          const koaOso = new KoaOso({ oso }).for(await userWith(roles, { loaded }));
          const issues = await page();
          const actions = ['read', 'close', 'delete'];
          const found: unknown[] = [];
          const sent = await statementsOf(database, async () =>
            found.push(await koaOso.allowed(issues, { actions })),
          );
          expect(sent).to.have.length(statements);
          if (roles === 400) continue;
          const expected = await Promise.all(
            issues.map(async issue => [
              issue,
              await Promise.all(actions.map(action => koaOso.isAllowed(issue, { action }))),
            ]),
          );
          const [allowed] = found as [ReadonlyMap<Issue, ReadonlySet<string>>];
          expect(
            issues.map(issue => [issue, actions.map(action => allowed.get(issue)?.has(action))]),
          ).to.deep.equal(expected);
        }
      });
    }
  });

  describe('a list', () => {
    for (const entity of [Issue, Repository]) {
      it(`of each ${entity.name} takes one statement, and one to count`, async () => {
        for (const roles of ROLES) {
          const user = await userWith(roles, { loaded: true });
          const query = () => listed<Issue | Repository>(user, 'read', entity);
          for (const ask of ['getMany', 'getCount'] as const) {
            const statements = await statementsOf(database, async () => (await query())[ask]());
            expect(statements).to.have.length(1);
          }
        }
      });

      it(`has each ${entity.name} that a single decision allows`, async () => {
        for (const roles of [4, 40] as const) {
          const user = await userWith(roles, { loaded: true });
          const relations = entity === Issue ? { repository: true } : {};
          const all = await database.getRepository<Issue | Repository>(entity).find({ relations });
          const expected: number[] = [];
          for (const row of all) if (await oso.isAllowed(user, 'read', row)) expected.push(row.id);
          const rows = await (await listed<Issue | Repository>(user, 'read', entity)).getMany();
          expect(rows.map(({ id }) => id)).to.have.members(expected);
          expect(expected.length).to.be.within(1, all.length - 1);
        }
      });
    }

    it('loads the roles of an actor without them, each kind once', async () => {
      const user = await userWith(400, { loaded: false });
      const statements = await statementsOf(database, async () =>
        (await listed(user, 'read', Issue)).getMany(),
      );
      expect(statements).to.have.length(3);
    });
  });
});
