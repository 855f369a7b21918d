/** No timestamp of PostgreSQL's is before this one, of 4713 BC, but `-infinity`. */
const FIRST = Date.UTC(-4712, 0, 1);

/**
 * A moment as PostgreSQL reads it in UTC, before and after the years of four digits, too. One that is before all of
 * PostgreSQL's becomes the first of them, which compares to all others alike.
 */
export function postgresTimestamp(date: Date): string {
  const moment = new Date(Math.max(date.getTime(), FIRST));
  const year = moment.getUTCFullYear();
  const digits = String(year > 0 ? year : 1 - year).padStart(4, '0');
  const rest = moment.toISOString().slice(-20, -1).replace('T', ' ');
  return `${digits}${rest}+00${year > 0 ? '' : ' BC'}`;
}
