import { HttpError } from 'routing-controllers';
import { database } from './database.js';
import type { Organization } from './entities/organization.js';
import { Team } from './entities/team.js';

/** The team of an organization by its id; 422 where there is none, or it is of another organization. */
export async function teamIn(organization: Organization, id: number): Promise<Team> {
  const team = await database.getRepository(Team).findOneBy({ id, organizationId: organization.id });
  if (team === null) throw new HttpError(422, 'The organization has no such team');
  return team;
}
