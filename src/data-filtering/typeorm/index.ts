import type { Class } from 'oso';
import type { DataSource, EntityManager, ObjectLiteral, SelectQueryBuilder } from 'typeorm';
import { propertyOf } from '../../guard/own-properties.js';
import { type DataSourceAccess, type EntityAdapter, entityAdapter } from '../adapter.js';
import { checkSchema } from '../check-entities.js';
import { translate } from '../condition/translate.js';
import { type EqualityFn, equalityOf } from '../equality.js';
import { errors } from '../errors.js';
import { keyColumn, type Lookup, ownerColumn, sortOut } from '../lookup.js';
import { type FilteringEngine, registerSchema } from '../register-entities.js';
import { held, type RelationOf } from '../related.js';
import type { Entity, Schema } from '../schema.js';
import { dialectOf } from './columns.js';
import { confine } from './query.js';
import {
  comparableSchema,
  escapePath,
  metadataOf,
  requireConnection,
  schemaOf,
  type TypeormField,
} from './schema.js';
import { Sql } from './sql.js';

declare module '../../types.js' {
  interface QueryTypes<Resource> {
    typeorm: Resource extends ObjectLiteral ? SelectQueryBuilder<Resource> : never;
  }
}

/**
 * Makes a TypeORM `DataSource` known to an Oso: the classes of its entities, with fields and relations as the metadata has them,
 * when two instances are equal, and how lists are asked for. To be called after `dataSource.initialize()` and before the policy is
 * loaded. A plain Oso has to be given {@link entityEquality}, too.
 *
 * Policies may compare columns of numbers, text, uuids, enums, booleans, dates and times; others are registered, but a list
 * by a policy that compares them is refused by an error that says why: arrays, JSON, embedded objects, what a transformer
 * changes, decimals that PostgreSQL gives as text, and so on. Relations of all kinds are followed, also those whose foreign
 * key has no property. To find out what becomes of a decimal or a bigint, its transformer is called with some numbers.
 *
 * `authorizedQuery` answers with a `SelectQueryBuilder` of the class that was asked for, under the alias that TypeORM's own
 * `find` uses, which is the name of the entity: `Expense`. It selects from a subquery that holds only the rows which are
 * allowed, so it can be refined, counted, paged and put into other queries: whatever condition is added, raw SQL too, no
 * row comes in that is not allowed. It refuses to become an update or a deletion, to be of another class, and to be cached
 * under a name, by which one would get what another may see. If nothing is allowed, it finds nothing. To PostgreSQL
 * the rows are no table of their own: if rows are grouped, name each column that is selected in `groupBy`.
 *
 * What is joined to its rows is not filtered: ask for a list of that class if that matters.
 *
 * Rows that are soft-deleted are left out, as TypeORM does by itself; `withDeleted()` brings back those that the policy
 * allows. Related rows that are soft-deleted count as not there in any case.
 *
 * For tests of a policy, the metadata is enough: `await dataSource['buildMetadatas']()` makes it without a connection.
 *
 * @param entities by default all of the `DataSource`. Relations to others are not registered
 * @throws {KoaOsoError} `ERR_KOA_OSO_INVALID_ARGUMENT` if the metadata of the `DataSource` is not there yet, its driver not
 *   supported, or if an entity has no class or no primary key of its own properties; if it is called twice for an Oso or after
 *   a policy was loaded, or if a name is taken
 * @example
 * const dataSource = await new DataSource({ type: 'postgres', url, entities: [Expense, User] }).initialize();
 * const oso = new CompiledOso();
 * registerEntities(oso, dataSource);
 * await oso.loadFiles(['policy.polar']);
 *
 * const query = await ctx.oso.authorizedQuery(Expense, { action: 'read' }); // SelectQueryBuilder<Expense>
 * const [expenses, count] = await query
 *   .andWhere('Expense.amount > :amount', { amount: 100 })
 *   .orderBy('Expense.createdAt', 'DESC')
 *   .take(20)
 *   .getManyAndCount();
 */
export function registerEntities(
  oso: FilteringEngine,
  dataSource: DataSource,
  entities?: readonly EntityClass[],
): void {
  const schema = schemaOf(dataSource, entities as readonly Class[] | undefined);
  registerSchema(oso, schema, typeormAdapter(dataSource));
}

/** A class that is an entity of TypeORM. */
export type EntityClass = abstract new (...args: never[]) => object;

/**
 * The `equalityFn` for `new Oso({ equalityFn })` by which `expense.owner = user` holds if the two have the same key, as
 * it does in lists. Oso's own compares all that is loaded of them.
 *
 * The `DataSource` may be initialized later, but before Oso compares entities first.
 */
export function entityEquality(dataSource: DataSource): EqualityFn {
  let schema: Schema | undefined;
  return equalityOf(() => {
    schema ??= comparableSchema(dataSource);
    return schema;
  });
}

/**
 * Compares the entities with the catalogue of the database: what TypeORM knows is written in code, and a database that was made
 * by other means may hold nulls in a column that the entity says is not null. It looks for tables, columns, their types, which
 * are NOT NULL, and the foreign keys that relations count on. To be awaited once, when the application starts.
 *
 * @param entities by default all of the `DataSource`
 * @throws {KoaOsoError} (rejects) `ERR_KOA_OSO_ENTITIES_DIFFER`, whose message names every difference
 * @example
 * await dataSource.initialize();
 * await checkEntities(dataSource);
 */
