import Router from '@koa/router';
import { expenses } from './expenses.js';
import { organizationOf } from './organizations.js';

/** What an organization has spent, by status. A plain route: it loads, authorizes and answers by itself. */
export const reportRouter = new Router();

reportRouter.get('/organizations/:id/report', async ctx => {
  const organization = (await organizationOf(ctx)) ?? (await ctx.oso.notFound());
  await ctx.oso.authorize(organization, { action: 'audit' });

  const rows = await expenses
    .createQueryBuilder('expense')
    .select('expense.status', 'status')
    .addSelect('COUNT(*)', 'count')
    .addSelect('SUM(expense.amountInCents)', 'total')
    .where({ organizationId: organization.id })
    .groupBy('expense.status')
    .orderBy('expense.status')
    .getRawMany<{ status: string; count: number | string; total: number | string }>();
  // PostgreSQL counts further than a number can, and so gives strings.
  ctx.body = rows.map(({ status, count, total }) => ({
    status,
    count: Number(count),
    totalInCents: Number(total),
  }));
});
