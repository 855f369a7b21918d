import type { Entity, EntityRelation, Field } from './schema.js';

/** What a relation leads to, asked for several rows at once. */
export interface Lookup {
  readonly entity: Entity;
  readonly relation: EntityRelation;
  /** Whether the rows are told by their own keys, for they do not hold what the relation is found by. */
  readonly byKey: boolean;
  /** The fields of the entity of which the values are: those that the relation is found by, or the key of the entity. */
  readonly fields: readonly Field[];
  /** The values of each of the rows. No two rows have the same, and all are exact (see `isExact`). */
  readonly owners: readonly (readonly unknown[])[];
}

/** A row that a lookup found, and the values of the row that it is related to, as the driver reads them. */
export interface FoundRow {
  readonly owner: readonly unknown[];
  readonly row: unknown;
}

/** What was found for each of the rows; undefined if that cannot be told, for the driver reads the values as others. */
export function sortOut(
  { owners }: Lookup,
  found: readonly FoundRow[],
): readonly (readonly unknown[])[] | undefined {
  const rows = new Map<string, unknown[]>();
  for (const values of owners) rows.set(idOf(values), []);
  if (rows.size !== owners.length) return undefined;
  for (const { owner, row } of found) {
    const related = rows.get(idOf(owner));
    if (related === undefined) return undefined;
    related.push(row);
  }
  return [...rows.values()];
}

/** The same for a value however it is read: a bigint may be a text, a number or a bigint. */
function idOf(values: readonly unknown[]): string {
  return JSON.stringify(values.map(String));
}

/** The column that holds a value of {@link FoundRow.owner}. Its name is one that plugins which rename columns leave as it is. */
export function ownerColumn(at: number): string {
  return `koaosoowner${String.fromCharCode(97 + at)}`;
}

/** The same for the key of the row that was found. */
export function keyColumn(at: number): string {
  return `koaosokey${String.fromCharCode(97 + at)}`;
}
