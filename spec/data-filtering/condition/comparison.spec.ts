import { expect } from 'chai';
import {
  compareColumns,
  compareToValue,
  type PolicyOperator,
} from '../../../src/data-filtering/condition/comparison.js';
import type { Column, Condition } from '../../../src/data-filtering/condition/condition.js';
import { negate } from '../../../src/data-filtering/condition/simplify.js';
import { equalityOf } from '../../../src/data-filtering/equality.js';
import type { Entity, Field, FieldType } from '../../../src/data-filtering/schema.js';
import { Unfilterable } from '../../../src/data-filtering/unfilterable.js';
import { CompiledOso } from '../../../src/polar/index.js';

class Row {
  constructor(
    readonly left: unknown,
    readonly right: unknown,
  ) {}
}

const entity: Entity = {
  name: 'Row',
  class: Row,
  table: 'rows',
  key: [],
  fields: new Map(),
  relations: new Map(),
};

const uuid = '0b9d7bd8-5f0c-4a58-9c1e-0a1b2c3d4e5f';

/** For each type of field, what it may hold. */
const held: readonly { readonly type: FieldType; readonly values: readonly unknown[] }[] = [
  { type: { kind: 'text' }, values: ['', 'a', 'B', '\uFFFD', '😀', '10'] },
  { type: { kind: 'uuid' }, values: [uuid] },
  { type: { kind: 'enum', values: ['draft', 'paid'] }, values: ['draft', 'paid'] },
  { type: { kind: 'integer', min: -10, max: 10 }, values: [-10, -1, 0, 1, 10] },
  { type: { kind: 'bigint' }, values: ['9223372036854775807', '-5', '0'] },
  { type: { kind: 'number' }, values: [-1.5, 0, 0.1, 1e15, Number.NaN, Infinity, -Infinity] },
  { type: { kind: 'boolean' }, values: [true, false] },
  {
    type: { kind: 'date' },
    values: [
      new Date(0),
      new Date('2024-02-29T00:00:00.001Z'),
      new Date('9999-12-31T23:59:59.999Z'),
      new Date(8.64e15),
      new Date(-8.64e15),
      new Date(Number.NaN),
    ],
  },
];

/** What policies may compare it to. */
const asked: readonly unknown[] = [
  null,
  ...held.flatMap(({ values }) => values),
  'a\0',
  '\uD800x',
  uuid.toUpperCase(),
  '-0',
  '9223372036854775808',
  '007',
  Number.NaN,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
  0.5,
  -10.5,
  11,
  -11,
  new Date(Number.NaN),
  new Date(-8.64e15),
  new Date(8.64e15),
  new Date(-1),
  new Row(1, 2),
  [],
  ['a'],
];

const operators: readonly PolicyOperator[] = ['=', '==', '!=', '<', '<=', '>', '>='];

function columnOf(name: 'left' | 'right', type: FieldType, nullable: boolean): Column {
  const mayBeNaN = type.kind === 'number' || type.kind === 'date';
  const field: Field = { name, column: name, type, nullable, mayBeNaN };
  return { row: { entity, number: 0 }, field };
}

/** As SQL has it: nothing compares to null, and text is ordered by its bytes. */
function holds(condition: Condition, row: Row): boolean {
  switch (condition.kind) {
    case 'always':
      return true;
    case 'never':
      return false;
    case 'and':
      return condition.conditions.every(part => holds(part, row));
    case 'or':
      return condition.conditions.some(part => holds(part, row));
    case 'isNull':
      return fieldOf(condition.column, row) === null;
    case 'isNotNull':
      return fieldOf(condition.column, row) !== null;
    case 'compare':
      return compare(fieldOf(condition.column, row), condition.operator, condition.value, condition.negated);
    case 'compareColumns':
      return compare(
        fieldOf(condition.left, row),
        condition.operator,
        fieldOf(condition.right, row),
        condition.negated,
      );
    default:
      throw new Error(`No comparison makes this: ${condition.kind}`);
  }
}

function fieldOf({ field }: Column, row: Row): unknown {
  return row[field.name as 'left' | 'right'];
}

function compare(left: unknown, operator: PolicyOperator, right: unknown, negated = false): boolean {
  if (left === null || right === null) return false;
  return isTrue(left, operator, right) !== negated;
}

function isTrue(left: unknown, operator: PolicyOperator, right: unknown): boolean {
  expect(typeof left, 'what the database is asked').to.equal(typeof right);
  const [a, b] =
    typeof left === 'string'
      ? [Buffer.compare(Buffer.from(left), Buffer.from(right as string)), 0]
      : [Number(left), Number(right)];
  switch (operator) {
    case '<':
      return a < b;
    case '<=':
      return a <= b;
    case '>':
      return a > b;
    case '>=':
      return a >= b;
    case '!=':
      return a !== b;
    default:
      return a === b;
  }
}

const equalityFn = equalityOf(() => new Map());

/** What policies say; undefined where they fail. */
async function inPolicy(operator: PolicyOperator): Promise<(row: Row) => Promise<boolean | undefined>> {
  const oso = new CompiledOso({ equalityFn });
  await oso.loadStr(`allow(_, _, _); holds(left, right) if left ${operator} right;`);
  return async ({ left, right }) => {
    try {
      return await oso.queryRuleOnce('holds', left, right);
    } catch {
      return undefined;
    }
  };
}

/** The condition; undefined where it is refused. */
function conditionOr(make: () => Condition): Condition | undefined {
  try {
    return make();
  } catch (error) {
    expect(error).to.be.instanceOf(Unfilterable);
    return undefined;
  }
}

