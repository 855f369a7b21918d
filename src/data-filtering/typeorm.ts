import type { Class } from 'oso/dist/src/types.js';
import type { DataSource, EntityMetadata, ObjectLiteral, SelectQueryBuilder } from 'typeorm';
import { type EntityAdapter, entityAdapter } from './adapter.js';
import { compareToValue } from './comparison.js';
import { and, type Column, type Condition, never, type Operator, type Source } from './condition.js';
import { type EqualityFn, equalityOf } from './equality.js';
import { errors } from './errors.js';
import { type FilteringEngine, registerSchema } from './register-entities.js';
import type { Related } from './related.js';
import type { Entity, EntityRelation, Field, Schema } from './schema.js';
import { type Translation, translate } from './translate.js';
import { dialectOf } from './typeorm-columns.js';
import { confine, Parameters } from './typeorm-query.js';
import {
  comparableSchema,
  discriminatorOf,
  escapePath,
  requireOpen,
  schemaOf,
  type TypeormField,
} from './typeorm-schema.js';

declare module '../types.js' {
  interface QueryTypes<Resource> {
    typeorm: Resource extends ObjectLiteral ? SelectQueryBuilder<Resource> : never;
  }
}

/**
 * Registers entities of a TypeORM `DataSource` with Oso: their classes, with fields and relations as the metadata has
 * them. To be called after `dataSource.initialize()` and before the policy is loaded.
 *
 * Policies may compare columns of numbers, text, uuids, enums, booleans, dates and times; others are registered, but a list
 * by a policy that compares them is refused by an error that says why: arrays, JSON, embedded objects, what a transformer
 * changes, decimals that PostgreSQL gives as text, and so on. Relations of all kinds are followed, also those whose foreign
 * key has no property.
 *
 * @param entities by default all of the `DataSource`. Relations to others are not registered
 * @throws {KoaOsoError} `ERR_KOA_OSO_INVALID_ARGUMENT` where the `DataSource` is not initialized, or its driver not
 *   supported, or where an entity has no class or no primary key of its own properties
 * @example
 * const dataSource = await new DataSource({ type: 'postgres', url, entities: [Expense, User] }).initialize();
 * const oso = new Oso({ equalityFn: entityEquality(dataSource) });
 * registerEntities(oso, dataSource);
 * oso.setDataFilteringAdapter(typeormAdapter(dataSource));
 * await oso.loadFiles(['policy.polar']);
 */
export function registerEntities(
  oso: FilteringEngine,
  dataSource: DataSource,
  entities?: readonly EntityClass[],
): void {
  registerSchema(oso, schemaOf(dataSource, entities as readonly Class[] | undefined));
}

declare module '../types.js' {
  interface QueryTypes<Resource> {
    typeorm: Resource extends ObjectLiteral ? SelectQueryBuilder<Resource> : never;
  }
}

/** A class that is an entity of TypeORM. */
export type EntityClass = abstract new (...args: never[]) => object;

/**
 * The `equalityFn` for `new Oso({ equalityFn })` by which `expense.owner = user` holds where the two have the same key, as
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
 * The data filtering adapter for TypeORM.
 *
 * `authorizedQuery` answers with a `SelectQueryBuilder` of the class that was asked for, under the alias that TypeORM's own
 * `find` uses, which is the name of the entity: `Expense`. It can be refined, counted and paged like any other; nothing
 * that is done with it takes the policy's condition away, neither `where` nor `orWhere`. It reads, and refuses to become an
 * update or a deletion. Where nothing is allowed, it finds nothing. To use it in a transaction, pass its `QueryRunner` to
 * `query.setQueryRunner`.
 *
 * Rows that are soft-deleted are left out, as TypeORM does by itself; `withDeleted()` brings back those that the policy
 * allows. Related rows that are soft-deleted count as not there in any case.
 *
 * @throws {KoaOsoError} `ERR_KOA_OSO_INVALID_ARGUMENT` where the driver is not supported
 * @example
 * const query = await ctx.oso.authorizedQuery(Expense, { action: 'read' }); // SelectQueryBuilder<Expense>
 * const [expenses, count] = await query
 *   .andWhere('Expense.amount > :amount', { amount: 100 })
 *   .orderBy('Expense.createdAt', 'DESC')
 *   .take(20)
 *   .getManyAndCount();
 */
