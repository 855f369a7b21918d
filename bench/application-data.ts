// An application like GitClub, Oso's own sample: organizations with repositories with issues, and roles in each.
import 'reflect-metadata';
import { CompiledOso } from 'koa-oso/polar';
import { registerEntities } from 'koa-oso/typeorm';
import {
  Column,
  DataSource,
  type DataSourceOptions,
  Entity,
  Index,
  ManyToOne,
  OneToMany,
  PrimaryColumn,
  type Relation,
} from 'typeorm';

@Entity()
export class Organization {
  @PrimaryColumn('integer')
  id!: number;

  @Column('varchar')
  name!: string;
}

@Entity()
@Index(['organizationId'])
export class Repository {
  @PrimaryColumn('integer')
  id!: number;

  @Column('varchar')
  name!: string;

  @Column('integer')
  organizationId!: number;

  @ManyToOne(() => Organization)
  organization!: Relation<Organization>;
}

@Entity()
@Index(['repositoryId', 'id'])
@Index(['creatorId', 'id'])
export class Issue {
  @PrimaryColumn('integer')
  id!: number;

  @Column('varchar')
  title!: string;

  @Column('boolean')
  closed!: boolean;

  @Column('integer')
  repositoryId!: number;

  @ManyToOne(() => Repository)
  repository!: Relation<Repository>;

  @Column('integer')
  creatorId!: number;

  @ManyToOne(() => User)
  creator!: Relation<User>;
}

@Entity()
export class User {
  @PrimaryColumn('integer')
  id!: number;

  @Column('varchar')
  email!: string;

  @OneToMany(
    () => OrganizationRole,
    role => role.user,
  )
  organizationRoles!: Relation<OrganizationRole[]>;

  @OneToMany(
    () => RepositoryRole,
    role => role.user,
  )
  repositoryRoles!: Relation<RepositoryRole[]>;
}

@Entity()
@Index(['organizationId'])
export class OrganizationRole {
  @PrimaryColumn('integer')
  userId!: number;

  @PrimaryColumn('integer')
  organizationId!: number;

  @Column('varchar')
  name!: string;

  @ManyToOne(
    () => User,
    user => user.organizationRoles,
  )
  user!: Relation<User>;

  @ManyToOne(() => Organization)
  organization!: Relation<Organization>;
}

@Entity()
@Index(['repositoryId'])
export class RepositoryRole {
  @PrimaryColumn('integer')
  userId!: number;

  @PrimaryColumn('integer')
  repositoryId!: number;

  @Column('varchar')
  name!: string;

  @ManyToOne(
    () => User,
    user => user.repositoryRoles,
  )
  user!: Relation<User>;

  @ManyToOne(() => Repository)
  repository!: Relation<Repository>;
}

export const ENTITIES = [Organization, Repository, Issue, User, OrganizationRole, RepositoryRole];

/** Roles in an organization are roles in its repositories, and roles in a repository permit what is done to its issues. */
export const POLICY = `
  allow(user: User, action, resource) if has_permission(user, action, resource);

  actor User {}

  resource Organization {
    permissions = ["read", "create_repository"];
    roles = ["owner", "member"];

    "read" if "member";
    "create_repository" if "owner";
    "member" if "owner";
  }

  resource Repository {
    permissions = ["read", "create_issue", "manage"];
    roles = ["admin", "maintainer", "reader"];
    relations = { parent: Organization };

    "read" if "reader";
    "create_issue" if "reader";
    "manage" if "admin";

    "reader" if "maintainer";
    "maintainer" if "admin";
    "admin" if "owner" on "parent";
    "reader" if "member" on "parent";
  }

  resource Issue {
    permissions = ["read", "comment", "close", "assign", "delete"];
    roles = ["creator"];
    relations = { parent: Repository };

    "read" if "reader" on "parent";
    "read" if "creator";
    "comment" if "reader" on "parent";
    "close" if "creator";
    "close" if "maintainer" on "parent";
    "assign" if "maintainer" on "parent";
    "delete" if "admin" on "parent";
  }

  has_role(user: User, name: String, organization: Organization) if
    role in user.organizationRoles and
    role.name = name and
    role.organization = organization;

  has_role(user: User, name: String, repository: Repository) if
    role in user.repositoryRoles and
    role matches { name: name, repository: repository };

  has_role(user: User, "creator", issue: Issue) if
    issue.creator = user;

  has_relation(organization: Organization, "parent", repository: Repository) if
    repository.organization = organization;

  has_relation(repository: Repository, "parent", issue: Issue) if
    issue.repository = repository;

  allow_field(user: User, "read", issue: Issue, field) if
    field in ["id", "title", "closed"] and
    has_permission(user, "read", issue);

  allow_field(user: User, "read", issue: Issue, "creatorId") if
    has_permission(user, "assign", issue);
`;

/** How many rows the application has. */
export interface Size {
  organizations: number;
  repositories: number;
  issues: number;
  users: number;
}

/** The last three users have these many roles, half of them in organizations, half of them in repositories. */
export const ROLES = [4, 40, 400] as const;

