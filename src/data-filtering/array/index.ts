import { propertyOf } from '../../guard/own-properties.js';
import { compareStrings } from '../../polar/values/values.js';
import { type EntityAdapter, entityAdapter } from '../adapter.js';
import { requireValue } from '../check-value.js';
import type { Column, ComparisonOperator, Reach } from '../condition/condition.js';
import { type Translation, translate } from '../condition/translate.js';
import { describedSchema } from '../describe.js';
import type { SchemaDescription } from '../description.js';
import { type EqualityFn, equalityOf } from '../equality.js';
import { errors } from '../errors.js';
import { type FilteringEngine, registerSchema } from '../register-entities.js';
import { held } from '../related.js';
import type { Entity, EntityRelation, FieldType, Schema } from '../schema.js';

export type {
  EntityDescription,
  FieldDescription,
  FieldPairs,
  FieldTypeDescription,
  RelationDescription,
  SchemaDescription,
} from '../description.js';

type Row = object;

/** Rows by the names of their entities, and of tables between them. */
export type Arrays = Readonly<Record<string, readonly Row[]>>;

/** Rows by the number of their variable. */
type Rows = ReadonlyMap<number, Row>;
type Test = (rows: Rows) => boolean;

/**
 * Makes rows in plain arrays known to an Oso, for tests and small apps: their classes with fields and relations, when two of them
 * are equal, and where the rows are. To be called before the policy is loaded. A plain Oso has to be given {@link entityEquality}, too.
 *
 * `authorizedQuery` answers with an array that holds the rows which are allowed, in their order.
 *
 * @param arrays the rows, by the names of their entities; they may change from one query to the next. A query looks at each
 *   of them, and rejects with `ERR_KOA_OSO_INVALID_ARGUMENT` if one is not an instance of its class, lacks a field that is
 *   described, or holds a value of another type
 * @throws {KoaOsoError} `ERR_KOA_OSO_INVALID_ARGUMENT` if a relation or a key names what is not described, if it is called twice
 *   for an Oso or after a policy was loaded, or if a name is taken
 * @example
 * const oso = new CompiledOso();
 * registerEntities(oso, { Expense: expenses, User: users }, description);
 * await oso.loadFiles(['policy.polar']);
 */
export function registerEntities(oso: FilteringEngine, arrays: Arrays, description: SchemaDescription): void {
  const schema = describedSchema(description);
  registerSchema(oso, schema, arrayAdapter(schema, arrays));
}

/**
 * The `equalityFn` for `new Oso({ equalityFn })` by which `expense.owner = user` holds if the two have the same key, as
 * it does in lists. Oso's own compares all that is loaded of them.
 */
export function entityEquality(description: SchemaDescription): EqualityFn {
  const schema = describedSchema(description);
  return equalityOf(() => schema);
}

function arrayAdapter(schema: Schema, arrays: Arrays): EntityAdapter<Row[], Row> {
  return entityAdapter<Row[], Row>(
    {
      hasForeignKeys: false,
      held,
      select: (entity, condition) => {
        const rows = new CheckedArrays(arrays);
        const test = translate(condition, testsOf(rows));
        const allowed = (row: Row) => test(new Map([[0, row]]));
        return rows.of(schema.get(entity.name) ?? entity).filter(allowed);
      },
      execute: async rows => rows,
      load: async ({ owner, relation }) => new CheckedArrays(arrays).related(owner, relation),
      loadMany: async ({ relation, fields, owners }) => {
        const rows = new CheckedArrays(arrays);
        return owners.map(values => {
          const owner = Object.fromEntries(fields.map(({ name }, at) => [name, values[at]]));
          return rows.related(owner, relation);
        });
      },
    },
    noTransactions,
  );
}

function noTransactions(): never {
  throw errors.invalidArgument('Rows in arrays have no transactions. Ask without using(…).');
}

/** The rows as they are during one query, each looked at once: whether it is as its description says. */
class CheckedArrays {
  readonly #arrays: Arrays;
  readonly #checked = new Map<string, readonly Row[]>();

  constructor(arrays: Arrays) {
    this.#arrays = arrays;
  }

  /** The rows of an entity that do not count as deleted. */
  of(entity: Entity): readonly Row[] {
    return this.#rows(entity.name, row => {
      if (!(row instanceof entity.class)) {
        throw errors.invalidArgument(
          `A row in the array \`${entity.name}\` is not an instance of the class ${entity.class.name}.`,
        );
      }
      for (const field of entity.fields.values()) requireValue(entity, field, read(row, field.name));
      return entity.deletedAt === undefined || read(row, entity.deletedAt.name) === null;
    });
  }

  /** The rows that a relation leads to. */
  related(row: Row, relation: EntityRelation): readonly Row[] {
    const targets = this.of(relation.target);
    const { joinTable } = relation;
    if (joinTable === undefined) {
      return targets.filter(target =>
        relation.join.every(({ from, to }) => isSame(read(row, from.name), read(target, to.name))),
      );
    }
    const columns = [...joinTable.source, ...joinTable.target].map(({ column }) => column);
    const links = this.#rows(joinTable.table, link => {
      const missing = columns.find(column => read(link, column) === undefined);
      if (missing === undefined) return true;
      throw errors.invalidArgument(`A row in the array \`${joinTable.table}\` has no \`${missing}\`.`);
    }).filter(link =>
      joinTable.source.every(({ field, column }) => isSame(read(row, field.name), read(link, column))),
    );
    return targets.filter(target =>
      links.some(link =>
        joinTable.target.every(({ field, column }) => isSame(read(link, column), read(target, field.name))),
      ),
    );
  }

  #rows(name: string, isMeant: (row: Row) => boolean): readonly Row[] {
    const known = this.#checked.get(name);
    if (known !== undefined) return known;
    const rows = Object.hasOwn(this.#arrays, name) ? this.#arrays[name] : undefined;
    if (rows === undefined)
      throw errors.invalidArgument(`registerEntities was given no array by the name of \`${name}\`.`);
    const checked = rows.filter(isMeant);
    this.#checked.set(name, checked);
    return checked;
  }
}

