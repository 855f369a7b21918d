import fc from 'fast-check';

/**
 * A value as a client, or an object that a client's JSON was merged into, can bring it; in words, so that each engine gets one
 * of its own and a failing case can be told.
 */
export type Hostile =
  /** JSON: what it says of itself under `constructor`, `__proto__`, `then` and `toJSON` is data. */
  | { readonly json: string }
  /** One of the world's constants, with JSON merged into a copy of it. */
  | { readonly merged: string; readonly json: string }
  /** An object whose prototype is JSON. */
  | { readonly inherits: string }
  /** Lists in lists, with an item in the innermost. */
  | { readonly depth: number; readonly item: string | number }
  | { readonly length: number; readonly item: string | number }
  /** A list; null stands for a hole. */
  | { readonly sparse: readonly (string | number | null)[] }
  /** A text by its UTF-16 code units, of which some are halves of surrogate pairs. */
  | { readonly units: readonly number[] }
  /** An object with a getter that throws, or that answers otherwise each time. */
  | { readonly getter: string; readonly answers: readonly (string | number)[] }
  | { readonly number: 'NaN' | '-0' | '2^53' | '-2^53' | '1e300' | 'Infinity' };

export function makeHostile(hostile: Hostile, constants: Readonly<Record<string, unknown>>): unknown {
  if ('merged' in hostile) {
    const model = constants[hostile.merged] as object;
    const copy = Object.create(Object.getPrototypeOf(model), Object.getOwnPropertyDescriptors(model));
    for (const [name, value] of Object.entries(JSON.parse(hostile.json))) {
      // As a careless merge does: `__proto__` and `constructor` are names like all others.
      copy[name] = value;
    }
    return copy;
  }
  if ('json' in hostile) return JSON.parse(hostile.json);
  if ('inherits' in hostile) return Object.create(JSON.parse(hostile.inherits));
  if ('depth' in hostile) {
    let list: unknown = hostile.item;
    for (let depth = 0; depth < hostile.depth; depth++) list = [list];
    return list;
  }
  if ('length' in hostile) return new Array(hostile.length).fill(hostile.item);
  if ('sparse' in hostile) {
    const list: unknown[] = new Array(hostile.sparse.length);
    for (const [at, item] of hostile.sparse.entries()) if (item !== null) list[at] = item;
    return list;
  }
  if ('units' in hostile) return String.fromCharCode(...hostile.units);
  if ('getter' in hostile) {
    const { getter, answers } = hostile;
    let reads = 0;
    const get = (): unknown => {
      if (answers.length === 0) throw new RangeError('a getter');
      return answers[reads++ % answers.length];
    };
    return Object.defineProperty({ name: 'alice' }, getter, { get, enumerable: true });
  }
  return hostile.number === '2^53'
    ? 2 ** 53
    : hostile.number === '-2^53'
      ? -(2 ** 53)
      : Number(hostile.number);
}

const CLASSES = [
  'User',
  'Admin',
  'SuperAdmin',
  'Repository',
  'Money',
  'Even',
  'Player',
  'Dictionary',
  'List',
  'String',
];
const claim = fc.constantFrom<unknown>(...CLASSES, 1, null, { name: 'Admin', prototype: {} });

/** The text of an object, which may have a name twice or `__proto__`. */
const json = fc
  .array(
    fc.oneof(
      {
        weight: 3,
        arbitrary: fc.tuple(fc.constantFrom('constructor', '__proto__', 'then', 'toJSON'), claim),
      },
      {
        weight: 2,
        arbitrary: fc.tuple(
          fc.constantFrom('__proto__', 'prototype', 'constructor'),
          fc.record({ constructor: claim, name: fc.constant('alice'), age: fc.constant(50) }),
        ),
      },
      { weight: 1, arbitrary: fc.constant(['name', 'alice'] as const) },
      { weight: 1, arbitrary: fc.constant(['age', 34] as const) },
      { weight: 1, arbitrary: fc.constant(['a', [1, 'a', { constructor: 'User' }]] as const) },
      { weight: 1, arbitrary: fc.constant(['tags', ['core', 'a']] as const) },
      { weight: 1, arbitrary: fc.constant(['teamId', 2] as const) },
    ),
    { minLength: 1, maxLength: 4 },
  )
  .map(fields => `{${fields.map(([name, value]) => `"${name}":${JSON.stringify(value)}`).join(',')}}`);

const item = fc.constantFrom<string | number>('a', 'alice', 1, 0);

export const hostile: fc.Arbitrary<Hostile> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ json }) },
  {
    weight: 4,
    arbitrary: fc.record({
      merged: fc.constantFrom('alice', 'admin', 'superAdmin', 'guest', 'engine', 'five', 'plain', 'ann'),
      json,
    }),
  },
  { weight: 1, arbitrary: json.map(inherits => ({ inherits })) },
  { weight: 1, arbitrary: fc.record({ depth: fc.constantFrom(1, 3, 99, 100, 101, 1000, 1500, 1900), item }) },
  { weight: 1, arbitrary: fc.record({ length: fc.constantFrom(0, 1, 30, 1000, 100_001), item }) },
  {
    weight: 1,
    arbitrary: fc.record({ sparse: fc.array(fc.option(item), { minLength: 1, maxLength: 3 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      units: fc.array(fc.constantFrom(0xd800, 0xdfff, 0xfffd, 0x61, 0xd83d, 0xde00), {
        minLength: 1,
        maxLength: 3,
      }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      // Not "constructor": Oso reads it once more for each attribute.
      getter: fc.constantFrom('name', 'age', 'tags', 'a', 'then', 'toJSON'),
      answers: fc.array(fc.constantFrom<string | number>('alice', 'a', 34, 'Admin'), { maxLength: 2 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ number: fc.constantFrom('NaN', '-0', '2^53', '-2^53', '1e300', 'Infinity') }),
  },
);
