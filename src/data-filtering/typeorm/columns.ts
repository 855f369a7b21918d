import { isDeepStrictEqual } from 'node:util';
import type { ColumnType, DataSource } from 'typeorm';
import type { ColumnMetadata } from 'typeorm/metadata/ColumnMetadata.js';
import { postgresTimestamp } from '../condition/postgres-timestamp.js';
import { errors } from '../errors.js';
import type { Field, FieldType } from '../schema.js';
import { Unfilterable } from '../unfilterable.js';

/** What is to be known of a column besides its type. */
export type Rendering =
  /** Text with a collation of its own: what refers to it may be spelt otherwise. */
  | 'collated'
  /** Days, which TypeORM reads as text, and of which databases make other things: SQLite compares them as numbers. */
  | 'day';

/** What values of a column are in policies, and how to compare them in SQL. */
export interface ColumnKind {
  readonly type: FieldType;
  readonly toDatabase?: (value: unknown) => unknown;
  readonly rendering?: Rendering;
  readonly mayBeNaN?: boolean;
  readonly mayFail?: Field['mayFail'];
}

export type DriverDialect = 'postgres' | 'sqlite';

/** The SQL that a data source speaks; an error if its equality is not that of JavaScript. */
export function dialectOf(dataSource: DataSource): DriverDialect {
  const { type } = dataSource.options;
  if (type === 'postgres') return 'postgres';
  if (type === 'sqljs' || type === 'better-sqlite3') return 'sqlite';
  throw errors.invalidArgument(
    `Lists cannot be filtered by the TypeORM driver '${type}': it compares values otherwise than policies do, or has ` +
      "not been tested. Use 'postgres', 'better-sqlite3' or 'sqljs'.",
  );
}

/** Finds out what the values of a column are, by asking the driver to read some. */
export function kindOf(dataSource: DataSource, column: ColumnMetadata): ColumnKind {
  const refused = refusedByOptions(column);
  if (refused !== undefined) return unsupported(refused);
  if (dialectOf(dataSource) === 'postgres') return postgresKind(dataSource, column);
  const kind = sqliteKind(dataSource, column);
  // Columns keep what they are given; of booleans TypeORM makes something in any case.
  if (kind.type.kind === 'boolean') return kind;
  const isText = kind.rendering !== 'day' && (kind.type.kind === 'text' || kind.type.kind === 'enum');
  return { ...kind, mayFail: isText ? 'in order' : true };
}

function unsupported(why: string): ColumnKind {
  return { type: { kind: 'unsupported', why } };
}

function refusedByOptions(column: ColumnMetadata): string | undefined {
  if (!column.type) return 'of a type that TypeORM is not told (use @Column() in views, too)';
  if (column.isVirtualProperty) return 'computed by a query of its own';
  if (!column.isSelect) return 'not loaded with its row (`select: false`)';
  if (column.isArray) return 'an array';
  if (column.transformer !== undefined && !NUMBERS.has(column.type))
    return 'changed by a transformer when it is read';
  return undefined;
}

/** Whose values may become other numbers by a transformer: it is put to the test. */
const NUMBERS = new Set<ColumnType>(['decimal', 'numeric', 'bigint', 'int8']);

const SAFE_INTEGERS = {
  kind: 'integer',
  min: Number.MIN_SAFE_INTEGER,
  max: Number.MAX_SAFE_INTEGER,
} as const;

const INT2 = { kind: 'integer', min: -(2 ** 15), max: 2 ** 15 - 1 } as const;
const INT4 = { kind: 'integer', min: -(2 ** 31), max: 2 ** 31 - 1 } as const;

/** Of so many digits a number of JavaScript tells all decimals apart. */
const EXACT_DIGITS = 15;

type Sample = readonly [stored: unknown, read: unknown];

const INTEGERS = ['0', '1', '-1', '32767'];
const LARGE_INTEGERS = [...INTEGERS, '1234567890123'];
const DECIMALS = [...INTEGERS, '12.50', '-0.25', '1234567.75'];

function asNumbers(texts: readonly string[]): Sample[] {
  return texts.map(text => [text, Number(text)]);
}

function asTexts(texts: readonly string[]): Sample[] {
  return texts.map(text => [text, text]);
}

