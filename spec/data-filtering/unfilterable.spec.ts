import { expect } from 'chai';
import { KoaOsoError } from 'koa-oso';
import { arrayAdapter, registerEntities, type SchemaDescription } from 'koa-oso/array';
import { CompiledOso } from 'koa-oso/polar';
import { Oso } from 'oso';

class User {
  constructor(
    readonly name: string,
    readonly id?: number,
  ) {}
  owns(expense: Expense): boolean {
    return expense.ownerId === this.id;
  }
}
class Expense {
  ownerId = 1;
}
class Tag {}
class TravelExpense extends Expense {}

const description: SchemaDescription = {
  User: { class: User, fields: { id: 'integer', name: 'text' } },
  Expense: {
    class: Expense,
    fields: {
      id: 'integer',
      amount: { type: 'integer', nullable: true },
      limit: { type: 'integer', nullable: true },
      description: 'text',
      paid: 'boolean',
      ownerId: 'integer',
    },
    relations: {
      owner: { one: 'User', on: { ownerId: 'id' } },
      tags: { many: 'Tag', on: { id: 'expenseId' } },
    },
  },
  Tag: { class: Tag, fields: { id: 'integer', expenseId: 'integer', name: 'text' } },
};

const SECRET = 'a-value-of-the-actor';

/** What each policy says of an expense, the reason for which it is no query, and the place that is named. */
const REFUSED: readonly (readonly [condition: string, reason: string, place: string])[] = [
  ['expense.amount * 2 > 100', 'no database can be asked for "*" on a value of its rows', '2:3'],
  ['expense.total() > 100', 'no database can be asked for a method of a value of its rows', '2:3'],
  ['user.owns(expense)', 'no database can be asked for JavaScript that is given a value of its rows', '2:3'],
  [
    'expense.owner = new User(expense.ownerId)',
    'no database can be asked for JavaScript that is given a value of its rows',
    '2:19',
  ],
  [
    'expense.vendor = user.name',
    '`vendor` is no field and no relation of Expense that the database knows',
    '2:3',
  ],
  ['expense.tags.name = "urgent"', 'it asks for `name` of what is no row', '2:3'],
  [
    'expense matches TravelExpense',
    'it asks of a row whether it is of the class `TravelExpense`, which its table does not tell',
    '2:19',
  ],
  ['"travel" in expense.description', 'it looks with `in` into what is no relation to many', '2:3'],
  [
    'expense.amount == user.name',
    'the field `amount` (integer) is compared to a value of another type',
    '2:3',
  ],
  ['expense.amount < nil', 'the field `amount` is ordered against nil', '2:3'],
  ['expense.amount < expense.limit', 'the fields `amount` and `limit` are ordered, and may be null', '2:3'],
  ['expense.owner < user', 'it compares rows with `<`', '2:3'],
  ['expense.owner = user', 'a row is compared to a User that has no key', '1:13'],
  ['expense.owner = expense.ownerId', 'the field `ownerId` is compared to a row', '2:19'],
  ['expense.amount', 'it takes for a condition what is neither true nor false', '2:3'],
  ['cut', '`cut` decides by the order of rules', '2:3'],
];

describe('a policy that is no query', () => {
  for (const Engine of [Oso, CompiledOso] as unknown as (typeof Oso)[]) {
    async function refusal(policy: string): Promise<unknown> {
      const oso = new Engine();
      registerEntities(oso, description);
      oso.registerClass(TravelExpense);
      oso.setDataFilteringAdapter(arrayAdapter(description, { Expense: [], User: [], Tag: [] }));
      await oso.loadStr(policy, 'expenses.polar');
      return oso.authorizedQuery(new User(SECRET), 'read', Expense).then(
        () => undefined,
        error => error,
      );
    }

    for (const [condition, reason, place] of REFUSED) {
      it(`${condition}, asked with ${Engine.name}: an error that says why, where and what to do`, async () => {
        // Both variables are named, whatever the condition is.
        const policy = `allow(user: User, "read", expense: Expense) if\n  ${condition} and user = user and expense = expense;`;
        const error = (await refusal(policy)) as KoaOsoError;
        expect(error).to.be.instanceOf(KoaOsoError).with.property('code', 'ERR_KOA_OSO_UNFILTERABLE_POLICY');
        expect(error.message).to.include(`The policy cannot be turned into a query: ${reason}`);
        expect(error.message).to.include(`, in rule \`allow\` at expenses.polar:${place}`);
        expect(error.message).to.match(/\. Instead, .{10,}\.$/);
        expect(error.message).to.not.include(SECRET);
      });
    }
  }
});
