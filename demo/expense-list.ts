import { IsIn, IsOptional, IsString, MaxLength, NotContains } from 'class-validator';
import type { SelectQueryBuilder } from 'typeorm';
import { EXPENSE_STATUSES, type Expense, type ExpenseStatus } from './entities/expense.js';
import { Paging, pageOf } from './pages.js';
import { expenseView } from './views.js';

const SORTABLE = ['id', 'description', 'amountInCents', 'status'] satisfies (keyof Expense)[];

/** What may be asked of a list of expenses. */
export class ExpenseListing extends Paging {
  /** A column; with `-` before it, the greatest come first. */
  @IsIn(SORTABLE.flatMap(column => [column, `-${column}`]))
  sort: string = '-id';

  @IsOptional()
  @IsIn(EXPENSE_STATUSES)
  status?: ExpenseStatus;

  /** Text that is somewhere in the description, in upper or lower case. */
  @IsOptional()
  @IsString()
  @MaxLength(200)
  // PostgreSQL has no text with it.
  @NotContains('\0')
  search?: string;
}

/** One page of those expenses that a query finds and the client has asked for. */
export async function expenseList(
  query: SelectQueryBuilder<Expense>,
  { sort, status, search, ...paging }: ExpenseListing,
) {
  if (status !== undefined) query.andWhere({ status });
  if (search !== undefined) {
    const pattern = `%${search.replace(/[\\%_]/g, '\\$&')}%`;
    query.andWhere(`LOWER(Expense.description) LIKE LOWER(:pattern) ESCAPE '\\'`, { pattern });
  }
  const direction = sort.startsWith('-') ? 'DESC' : 'ASC';
  query.orderBy(`Expense.${sort.replace('-', '')}`, direction).addOrderBy('Expense.id', direction);
  query
    .leftJoinAndSelect('Expense.owner', 'owner')
    .leftJoinAndSelect('Expense.organization', 'organization')
    .leftJoinAndSelect('Expense.team', 'team');

  const { rows, ...page } = await pageOf(query, paging);
  return { expenses: rows.map(expenseView), ...page };
}
