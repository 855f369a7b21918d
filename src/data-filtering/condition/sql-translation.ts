import { errors } from '../errors.js';
import type { Entity, EntityRelation, Field, JoinTable } from '../schema.js';
import type { Column, Operator, Source } from './condition.js';
import type { Translation } from './translate.js';

/** The databases whose comparisons are known to be those of JavaScript, or can be made so. */
export type Dialect = 'postgresql' | 'sqlite';

/** The pieces of SQL that a query builder with a template tag is asked for. Names are to be quoted by it. */
export interface SqlPieces<Sql> {
  readonly dialect: Dialect;
  /** The text of the template with the parts in it. The text holds no names and no values. */
  sql(text: TemplateStringsArray, ...parts: readonly Sql[]): Sql;
  join(parts: readonly Sql[], separator: Sql): Sql;
  /** `"t0"."status"` */
  column(alias: string, field: Field, entity: Entity): Sql;
  /** `"j1"."expense_id"` */
  joinColumn(alias: string, column: string, joinTable: JoinTable): Sql;
  /** `exists (select 1 from … where …)` */
  exists(rows: RelatedRows<Sql>): Sql;
  /** A bound parameter, which the database compares to the column as policies would compare the value. */
  value(field: Field, entity: Entity, value: unknown): Sql;
}

/** The alias of a row. Every table of a filter has one, so that no name that a user has chosen can be mistaken for it. */
export function aliasOf(source: Source): string {
  return `t${source.number}`;
}

/** Expresses conditions by the pieces of SQL that a query builder makes. */
export function sqlTranslation<Sql>(pieces: SqlPieces<Sql>): Translation<Sql> {
  const { dialect } = pieces;
  const { sql } = pieces;
  const columnOf = ({ source, field }: Column) => pieces.column(aliasOf(source), field, source.entity);
  const compared = (column: Column, operator: Operator): Sql => {
    const collation = collationOf(dialect, column.field, operator);
    const name = columnOf(column);
    if (collation === 'C') return sql`${name} collate "C"`;
    return collation === 'binary' ? sql`${name} collate binary` : name;
  };
  return {
    constant: value => (value ? sql`1 = 1` : sql`1 = 0`),
    and: parts => pieces.join(parts, sql` and `),
    or: parts => sql`(${pieces.join(parts, sql` or `)})`,
    not: part => sql`not ${part}`,
    compare: (column, operator, value) =>
      binary(
        pieces,
        compared(column, operator),
        operator,
        pieces.value(column.field, column.source.entity, value),
      ),
    compareColumns: (left, operator, right) =>
      binary(pieces, compared(left, operator), operator, columnOf(right)),
    in: (column, values) => {
      const list = values.map(value => pieces.value(column.field, column.source.entity, value));
      return sql`${compared(column, '=')} in (${pieces.join(list, sql`, `)})`;
    },
    isNull: column => sql`${columnOf(column)} is null`,
    isNotNull: column => sql`${columnOf(column)} is not null`,
    exists: (relation, from, to, condition) => {
      const related = relatedRows(pieces, relation, to.number, field =>
        pieces.column(aliasOf(from), field, from.entity),
      );
      return pieces.exists(
        condition === undefined ? related : { ...related, where: sql`${related.where} and ${condition}` },
      );
    },
  };
}

/** Rows of an entity that another row is related to. */
export interface RelatedRows<Sql> {
  readonly entity: Entity;
  readonly alias: string;
  /** The table between the two, where there is one, to be joined. */
  readonly link?: { readonly joinTable: JoinTable; readonly alias: string; readonly on: Sql };
  readonly where: Sql;
}

/**
 * The rows that a relation leads to.
 *
 * @param number tells apart the rows that one query speaks of
 * @param owner what stands for a field of the row that it leads from: its column, or its value
 */
export function relatedRows<Sql>(
  pieces: SqlPieces<Sql>,
  { target: entity, join, joinTable }: EntityRelation,
  number: number,
  owner: (field: Field) => Sql,
): RelatedRows<Sql> {
  const { sql } = pieces;
  const all = (parts: readonly Sql[]) => pieces.join(parts, sql` and `);
  const equal = (left: Sql, right: Sql) => sql`${left} = ${right}`;
  const alias = aliasOf({ entity, number });
  const column = (field: Field) => pieces.column(alias, field, entity);
  if (joinTable === undefined) {
    return { entity, alias, where: all(join.map(({ from, to }) => equal(column(to), owner(from)))) };
  }
  const linkAlias = `j${number}`;
  const link = (name: string) => pieces.joinColumn(linkAlias, name, joinTable);
  const on = all(joinTable.target.map(({ column: name, field }) => equal(link(name), column(field))));
  const where = all(joinTable.source.map(({ column: name, field }) => equal(link(name), owner(field))));
  return { entity, alias, link: { joinTable, alias: linkAlias, on }, where };
}

const TEXT = new Set(['text', 'uuid', 'enum']);

/** PostgreSQL orders text by language unless told otherwise; SQLite's columns may be declared to ignore case. */
function collationOf(dialect: Dialect, { type }: Field, operator: Operator): 'C' | 'binary' | undefined {
  if (!TEXT.has(type.kind)) return undefined;
  if (dialect === 'sqlite') return 'binary';
  return operator === '=' || operator === '!=' ? undefined : 'C';
}

/** Operators are text of the query: each of them is written out, so that nothing else can get there. */
function binary<Sql>({ sql }: SqlPieces<Sql>, left: Sql, operator: Operator, right: Sql): Sql {
  switch (operator) {
    case '=':
      return sql`${left} = ${right}`;
    case '!=':
      return sql`${left} <> ${right}`;
    case '<':
      return sql`${left} < ${right}`;
    case '<=':
      return sql`${left} <= ${right}`;
    case '>':
      return sql`${left} > ${right}`;
    case '>=':
      return sql`${left} >= ${right}`;
  }
}

/**
 * The values by which the rows of a relation are found; undefined where one is null, for then there are none.
 *
 * @throws {KoaOsoError} `ERR_KOA_OSO_INVALID_ARGUMENT` where a field is not loaded, but for the key of what is not saved yet
 */
export function ownerValues(
  owner: object,
  entity: Entity,
  { name, join, joinTable }: EntityRelation,
): ReadonlyMap<Field, unknown> | undefined {
  const fields = joinTable?.source.map(({ field }) => field) ?? join.map(({ from }) => from);
  const values = new Map<Field, unknown>();
  for (const field of fields) {
    const value = (owner as Record<string, unknown>)[field.name];
    if (value === undefined && !entity.key.includes(field)) {
      throw errors.invalidArgument(
        `A policy asks for \`${name}\` of a ${entity.name} whose \`${field.name}\` is not loaded. Load it with the row.`,
      );
    }
    if (value === undefined || value === null) return undefined;
    values.set(field, value);
  }
  return values;
}
