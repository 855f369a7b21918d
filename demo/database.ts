import { DataSource, type DataSourceOptions } from 'typeorm';
import { Credential } from './entities/credential.js';
import { Expense } from './entities/expense.js';
import { Membership } from './entities/membership.js';
import { Organization } from './entities/organization.js';
import { Reminder } from './entities/reminder.js';
import { Team } from './entities/team.js';
import { User } from './entities/user.js';
import { seed } from './seed.js';

/**
 * All that the demo keeps in PostgreSQL is in the schema `DATABASE_SCHEMA`, and nothing else may be: it is emptied at
 * every start.
 */
const { DATABASE_URL, DATABASE_SCHEMA = 'koa_oso_demo' } = process.env;

const connection: DataSourceOptions = DATABASE_URL
  ? { type: 'postgres', url: DATABASE_URL, schema: DATABASE_SCHEMA, applicationName: 'koa-oso demo' }
  : { type: 'sqljs' };

/** The database in memory, or the PostgreSQL server that `DATABASE_URL` names. */
export const database = new DataSource({
  ...connection,
  entities: [Credential, Expense, Membership, Organization, Reminder, Team, User],
});

/** Connects, and begins anew with the seeds. */
export async function openDatabase(): Promise<void> {
  await database.initialize();
  if (DATABASE_URL) await database.query(`CREATE SCHEMA IF NOT EXISTS ${DATABASE_SCHEMA}`);
  await database.synchronize(true);
  await seed(database.manager);
}
