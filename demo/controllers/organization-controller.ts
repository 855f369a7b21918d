import { IsInt, IsString, Length, Max, Min } from 'class-validator';
import type { Context } from 'koa';
import { Authorize, AuthorizedResource, CurrentActor } from 'koa-oso/routing-controllers';
import { Body, Ctx, Get, HttpCode, JsonController, Post } from 'routing-controllers';
import type { Organization } from '../entities/organization.js';
import type { User } from '../entities/user.js';
import { expenses, latestExpenses } from '../expenses.js';
import { organizationOf, organizations } from '../organizations.js';
import { readable } from '../readable.js';
import { expenseView, organizationView } from '../views.js';

class NewExpense {
  @IsString()
  @Length(1, 200)
  description!: string;

  @IsInt()
  @Min(1)
  @Max(1_000_000_00)
  amountInCents!: number;
}

// Each decision costs the policy engine about a millisecond, and a page of what was filtered afterwards has no right
// length. So lists are of the latest few, until the policy itself becomes the condition of the query.
const LIST_LENGTH = 50;

@JsonController('/organizations')
export class OrganizationController {
  // The resource is the request itself.
  @Get()
  @Authorize()
  async list(@Ctx() ctx: Context) {
    const latest = await organizations.find({ order: { id: 'DESC' }, take: LIST_LENGTH });
    return (await readable(ctx, latest)).map(organizationView);
  }

  @Get('/:id')
  @Authorize({ resource: organizationOf, action: 'read' })
  show(@AuthorizedResource() organization: Organization) {
    return organizationView(organization);
  }

  @Get('/:id/expenses')
  @Authorize({ resource: organizationOf, action: 'read' })
  async listExpenses(@AuthorizedResource() organization: Organization, @Ctx() ctx: Context) {
    const latest = await latestExpenses(organization, LIST_LENGTH);
    return (await readable(ctx, latest)).map(expenseView);
  }

  @Post('/:id/expenses')
  @HttpCode(201)
  @Authorize({ resource: organizationOf, action: 'submit' })
  async submit(
    @AuthorizedResource() organization: Organization,
    @CurrentActor() owner: User,
    @Body() { description, amountInCents }: NewExpense,
  ) {
    const expense = expenses.create({ description, amountInCents, status: 'submitted', owner, organization });
    return expenseView(await expenses.save(expense));
  }
}
