// What an expert writes in place of the policy of the application: each decision and each list by a query for it alone.
import { Brackets, type DataSource, In, type SelectQueryBuilder } from 'typeorm';
import { Issue, OrganizationRole, Repository, RepositoryRole, type User } from './application-data.js';

const OF_REPOSITORY = {
  admin: ['admin', 'maintainer', 'reader'],
  maintainer: ['maintainer', 'reader'],
  reader: ['reader'],
};
const OF_ORGANIZATION = { owner: OF_REPOSITORY.admin, member: OF_REPOSITORY.reader };
const ACTIONS = {
  admin: ['delete'],
  maintainer: ['close', 'assign'],
  reader: ['read', 'comment'],
  creator: ['read', 'close'],
};
const FIELDS = ['id', 'title', 'closed'];

type RoleName = keyof typeof OF_REPOSITORY | keyof typeof OF_ORGANIZATION;

/** The roles in a repository that come of one in it, or in its organization. */
function rolesBy(name: string): string[] {
  return { ...OF_REPOSITORY, ...OF_ORGANIZATION }[name as RoleName] ?? [];
}

function actionsOf(user: User, issue: Issue, held: readonly { name: string }[]): Set<string> {
  const roles = held.flatMap(({ name }) => rolesBy(name));
  if (issue.creatorId === user.id) roles.push('creator');
  return new Set(roles.flatMap(role => ACTIONS[role as keyof typeof ACTIONS]));
}

function fieldsOf(actions: ReadonlySet<string>): Set<string> {
  return new Set([...(actions.has('read') ? FIELDS : []), ...(actions.has('assign') ? ['creatorId'] : [])]);
}

/** Whether the user may close an issue of which nothing else is loaded, nor of the user. */
export async function mayClose(database: DataSource, user: User, issue: Issue): Promise<boolean> {
  const repository = await database.getRepository(Repository).findOneByOrFail({ id: issue.repositoryId });
  const held = [
    ...(await database
      .getRepository(RepositoryRole)
      .findBy({ userId: user.id, repositoryId: repository.id })),
    ...(await database
      .getRepository(OrganizationRole)
      .findBy({ userId: user.id, organizationId: repository.organizationId })),
  ];
  return actionsOf(user, issue, held).has('close');
}

export interface Allowed {
  actions: Set<string>;
  fields: Set<string>;
}

/** What the user may do to each issue, and which of its fields they may read; the roles of the user are loaded. */
export async function allowed(
  database: DataSource,
  user: User,
  issues: readonly Issue[],
): Promise<Allowed[]> {
  const ids = [...new Set(issues.map(({ repositoryId }) => repositoryId))];
  const repositories = await database.getRepository(Repository).findBy({ id: In(ids) });
  const organizationOf = new Map(repositories.map(({ id, organizationId }) => [id, organizationId]));
  const inOrganization = new Map(user.organizationRoles.map(role => [role.organizationId, role]));
  const inRepository = new Map(user.repositoryRoles.map(role => [role.repositoryId, role]));
  return issues.map(issue => {
    const organizationId = organizationOf.get(issue.repositoryId) as number;
    const held = [inOrganization.get(organizationId), inRepository.get(issue.repositoryId)];
    const actions = actionsOf(
      user,
      issue,
      held.filter(role => role !== undefined),
    );
    return { actions, fields: fieldsOf(actions) };
  });
}

/** The roles that the user holds which bring another one, by what they are held in. */
function heldIn(user: User, role: string): { organizations: number[]; repositories: number[] } {
  const brings = ({ name }: { name: string }) => rolesBy(name).includes(role);
  return {
    organizations: user.organizationRoles.filter(brings).map(({ organizationId }) => organizationId),
    repositories: user.repositoryRoles.filter(brings).map(({ repositoryId }) => repositoryId),
  };
}

/**
 * The issues that the user may read, or close. Of a join, of `IN` and of `EXISTS` PostgreSQL reads all issues; of an array it
 * looks up those of a few repositories by the index.
 */
export function issues(
  database: DataSource,
  user: User,
  action: 'read' | 'close',
): SelectQueryBuilder<Issue> {
  const held = heldIn(user, action === 'read' ? 'reader' : 'maintainer');
  const ofOrganizations = database
    .getRepository(Repository)
    .createQueryBuilder('repository')
    .select('repository.id')
    .where('repository.organizationId = ANY(:organizations)');
  return database
    .getRepository(Issue)
    .createQueryBuilder('Issue')
    .where(
      new Brackets(where =>
        where
          .where('Issue.creatorId = :user', { user: user.id })
          .orWhere('Issue.repositoryId = ANY(:repositories)', held)
          .orWhere(`Issue.repositoryId = ANY(ARRAY(${ofOrganizations.getQuery()}))`, held),
      ),
    );
}

/** The repositories that the user may read. */
export function repositories(database: DataSource, user: User): SelectQueryBuilder<Repository> {
  const held = heldIn(user, 'reader');
  return database
    .getRepository(Repository)
    .createQueryBuilder('Repository')
    .where(
      new Brackets(where =>
        where
          .where('Repository.id = ANY(:repositories)', held)
          .orWhere('Repository.organizationId = ANY(:organizations)', held),
      ),
    );
}
