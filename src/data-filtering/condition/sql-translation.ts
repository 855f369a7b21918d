import { errors } from '../errors.js';
import type { Entity, EntityRelation, Field, JoinTable } from '../schema.js';
import { hasNul } from './comparison.js';
import type { Column, ComparisonOperator, Reach, RowVariable } from './condition.js';
import { readableIn, type Translation } from './translate.js';
import { postgresArray, sqliteJson } from './value-list.js';

/** The databases whose comparisons are known to be those of JavaScript, or can be made so. */
export type SqlDialect = 'postgresql' | 'sqlite';

/** The pieces of SQL that a query builder with a template tag is asked for. Names are to be quoted by it. */
export interface SqlPieces<Sql> {
  readonly dialect: SqlDialect;
  /** The text of the template with the parts in it. The text holds no names and no values. */
  sql(text: TemplateStringsArray, ...parts: readonly Sql[]): Sql;
  join(parts: readonly Sql[], separator: Sql): Sql;
  /** `"t0"."status"` */
  column(alias: string, field: Field, entity: Entity): Sql;
  /** `"j1"."expense_id"` */
  joinColumn(alias: string, column: string, joinTable: JoinTable): Sql;
  /** `(select "t1"."id" from … where …)` */
  select(selected: Sql, rows: RelatedRows<Sql>): Sql;
  /** `(select "t2"."id" as "k0" from … union select …)`: the brackets are around the whole, as SQLite takes no others. */
  union(first: SelectedRows<Sql>, further: SelectedRows<Sql>): Sql;
  /** `"r2"` */
  name(identifier: string): Sql;
  /** A bound parameter, which the database compares to the column as policies would compare the value. */
  value(field: Field, entity: Entity, value: unknown): Sql;
  /** A bound parameter that is text, whatever it is compared to. */
  text(value: string): Sql;
  /** What a list holds in place of a value that {@link SqlPieces.value} would bind as another. */
  listed?(field: Field, entity: Entity, value: unknown): unknown;
  /** What is compared in place of a column whose values are read as others; by default the column itself. */
  operand?(column: Sql, field: Field): Sql;
  /** Whether a boolean is read as true, if not only by the database's own `true`. */
  isTrue?(column: Sql): Sql;
  /** That a moment is read as one that has an order; by default all are. */
  isMoment?(column: Sql, field: Field): Sql | undefined;
  /** What {@link Translation.readable} asks, in brackets, and NULL of NULL; undefined for what holds of its type everywhere. */
  readable?(column: Sql, field: Field): Sql | undefined;
  /** Whether enums are types of the database, which have no collation. */
  readonly hasNativeEnums?: boolean;
}

/** The alias of a row. Every table of a filter has one, so that no name that a user has chosen can be mistaken for it. */
export function aliasOf(row: RowVariable): string {
  return `t${row.number}`;
}

/**
 * Expresses conditions by the pieces of SQL that a query builder makes.
 *
 * Two texts are equal if the database says so by the collation of the column, for which there may be an index, and if
 * their bytes are the same, for the collation may ignore case.
 */
