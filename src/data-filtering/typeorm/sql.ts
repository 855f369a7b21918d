import type { DataSource } from 'typeorm';
import { compareToValue } from '../condition/comparison.js';
import { type Column, type Condition, never, type RowVariable } from '../condition/condition.js';
import { and } from '../condition/simplify.js';
import {
  aliasOf,
  holdAny,
  type RelatedRows,
  rowsRelatedToMany,
  type SelectedRows,
  type SqlPieces,
  sqlTranslation,
} from '../condition/sql-translation.js';
import { readableIn, type Translation, translate } from '../condition/translate.js';
import { postgresArray, sqliteJson } from '../condition/value-list.js';
import { errors } from '../errors.js';
import { type Lookup, ownerColumn } from '../lookup.js';
import type { Entity, EntityRelation, Field, JoinTable } from '../schema.js';
import { dialectOf } from './columns.js';
import { Parameters } from './query.js';
import { discriminatorOf, escapePath, metadataOf, type TypeormField } from './schema.js';

/** Writes conditions as SQL for TypeORM. Each part can stand beside AND and OR. */
export class Sql {
  readonly parameters = new Parameters();
  readonly translation: Translation<string>;
  readonly #dataSource: DataSource;
  readonly #isPostgres: boolean;
  readonly #pieces: SqlPieces<string>;

