import { given } from '../options.js';
import { requireDescription } from './check-description.js';
import type {
  FieldDescription,
  FieldTypeDescription,
  RelationDescription,
  SchemaDescription,
} from './description.js';
import { errors } from './errors.js';
import type { Entity, EntityRelation, Field, FieldType, JoinTable, Schema } from './schema.js';

/** What policies can read. */
const INTEGER = {
  kind: 'integer',
  min: Number.MIN_SAFE_INTEGER,
  max: Number.MAX_SAFE_INTEGER,
} as const;

/**
 * Makes a schema of its description.
 *
 * @throws {KoaOsoError} `ERR_KOA_OSO_INVALID_ARGUMENT` if it is empty, has a key or a type that there is not, or if a relation or a
 *   key names what is not described
 */
export function describedSchema(description: SchemaDescription): Schema {
  requireDescription(description);
  const schema = new Map<string, Entity>();
  const relationsOf = new Map<string, Map<string, EntityRelation>>();
  const described = Object.entries(description).map(([name, entity]) => [name, given(entity)] as const);
  for (const [name, entity] of described) {
    const fields = new Map(
      Object.entries(entity.fields).map(([field, type]) => [field, fieldOf(field, type)]),
    );
    const named = (field: string): Field => requireField(fields, name, field);
    const relations = new Map<string, EntityRelation>();
    relationsOf.set(name, relations);
    schema.set(name, {
      name,
      class: entity.class,
      table: entity.table ?? name,
      key: (entity.key ?? ['id']).map(named),
      fields,
      relations,
      deletedAt: entity.deletedAt === undefined ? undefined : named(entity.deletedAt),
    });
  }
  for (const [name, { relations = {} }] of described) {
    for (const [relation, toOther] of Object.entries(relations)) {
      const entity = schema.get(name) as Entity;
      relationsOf.get(name)?.set(relation, relationOf(schema, entity, relation, given(toOther)));
    }
  }
  return schema;
}

function fieldOf(name: string, described: FieldTypeDescription | FieldDescription): Field {
  const {
    type,
    nullable = true,
    column = name,
  } = given(isFieldDescription(described) ? described : { type: described });
  // Which database it is described for is not known here.
  return {
    name,
    column,
    nullable,
    type: typeOf(type),
    mayBeNaN: type === 'number' || type === 'date',
    mayFail: typeof type === 'object' || type === 'text' || type === 'uuid' ? 'in order' : true,
  };
}

function isFieldDescription(
  described: FieldTypeDescription | FieldDescription,
): described is FieldDescription {
  return typeof described === 'object' && Object.hasOwn(described, 'type');
}

function typeOf(type: FieldTypeDescription): FieldType {
  if (typeof type === 'object') return { kind: 'enum', values: type.enum };
  return type === 'integer' ? INTEGER : { kind: type };
}

/** @throws {KoaOsoError} `ERR_KOA_OSO_INVALID_ARGUMENT` if there is no such field */
export function requireField(fields: ReadonlyMap<string, Field>, entity: string, name: string): Field {
  const field = fields.get(name);
  if (field === undefined) {
    throw errors.invalidArgument(
      `The description of the entity ${entity} names a field \`${name}\` that is not in its fields.`,
    );
  }
  return field;
}

function relationOf(
  schema: Schema,
  entity: Entity,
  name: string,
  { one, many, on = {}, through, foreignKey = false }: RelationDescription,
): EntityRelation {
  const other = one ?? many;
  const target = schema.get(other);
  if (target === undefined) {
    throw errors.invalidArgument(
      `The relation \`${name}\` of the entity ${entity.name} leads to ${other}, which is not described.`,
    );
  }
  const mine = (field: string) => requireField(entity.fields, entity.name, field);
  const theirs = (field: string) => requireField(target.fields, target.name, field);
  const join = Object.entries(on).map(([from, to]) => ({ from: mine(from), to: theirs(to) }));
  const joinTable: JoinTable | undefined = through && {
    table: through.table,
    source: Object.entries(through.from).map(([field, column]) => ({ field: mine(field), column })),
    target: Object.entries(through.to).map(([field, column]) => ({ field: theirs(field), column })),
  };
  const isOne = one !== undefined;
  if (join.length === 0 && (joinTable?.source.length ?? 0) === 0) {
    throw errors.invalidArgument(
      `The relation \`${name}\` of the entity ${entity.name} says by no field what is related.`,
    );
  }
  return {
    name,
    kind: isOne ? 'one' : 'many',
    target,
    join,
    joinTable,
    guaranteed: isOne && foreignKey && join.length > 0 && target.deletedAt === undefined,
  };
}