export function sqlTranslation<Sql>(pieces: SqlPieces<Sql>): Translation<Sql> {
  const { dialect, sql } = pieces;
  /** PostgreSQL has no text with the character 0: such a value is different from all that it keeps. */
  const canBeAsked = (value: unknown) => dialect === 'sqlite' || !hasNul(value);
  const nameOf = ({ row, field }: Column) => pieces.column(aliasOf(row), field, row.entity);
  const operandOf = (column: Column) => {
    const name = nameOf(column);
    if (column.field.type.kind === 'boolean' && pieces.isTrue !== undefined) {
      return sql`(${pieces.isTrue(name)})`;
    }
    return pieces.operand?.(name, column.field) ?? name;
  };
  const readable = (column: Column) => {
    const name = nameOf(column);
    return pieces.readable?.(name, column.field) ?? readableOf(pieces, name, column.field);
  };
  const all = (parts: readonly (Sql | undefined)[]): Sql => {
    const given = parts.filter(part => part !== undefined);
    return given.length === 1 ? (given[0] as Sql) : pieces.join(given, sql` and `);
  };
  /** That a value of a side of a comparison has an order, if the database has one for it and JavaScript has none. */
  const ordered = (column: Column, databaseSaysYes: boolean): Sql | undefined => {
    const { kind } = column.field.type;
    if (kind === 'date') return pieces.isMoment?.(nameOf(column), column.field);
    // To PostgreSQL, NaN is the greatest of all numbers, and equal to itself.
    if (kind !== 'number' || dialect !== 'postgresql' || !databaseSaysYes) return undefined;
    return sql`${nameOf(column)} < 'NaN'`;
  };
  const inOrder = (asked: Sql, operator: ComparisonOperator, left: Column, right?: Column): Sql => {
    const isRising = operator === '>' || operator === '>=';
    return all([asked, ordered(left, isRising), right && ordered(right, !isRising)]);
  };
  const compare = (column: Column, operator: ComparisonOperator, value: unknown, negated: boolean): Sql => {
    const { field, row } = column;
    if (!canBeAsked(value)) return operator === '=' ? sql`1 = 0` : sql`${nameOf(column)} is not null`;
    if (field.type.kind === 'boolean' && pieces.isTrue !== undefined) {
      const isTrue = pieces.isTrue(nameOf(column));
      if ((operator === '=') === Boolean(value)) return isTrue;
      return all([not(isTrue), readableIn(column, { readable })]);
    }
    const bound = () => pieces.value(field, row.entity, value);
    if (operator === '=') return equal(pieces, field, operandOf(column), bound);
    const asked = binary(pieces, exact(pieces, field, operandOf(column)), operator, bound());
    const holds = operator === '!=' ? asked : inOrder(asked, operator, column);
    return all([negated ? not(holds) : holds, readableIn(column, { readable })]);
  };
  const not = (part: Sql) => sql`not (${part})`;
  const compareColumns = (
    left: Column,
    operator: ComparisonOperator,
    right: Column,
    negated: boolean,
  ): Sql => {
    const readables = [left, right].map(column => readableIn(column, { readable }));
    if (operator === '=' || operator === '!=') {
      const equals = all([
        equal(pieces, left.field, operandOf(left), () => operandOf(right)),
        ordered(left, true),
      ]);
      if (operator === '=') return all([equals, ...readables]);
      if (!hasCollation(pieces, left.field)) return all([not(equals), ...readables]);
    }
    const asked = binary(pieces, exact(pieces, left.field, operandOf(left)), operator, operandOf(right));
    const holds = operator === '!=' ? asked : inOrder(asked, operator, left, right);
    return all([negated ? not(holds) : holds, ...readables]);
  };
  return {
    constant: value => (value ? sql`1 = 1` : sql`1 = 0`),
    and: parts => pieces.join(parts, sql` and `),
    or: parts => sql`(${pieces.join(parts, sql` or `)})`,
    not: part => sql`not ${part}`,
    compare,
    compareColumns,
    in: (column, values, negated) => {
      const { field } = column;
      const operand = operandOf(column);
      const asked = values.filter(canBeAsked);
      if (asked.length === 0) return negated ? sql`${nameOf(column)} is not null` : sql`1 = 0`;
      if (negated) {
        const isNone = oneOf(pieces, column, asked, true)(exact(pieces, field, operand));
        return all([isNone, readableIn(column, { readable })]);
      }
      const isOne = isOneOf(pieces, column, field, operand, asked);
      return field.type.kind === 'boolean' ? all([isOne, readableIn(column, { readable })]) : isOne;
    },
    inRows: (columns, rows) => {
      const asked = rows.filter(row => row.every(canBeAsked));
      if (asked.length === 0) return sql`1 = 0`;
      return areRows(pieces, columns, columns.map(operandOf), asked);
    },
    isNull: column => sql`${nameOf(column)} is null`,
    isNotNull: column => sql`${nameOf(column)} is not null`,
    readable,
    exists: (relation, from, to, condition) => {
      if (relation.joinTable === undefined && relation.join.length === 0) {
        const where = condition ?? sql`1 = 1`;
        return sql`exists ${pieces.select(sql`1`, { entity: relation.target, alias: aliasOf(to), where })}`;
      }
      const related = relatedRows(pieces, relation, to.number, field =>
        pieces.column(aliasOf(from), field, from.entity),
      );
      const where = condition === undefined ? related.where : sql`${related.where} and ${condition}`;
      return sql`exists ${pieces.select(sql`1`, { ...related, where })}`;
    },
    among: ({ target: entity, join, joinTable }, from, to, condition, few) => {
      const [pair] = join;
      if (dialect !== 'postgresql' || joinTable !== undefined || pair === undefined || join.length > 1)
        return;
      if (!isPlainKey(pair.from) || pair.from.type.kind !== pair.to.type.kind) return undefined;
      const alias = aliasOf(to);
      const keys = pieces.select(pieces.column(alias, pair.to, entity), { entity, alias, where: condition });
      const key = pieces.column(aliasOf(from), pair.from, from.entity);
      // An array is known before the rows outside are looked for, so that they are found by an index.
      return few ? sql`${key} = any(array${keys})` : sql`${key} in ${keys}`;
    },
    reaches: (reach, base, step) => reachesBy(pieces, reach, nameOf, base, step),
  };
}