function testsOf(rowsOf: CheckedArrays): Translation<Test> {
  return {
    constant: value => () => value,
    and: parts => rows => parts.every(part => part(rows)),
    or: parts => rows => parts.some(part => part(rows)),
    not: part => rows => !part(rows),
    compare: (column, operator, value, negated) => rows =>
      compare(fieldOf(rows, column), operator, value, negated),
    compareColumns: (left, operator, right, negated) => rows =>
      compare(fieldOf(rows, left), operator, fieldOf(rows, right), negated),
    in: (column, values, negated) => rows => {
      const held = fieldOf(rows, column);
      return negated
        ? values.every(value => compare(held, '!=', value, false))
        : values.some(value => compare(held, '=', value, false));
    },
    inRows: (columns, values) => rows => {
      const held = columns.map(column => fieldOf(rows, column));
      return values.some(row => held.every((value, at) => compare(value, '=', row[at], false)));
    },
    readable: column => rows => isReadable(fieldOf(rows, column), column.field.type),
    isNull: column => rows => fieldOf(rows, column) == null,
    isNotNull: column => rows => fieldOf(rows, column) != null,
    reaches: (reach, base, step) => {
      let keys: Set<string> | undefined;
      const { key } = reach.row.entity;
      return rows => {
        keys ??= new Set(
          [...reached(rowsOf, reach, base, step)].map(row => keyText(key.map(({ name }) => read(row, name)))),
        );
        const asked = reach.key.map(column => fieldOf(rows, column));
        return asked.every(value => value != null) && keys.has(keyText(asked));
      };
    },
    exists: (relation, from, to, condition) => rows =>
      rowsOf
        .related(rows.get(from.number) as Row, relation)
        .some(row => condition === undefined || condition(new Map(rows).set(to.number, row))),
  };
}

function keyText(values: readonly unknown[]): string {
  return JSON.stringify(values);
}

/** The rows that reach one for which `base` holds: each is found once, so rows that refer to each other in a circle are no matter. */
function reached(
  rowsOf: CheckedArrays,
  { row, relation }: Reach,
  base: Test | undefined,
  step: Test | undefined,
): ReadonlySet<Row> {
  const holds = (test: Test | undefined, each: Row) =>
    test === undefined || test(new Map([[row.number, each]]));
  const rows = rowsOf.of(row.entity);
  const before = new Map<Row, Row[]>();
  for (const each of rows) {
    if (!holds(step, each)) continue;
    for (const next of rowsOf.related(each, relation)) {
      const known = before.get(next);
      if (known === undefined) before.set(next, [each]);
      else known.push(each);
    }
  }
  const found = new Set(rows.filter(each => holds(base, each)));
  // A set hands out what is added to it while it is gone through.
  for (const each of found) for (const other of before.get(each) ?? []) found.add(other);
  return found;
}

function fieldOf(rows: Rows, { row, field }: Column): unknown {
  return read(rows.get(row.number) as Row, field.name);
}

function read(row: Row, property: string): unknown {
  return propertyOf(row, property);
}

function isSame(left: unknown, right: unknown): boolean {
  return left != null && left === right;
}

/**
 * As policies compare, and not as JavaScript does, to which `""` is as much as 0. Nothing compares to null, nor to what
 * is an error to policies.
 */
function compare(left: unknown, operator: ComparisonOperator, right: unknown, negated: boolean): boolean {
  if (typeof left === 'string' && typeof right === 'string') {
    return isInOrder(operator, compareStrings(left, right), 0) !== negated;
  }
  const [a, b] = [numberOf(left), numberOf(right)];
  return (
    a !== undefined &&
    b !== undefined &&
    typeof left === typeof right &&
    isInOrder(operator, a, b) !== negated
  );
}

/** What has the order of a number: numbers, booleans and moments; undefined for what policies cannot read. */
function numberOf(value: unknown): number | undefined {
  if (typeof value === 'boolean') return Number(value);
  if (value instanceof Date) return value.getTime();
  return typeof value === 'number' && isReadableNumber(value) ? value : undefined;
}

/** Of whole numbers, policies read those that JavaScript tells apart. */
function isReadableNumber(value: number): boolean {
  return !Number.isInteger(value) || Number.isSafeInteger(value);
}

/** Whether a value is of the type of its field, and no error to policies. */
function isReadable(value: unknown, { kind }: FieldType): boolean {
  switch (kind) {
    case 'integer':
      return Number.isSafeInteger(value);
    case 'number':
      return typeof value === 'number' && isReadableNumber(value);
    case 'boolean':
      return typeof value === 'boolean';
    case 'date':
      return value instanceof Date;
    default:
      return typeof value === 'string';
  }
}

function isInOrder(operator: ComparisonOperator, left: number, right: number): boolean {
  switch (operator) {
    case '=':
      return left === right;
    case '!=':
      return left !== right;
    case '<':
      return left < right;
    case '<=':
      return left <= right;
    case '>':
      return left > right;
    case '>=':
      return left >= right;
  }
}
