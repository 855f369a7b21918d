import { Oso } from 'oso';

export class User {
  constructor(readonly name: string) {}
}

export class Expense {
  constructor(
    readonly id: number,
    readonly owner: string,
    readonly amount: number,
  ) {}
}

export const owner = new User('ann');
export const expense = new Expense(1, 'ann', 100);

/** Two attribute tests, as an ordinary rule has them. */
export async function loadedOso(): Promise<Oso> {
  const oso = new Oso();
  oso.registerClass(User);
  oso.registerClass(Expense);
  await oso.loadStr(
    'allow(user: User, "read", expense: Expense) if expense.owner = user.name and expense.amount < 500;',
  );
  return oso;
}

/** Answers at once: what remains is the cost of koa-oso. */
export class InstantOso extends Oso {
  override async isAllowed(): Promise<boolean> {
    return true;
  }
}