/** Whether a field is compared by `=` alone. */
function isPlainKey({ type }: Field): boolean {
  return type.kind === 'integer' || type.kind === 'bigint' || type.kind === 'uuid';
}

/** Rows of which some columns are asked, for a query within another one. */
export interface SelectedRows<Sql> {
  readonly entity: Entity;
  readonly alias: string;
  /** By the names that they are to have. */
  readonly columns: readonly (readonly [name: string, column: Sql])[];
  readonly joined: { readonly name: string; readonly on: Sql } | undefined;
  readonly where: Sql | undefined;
}

/**
 * The keys of all rows that are reached are found by a recursive query, from those for which `base` holds back along the relation.
 * Text is compared by its bytes, in the keys that are found as well: so no key is taken for another one.
 */
function reachesBy<Sql>(
  pieces: SqlPieces<Sql>,
  { key, row, relation }: Reach,
  nameOf: (column: Column) => Sql,
  base: Sql | undefined,
  step: Sql | undefined,
): Sql {
  const { sql } = pieces;
  const list = (parts: readonly Sql[]) => pieces.join(parts, sql`, `);
  const { entity } = row;
  const alias = aliasOf(row);
  // No table of an application has this name.
  const reached = `koa_oso_r${row.number}`;
  const keyNames = entity.key.map((_, at) => `k${at}`);
  const keyName = (field: Field) => keyNames[entity.key.indexOf(field)] as string;
  const columns = entity.key.map(
    (field, at) =>
      [keyNames[at] as string, exact(pieces, field, pieces.column(alias, field, entity))] as const,
  );
  const on = pieces.join(
    relation.join.map(({ from, to }) => {
      const refers = exact(pieces, to, pieces.column(alias, from, entity));
      return sql`${refers} = ${pieces.name(reached)}.${pieces.name(keyName(to))}`;
    }),
    sql` and `,
  );
  const rows = pieces.union(
    { entity, alias, columns, joined: undefined, where: base },
    { entity, alias, columns, joined: { name: reached, on }, where: step },
  );
  const names = list(keyNames.map(pieces.name));
  const asked = key.map((column, at) => exact(pieces, entity.key[at] as Field, nameOf(column)));
  const operand = asked.length === 1 ? (asked[0] as Sql) : sql`(${list(asked)})`;
  return sql`${operand} in (with recursive ${pieces.name(reached)}(${names}) as ${rows} select ${names} from ${pieces.name(reached)})`;
}

/**
 * Whether something is one of some values, or none of them. They are one parameter, so that the text of the query is the same
 * however many there are, and so is what the database has to read and to plan.
 *
 * @returns makes it of what is compared
 */
function oneOf<Sql>(
  pieces: SqlPieces<Sql>,
  { field, row }: Column,
  values: readonly unknown[],
  negated: boolean,
): (operand: Sql) => Sql {
  const { dialect, sql } = pieces;
  const listed = values.map(value => pieces.listed?.(field, row.entity, value) ?? value);
  const isEither = field.type.kind === 'boolean';
  if (dialect === 'postgresql' && !isEither) {
    const array = postgresArray(listed);
    // A number that the column cannot hold is an error to an array of the column's own type.
    const isLarge = listed.some(value => typeof value === 'number' && Math.abs(value) > MAX_INT4);
    const bound = () =>
      isLarge && field.type.kind === 'integer'
        ? sql`cast(${pieces.text(array)} as bigint[])`
        : pieces.text(array);
    return operand => (negated ? sql`${operand} <> all(${bound()})` : sql`${operand} = any(${bound()})`);
  }
  const json = isEither ? undefined : sqliteJson(listed);
  const list = () =>
    json === undefined
      ? pieces.join(
          values.map(value => pieces.value(field, row.entity, value)),
          sql`, `,
        )
      : sql`select value from json_each(${pieces.text(json)})`;
  return operand => (negated ? sql`${operand} not in (${list()})` : sql`${operand} in (${list()})`);
}

/**
 * Whether columns have together the values of one of the rows. PostgreSQL has to be told the types of what it makes rows of, and
 * those of the columns are not known: there, they are compared as text, and each by itself besides, for which there may be an index.
 *
 * @returns undefined if that cannot be said exactly
 */