  constructor(dataSource: DataSource) {
    this.#dataSource = dataSource;
    this.#isPostgres = dialectOf(dataSource) === 'postgres';
    this.#pieces = this.#makePieces();
    const translation = sqlTranslation(this.#pieces);
    this.translation = {
      ...translation,
      compare: (column, operator, value, negated) =>
        isDayOf(column, value)
          ? this.#allOf(column, `${this.#column(column)} ${operator} ${this.#day(value)}`)
          : translation.compare(column, operator, value, negated),
      compareColumns: (left, operator, right, negated) =>
        isDay(left.field) && isDay(right.field)
          ? this.#allOf(left, this.#allOf(right, `${this.#column(left)} ${operator} ${this.#column(right)}`))
          : translation.compareColumns(left, operator, right, negated),
      in: (column, values, negated) => {
        if (!values.every(value => isDayOf(column, value))) return translation.in(column, values, negated);
        const isOne = `${this.#column(column)} ${this.#amongDays(values, negated)}`;
        return negated ? this.#allOf(column, isOne) : isOne;
      },
    };
  }

  /**
   * The rows of an entity for which a condition holds, or all of them, as a subquery.
   *
   * @param condition of the row number 0
   */
  rows(entity: Entity, condition: string | undefined): string {
    const row: RowVariable = { entity, number: 0 };
    // TypeORM tells classes that share a table apart by itself, but mixes them up if two queries become one.
    const parts = [this.#isOfClass(row), condition].filter(part => part !== undefined);
    const where = parts.length === 0 ? '' : ` WHERE ${parts.join(' AND ')}`;
    return `(SELECT * FROM ${this.#table(entity.table, aliasOf(row))}${where})`;
  }

  /**
   * Whether the row number 0 is related to one that is at hand, by the values that its properties have; undefined if
   * they are not there: the foreign key has none, say.
   */
  isRelatedToValues(
    entity: Entity,
    owner: object,
    { target, join, joinTable }: EntityRelation,
  ): string | undefined {
    const to: RowVariable = { entity: target, number: 0 };
    const link: RowVariable = { entity, number: 1 };
    const pairs =
      joinTable === undefined
        ? join.map(pair => ({ field: pair.from, column: { row: to, field: unread(pair.to) } }))
        : joinTable.source.map(({ field, column }) => ({
            field,
            column: { row: link, field: unread({ ...field, column }) },
          }));
    const conditions: Condition[] = [];
    for (const { field, column } of pairs) {
      const value = read(owner, field);
      if (entity.fields.get(field.name) !== field || value === undefined) return undefined;
      if (column.field.type.kind === 'unsupported') return undefined;
      conditions.push(value === null ? never : compareToValue(column, '=', value));
    }
    const condition = translate(and(conditions), this.translation);
    if (joinTable === undefined) return condition;
    const joined = joinTable.target.map(({ column, field }) =>
      this.#equal({ row: link, field: { ...field, column } }, { row: to, field }),
    );
    const table = this.#table(joinTable.table, aliasOf(link));
    return `EXISTS (SELECT 1 FROM ${table} WHERE ${[condition, ...joined].join(' AND ')})`;
  }

  /** Whether the row number 0 is related to one whose key is known, by what the database holds of that. */
  isRelatedToRow(entity: Entity, owner: object, relation: EntityRelation): string {
    const { target, join, joinTable } = relation;
    const from: RowVariable = { entity, number: 1 };
    const to: RowVariable = { entity: target, number: 0 };
    const key = entity.key.map(field => {
      const value = read(owner, field);
      if (value === undefined || value === null) throw unsaved(entity, relation);
      return field.type.kind === 'unsupported'
        ? this.translation.compare({ row: from, field }, '=', value, false)
        : translate(compareToValue({ row: from, field: unread(field) }, '=', value), this.translation);
    });
    const source = this.#table(entity.table, aliasOf(from));
    if (joinTable === undefined) {
      const joined = join.map(pair =>
        this.#equal({ row: to, field: pair.to }, { row: from, field: pair.from }),
      );
      return `EXISTS (SELECT 1 FROM ${source} WHERE ${[...joined, ...key].join(' AND ')})`;
    }
    const link: RowVariable = { entity, number: 2 };
    const [fromSide, toSide] = [
      { end: from, columns: joinTable.source },
      { end: to, columns: joinTable.target },
    ].map(({ end, columns }) =>
      columns.map(({ column, field }) =>
        this.#equal({ row: link, field: { ...field, column } }, { row: end, field }),
      ),
    ) as [string[], string[]];
    const joined = `${this.#table(joinTable.table, aliasOf(link))} ON ${fromSide.join(' AND ')}`;
    return `EXISTS (SELECT 1 FROM ${source} INNER JOIN ${joined} WHERE ${[...toSide, ...key].join(' AND ')})`;
  }

  /**
   * The rows that a relation leads to from any of several rows, as a subquery, with columns for what tells which of them a row
   * is related to.
   */
  rowsRelatedToMany({ entity, relation, byKey, fields, owners }: Lookup): string {
    const to: RowVariable = { entity: relation.target, number: 0 };
    const { link, where, owner } = byKey
      ? this.#rowsOfOwners(entity, relation, to, owners)
      : this.#rowsOfRelation(rowsRelatedToMany(this.#pieces, entity, relation, to.number, fields, owners));
    const selected = owner.map((column, at) => `, ${column} AS ${this.#escape(ownerColumn(at))}`);
    const joined =
      link === undefined ? '' : ` INNER JOIN ${this.#table(link.table, link.alias)} ON ${link.on}`;
    const parts = [this.#isOfClass(to), where].filter(part => part !== undefined);
    const alias = aliasOf(to);
    return `(SELECT ${this.#escape(alias)}.*${selected.join('')} FROM ${this.#table(to.entity.table, alias)}${joined} WHERE ${parts.join(' AND ')})`;
  }

  #rowsOfRelation({ link, where, owner }: ReturnType<typeof rowsRelatedToMany<string>>) {
    const joined = link && { table: link.joinTable.table, alias: link.alias, on: link.on };
    return { link: joined, where, owner };
  }

  /** The rows are joined with those that they are related to, which are told by their own keys. */
  #rowsOfOwners(
    entity: Entity,
    { join }: EntityRelation,
    to: RowVariable,
    owners: readonly (readonly unknown[])[],
  ) {
    const from: RowVariable = { entity, number: 1 };
    const columns = entity.key.map(field => {
      const bound = { row: from, field };
      return { field, bound, column: this.#column(bound) };
    });
    const on = join.map(pair => this.#equal({ row: to, field: pair.to }, { row: from, field: pair.from }));
    return {
      link: { table: entity.table, alias: aliasOf(from), on: on.join(' AND ') },
      where: holdAny(this.#pieces, columns, owners),
      owner: columns.map(({ column }) => column),
    };
  }

  #makePieces(): SqlPieces<string> {
    return {
      dialect: this.#isPostgres ? 'postgresql' : 'sqlite',
      hasNativeEnums: this.#isPostgres,
      sql: (text, ...parts) => String.raw(text, ...parts),
      join: (parts, separator) => parts.join(separator),
      column: (alias, field) => this.#qualified(alias, field.column),
      joinColumn: (alias, column) => this.#qualified(alias, column),
      select: (selected, rows) => this.#select(selected, rows),
      union: (first, further) => `(${this.#selected(first)} UNION ${this.#selected(further)})`,
      name: identifier => this.#escape(identifier),
      value: (_field, _entity, value) => this.parameters.add([value]),
      text: value => this.parameters.add([value]),
      // What JavaScript takes for true.
      isTrue: this.#isPostgres ? undefined : column => `${column} NOT IN (0, '')`,
      operand: (column, field) => this.#operand(column, field),
      readable: (column, field) => this.#readable(column, field),
    };
  }

  #select(selected: string, { entity, alias, link, where }: RelatedRows<string>): string {
    const table = this.#table(entity.table, alias);
    const joined =
      link && ` INNER JOIN ${this.#table((link.joinTable as JoinTable).table, link.alias)} ON ${link.on}`;
    const ofClass = this.#isOfClass({ entity, number: Number(alias.slice(1)) });
    return `(SELECT ${selected} FROM ${table}${joined ?? ''} WHERE ${ofClass === undefined ? '' : `${ofClass} AND `}${where})`;
  }

  #selected({ entity, alias, columns, joined, where }: SelectedRows<string>): string {
    const selected = columns.map(([name, column]) => `${column} AS ${this.#escape(name)}`).join(', ');
    const from = this.#table(entity.table, alias);
    const rows =
      joined === undefined ? from : `${from} INNER JOIN ${this.#escape(joined.name)} ON ${joined.on}`;
    const parts = [this.#isOfClass({ entity, number: Number(alias.slice(1)) }), where].filter(
      part => part !== undefined,
    );
    return `SELECT ${selected} FROM ${rows}${parts.length === 0 ? '' : ` WHERE ${parts.join(' AND ')}`}`;
  }

  /** What TypeORM reads, if that is not what the database keeps. */
  #operand(column: string, field: Field): string {
    // A day as text. That of SQLite would become a number beside a text that looks like one.
    if (isDay(field)) return this.#isPostgres ? `to_char(${column}, 'YYYY-MM-DD')` : `+${column}`;
    return column;
  }

