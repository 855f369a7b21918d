import type { KoaOso } from 'koa-oso';
import type { EntityManager } from 'typeorm';
import { database } from './database.js';
import { Expense } from './entities/expense.js';
import { Reminder } from './entities/reminder.js';
import { User } from './entities/user.js';

/**
 * The job of the night: reminds each user of the expenses that they may approve, in one transaction.
 *
 * @param outer what the transaction begins in
 * @returns of how many expenses each user was reminded, by name
 */
export function remindAll(koaOso: KoaOso, outer = database.manager): Promise<Record<string, number>> {
  return outer.transaction(async manager => {
    const reminded: Record<string, number> = {};
    await manager.deleteAll(Reminder);
    for (const user of await manager.find(User, { relations: { memberships: true }, order: { id: 'ASC' } })) {
      const count = await remind(koaOso, manager, user);
      if (count > 0) reminded[user.name] = count;
    }
    return reminded;
  });
}

/** There is no request, so the policy is asked for the user; and inside of the transaction, by its own connection. */
async function remind(koaOso: KoaOso, manager: EntityManager, user: User): Promise<number> {
  const query = await koaOso.for(user).using(manager).authorizedQuery(Expense, { action: 'approve' });
  const waiting = await query.getMany();
  await manager.insert(
    Reminder,
    waiting.map(({ id }) => ({ userId: user.id, expenseId: id })),
  );
  return waiting.length;
}