function areRows<Sql>(
  pieces: SqlPieces<Sql>,
  columns: readonly Column[],
  operands: readonly Sql[],
  rows: readonly (readonly unknown[])[],
): Sql | undefined {
  const { dialect, sql } = pieces;
  const list = (parts: readonly Sql[]) => pieces.join(parts, sql`, `);
  const listed = (row: readonly unknown[]) =>
    row.map((value, at) => {
      const { field, row: of } = columns[at] as Column;
      return pieces.listed?.(field, of.entity, value) ?? value;
    });
  const tables = rows.map(listed);
  const compared = columns.map(({ field }, at) => exact(pieces, field, operands[at] as Sql));
  if (dialect === 'sqlite') {
    if (sqliteJson(tables.flat()) === undefined) return undefined;
    const items = [
      sql`json_extract(value, '$[0]')`,
      sql`json_extract(value, '$[1]')`,
      sql`json_extract(value, '$[2]')`,
      sql`json_extract(value, '$[3]')`,
    ];
    const all = list(items.slice(0, columns.length));
    return sql`(${list(compared)}) in (select ${all} from json_each(${pieces.text(JSON.stringify(tables))}))`;
  }
  // A number may be written in several ways.
  if (columns.some(({ field }) => field.type.kind === 'number')) return undefined;
  const texts = compared.map((operand, at) =>
    (columns[at] as Column).field.type.kind === 'text' ? operand : sql`cast(${operand} as text)`,
  );
  const arrays = columns.map((_, at) => {
    const array = postgresArray(tables.map(row => String(row[at])));
    return sql`cast(${pieces.text(array)} as text[])`;
  });
  const each = columns.flatMap((column, at) => {
    if (column.field.type.kind === 'text') return [];
    const values = [...new Set(rows.map(row => row[at]))];
    return [oneOf(pieces, column, values, false)(operands[at] as Sql)];
  });
  const together = sql`(${list(texts)}) in (select * from unnest(${list(arrays)}))`;
  return pieces.join([...each, together], sql` and `);
}

const MAX_INT4 = 2 ** 31 - 1;

/** Rows of an entity that another row is related to. */
export interface RelatedRows<Sql> {
  readonly entity: Entity;
  readonly alias: string;
  /** The table between the two, if there is one, to be joined. */
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
  const alias = aliasOf({ entity, number });
  const column = (field: Field) => pieces.column(alias, field, entity);
  if (joinTable === undefined) {
    const where = all(join.map(({ from, to }) => equal(pieces, to, column(to), () => owner(from))));
    return { entity, alias, where };
  }
  const linkAlias = `j${number}`;
  const link = (name: string) => pieces.joinColumn(linkAlias, name, joinTable);
  const on = all(
    joinTable.target.map(({ column: name, field }) => equal(pieces, field, link(name), () => column(field))),
  );
  const where = all(
    joinTable.source.map(({ column: name, field }) => equal(pieces, field, link(name), () => owner(field))),
  );
  return { entity, alias, link: { joinTable, alias: linkAlias, on }, where };
}

/**
 * The rows that a relation leads to from any of several rows.
 *
 * @param fields by which the relation is found
 * @param owners the values of these fields, of each of the rows
 * @returns also the columns that tell of which of them a row is one
 */
export function rowsRelatedToMany<Sql>(
  pieces: SqlPieces<Sql>,
  entity: Entity,
  relation: EntityRelation,
  number: number,
  fields: readonly Field[],
  owners: readonly (readonly unknown[])[],
): RelatedRows<Sql> & { readonly owner: readonly Sql[] } {
  const { joinTable, join, target } = relation;
  const related = relatedRows(pieces, relation, number, () => pieces.sql`null`);
  const columns = fields.map(from => {
    const bound = { field: from, row: { entity, number } };
    if (joinTable === undefined) {
      const field = join.find(pair => pair.from === from)?.to as Field;
      return { field, bound, column: pieces.column(related.alias, field, target) };
    }
    const name = joinTable.source.find(({ field }) => field === from)?.column as string;
    const column = pieces.joinColumn(related.link?.alias as string, name, joinTable);
    return { field: from, bound, column };
  });
  return { ...related, where: holdAny(pieces, columns, owners), owner: columns.map(({ column }) => column) };
}

/** A column that holds a value of another row, and as a value of which column that is bound. */
interface HoldingColumn<Sql> {
  readonly field: Field;
  readonly column: Sql;
  readonly bound: Column;
}

/**
 * That columns hold the values of one of several rows.
 *
 * @param owners the values of each of the rows, in the order of the columns
 */
