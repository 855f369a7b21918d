import type { Oso } from 'oso';
import type { Condition } from './condition/condition.js';
import { errors } from './errors.js';
import { RelationOf } from './related.js';
import type { Entity } from './schema.js';

type OsoAdapter<Query, Row> = Parameters<
  Oso<unknown, unknown, Row, unknown, unknown, Query>['setDataFilteringAdapter']
>[0];

/**
 * A data filtering adapter, as `oso.setDataFilteringAdapter` takes it.
 *
 * @typeParam Query what `authorizedQuery` answers with
 * @typeParam Row what `authorizedResources` answers with, in an array
 */
export interface EntityAdapter<Query, Row> extends OsoAdapter<Query, Row> {
  /** Runs a query that {@link EntityAdapter.buildQuery} or `authorizedQuery` made. Any Oso takes the adapter, whatever its type arguments. */
  readonly executeQuery: (query: unknown) => Promise<Row[]>;
  /** @internal The query for those rows of an entity for which the condition holds. */
  readonly select: (entity: Entity, condition: Condition) => Query;
}

/** What an ORM or query builder does for an adapter. */
export interface DataSourceAccess<Query, Row> {
  /** The query for those rows of an entity for which the condition holds. */
  select(entity: Entity, condition: Condition): Query;
  /** Runs such a query. */
  execute(query: Query): Promise<Row[]>;
  /** Loads what a relation of a row leads to: rows, or nothing, or a promise of them. */
  load(related: RelationOf): Promise<readonly unknown[]>;
}

/** What a policy has asked for by following a relation, on its way through Oso. */
class RelationQuery {
  readonly related: RelationOf;

  constructor(related: RelationOf) {
    this.related = related;
  }
}

/** Makes the adapter of a data source. */
export function entityAdapter<Query, Row>(access: DataSourceAccess<Query, Row>): EntityAdapter<Query, Row> {
  return {
    select: (entity, condition) => access.select(entity, condition),
    // Lists do not come this way: with entities registered, authorizedQuery calls select. What Oso asks for here is what
    // a relation leads to, where a policy follows it from a row that is there.
    buildQuery: ({ conditions }) => {
      const rhs = conditions[0]?.[0]?.rhs;
      const value = rhs !== undefined && 'value' in rhs ? rhs.value : undefined;
      if (!(value instanceof RelationOf)) throw errors.notRegistered();
      return new RelationQuery(value) as Query;
    },
    executeQuery: async query =>
      query instanceof RelationQuery
        ? ((await follow(access, query.related)) as Row[])
        : access.execute(query as Query),
  };
}

/** Oso expects exactly one row of a relation to one: nil, where there is none. */
async function follow(
  access: DataSourceAccess<unknown, unknown>,
  related: RelationOf,
): Promise<readonly unknown[]> {
  const isOne = related.relation.kind === 'one';
  const loaded = await related.loaded;
  if (loaded !== undefined) return isOne ? [loaded] : (loaded as readonly unknown[]);
  const rows = await access.load(related);
  return isOne && rows.length === 0 ? [null] : rows;
}
