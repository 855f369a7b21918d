import { randomBytes } from 'node:crypto';
import type { ObjectLiteral, SelectQueryBuilder } from 'typeorm';
import type { Alias } from 'typeorm/query-builder/Alias.js';
import type { QueryExpressionMap } from 'typeorm/query-builder/QueryExpressionMap.js';
import { define } from '../../guard/own-properties.js';
import { errors } from '../errors.js';

/** Not to be guessed: a parameter of a request that is passed on as one of the query must never replace one of these. */
const PREFIX = `koa_oso_${randomBytes(9).toString('hex')}`;

let count = 0;

/** The bound values of a condition. Their names differ from those of all other conditions: two may meet in a query. */
export class Parameters {
  readonly #prefix = `${PREFIX}_${++count}`;
  readonly values: Record<string, unknown[]> = {};
  #count = 0;

  /**
   * @returns what stands for the values in SQL, separated by commas. Even one is passed as a list: TypeORM writes numbers
   *   that stand alone into SQLite's SQL
   */
  add(values: readonly unknown[]): string {
    const name = `${this.#prefix}_${this.#count++}`;
    this.values[name] = [...values];
    return `:...${name}`;
  }
}

/**
 * Makes a query one of certain rows, whatever else is asked of it.
 *
 * Its table becomes a subquery that holds only these rows, so that no condition that is added, be it raw SQL, can widen it;
 * databases make one query of the two, by the same indexes. What is made of the query (clones, counts, the two statements
 * of paging with joins, subqueries) has it, too.
 *
 * What would answer with other rows is refused, also of a query of all rows, so that it does not depend on the actor
 * whether that is found out.
 *
 * @param rows a subquery, in brackets
 */
export function confine<Row extends ObjectLiteral>(
  query: SelectQueryBuilder<Row>,
  rows: string,
  { values }: Parameters,
): SelectQueryBuilder<Row> {
  const { expressionMap } = query;
  const mainAlias = expressionMap.mainAlias as Alias;
  mainAlias.subQuery = rows;
  query.setParameters(values);
  keep(expressionMap);
  checkOnce(query, rows);
  return query;
}

const checked = new WeakSet<object>();

/** Whether this TypeORM builds queries as expected does not change from one to the next of a class. */
function checkOnce<Row extends ObjectLiteral>(query: SelectQueryBuilder<Row>, rows: string): void {
  const { metadata } = query.expressionMap.mainAlias as { metadata: object };
  if (checked.has(metadata)) return;
  for (const made of [query, query.clone()]) {
    if (!made.getQuery().includes(` FROM ${rows} `)) throw unknownTypeorm();
  }
  checked.add(metadata);
}

function keep(map: QueryExpressionMap): void {
  const clone = map.clone.bind(map);
  const { mainAlias } = map;
  const kept: PropertyDescriptorMap = {
    mainAlias: {
      enumerable: true,
      get: () => mainAlias,
      set: () => {
        throw refused('be of another class', 'Ask for another list');
      },
    },
    cacheId: {
      enumerable: true,
      get: () => undefined,
      set: (id: string | undefined) => {
        if (id !== undefined) throw refused('be cached under a name', 'Cache it without: query.cache(true)');
      },
    },
    clone: {
      value: (): QueryExpressionMap => {
        if (map.queryType !== 'select') {
          throw refused(
            `become another (${map.queryType})`,
            'Load its rows, and pass them to the repository',
          );
        }
        const copy = clone();
        keep(copy);
        return copy;
      },
    },
  };
  for (const [name, descriptor] of Object.entries(kept)) define(map, name, descriptor);
}

function refused(what: string, remedy: string): Error {
  return errors.invalidArgument(`An authorized query cannot ${what}. ${remedy}.`);
}

function unknownTypeorm(): Error {
  return errors.invalidArgument(
    'This version of TypeORM builds queries otherwise than koa-oso expects: the condition of the policy is not in ' +
      'them. Use a version that koa-oso supports.',
  );
}