export function holdAny<Sql>(
  pieces: SqlPieces<Sql>,
  columns: readonly HoldingColumn<Sql>[],
  owners: readonly (readonly unknown[])[],
): Sql {
  const { sql } = pieces;
  const [first] = columns;
  if (first !== undefined && columns.length === 1) {
    const values = owners.map(([value]) => value);
    return isOneOf(pieces, first.bound, first.field, first.column, values);
  }
  const each = owners.map(values => {
    const equals = columns.map(({ field, column, bound }, at) =>
      equal(pieces, field, column, () => pieces.value(bound.field, bound.row.entity, values[at])),
    );
    return sql`(${pieces.join(equals, sql` and `)})`;
  });
  return sql`(${pieces.join(each, sql` or `)})`;
}

/**
 * Whether something is one of some values.
 *
 * @param bound as a value of which column they are bound
 * @param field of which column the operand is
 */
function isOneOf<Sql>(
  pieces: SqlPieces<Sql>,
  bound: Column,
  field: Field,
  operand: Sql,
  values: readonly unknown[],
): Sql {
  const among = oneOf(pieces, bound, values, false);
  const isOne = among(exact(pieces, field, operand));
  return hasCollation(pieces, field) && pieces.dialect === 'postgresql'
    ? same(pieces, among(operand), isOne)
    : isOne;
}

/**
 * Of what is equal by its collation, that its bytes are the same. PostgreSQL would take the one for as rare as the other,
 * and expect next to no rows of both, unless `coalesce` hides it.
 */
function same<Sql>({ dialect, sql }: SqlPieces<Sql>, byCollation: Sql, byBytes: Sql): Sql {
  return dialect === 'postgresql'
    ? sql`${byCollation} and coalesce(${byBytes}, false)`
    : sql`${byCollation} and ${byBytes}`;
}

/** @param right makes what is compared to; a bound value is one each time */
function equal<Sql>(pieces: SqlPieces<Sql>, field: Field, left: Sql, right: () => Sql): Sql {
  const { sql } = pieces;
  const byCollation = sql`${left} = ${right()}`;
  return hasCollation(pieces, field)
    ? same(pieces, byCollation, sql`${exact(pieces, field, left)} = ${right()}`)
    : byCollation;
}

/** Text that is compared by its bytes, whatever its collation is; all else as it is. */
function exact<Sql>(pieces: SqlPieces<Sql>, field: Field, operand: Sql): Sql {
  const { dialect, sql } = pieces;
  if (!hasCollation(pieces, field)) return operand;
  if (dialect === 'sqlite') return sql`${operand} collate binary`;
  return field.type.kind === 'enum' ? sql`${operand}::text collate "C"` : sql`${operand} collate "C"`;
}

function hasCollation<Sql>({ dialect, hasNativeEnums }: SqlPieces<Sql>, { type }: Field): boolean {
  if (type.kind === 'uuid') return dialect === 'sqlite';
  return type.kind === 'text' || (type.kind === 'enum' && !hasNativeEnums);
}

/** What a value has to be for policies to read it; undefined if the column keeps nothing else. */
function readableOf<Sql>(pieces: SqlPieces<Sql>, column: Sql, { type }: Field): Sql | undefined {
  const { dialect, sql } = pieces;
  const isSqlite = dialect === 'sqlite';
  switch (type.kind) {
    case 'number':
      return isSqlite
        ? sql`(${column} between -9007199254740991 and 9007199254740991 or ${column} in (9e999, -9e999))`
        : sql`(${column} between -9007199254740991 and 9007199254740991 or ${column} in ('NaN', 'Infinity', '-Infinity'))`;
    case 'integer':
      if (isSqlite) {
        return sql`(${column} between -9007199254740991 and 9007199254740991 and ${column} = cast(${column} as integer))`;
      }
      // Others are documented to hold no more than they can.
      return type.max === Number.MAX_SAFE_INTEGER
        ? sql`(${column} between -9007199254740991 and 9007199254740991)`
        : undefined;
    case 'text':
    case 'uuid':
    case 'enum':
      // SQLite has numbers before all text, and bytes after it.
      return isSqlite ? sql`(${column} >= '' and ${column} < x'')` : undefined;
    default:
      return undefined;
  }
}

/** Operators are text of the query: each of them is written out, so that nothing else can get there. */
function binary<Sql>({ sql }: SqlPieces<Sql>, left: Sql, operator: ComparisonOperator, right: Sql): Sql {
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
 * The values by which the rows of a relation are found; undefined if one is null, for then there are none.
 *
 * @throws {KoaOsoError} `ERR_KOA_OSO_INVALID_ARGUMENT` if a field is not loaded, but for the key of what is not saved yet
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