export function typeormAdapter(
  dataSource: DataSource,
): EntityAdapter<SelectQueryBuilder<ObjectLiteral>, ObjectLiteral> {
  dialectOf(dataSource);
  return entityAdapter<SelectQueryBuilder<ObjectLiteral>, ObjectLiteral>({
    select: (entity, condition) => {
      const query = queryOf(dataSource, entity);
      const sql = new Sql(dataSource, query.alias);
      // TypeORM tells classes that share a table apart by itself, but mixes them up where two queries become one.
      const ofClass = sql.isOfClass({ entity, number: 0 });
      if (condition.kind === 'always' && ofClass === undefined) return query;
      return confine(query, sql.all([ofClass, translate(condition, sql)]), sql.parameters);
    },
    execute: query => query.getMany(),
    load: related => load(dataSource, related),
  });
}

function queryOf(dataSource: DataSource, entity: Entity): SelectQueryBuilder<ObjectLiteral> {
  requireOpen(dataSource);
  const metadata = metadataOf(dataSource, entity);
  return dataSource.getRepository<ObjectLiteral>(metadata.target).createQueryBuilder(metadata.name);
}

function metadataOf(dataSource: DataSource, entity: Entity): EntityMetadata {
  if (dataSource.hasMetadata(entity.class)) return dataSource.getMetadata(entity.class);
  throw errors.invalidArgument(
    `${entity.name} is no entity of the adapter's DataSource. Pass the same one to registerEntities and typeormAdapter.`,
  );
}

/** Finds what a row is related to, by what it holds of the keys that relate them, or else by its own key. */
async function load(
  dataSource: DataSource,
  { owner, entity, relation }: Related,
): Promise<readonly unknown[]> {
  const query = queryOf(dataSource, relation.target);
  const sql = new Sql(dataSource, query.alias);
  const target: Source = { entity: relation.target, number: 0 };
  const condition =
    sql.isRelatedToValues(entity, owner, relation, target) ??
    sql.isRelatedToRow(entity, owner, relation, target);
  return confine(query, condition, sql.parameters).getMany();
}

/** Writes conditions as SQL. Each part can stand beside AND and OR. */
class Sql implements Translation<string> {
  readonly parameters = new Parameters();
  readonly #dataSource: DataSource;
  readonly #isPostgres: boolean;
  readonly #alias: string;

  /** @param alias that of the rows that are filtered */
  constructor(dataSource: DataSource, alias: string) {
    this.#dataSource = dataSource;
    this.#isPostgres = dialectOf(dataSource) === 'postgres';
    this.#alias = alias;
  }

  constant(value: boolean): string {
    return value ? 'TRUE' : 'FALSE';
  }

  and(parts: readonly string[]): string {
    return `(${parts.join(' AND ')})`;
  }

  or(parts: readonly string[]): string {
    return `(${parts.join(' OR ')})`;
  }

  not(part: string): string {
    return `NOT ${part}`;
  }

  /** All that are given hold. */
  all(parts: readonly (string | undefined)[]): string {
    const given = parts.filter(part => part !== undefined);
    return given.length === 1 ? (given[0] as string) : this.and(given);
  }

  compare(column: Column, operator: Operator, value: unknown): string {
    return renderingOf(column) === 'day' && isDay(value)
      ? `${this.#column(column)} ${operator} ${this.#day(value)}`
      : this.#compare(column, operator, this.parameters.add([value]));
  }

