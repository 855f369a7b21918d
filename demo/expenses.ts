import type { Context } from 'koa';
import { database } from './database.js';
import { Expense, type ExpenseStatus } from './entities/expense.js';
import type { User } from './entities/user.js';
import { idIn } from './organizations.js';

export const expenses = database.getRepository(Expense);

/** With an expense comes what the policy looks at. */
const WHAT_THE_POLICY_READS = { owner: true, organization: true, team: true };

/** The expense that the path names by its id. */
export async function expenseOf(ctx: Context): Promise<Expense | null> {
  const id = idIn(ctx);
  return id === null ? null : expenses.findOne({ where: { id }, relations: WHAT_THE_POLICY_READS });
}

/**
 * Takes an expense on to its next status.
 *
 * @param decidedBy who approved or rejected it
 * @returns false, and nothing is changed, where the expense has left the status in which it was authorized: two
 *   requests may be authorized at once, and only the first is to count
 */
export async function advance(expense: Expense, status: ExpenseStatus, decidedBy?: User): Promise<boolean> {
  const asAuthorized = { id: expense.id, status: expense.status };
  const { affected } = await expenses.update(asAuthorized, { status, decidedById: decidedBy?.id });
  if (affected !== 1) return false;
  expense.status = status;
  return true;
}