/** How PostgreSQL's types are numbered, by which their parsers are found. */
const OIDS: Readonly<Record<string, number>> = {
  boolean: 16,
  bigint: 20,
  smallint: 21,
  integer: 23,
  text: 25,
  'double precision': 701,
  'character varying': 1043,
  date: 1082,
  'timestamp without time zone': 1114,
  'timestamp with time zone': 1184,
  numeric: 1700,
  uuid: 2950,
};

interface TypeParsers {
  getTypeParser?(oid: number, format: string): (text: string) => unknown;
}

function postgresKind(dataSource: DataSource, column: ColumnMetadata): ColumnKind {
  const type = dataSource.driver.normalizeType(column);
  if (type === 'enum') return enumKind(column);
  const parse = postgresParser(dataSource, type);
  const reads = (samples: readonly Sample[]) => areRead(dataSource, column, parse, samples);
  switch (type) {
    case 'smallint':
      return reads(asNumbers(INTEGERS)) ? { type: INT2 } : parsedOtherwise();
    case 'integer':
      return reads(asNumbers(INTEGERS)) ? { type: INT4 } : parsedOtherwise();
    case 'bigint':
      if (reads(asTexts(LARGE_INTEGERS))) return { type: { kind: 'bigint' } };
      return reads(asNumbers(LARGE_INTEGERS)) ? { type: SAFE_INTEGERS, mayFail: true } : parsedOtherwise();
    case 'numeric':
      return numericKind(column, reads);
    case 'double precision':
      return reads(asNumbers(DECIMALS))
        ? { type: { kind: 'number' }, mayBeNaN: true, mayFail: true }
        : parsedOtherwise();
    case 'boolean':
      return reads([
        ['t', true],
        ['f', false],
      ])
        ? { type: { kind: 'boolean' } }
        : parsedOtherwise();
    case 'uuid':
      return reads(asTexts(['0b9d7bd8-5f0c-4a58-9c1e-0a1b2c3d4e5f']))
        ? { type: { kind: 'uuid' } }
        : parsedOtherwise();
    case 'character varying':
    case 'text':
      if (!isText(column)) return unsupported('a list or an object, kept as text');
      return reads(asTexts(['a ', 'A', '', 'é'])) ? textKind(column) : parsedOtherwise();
    case 'date':
      return reads(asTexts(['2024-02-29', '1999-12-31']))
        ? { type: { kind: 'text' }, rendering: 'day', mayFail: true }
        : parsedOtherwise();
    case 'timestamp with time zone':
      return reads([['2024-02-29 12:30:15.123+00', new Date('2024-02-29T12:30:15.123Z')]])
        ? { type: { kind: 'date' }, toDatabase: value => postgresTimestamp(value as Date) }
        : parsedOtherwise();
    case 'timestamp without time zone':
      return reads([
        ['2024-01-31 12:30:15.123', new Date(2024, 0, 31, 12, 30, 15, 123)],
        ['2024-07-31 12:30:15.123', new Date(2024, 6, 31, 12, 30, 15, 123)],
      ])
        ? { type: { kind: 'date' }, toDatabase: toLocal }
        : parsedOtherwise();
    default:
      return unsupported(`of a type (${type}) that PostgreSQL compares otherwise than policies`);
  }
}

function parsedOtherwise(): ColumnKind {
  return unsupported('read otherwise than by default, by a type parser or a transformer');
}

function postgresParser(dataSource: DataSource, type: string): (text: unknown) => unknown {
  const { options, driver } = dataSource as unknown as {
    options: { extra?: { types?: TypeParsers } };
    driver: { postgres?: { types?: TypeParsers } };
  };
  const types = options.extra?.types ?? driver.postgres?.types;
  const parser = types?.getTypeParser?.(OIDS[type] ?? 0, 'text');
  return text => (typeof text === 'string' ? parser?.(text) : text);
}

function numericKind(column: ColumnMetadata, reads: (samples: readonly Sample[]) => boolean): ColumnKind {
  if (!reads(asNumbers(DECIMALS))) {
    return unsupported(
      'a decimal that is read as text: give its column a transformer that makes it a number',
    );
  }
  const { precision } = column;
  if (typeof precision !== 'number' || precision > EXACT_DIGITS) {
    return unsupported(
      `a decimal that may have more digits than a number: give its column a precision of ${EXACT_DIGITS} or less`,
    );
  }
  return { type: { kind: 'number' }, mayBeNaN: true };
}

/** Whether TypeORM keeps no more than text in a column of text. */
function isText({ type }: ColumnMetadata): boolean {
  return type !== 'simple-array' && type !== 'simple-json';
}

