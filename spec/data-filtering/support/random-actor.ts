import fc from 'fast-check';
import type { Draw } from './random-policy.js';
import {
  DATES,
  DECIMALS,
  INTEGERS,
  ORGANIZATION_IDS,
  type Rows,
  STATUSES,
  TEXTS,
  USER_IDS,
  type User,
} from './world.js';

/** What is hostile to a database: what would break out of a literal, and what a column cannot hold. */
export const HOSTILE_TEXTS = [
  "x'; DROP TABLE expenses; --",
  '" OR 1=1 --',
  "') UNION SELECT * FROM users; --",
  'a\0b',
  '\uD800',
  '\uDC00x',
  '%_%',
  "\\'; --",
  'z'.repeat(100_000),
  '00000000-0000-4000-8000-00000000000',
  'FFFFFFFF-FFFF-4FFF-BFFF-FFFFFFFFFFFF',
  "$1'::text",
] as const;

const HOSTILE_NUMBERS = [
  Number.NaN,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
  -0,
  0.1,
  0.5,
  -1.5,
  10.249999999,
  2147483648,
  -2147483649,
  Number.MAX_SAFE_INTEGER,
  2 ** 53,
  -3e9,
  1e300,
  5e-324,
] as const;

const HOSTILE_DATES = [
  new Date(Number.NaN),
  new Date(-8.64e15),
  new Date(8.64e15),
  new Date('0000-12-31T23:59:59.999Z'),
  new Date('9999-12-31T23:59:59.999Z'),
  new Date('2024-02-29T00:00:00.000Z'),
  new Date(-6.3e13),
] as const;

/** Somebody who is no row. */
export class Guest {
  readonly reports = [];
  readonly memberships = [];
  readonly expenses = [];
}

/** What policies read of actors, besides the fields and relations of users. */
interface Attributes {
  text: unknown;
  texts: unknown;
  number: unknown;
  numbers: unknown;
  when: unknown;
  flag: unknown;
  settings: unknown;
  nothing: null;
  anything: unknown;
}

const text = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...TEXTS) },
  { weight: 3, arbitrary: fc.constantFrom(...USER_IDS, ...STATUSES, ...ORGANIZATION_IDS) },
  { weight: 2, arbitrary: fc.constantFrom(...HOSTILE_TEXTS) },
);
const number = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom<number[]>(...INTEGERS, ...DECIMALS) },
  { weight: 1, arbitrary: fc.constantFrom(...HOSTILE_NUMBERS) },
);
const when = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...DATES) },
  { weight: 2, arbitrary: fc.tuple(fc.constantFrom(...DATES), fc.constantFrom(-1, 1)).map(later) },
  { weight: 1, arbitrary: fc.constantFrom(...HOSTILE_DATES) },
);

const attributes: fc.Arbitrary<Attributes> = fc.record({
  text,
  texts: fc.array(text, { maxLength: 3 }),
  number,
  numbers: fc.array(number, { maxLength: 3 }),
  when,
  flag: fc.constantFrom(true, false, null),
  settings: fc.constantFrom(...STATUSES).map(status => ({ status })),
  nothing: fc.constant(null),
  anything: fc.oneof(text, number, when, fc.constantFrom<unknown[]>(null, true, [], ['a'], {})),
});

/** Draws an actor: mostly one of the users, with attributes that may be hostile; sometimes one who is no row. */
export function randomActor(draw: Draw, rows: Rows): object {
  const given = draw(() => attributes);
  const kind = draw(fc.nat, { max: 19 });
  if (kind === 0) return Object.assign(new Guest(), given);
  const user = rows.User[draw(fc.nat, { max: rows.User.length - 1 })] as User;
  // Oso takes the fields of a resource that is the actor from the actor: they have to be those of the row.
  const actor = Object.assign(Object.create(Object.getPrototypeOf(user)), user, given);
  if (kind === 1) actor.id = draw(fc.constantFrom, ...TEXTS, ...HOSTILE_TEXTS);
  return actor;
}

function later([date, milliseconds]: [Date, number]): Date {
  return new Date(date.getTime() + milliseconds);
}
