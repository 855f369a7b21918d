import { IsInt, Max, Min } from 'class-validator';
import type { ObjectLiteral, SelectQueryBuilder } from 'typeorm';

/** Which part of a list is asked for, as parameters of the query. */
export class Paging {
  @IsInt()
  @Min(1)
  @Max(1_000_000)
  page: number = 1;

  @IsInt()
  @Min(1)
  @Max(100)
  perPage: number = 20;
}

interface Page<Row> {
  rows: Row[];
  /** How many there are on all pages. */
  total: number;
  page: number;
  pages: number;
}

/** One page of what a query finds. Its order has to be a total one, or else rows may be on two pages, or on none. */
export async function pageOf<Row extends ObjectLiteral>(
  query: SelectQueryBuilder<Row>,
  { page, perPage }: Paging,
): Promise<Page<Row>> {
  // With joins, `skip` and `take` would first ask for the keys of the page. Each row here is joined to one other at most,
  // so that rows of the result are those of the page.
  const [rows, total] = await query
    .offset((page - 1) * perPage)
    .limit(perPage)
    .getManyAndCount();
  return { rows, total, page, pages: Math.ceil(total / perPage) };
}
