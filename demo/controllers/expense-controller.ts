import type { Context } from 'koa';
import { Authorize, AuthorizedQuery, AuthorizedResource, CurrentActor } from 'koa-oso/routing-controllers';
import { Ctx, Get, HttpError, JsonController, Post, QueryParams } from 'routing-controllers';
import type { SelectQueryBuilder } from 'typeorm';
import { Expense, type ExpenseStatus } from '../entities/expense.js';
import { User } from '../entities/user.js';
import { ExpenseListing, expenseList } from '../expense-list.js';
import { advance, expenseOf } from '../expenses.js';
import { expenseView } from '../views.js';

@JsonController('/expenses')
export class ExpenseController {
  @Get()
  list(
    @AuthorizedQuery(Expense, { action: 'read' }) readable: SelectQueryBuilder<Expense>,
    @QueryParams({ type: ExpenseListing }) listing: ExpenseListing,
  ) {
    return expenseList(readable, listing);
  }

  /** What waits for the decision of whoever asks. It comes before `/:id`, which would take its name for an id. */
  @Get('/to-approve')
  listToApprove(
    @AuthorizedQuery(Expense, { action: 'approve' }) approvable: SelectQueryBuilder<Expense>,
    @QueryParams({ type: ExpenseListing }) listing: ExpenseListing,
  ) {
    return expenseList(approvable, listing);
  }

  @Get('/:id')
  @Authorize({ resource: expenseOf, action: 'read' })
  show(@AuthorizedResource() expense: Expense) {
    return expenseView(expense);
  }

  /** Who may approve it, for those who may read it: the same rules, asked the other way round. */
  @Get('/:id/approvers')
  @Authorize({ resource: expenseOf, action: 'read' })
  async listApprovers(@AuthorizedResource() expense: Expense, @Ctx() { oso }: Context) {
    const approvers = await oso.authorizedActors(User, { action: 'approve', resource: expense });
    const users = await approvers.orderBy('User.id').getMany();
    return { approvers: users.map(({ id, name }) => ({ id, name })) };
  }

  @Post('/:id/approve')
  @Authorize({ resource: expenseOf, action: 'approve' })
  approve(@AuthorizedResource() expense: Expense, @CurrentActor() user: User) {
    return advanced(expense, 'approved', user);
  }

  @Post('/:id/reject')
  @Authorize({ resource: expenseOf, action: 'reject' })
  reject(@AuthorizedResource() expense: Expense, @CurrentActor() user: User) {
    return advanced(expense, 'rejected', user);
  }

  @Post('/:id/pay')
  @Authorize({ resource: expenseOf, action: 'pay' })
  pay(@AuthorizedResource() expense: Expense) {
    return advanced(expense, 'paid');
  }
}

async function advanced(expense: Expense, status: ExpenseStatus, decidedBy?: User) {
  if (!(await advance(expense, status, decidedBy))) {
    throw new HttpError(409, 'The expense has changed in the meantime');
  }
  return expenseView(expense);
}
