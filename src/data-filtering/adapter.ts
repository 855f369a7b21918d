import { AsyncLocalStorage } from 'node:async_hooks';
import type { Oso } from 'oso';
import type { TransactionalAdapter } from '../policy-engine.js';
import type { Condition } from './condition/condition.js';
import { errors } from './errors.js';
import { LoadedRows, type RelationAccess } from './loaded-rows.js';
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
export interface EntityAdapter<Query, Row> extends OsoAdapter<Query, Row>, TransactionalAdapter {
  /** Runs a query that {@link EntityAdapter.buildQuery} or `authorizedQuery` made. Any Oso takes the adapter, whatever its type arguments. */
  readonly executeQuery: (query: unknown) => Promise<Row[]>;
  /** @internal The query for those rows of an entity for which the condition holds. */
  readonly select: (entity: Entity, condition: Condition) => Query;
  /** @internal What loads the relations that one question follows. */
  readonly relations: () => LoadedRows;
}

/** What an ORM or query builder does for an adapter. */
export interface DataSourceAccess<Query, Row> extends RelationAccess {
  /** The query for those rows of an entity for which the condition holds. */
  readonly select: (entity: Entity, condition: Condition) => Query;
  /** Runs such a query. */
  readonly execute: (query: Query) => Promise<Row[]>;
}

/** What a policy of a plain Oso has asked for by following a relation, on its way through Oso. */
class RelationQuery {
  readonly rows: LoadedRows;
  readonly related: RelationOf;

  constructor(rows: LoadedRows, related: RelationOf) {
    this.rows = rows;
    this.related = related;
  }
}

/**
 * Makes the adapter of a data source.
 *
 * @param access outside of transactions
 * @param accessIn the same inside of a transaction; throws if what it is given is none
 */
export function entityAdapter<Query, Row>(
  access: DataSourceAccess<Query, Row>,
  accessIn: (transaction: unknown) => DataSourceAccess<Query, Row>,
): EntityAdapter<Query, Row> {
  const inside = new AsyncLocalStorage<DataSourceAccess<Query, Row>>();
  const current = () => inside.getStore() ?? access;
  const relations = () => new LoadedRows(current());
  // Oso has a registry of classes for each question, and hands it on with each filter: that tells the questions apart.
  const rowsOfQuestions = new WeakMap<object, LoadedRows>();
  return {
    relations,
    select: (entity, condition) => current().select(entity, condition),
    within: transaction => {
      const transactional = accessIn(transaction);
      return ask => inside.run(transactional, ask);
    },
    // Lists do not come this way: with entities registered, authorizedQuery calls select. What Oso asks for here is what
    // a relation leads to, if a policy follows it from a row that is there.
    buildQuery: ({ conditions, types }) => {
      const rhs = conditions[0]?.[0]?.rhs;
      const value = rhs !== undefined && 'value' in rhs ? rhs.value : undefined;
      if (!(value instanceof RelationOf)) throw errors.notRegistered();
      const rows = rowsOfQuestions.get(types) ?? relations();
      rowsOfQuestions.set(types, rows);
      return new RelationQuery(rows, value) as Query;
    },
    executeQuery: async query => {
      if (!(query instanceof RelationQuery)) return current().execute(query as Query);
      const { rows, related } = query;
      const found = await rows.related(related);
      // Oso expects exactly one row of a relation to one: nil, if there is none.
      return (related.relation.kind === 'one' ? [found] : found) as Row[];
    },
  };
}
