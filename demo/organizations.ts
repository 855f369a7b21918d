import type { Context } from 'koa';
import { database } from './database.js';
import { Organization } from './entities/organization.js';

export const organizations = database.getRepository(Organization);

/** The organization that the path names by its id. */
export async function organizationOf(ctx: Context): Promise<Organization | null> {
  const id = idIn(ctx);
  return id === null ? null : organizations.findOneBy({ id });
}

/** The id in the path; `null` for what can be none, so that the database is not asked for nonsense. */
export function idIn(ctx: Context): number | null {
  const { id } = ctx.params as { id: string };
  return /^\d{1,9}$/.test(id) ? Number(id) : null;
}