describe('a field compared to a value', () => {
  for (const { type, values } of held) {
    it(`holds for those rows for which it holds in policies: ${type.kind}`, async () => {
      let compared = 0;
      for (const operator of operators) {
        const expected = await inPolicy(operator);
        for (const value of asked) {
          for (const nullable of [true, false]) {
            const column = columnOf('left', type, nullable);
            const condition = conditionOr(() => compareToValue(column, operator, value));
            if (condition === undefined) continue;
            for (const left of nullable ? [...values, null] : values) {
              const row = new Row(left, value);
              const what = `${String(left)} ${operator} ${String(value)}`;
              const answer = await expected(row);
              expect(holds(condition, row), what).to.equal(answer);
              expect(holds(negate(condition), row), `not ${what}`).to.equal(!answer);
              compared++;
            }
          }
        }
      }
      expect(compared).to.be.above(100);
    });

    it(`is not refused for values of its type: ${type.kind}`, () => {
      const isOrdered = !['uuid', 'enum', 'bigint', 'boolean'].includes(type.kind);
      for (const operator of isOrdered ? operators : (['=', '==', '!='] as const)) {
        for (const value of values) {
          expect(() => compareToValue(columnOf('left', type, true), operator, value)).not.to.throw();
        }
      }
    });
  }

  it('asks the database for nothing that its column cannot hold', () => {
    for (const { type } of held) {
      for (const value of ['a\0', '\uD800x', 10.5e30]) {
        if (type.kind === 'text' && value === 'a\0') continue;
        if ((type.kind === 'number' || type.kind === 'date') && typeof value === 'number') continue;
        const condition = conditionOr(() => compareToValue(columnOf('left', type, false), '=', value));
        expect(condition, type.kind).to.deep.equal({ kind: 'never' });
      }
    }
  });

  it('takes for equal what the database keeps of a date beyond the millisecond', () => {
    const date = new Date('2024-02-29T00:00:00.001Z');
    const finer = date.getTime() + 0.9;
    const column = columnOf('left', { kind: 'date' }, false);
    const row = new Row(finer, undefined);
    const inDatabase = (condition: Condition): boolean =>
      condition.kind === 'compare'
        ? compare(finer, condition.operator, (condition.value as Date).getTime())
        : condition.kind === 'and'
          ? condition.conditions.every(inDatabase)
          : holds(condition, row);
    expect(inDatabase(compareToValue(column, '=', date))).to.equal(true);
    expect(inDatabase(compareToValue(column, '<=', date))).to.equal(true);
    expect(inDatabase(compareToValue(column, '>', date))).to.equal(false);
  });

  it('is refused where the policy would fail, or the value is not loaded', () => {
    const text = columnOf('left', { kind: 'text' }, false);
    const flag = columnOf('left', { kind: 'boolean' }, false);
    expect(() => compareToValue(text, '==', 1)).to.throw(Unfilterable, /another type/);
    expect(() => compareToValue(text, '!=', ['a'])).to.throw(Unfilterable, /another type/);
    // It is no failure, but true: policies take true for 1.
    expect(() => compareToValue(flag, '==', 1)).to.throw(Unfilterable, /another type/);
    expect(() => compareToValue(text, '=', undefined)).to.throw(Unfilterable, /undefined/);
  });

  it('is refused where the field is of no use in SQL', () => {
    const photo = columnOf('left', { kind: 'unsupported', why: 'encrypted' }, false);
    expect(() => compareToValue(photo, '=', null)).to.throw(Unfilterable, 'the field `left` is encrypted');
  });
});

describe('two fields compared', () => {
  for (const { type, values } of held) {
    it(`holds for those rows for which it holds in policies: ${type.kind}`, async () => {
      for (const operator of ['=', '!=', '<', '<=', '>', '>='] as const) {
        const expected = await inPolicy(operator);
        for (const nullable of [true, false]) {
          const condition = conditionOr(() =>
            compareColumns(columnOf('left', type, nullable), operator, columnOf('right', type, false)),
          );
          if (condition === undefined) continue;
          for (const left of nullable ? [...values, null] : values) {
            for (const right of values) {
              const row = new Row(left, right);
              const answer = await expected(row);
              expect(holds(condition, row), `${String(left)} ${operator} ${String(right)}`).to.equal(answer);
              expect(holds(negate(condition), row)).to.equal(!answer);
            }
          }
        }
      }
    });
  }

  it('is equal where both are null', () => {
    const text = { kind: 'text' } as const;
    const condition = compareColumns(columnOf('left', text, true), '=', columnOf('right', text, true));
    expect(holds(condition, new Row(null, null))).to.equal(true);
    expect(holds(negate(condition), new Row(null, null))).to.equal(false);
    expect(holds(condition, new Row(null, 'a'))).to.equal(false);
  });

  it('is refused for types that differ, for enums and dates, and for an order of what may be null', () => {
    const column = (name: 'left' | 'right', type: FieldType, nullable = false) =>
      columnOf(name, type, nullable);
    const text = { kind: 'text' } as const;
    const date = { kind: 'date' } as const;
    expect(() => compareColumns(column('left', text), '=', column('right', date))).to.throw(
      Unfilterable,
      /different types/,
    );
    expect(() => compareColumns(column('left', date), '=', column('right', date))).to.throw(Unfilterable);
    expect(() => compareColumns(column('left', text, true), '<', column('right', text))).to.throw(
      Unfilterable,
      /may be null/,
    );
    expect(() =>
      compareColumns(column('left', { kind: 'unsupported', why: 'encrypted' }), '=', column('right', text)),
    ).to.throw(Unfilterable, /encrypted/);
  });
});
