import { Authorize, AuthorizedResource, CurrentActor } from 'koa-oso/routing-controllers';
import { Get, HttpError, JsonController, Post } from 'routing-controllers';
import type { Expense, ExpenseStatus } from '../entities/expense.js';
import type { User } from '../entities/user.js';
import { advance, expenseOf } from '../expenses.js';
import { expenseView } from '../views.js';

@JsonController('/expenses/:id')
export class ExpenseController {
  @Get()
  @Authorize({ resource: expenseOf, action: 'read' })
  show(@AuthorizedResource() expense: Expense) {
    return expenseView(expense);
  }

  @Post('/approve')
  @Authorize({ resource: expenseOf, action: 'approve' })
  approve(@AuthorizedResource() expense: Expense, @CurrentActor() user: User) {
    return advanced(expense, 'approved', user);
  }

  @Post('/reject')
  @Authorize({ resource: expenseOf, action: 'reject' })
  reject(@AuthorizedResource() expense: Expense, @CurrentActor() user: User) {
    return advanced(expense, 'rejected', user);
  }

  @Post('/pay')
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
