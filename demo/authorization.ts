import { fileURLToPath } from 'node:url';
import type { Context } from 'koa';
import { type Denial, KoaOso } from 'koa-oso';
import { CompiledOso } from 'koa-oso/polar';
import { registerEntities } from 'koa-oso/typeorm';
import type { Oso } from 'oso';
import { database } from './database.js';
import { Expense } from './entities/expense.js';
import { Membership } from './entities/membership.js';
import { Organization } from './entities/organization.js';
import { Reminder } from './entities/reminder.js';
import { Team } from './entities/team.js';
import { User } from './entities/user.js';
import { userOf } from './session.js';

// From here on a misspelt action is a compile error, in ctx.oso and in the decorators.
declare module 'koa-oso' {
  interface AuthorizationTypes {
    actor: User;
    action: 'read' | 'submit' | 'audit' | 'approve' | 'reject' | 'pay';
  }
}

// tsc leaves the policy where it is, and main.js runs from dist/demo.
const POLICY = fileURLToPath(new URL('../../demo/policy.polar', import.meta.url));

/**
 * The KoaOso of the expense tracker, with its policy loaded into `oso`. The database has to be open.
 *
 * @param oso what decides. `new Oso({ equalityFn: entityEquality(database) })` in its place gives the same answers
 * @param explain whether denials say why, in development
 */
export async function expenseOso(oso: Oso = new CompiledOso(), { explain = false } = {}): Promise<KoaOso> {
  // Before the policy is loaded, so that its rules find their classes, and Request among them.
  const koaOso = new KoaOso({ oso, getActor: userOf, unauthorizedAction: refuse, checkRead: true, explain });
  registerEntities(oso, database, [Expense, Membership, Organization, Reminder, Team, User]);
  await oso.loadFiles([POLICY]);
  return koaOso;
}

/** Says what actors may not do, or that they should log in. What they may not even read is 404, without a question. */
function refuse(ctx: Context, { actor, action }: Denial): void {
  if (actor === null) ctx.throw(401, 'Log in first');
  ctx.throw(403, `You may not ${action} this`);
}
