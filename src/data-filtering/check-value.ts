import { errors } from './errors.js';
import type { Entity, Field, FieldType } from './schema.js';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const BIGINT = /^(0|-?[1-9]\d*)$/;

/**
 * A value of a row, which is to be as its field is described: a list was asked for by the description, so whoever goes on
 * with another value decides by what the list did not see.
 *
 * @throws {KoaOsoError} `ERR_KOA_OSO_INVALID_ARGUMENT` if it is missing, null in a field that is not nullable, or not of the type
 */
export function requireValue(
  entity: Entity,
  { name, column, nullable, type }: Field,
  value: unknown,
): unknown {
  const what = `The column \`${column}\` of ${entity.table}`;
  if (value === undefined) {
    throw errors.invalidArgument(
      `${what} is missing in a row, but described as \`${name}\`. Select it with the row.`,
    );
  }
  if (value === null) {
    if (nullable) return value;
    throw errors.invalidArgument(`${what} is null in a row, but \`${name}\` is described as not nullable.`);
  }
  if (isOfType(type, value)) return value;
  throw errors.invalidArgument(
    `${what} holds a value that is not of the type ${type.kind}, as which \`${name}\` is described.`,
  );
}

function isOfType(type: FieldType, value: unknown): boolean {
  switch (type.kind) {
    case 'text':
      return typeof value === 'string';
    case 'uuid':
      return typeof value === 'string' && UUID.test(value);
    case 'enum':
      return typeof value === 'string' && type.values.includes(value);
    case 'integer':
      // Beyond 2^53 it is an error to policies that read it, and lists mind that.
      if (!Number.isSafeInteger(value)) return Number.isInteger(value);
      return (value as number) >= type.min && (value as number) <= type.max;
    case 'bigint':
      return typeof value === 'string' && BIGINT.test(value);
    case 'number':
      return typeof value === 'number';
    case 'boolean':
      return typeof value === 'boolean';
    case 'date':
      // PostgreSQL's `infinity` is read as a number by pg, and as no valid date by Drizzle.
      return (
        value instanceof Date || value === Number.POSITIVE_INFINITY || value === Number.NEGATIVE_INFINITY
      );
    case 'unsupported':
      return true;
  }
}