/** The user who has these many roles. */
export function idOfUserWith(roles: (typeof ROLES)[number], { users }: Size): number {
  return users - ROLES.length + 1 + ROLES.indexOf(roles);
}

/** Opens a database for the application, which `fill` fills: a schema of its own on PostgreSQL, or SQLite in memory. */
export async function openApplication(url: string | undefined, schema: string): Promise<DataSource> {
  const connection: DataSourceOptions = url ? { type: 'postgres', url, schema } : { type: 'sqljs' };
  return new DataSource({ ...connection, entities: ENTITIES }).initialize();
}

/** Whether the tables have as many rows as `fill` would give them. */
export async function isFilled(database: DataSource, size: Size): Promise<boolean> {
  try {
    const counts = [Organization, Repository, Issue, User].map(entity =>
      database.getRepository(entity).count(),
    );
    const { organizations, repositories, issues, users } = size;
    return (await Promise.all(counts)).join() === [organizations, repositories, issues, users].join();
  } catch {
    return false;
  }
}

/** Begins anew with rows that are spread over users, repositories and organizations as hashes are. */
export async function fill(database: DataSource, size: Size): Promise<void> {
  const { options } = database;
  if (options.type === 'postgres') await database.query(`CREATE SCHEMA IF NOT EXISTS ${options.schema}`);
  await database.synchronize(true);
  const { organizations, repositories, issues, users } = size;
  await insert(database, Organization, organizations, `n, 'organization ' || n`);
  await insert(
    database,
    Repository,
    repositories,
    `n, 'repository ' || n, 1 + n % ${organizations}`,
    'id, name, "organizationId"',
  );
  await insert(database, User, users, `n, 'user' || n || '@example.com'`);
  await insert(
    database,
    Issue,
    issues,
    `n, 'issue ' || n, ${spread(1)} % 3 = 0, 1 + ${spread(2)} % ${repositories}, 1 + ${spread(3)} % ${users}`,
    'id, title, closed, "repositoryId", "creatorId"',
  );
  for (const [entity, column, of, names] of [
    [OrganizationRole, '"organizationId"', organizations, ['owner', 'member', 'member']],
    [RepositoryRole, '"repositoryId"', repositories, ['admin', 'maintainer', 'reader', 'reader']],
  ] as const) {
    const columns = `"userId", ${column}, name`;
    const name = `CASE n % ${names.length} ${names.map((each, at) => `WHEN ${at} THEN '${each}'`).join(' ')} END`;
    const ordinary = users - ROLES.length;
    await insert(database, entity, ordinary, `n, 1 + ${spread(4)} % ${of}, ${name}`, columns);
    for (const roles of ROLES) {
      const user = idOfUserWith(roles, size);
      // Each in another one: the step has no divisor in common with the number of them.
      const one = `1 + (n * 7 + ${roles}) % ${of}`;
      await insert(database, entity, Math.min(roles / 2, of), `${user}, ${one}, ${name}`, columns);
    }
  }
  for (const entity of ENTITIES) await database.query(`ANALYZE ${tableOf(database, entity)}`);
}

/** A number that looks random, of a row. */
function spread(seed: number): string {
  return `((n * 7919 + ${seed * 104729}) % 1000003 * 48271 % 999983)`;
}

function tableOf(database: DataSource, entity: new () => object): string {
  const { tablePath } = database.getMetadata(entity);
  return tablePath
    .split('.')
    .map(name => `"${name}"`)
    .join('.');
}

async function insert(
  database: DataSource,
  entity: new () => object,
  rows: number,
  values: string,
  columns = database
    .getMetadata(entity)
    .columns.map(({ databaseName }) => `"${databaseName}"`)
    .join(', '),
): Promise<void> {
  const table = tableOf(database, entity);
  await database.query(
    `WITH RECURSIVE numbers (n) AS (SELECT CAST(1 AS bigint) UNION ALL SELECT n + 1 FROM numbers WHERE n < ${rows})
     INSERT INTO ${table} (${columns}) SELECT ${values} FROM numbers`,
  );
}

export async function loadedOso(database: DataSource): Promise<CompiledOso> {
  const oso = new CompiledOso();
  registerEntities(oso, database);
  await oso.loadStr(POLICY);
  return oso;
}

/** A user as it is found by its id, or with the roles that the policy reads. */
export function userOf(database: DataSource, id: number, withRoles = false): Promise<User> {
  const relations = withRoles ? { organizationRoles: true, repositoryRoles: true } : {};
  return database
    .getRepository(User)
    .findOneOrFail({ where: { id }, relations, relationLoadStrategy: 'query' });
}

/** What is loaded of a row for one question is not there for the next. */
export function copyOf<Row extends object>(row: Row): Row {
  return Object.assign(Object.create(Object.getPrototypeOf(row)), row);
}

/** The statements that the database is sent while something is done. */
export async function statementsOf(database: DataSource, action: () => Promise<unknown>): Promise<string[]> {
  const statements: string[] = [];
  const { logger } = database;
  database.logger = Object.create(logger, {
    logQuery: { value: (statement: string) => statements.push(statement) },
  });
  try {
    await action();
  } finally {
    database.logger = logger;
  }
  return statements;
}
