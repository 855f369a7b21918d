import { AuthorizedQuery } from 'koa-oso/routing-controllers';
import { Get, JsonController, QueryParams } from 'routing-controllers';
import type { SelectQueryBuilder } from 'typeorm';
import { Reminder } from '../entities/reminder.js';
import { Paging, pageOf } from '../pages.js';
import { reminderView } from '../views.js';

@JsonController('/reminders')
export class ReminderController {
  /** What whoever asks was reminded of at night, and has not been decided since. */
  @Get()
  async list(
    @AuthorizedQuery(Reminder, { action: 'read' }) readable: SelectQueryBuilder<Reminder>,
    @QueryParams({ type: Paging }) paging: Paging,
  ) {
    readable.innerJoinAndSelect('Reminder.expense', 'expense').orderBy('Reminder.expenseId');
    const { rows, ...page } = await pageOf(readable, paging);
    return { reminders: rows.map(reminderView), ...page };
  }
}
