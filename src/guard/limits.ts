import { define } from './own-properties.js';

/** How deep lists and dictionaries may be nested. Oso's engine is killed for good by some that are 1,000 deep. */
export const MAX_DEPTH = 100;
/** How many items a list may have, those of the lists and dictionaries in it included. */
export const MAX_ITEMS = 100_000;
/** How long a text may be, in UTF-16 code units. */
export const MAX_TEXT = 1_000_000;

/** Why a value is refused; none of it says anything of what the value holds. */
const REASONS = {
  deep: `it is nested more than ${MAX_DEPTH} deep`,
  long: `it has more than ${MAX_ITEMS} items`,
  text: `it is a text of more than ${MAX_TEXT} characters`,
  hole: 'it is an array with holes',
  integer: 'it is an integer beyond 2^53, which JavaScript does not hold exactly',
} as const;

/**
 * A policy met a value that cannot be decided about: a list that is nested too deep, has too many items or has holes, a text
 * that is too long, or an integer beyond 2^53. Thrown before Oso's engine sees it. `code` is
 * `ERR_KOA_OSO_VALUE_REFUSED`; the message never holds the value.
 *
 * @example
 * ```ts
 * try {
 *   await oso.isAllowed(actor, 'read', JSON.parse(body));
 * } catch (error) {
 *   if (error instanceof RefusedValueError) ctx.throw(400);
 * }
 * ```
 */
export class RefusedValueError extends Error {
  readonly code = 'ERR_KOA_OSO_VALUE_REFUSED';

  constructor(reason: keyof typeof REASONS) {
    super(
      `A value that the policy was asked about, or came upon, cannot be decided about: ${REASONS[reason]}.`,
    );
    define(this, 'name', { value: 'RefusedValueError', enumerable: false, configurable: true });
  }
}

/** Counts the items of one value, those of its lists and dictionaries included. */
export class Extent {
  #left = MAX_ITEMS;

  /** @throws {RefusedValueError} if the value is too large with a collection of so many items, so deep in it */
  add(items: number, depth: number): void {
    if (depth >= MAX_DEPTH) throw new RefusedValueError('deep');
    this.#left -= items;
    if (this.#left < 0) throw new RefusedValueError('long');
  }
}

/**
 * The items of an array, each read once.
 *
 * @throws {RefusedValueError} if it is too large, or has holes: Oso's engine takes none
 */
export function itemsOf<Item>(
  array: readonly unknown[],
  extent: Extent,
  depth: number,
  convert: (item: unknown) => Item,
): Item[] {
  const { length } = array;
  extent.add(length, depth);
  const items: Item[] = new Array(length);
  for (let at = 0; at < length; at++) {
    const item = array[at];
    if (item === undefined && !(at in array)) throw new RefusedValueError('hole');
    items[at] = convert(item);
  }
  return items;
}

/**
 * A text as Oso's engine reads it: U+FFFD stands for a half of a surrogate pair without its other half.
 *
 * @throws {RefusedValueError} if it is too long
 */
export function wellFormed(text: string): string {
  if (text.length > MAX_TEXT) throw new RefusedValueError('text');
  return text.isWellFormed() ? text : text.toWellFormed();
}

/** @throws {RefusedValueError} if the number is an integer that JavaScript does not hold exactly */
export function refuseInexact(number: number): void {
  if (Number.isInteger(number) && !Number.isSafeInteger(number)) throw new RefusedValueError('integer');
}
