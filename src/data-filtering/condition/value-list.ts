/**
 * A list of values as the text of one array of PostgreSQL, `{1,2}`, to be bound as one parameter. Drivers differ in what they make
 * of an array of JavaScript; text is sent as it is by all of them, and PostgreSQL reads it as an array of the type of the column.
 *
 * @param values text without the character 0, and numbers
 */
export function postgresArray(values: readonly unknown[]): string {
  return `{${values.map(value => (typeof value === 'string' ? quoted(value) : String(value))).join(',')}}`;
}

function quoted(text: string): string {
  return `"${text.replace(/["\\]/g, '\\$&')}"`;
}

/**
 * A list of values as JSON, to be bound as one parameter of SQLite; undefined if SQLite reads one of them otherwise than if it were
 * bound: it rounds decimals by itself, and knows no infinity and no character 0 there.
 */
export function sqliteJson(values: readonly unknown[]): string | undefined {
  return values.every(isExact) ? JSON.stringify(values) : undefined;
}

function isExact(value: unknown): boolean {
  return typeof value === 'string' ? !value.includes('\0') : Number.isSafeInteger(value);
}