  compareColumns(left: Column, operator: Operator, right: Column): string {
    if (renderingOf(left) === 'day' && renderingOf(right) === 'day') {
      return `${this.#column(left)} ${operator} ${this.#column(right)}`;
    }
    const compared = this.#compare(left, operator, this.#operand(right, operator));
    return renderingOf(right) === 'float' && operator !== '!='
      ? this.and([compared, this.#isNumber(right)])
      : compared;
  }

  in(column: Column, values: readonly unknown[]): string {
    if (renderingOf(column) === 'day' && values.every(isDay)) {
      return `${this.#column(column)} IN (${values.map(value => this.#day(value)).join(', ')})`;
    }
    return `${this.#operand(column, '=')} IN (${this.parameters.add(values)})`;
  }

  isNull(column: Column): string {
    return `${this.#column(column)} IS NULL`;
  }

  isNotNull(column: Column): string {
    return `${this.#column(column)} IS NOT NULL`;
  }

  exists(relation: EntityRelation, from: Source, to: Source, condition: string | undefined): string {
    const target = `${this.#path(to.entity.table)} ${this.#escape(this.#aliasOf(to))}`;
    return this.#exists(target, relation, from, to, to, [this.isOfClass(to), condition]);
  }

  /**
   * Whether a row is related to one that is at hand, by the values that its properties have; undefined where they are not
   * there: the foreign key has none, say.
   */
  isRelatedToValues(
    entity: Entity,
    owner: object,
    { join, joinTable }: EntityRelation,
    to: Source,
  ): string | undefined {
    const link: Source = { entity, number: 1 };
    const pairs =
      joinTable === undefined
        ? join.map(pair => ({ field: pair.from, column: { source: to, field: pair.to } }))
        : joinTable.source.map(({ field, column }) => ({
            field,
            column: { source: link, field: { ...field, column } },
          }));
    const conditions: Condition[] = [];
    for (const { field, column } of pairs) {
      const value = valueOf(owner, field);
      if (entity.fields.get(field.name) !== field || value === undefined) return undefined;
      if (column.field.type.kind === 'unsupported') return undefined;
      conditions.push(value === null ? never : compareToValue(column, '=', value));
    }
    const condition = translate(and(conditions), this);
    if (joinTable === undefined) return condition;
    const joined = joinTable.target.map(
      ({ column, field }) =>
        `${this.#qualified(this.#aliasOf(link), column)} = ${this.#column({ source: to, field })}`,
    );
    const table = `${this.#path(joinTable.table)} ${this.#escape(this.#aliasOf(link))}`;
    return `EXISTS (SELECT 1 FROM ${table} WHERE ${[condition, ...joined].join(' AND ')})`;
  }

  /** Whether a row is related to one whose key is known, by what the database holds of that. */
  isRelatedToRow(entity: Entity, owner: object, relation: EntityRelation, to: Source): string {
    const from: Source = { entity, number: 1 };
    const key = entity.key.map(field => {
      const value = valueOf(owner, field);
      if (value === undefined || value === null) throw unsaved(entity, relation);
      return field.type.kind === 'unsupported'
        ? this.compare({ source: from, field }, '=', value)
        : translate(compareToValue({ source: from, field }, '=', value), this);
    });
    const source = `${this.#path(entity.table)} ${this.#escape(this.#aliasOf(from))}`;
    return this.#exists(source, relation, from, to, from, key);
  }

  /** Whether a row is of its entity, where others share the table. */
  isOfClass({ entity, number }: Source): string | undefined {
    const discriminator = discriminatorOf(metadataOf(this.#dataSource, entity));
    if (discriminator === undefined) return undefined;
    const column = this.#qualified(this.#aliasOf({ entity, number }), discriminator.column);
    return `${column} IN (${this.parameters.add(discriminator.values)})`;
  }

  /** @param inner which of the two rows is looked for in the table */
  #exists(
    table: string,
    { join, joinTable }: EntityRelation,
    from: Source,
    to: Source,
    inner: Source,
    conditions: readonly (string | undefined)[],
  ): string {
    const where = (parts: readonly (string | undefined)[]) =>
      parts.filter(part => part !== undefined).join(' AND ');
    if (joinTable === undefined) {
      const joined = join.map(pair => {
        const left = this.#column({ source: from, field: pair.from });
        return `${this.#column({ source: to, field: pair.to })} = ${left}`;
      });
      return `EXISTS (SELECT 1 FROM ${table} WHERE ${where([...joined, ...conditions])})`;
    }
    const between = `${this.#aliasOf(inner)}_join`;
    const [fromSide, toSide] = [
      { source: from, columns: joinTable.source },
      { source: to, columns: joinTable.target },
    ].map(({ source, columns }) =>
      columns.map(
        ({ column, field }) => `${this.#qualified(between, column)} = ${this.#column({ source, field })}`,
      ),
    ) as [string[], string[]];
    const [innerSide, outerSide] = inner === to ? [toSide, fromSide] : [fromSide, toSide];
    const joined = `${this.#path(joinTable.table)} ${this.#escape(between)} ON ${where(innerSide)}`;
    return `EXISTS (SELECT 1 FROM ${table} INNER JOIN ${joined} WHERE ${where([...outerSide, ...conditions])})`;
  }

  #compare(column: Column, operator: Operator, operand: string): string {
    const compared = `${this.#operand(column, operator)} ${operator} ${operand}`;
    return renderingOf(column) === 'float' && (operator === '>' || operator === '>=')
      ? this.and([compared, this.#isNumber(column)])
      : compared;
  }

  /** PostgreSQL orders NaN above all numbers; to policies it compares to none. */
  #isNumber(column: Column): string {
    return `${this.#column(column)} < 'NaN'`;
  }

  #operand(column: Column, operator: Operator): string {
    const rendering = renderingOf(column);
    if (rendering === 'day') return this.#text(column);
    const isText = column.field.type.kind === 'text';
    const needsCollation =
      rendering === 'collated' || (this.#isPostgres && operator !== '=' && operator !== '!=');
    return isText && needsCollation ? this.#bytes(this.#column(column)) : this.#column(column);
  }

  /** A day that is known, as the database keeps it. */
  #day(value: unknown): string {
    const bound = this.parameters.add([value]);
    return this.#isPostgres ? `CAST(${bound} AS date)` : bound;
  }

  /** A day of a column, as TypeORM reads it: the text of no other can be compared to it as it is kept. */
  #text(column: Column): string {
    const day = this.#column(column);
    return this.#isPostgres ? this.#bytes(`to_char(${day}, 'YYYY-MM-DD')`) : `+${day}`;
  }

  /** Text that is compared by its bytes, whatever its collation is. */
  #bytes(text: string): string {
    return `${text} COLLATE ${this.#isPostgres ? '"C"' : 'BINARY'}`;
  }