export async function checkEntities(
  dataSource: DataSource,
  entities?: readonly EntityClass[],
): Promise<void> {
  await checkSchema(schemaOf(dataSource, entities as readonly Class[] | undefined), {
    dialect: dialectOf(dataSource) === 'postgres' ? 'postgresql' : 'sqlite',
    run: (statement, parameters) => dataSource.query(statement, [...parameters]),
    pathOf: entity => escapePath(dataSource, entity.table),
    readsDaysAsText: field => (field as TypeormField).rendering === 'day',
  });
}

function typeormAdapter(dataSource: DataSource): EntityAdapter<AnyQuery, ObjectLiteral> {
  return entityAdapter(accessBy(dataSource, dataSource.manager), transaction =>
    accessBy(dataSource, requireTransaction(dataSource, transaction)),
  );
}

type AnyQuery = SelectQueryBuilder<ObjectLiteral>;

function accessBy(dataSource: DataSource, manager: EntityManager): DataSourceAccess<AnyQuery, ObjectLiteral> {
  const queryOf = (entity: Entity): AnyQuery => {
    const { target, name } = metadataOf(dataSource, entity);
    return manager.getRepository<ObjectLiteral>(target).createQueryBuilder(name);
  };
  return {
    hasForeignKeys: true,
    held: heldOrLazy,
    select: (entity, condition) => {
      const query = queryOf(entity);
      const sql = new Sql(dataSource);
      const allowed = condition.kind === 'always' ? undefined : translate(condition, sql.translation);
      return confine(query, sql.rows(entity, allowed), sql.parameters);
    },
    execute: query => {
      requireConnection(dataSource);
      return query.getMany();
    },
    // By what the row holds of the keys that relate them, or else by its own key.
    load: async ({ owner, entity, relation }) => {
      requireConnection(dataSource);
      const query = queryOf(relation.target);
      const sql = new Sql(dataSource);
      const condition =
        sql.isRelatedToValues(entity, owner, relation) ?? sql.isRelatedToRow(entity, owner, relation);
      return confine(query, sql.rows(relation.target, condition), sql.parameters).getMany();
    },
    loadMany: lookup => loadMany(dataSource, queryOf(lookup.relation.target), lookup),
  };
}

/** The manager of a transaction: of this `DataSource`, and with a connection of its own. */
function requireTransaction(dataSource: DataSource, transaction: unknown): EntityManager {
  const manager = transaction as Partial<EntityManager> | null | undefined;
  const isManager = typeof manager?.createQueryBuilder === 'function' && manager.queryRunner !== undefined;
  // A QueryRunner has a connection too; but its `manager` is what TypeORM hands to the callback of a transaction.
  // TypeORM 0.3 calls it `connection`.
  if (isManager && (manager.dataSource ?? manager.connection) === dataSource) return manager as EntityManager;
  throw errors.notATransaction(
    'Pass the EntityManager that dataSource.transaction(async manager => …) hands to you, or queryRunner.manager.',
  );
}

/** What a row holds of a relation. The getter of one that is lazy would load it, and leave it on the row for everybody to see. */
function heldOrLazy(related: RelationOf): unknown {
  const { owner, relation } = related;
  if (Object.getOwnPropertyDescriptor(owner, relation.name)?.get === undefined) return held(related);
  const kept = (name: string) => propertyOf(owner, `__${name}${relation.name}__`);
  return kept('has_') === true ? kept('') : (kept('') ?? kept('promise_'));
}

/** What a relation leads to from several rows, by one statement. */
async function loadMany(
  dataSource: DataSource,
  query: AnyQuery,
  lookup: Lookup,
): Promise<readonly (readonly unknown[])[] | undefined> {
  const { relation, fields } = lookup;
  const sql = new Sql(dataSource);
  confine(query, sql.rowsRelatedToMany(lookup), sql.parameters);
  const { driver } = dataSource;
  const select = (column: string, as: string) =>
    query.addSelect(`${driver.escape(query.alias)}.${driver.escape(column)}`, as);
  const key = metadataOf(dataSource, relation.target).primaryColumns;
  key.forEach(({ databaseName }, at) => {
    select(databaseName, keyColumn(at));
  });
  fields.forEach((_, at) => {
    select(ownerColumn(at), ownerColumn(at));
  });
  const { raw, entities } = await query.getRawAndEntities<Record<string, unknown>>();
  // TypeORM makes one entity of all rows with the same key, in the order in which they come first.
  const idOf = (row: Record<string, unknown>) =>
    JSON.stringify(key.map((_, at) => String(row[keyColumn(at)])));
  const found = new Map<string, unknown>();
  for (const row of raw) {
    if (!found.has(idOf(row))) found.set(idOf(row), entities[found.size]);
  }
  if (found.size !== entities.length) return undefined;
  return sortOut(
    lookup,
    raw.map(row => ({
      owner: fields.map((_, at) => row[ownerColumn(at)]),
      row: found.get(idOf(row)),
    })),
  );
}
