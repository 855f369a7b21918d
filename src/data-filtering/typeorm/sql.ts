import type { DataSource } from 'typeorm';
import { compareToValue } from '../condition/comparison.js';
import {
  and,
  type Column,
  type Condition,
  never,
  type Operator,
  type Source,
} from '../condition/condition.js';
import { type Translation, translate } from '../condition/translate.js';
import { errors } from '../errors.js';
import type { Entity, EntityRelation, Field } from '../schema.js';
import { dialectOf } from './columns.js';
import { Parameters } from './query.js';
import { discriminatorOf, escapePath, metadataOf, type TypeormField } from './schema.js';

/** Writes conditions as SQL. Each part can stand beside AND and OR. */
export class Sql implements Translation<string> {
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

  /** All that are given hold; undefined where none is. */
  all(parts: readonly (string | undefined)[]): string | undefined {
    const given = parts.filter(part => part !== undefined);
    return given.length > 1 ? this.and(given) : given[0];
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
      const value = read(owner, field);
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
      const value = read(owner, field);
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

function read(owner: object, { name }: Field): unknown {
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
    `The policy follows \`${relation.name}\` of an instance of ${entity.name} that has no key, so that it cannot be loaded. Save it ` +
      'first, or load it with its primary key.',
  );
}