function textKind({ collation }: ColumnMetadata): ColumnKind {
  return { type: { kind: 'text' }, rendering: collation === undefined ? undefined : 'collated' };
}

function enumKind({ enum: values = [] }: ColumnMetadata): ColumnKind {
  const texts = values.filter(value => typeof value === 'string');
  if (texts.length === 0 || texts.length < values.length) {
    return unsupported('an enum whose values are not all known to be text');
  }
  return { type: { kind: 'enum', values: texts } };
}

const SQLITE_NUMBERS = new Set([
  'int',
  'tinyint',
  'smallint',
  'mediumint',
  'integer',
  'bigint',
  'unsigned big int',
  'int2',
  'int8',
  'real',
  'double',
  'double precision',
  'float',
  'numeric',
  'decimal',
]);

const SQLITE_TEXTS = new Set([
  'character',
  'varchar',
  'varying character',
  'nchar',
  'native character',
  'nvarchar',
  'text',
  'clob',
]);

function sqliteKind(dataSource: DataSource, column: ColumnMetadata): ColumnKind {
  const type = dataSource.driver.normalizeType(column);
  const reads = (samples: readonly Sample[]) => areRead(dataSource, column, stored => stored, samples);
  if (column.type === 'simple-enum') return enumKind(column);
  // TypeORM cuts off what comes after the point if the type is Number.
  if (column.type === Number) return { type: SAFE_INTEGERS };
  if (SQLITE_NUMBERS.has(type)) {
    return reads([0, 1, -1, 12.5, -0.25, 1234567.75].map(number => [number, number]))
      ? { type: { kind: 'number' } }
      : parsedOtherwise();
  }
  if (SQLITE_TEXTS.has(type)) {
    return isText(column) ? textKind(column) : unsupported('a list or an object, kept as text');
  }
  switch (type) {
    case 'boolean':
      return { type: { kind: 'boolean' }, toDatabase: value => (value === true ? 1 : 0) };
    case 'date':
      return { type: { kind: 'text' }, rendering: 'day' };
    case 'datetime':
      return { type: { kind: 'date' }, toDatabase: toSqliteDatetime };
    default:
      return unsupported(`of a type (${type}) that SQLite compares otherwise than policies`);
  }
}

/** Whether the driver, and the column's transformer, make of what is stored what is expected. */
function areRead(
  dataSource: DataSource,
  column: ColumnMetadata,
  parse: (stored: unknown) => unknown,
  samples: readonly Sample[],
): boolean {
  const read = (stored: unknown): unknown => dataSource.driver.prepareHydratedValue(parse(stored), column);
  try {
    if (column.transformer !== undefined && column.isNullable && read(null) !== null) return false;
    return samples.every(([stored, expected]) => isDeepStrictEqual(read(stored), expected));
  } catch {
    return false;
  }
}

/** As `pg` writes and reads timestamps that have no time zone: by that of the process. */
function toLocal(value: unknown): string {
  const date = value as Date;
  const parts = [
    date.getFullYear(),
    date.getMonth(),
    date.getDate(),
    date.getHours(),
    date.getMinutes(),
    date.getSeconds(),
    date.getMilliseconds(),
  ] as const;
  const read = new Date(...parts);
  // The years 0 to 99 are meant otherwise by the constructor.
  read.setFullYear(date.getFullYear());
  if (read.getTime() !== date.getTime()) {
    throw new Unfilterable({
      reason: 'a column without time zone is compared to a time of the hour that the local clock has twice',
      remedy: 'make the column a `timestamptz`, or run in UTC (TZ=UTC)',
    });
  }
  // Its parts as those of a moment in UTC.
  const written = new Date(0);
  written.setUTCFullYear(parts[0], parts[1], parts[2]);
  written.setUTCHours(parts[3], parts[4], parts[5], parts[6]);
  return postgresTimestamp(written);
}

/**
 * As TypeORM writes dates. Those of SQLite's own functions have no milliseconds; without them a full second comes before
 * both of its spellings, as it does in time.
 */
function toSqliteDatetime(value: unknown): string {
  const date = value as Date;
  const year = date.getUTCFullYear();
  // Before or after all years of four digits.
  if (year < 0 || year > 9999) return year < 0 ? '' : ':';
  return date
    .toISOString()
    .replace('T', ' ')
    .replace(/(\.000)?Z$/, '');
}
