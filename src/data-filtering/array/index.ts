import { propertyOf } from '../../own-properties.js';
import { type EntityAdapter, entityAdapter } from '../adapter.js';
import type { Column, Operator } from '../condition/condition.js';
import { type Translation, translate } from '../condition/translate.js';
import { describedSchema, type SchemaDescription } from '../describe.js';
import { type EqualityFn, equalityOf } from '../equality.js';
import { errors } from '../errors.js';
import { type FilteringEngine, registerSchema } from '../register-entities.js';
import type { Entity, EntityRelation, Schema } from '../schema.js';

export type {
  EntityDescription,
  FieldDescription,
  FieldPairs,
  FieldTypeDescription,
  RelationDescription,
  SchemaDescription,
} from '../describe.js';

type Row = object;

/** Rows by the names of their entities, and of tables between them. */
export type Arrays = Readonly<Record<string, readonly Row[]>>;

/** Rows by number of their source. */
type Rows = ReadonlyMap<number, Row>;
type Test = (rows: Rows) => boolean;

/**
 * Registers the classes of rows that are kept in arrays, with their fields and relations, for {@link arrayAdapter}. To be
 * called before the policy is loaded.
 *
 * @throws {KoaOsoError} `ERR_KOA_OSO_INVALID_ARGUMENT` where a relation or a key names what is not described
 */
export function registerEntities(oso: FilteringEngine, description: SchemaDescription): void {
  registerSchema(oso, describedSchema(description));
}

/**
 * The `equalityFn` for `new Oso({ equalityFn })` by which `expense.owner = user` holds where the two have the same key, as
 * it does in lists. Oso's own compares all that is loaded of them.
 */
export function entityEquality(description: SchemaDescription): EqualityFn {
  const schema = describedSchema(description);
  return equalityOf(() => schema);
}

/**
 * The data filtering adapter for rows in plain arrays, for tests and small apps.
 *
 * `authorizedQuery` answers with an array that holds the rows which are allowed, in their order.
 *
 * @param description what was passed to {@link registerEntities}
 * @param arrays the rows, by the names of their entities; they may change from one query to the next
 * @example
 * const oso = new Oso();
 * registerEntities(oso, description);
 * oso.setDataFilteringAdapter(arrayAdapter(description, { Expense: expenses, User: users }));
 */
export function arrayAdapter<Resource extends Row = Row>(
  description: SchemaDescription,
  arrays: Arrays,
): EntityAdapter<Resource[], Resource> {
  const schema: Schema = describedSchema(description);
  const rowsOf = (name: string): readonly Row[] => {
    const rows = arrays[name];
    if (rows === undefined)
      throw errors.invalidArgument(`arrayAdapter was given no array by the name of \`${name}\`.`);
    return rows;
  };
  const related = (row: Row, relation: EntityRelation): readonly Row[] => {
    const targets = rowsOf(relation.target.name).filter(isThere(relation.target));
    const { joinTable } = relation;
    if (joinTable === undefined) {
      return targets.filter(target =>
        relation.join.every(({ from, to }) => isSame(read(row, from.name), read(target, to.name))),
      );
    }
    const links = rowsOf(joinTable.table).filter(link =>
      joinTable.source.every(({ field, column }) => isSame(read(row, field.name), read(link, column))),
    );
    return targets.filter(target =>
      links.some(link =>
        joinTable.target.every(({ field, column }) => isSame(read(link, column), read(target, field.name))),
      ),
    );
  };
  const tests = testsOf(related);

  return entityAdapter<Resource[], Resource>({
    select: (entity, condition) => {
      const test = translate(condition, tests);
      const allowed = (row: Row) => test(new Map([[0, row]]));
      return rowsOf(schema.get(entity.name)?.name ?? entity.name)
        .filter(isThere(entity))
        .filter(allowed) as Resource[];
    },
    execute: async rows => rows,
    load: async ({ owner, relation }) => related(owner, relation),
  });
}

function isThere({ deletedAt }: Entity): (row: Row) => boolean {
  return row => deletedAt === undefined || read(row, deletedAt.name) == null;
}

function testsOf(related: (row: Row, relation: EntityRelation) => readonly Row[]): Translation<Test> {
  return {
    constant: value => () => value,
    and: parts => rows => parts.every(part => part(rows)),
    or: parts => rows => parts.some(part => part(rows)),
    not: part => rows => !part(rows),
    compare: (column, operator, value) => rows => compare(fieldOf(rows, column), operator, value),
    compareColumns: (left, operator, right) => rows =>
      compare(fieldOf(rows, left), operator, fieldOf(rows, right)),
    in: (column, values) => rows => values.some(value => compare(fieldOf(rows, column), '=', value)),
    isNull: column => rows => fieldOf(rows, column) == null,
    isNotNull: column => rows => fieldOf(rows, column) != null,
    exists: (relation, from, to, condition) => rows =>
      related(rows.get(from.number) as Row, relation).some(
        row => condition === undefined || condition(new Map(rows).set(to.number, row)),
      ),
  };
}

function fieldOf(rows: Rows, { source, field }: Column): unknown {
  return read(rows.get(source.number) as Row, field.name);
}

function read(row: Row, property: string): unknown {
  return propertyOf(row, property);
}

function isSame(left: unknown, right: unknown): boolean {
  return left != null && left === right;
}

/** As SQL has it, where nothing compares to null. */
function compare(left: unknown, operator: Operator, right: unknown): boolean {
  if (left == null || right == null) return false;
  const order = orderOf(left, right);
  switch (operator) {
    case '=':
      return order === 0;
    case '!=':
      return order !== 0;
    case '<':
      return order < 0;
    case '<=':
      return order <= 0;
    case '>':
      return order > 0;
    case '>=':
      return order >= 0;
  }
}

function orderOf(left: unknown, right: unknown): number {
  // Policies order text by its bytes.
  if (typeof left === 'string' && typeof right === 'string')
    return Buffer.compare(Buffer.from(left), Buffer.from(right));
  return Number(left) - Number(right);
}
