import { Authorize, AuthorizedQuery, AuthorizedResource, CurrentActor } from 'koa-oso/routing-controllers';
import { Get, HttpError, JsonController, Post, QueryParams } from 'routing-controllers';
import type { SelectQueryBuilder } from 'typeorm';
import { Expense, type ExpenseStatus } from '../entities/expense.js';
import type { User } from '../entities/user.js';
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