  #readable(column: string, field: Field): string | undefined {
    if (isDay(field) && this.#isPostgres) return `(${column} BETWEEN '0001-01-01' AND '9999-12-31')`;
    if (field.type.kind !== 'date' || this.#isPostgres) return undefined;
    return `(COALESCE(strftime('%Y-%m-%d %H:%M:%f', ${column}), '') IN (${column}, ${column} || '.000'))`;
  }

  /** Whether a row is of its entity, if others share the table. */
  #isOfClass({ entity, number }: RowVariable): string | undefined {
    const discriminator = discriminatorOf(metadataOf(this.#dataSource, entity));
    if (discriminator === undefined) return undefined;
    const column = this.#qualified(aliasOf({ entity, number }), discriminator.column);
    return `${column} IN (${this.parameters.add(discriminator.values)})`;
  }

  #equal(left: Column, right: Column): string {
    return this.translation.compareColumns(
      { ...left, field: unread(left.field) },
      '=',
      { ...right, field: unread(right.field) },
      false,
    );
  }

  #allOf(column: Column, compared: string): string {
    const readable = readableIn(column, this.translation);
    return readable === undefined ? compared : `${compared} AND ${readable}`;
  }

  /** A day that is known, as the database keeps it. */
  #day(value: unknown): string {
    const bound = this.parameters.add([value]);
    return this.#isPostgres ? `CAST(${bound} AS date)` : bound;
  }

  #amongDays(days: readonly unknown[], negated: boolean): string {
    if (this.#isPostgres) {
      const array = `CAST(${this.parameters.add([postgresArray(days)])} AS date[])`;
      return negated ? `<> ALL(${array})` : `= ANY(${array})`;
    }
    const list = `SELECT value FROM json_each(${this.parameters.add([sqliteJson(days)])})`;
    return `${negated ? 'NOT IN' : 'IN'} (${list})`;
  }

  #column({ row, field }: Column): string {
    return this.#qualified(aliasOf(row), field.column);
  }

  #qualified(alias: string, column: string): string {
    return `${this.#escape(alias)}.${this.#escape(column)}`;
  }

  #table(path: string, alias: string): string {
    return `${escapePath(this.#dataSource, path)} ${this.#escape(alias)}`;
  }

  #escape(name: string): string {
    return this.#dataSource.driver.escape(name);
  }
}

/** Of a column that relates rows: no policy reads it. */
function unread(field: Field): Field {
  return { ...field, mayFail: false };
}

function read(owner: object, { name }: Field): unknown {
  return (owner as Record<string, unknown>)[name];
}

function isDay(field: Field): boolean {
  return (field as TypeormField).rendering === 'day';
}

/** Whether a value is a day that PostgreSQL knows, written as TypeORM reads it, and the column one of days. */
function isDayOf({ field }: Column, value: unknown): boolean {
  if (!isDay(field) || typeof value !== 'string') return false;
  if (!/^\d{4}-\d\d-\d\d$/.test(value) || value < '0001') return false;
  const date = new Date(`${value}T00:00:00.000Z`);
  return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(value);
}

function unsaved(entity: Entity, relation: EntityRelation): Error {
  return errors.invalidArgument(
    `The policy follows \`${relation.name}\` of an instance of ${entity.name} that has no key, so that it cannot be loaded. Save it ` +
      'first, or load it with its primary key.',
  );
}