  #column({ source, field }: Column): string {
    return this.#qualified(this.#aliasOf(source), field.column);
  }

  #qualified(alias: string, column: string): string {
    return `${this.#escape(alias)}.${this.#escape(column)}`;
  }

  #aliasOf({ number }: Source): string {
    return number === 0 ? this.#alias : `koa_oso_${number}`;
  }

  #path(table: string): string {
    return escapePath(this.#dataSource, table);
  }

  #escape(name: string): string {
    return this.#dataSource.driver.escape(name);
  }
}

function valueOf(owner: object, { name }: Field): unknown {
  return (owner as Record<string, unknown>)[name];
}

function renderingOf({ field }: Column): TypeormField['rendering'] {
  return (field as TypeormField).rendering;
}

/** Whether a text is a day that PostgreSQL knows, written as TypeORM reads it. */
function isDay(value: unknown): boolean {
  if (typeof value !== 'string' || !/^\d{4}-\d\d-\d\d$/.test(value) || value < '0001') return false;
  const date = new Date(`${value}T00:00:00.000Z`);
  return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(value);
}

function unsaved(entity: Entity, relation: EntityRelation): Error {
  return errors.invalidArgument(
    `The policy follows \`${relation.name}\` of a ${entity.name} that has no key, so that it cannot be loaded. Save it ` +
      'first, or load it with its primary key.',
  );
}
