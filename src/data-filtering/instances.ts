import type { Class } from 'oso';
import { requireValue } from './check-value.js';
import { errors } from './errors.js';
import { type Entity, entityOf, type Field, type Schema } from './schema.js';

/** Gives the value that a row has in a field. */
export type ReadField = (row: object, field: Field) => unknown;

/**
 * The instances that rows of a database stand for. The constructor of the class is not called.
 *
 * @throws {KoaOsoError} `ERR_KOA_OSO_INVALID_ARGUMENT` if a value is missing, or is not as its field is described
 */
export function instancesOfRows(entity: Entity, rows: readonly object[], read: ReadField): object[] {
  return rows.map(row => {
    const instance = Object.create(entity.class.prototype);
    for (const field of entity.fields.values()) {
      instance[field.name] = requireValue(entity, field, read(row, field));
    }
    return instance;
  });
}

/**
 * As {@link instancesOfRows}, for rows of a class.
 *
 * @throws {KoaOsoError} `ERR_KOA_OSO_UNREGISTERED_CLASS` if the class is not that of an entity
 */
export function instancesOfClass<Instance extends object>(
  schema: Schema,
  entityClass: Class<Instance>,
  rows: readonly object[],
  read: ReadField,
): Instance[] {
  const entity = entityOf(schema, entityClass);
  if (entity === undefined) throw errors.unregisteredEntity(entityClass.name);
  return instancesOfRows(entity, rows, read) as Instance[];
}
