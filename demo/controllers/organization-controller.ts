import { IsInt, IsOptional, IsString, Length, Max, Min } from 'class-validator';
import { Authorize, AuthorizedQuery, AuthorizedResource, CurrentActor } from 'koa-oso/routing-controllers';
import { Body, Get, HttpCode, JsonController, Post, QueryParams } from 'routing-controllers';
import type { SelectQueryBuilder } from 'typeorm';
import { Expense } from '../entities/expense.js';
import { Organization } from '../entities/organization.js';
import type { User } from '../entities/user.js';
import { ExpenseListing, expenseList } from '../expense-list.js';
import { expenses } from '../expenses.js';
import { organizationOf } from '../organizations.js';
import { Paging, pageOf } from '../pages.js';
import { teamIn } from '../teams.js';
import { expenseView, organizationView } from '../views.js';

class NewExpense {
  @IsString()
  @Length(1, 200)
  description!: string;

  @IsInt()
  @Min(1)
  @Max(1_000_000_00)
  amountInCents!: number;

  /** A team of the organization. */
  @IsOptional()
  @IsInt()
  @Min(1)
  @Max(999_999_999)
  teamId?: number;
}

@JsonController('/organizations')
export class OrganizationController {
  // The resource is the request itself.
  @Get()
  @Authorize()
  async list(
    @AuthorizedQuery(Organization, { action: 'read' }) readable: SelectQueryBuilder<Organization>,
    @QueryParams({ type: Paging }) paging: Paging,
  ) {
    const { rows, ...page } = await pageOf(readable.orderBy('Organization.id', 'DESC'), paging);
    return { organizations: rows.map(organizationView), ...page };
  }

  @Get('/:id')
  @Authorize({ resource: organizationOf, action: 'read' })
  show(@AuthorizedResource() organization: Organization) {
    return organizationView(organization);
  }

  @Get('/:id/expenses')
  @Authorize({ resource: organizationOf, action: 'read' })
  listExpenses(
    @AuthorizedResource() organization: Organization,
    @AuthorizedQuery(Expense, { action: 'read' }) readable: SelectQueryBuilder<Expense>,
    @QueryParams({ type: ExpenseListing }) listing: ExpenseListing,
  ) {
    return expenseList(readable.andWhere({ organizationId: organization.id }), listing);
  }

  @Post('/:id/expenses')
  @HttpCode(201)
  @Authorize({ resource: organizationOf, action: 'submit' })
  async submit(
    @AuthorizedResource() organization: Organization,
    @CurrentActor() owner: User,
    @Body() { description, amountInCents, teamId }: NewExpense,
  ) {
    const team = teamId === undefined ? null : await teamIn(organization, teamId);
    const expense = expenses.create({
      description,
      amountInCents,
      status: 'submitted',
      owner,
      organization,
      team,
    });
    return expenseView(await expenses.save(expense));
  }
}
