import { given } from '../options.js';
import type { SchemaDescription } from './description.js';
import { errors } from './errors.js';

const ENTITY = ['class', 'table', 'key', 'fields', 'relations', 'deletedAt'];
const FIELD = ['type', 'nullable', 'column'];
const RELATION = ['one', 'many', 'on', 'through', 'foreignKey'];
const THROUGH = ['table', 'from', 'to'];
const TYPES = ['text', 'uuid', 'integer', 'bigint', 'number', 'boolean', 'date'];

/**
 * Refuses a description that says something else than it seems to: what is misspelt would be passed over, and what is left
 * out would open lists.
 *
 * @throws {KoaOsoError} `ERR_KOA_OSO_INVALID_ARGUMENT`, which names the entity, and the field or relation
 */
export function requireDescription(description: SchemaDescription): void {
  if (!isObject(description) || Object.keys(description).length === 0) {
    throw errors.invalidArgument(
      'The description has no entities. Describe each class whose rows are asked about.',
    );
  }
  for (const [name, described] of Object.entries(description)) {
    const where = `The description of the entity ${name}`;
    const entity = requireKeys(where, described, ENTITY);
    if (typeof entity.class !== 'function') throw errors.invalidArgument(`${where} has no \`class\`.`);
    requireText(`${where} has a \`table\``, entity.table);
    if (!isObject(entity.fields) || Object.keys(entity.fields).length === 0) {
      throw errors.invalidArgument(
        `${where} has no \`fields\`. Describe each column that policies may ask for.`,
      );
    }
    if (entity.key !== undefined && !(Array.isArray(entity.key) && entity.key.length > 0)) {
      throw errors.invalidArgument(`${where} has a \`key\` that is not a list of its fields.`);
    }
    for (const [field, described] of Object.entries(entity.fields)) {
      requireField(`The field \`${field}\` of the entity ${name}`, described);
    }
    for (const [relation, described] of Object.entries(entity.relations ?? {})) {
      requireRelation(`The relation \`${relation}\` of the entity ${name}`, described);
    }
  }
}

function requireField(where: string, described: unknown): void {
  if (!isObject(described) || Object.hasOwn(described, 'enum')) {
    requireType(where, described);
    return;
  }
  const { type, nullable, column } = requireKeys(where, described, FIELD);
  requireType(where, type);
  requireFlag(`${where} has \`nullable\``, nullable);
  requireText(`${where} has a \`column\``, column);
}

function requireType(where: string, type: unknown): void {
  if (typeof type === 'string' && TYPES.includes(type)) return;
  if (isObject(type)) {
    const { enum: values } = requireKeys(where, type, ['enum']);
    if (Array.isArray(values) && values.length > 0 && values.every(value => typeof value === 'string'))
      return;
    throw errors.invalidArgument(`${where} is an enum whose values are not a list of texts.`);
  }
  const named = typeof type === 'string' ? `the type '${type}'` : 'a type';
  throw errors.invalidArgument(
    `${where} has ${named} that there is not. There are ${TYPES.map(each => `'${each}'`).join(', ')} and { enum: […] }.`,
  );
}

function requireRelation(where: string, described: unknown): void {
  const { one, many, on, through, foreignKey } = requireKeys(where, described, RELATION);
  requireFlag(`${where} has \`foreignKey\``, foreignKey);
  if (typeof one === 'string' ? many !== undefined : typeof many !== 'string' || one !== undefined) {
    throw errors.invalidArgument(`${where} leads neither to \`one\` entity nor to \`many\`, or to both.`);
  }
  if (isObject(on) === isObject(through)) {
    throw errors.invalidArgument(
      `${where} says what is related neither by \`on\` nor by \`through\`, or by both.`,
    );
  }
  if (isObject(through)) {
    const { table, from, to } = requireKeys(where, through, THROUGH);
    if (typeof table !== 'string' || !isObject(from) || !isObject(to)) {
      throw errors.invalidArgument(`${where} is \`through\` what has no \`table\`, \`from\` and \`to\`.`);
    }
  }
}

/** What the object itself says, if it has no other keys than these. */
function requireKeys(where: string, described: unknown, known: readonly string[]): Record<string, unknown> {
  if (!isObject(described)) throw errors.invalidArgument(`${where} is not an object.`);
  const unknown = Object.keys(described).find(key => !known.includes(key));
  if (unknown === undefined) return given(described);
  throw errors.invalidArgument(
    `${where} has a key \`${unknown}\` that there is not. There are ${known.map(key => `\`${key}\``).join(', ')}.`,
  );
}

function requireFlag(what: string, value: unknown): void {
  if (value === undefined || typeof value === 'boolean') return;
  throw errors.invalidArgument(`${what} that is neither true nor false.`);
}

function requireText(what: string, value: unknown): void {
  if (value === undefined || (typeof value === 'string' && value !== '')) return;
  throw errors.invalidArgument(`${what} that is not a name.`);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
