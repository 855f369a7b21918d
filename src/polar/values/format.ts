import { inspect } from 'node:util';
import type { PolicyHost } from './host.js';
import { Unknown } from './unknown.js';
import {
  Dictionary,
  deref,
  Float,
  flatten,
  Instance,
  List,
  Logical,
  type Pattern,
  type Value,
} from './values.js';

/** A value as `print` shows it, in Polar's notation. */
export function formatValue(host: PolicyHost, value: Value): string {
  return format(host, value, []);
}

function format(host: PolicyHost, value: Value, path: readonly Logical[]): string {
  if (value instanceof Logical) {
    if (value.binding === undefined || path.includes(value)) return value.name ?? '_';
    return format(host, value.binding, [...path, value]);
  }
  if (value instanceof Unknown) return '_';
  if (typeof value === 'string') return `"${value}"`;
  if (typeof value === 'number') return formatNumber(value);
  if (typeof value === 'boolean') return String(value);
  if (value instanceof Float) return formatNumber(value.value);
  if (value instanceof List) {
    const { items, rest } = flatten(value);
    const shown = items.map(item => format(host, item, path));
    if (rest !== undefined) shown.push(`*${format(host, deref(rest), path)}`);
    return `[${shown.join(', ')}]`;
  }
  if (value instanceof Instance) {
    return `${inspect(value.value)} TYPE \`${host.classOf(value)?.name ?? 'UNKNOWN'}\``;
  }
  const fields = [...value.fields].map(([name, field]) => `${name}: ${format(host, field, path)}`);
  const tag = value instanceof Dictionary ? '' : ((value as Pattern).tag ?? '');
  return `${tag}{${fields.join(', ')}}`;
}

/** Polar never writes exponents. */
function formatNumber(number: number): string {
  if (number === Infinity) return 'inf';
  if (number === -Infinity) return '-inf';
  if (Number.isInteger(number) && !Object.is(number, -0)) return BigInt(number).toString();
  const text = Object.is(number, -0) ? '-0' : String(number);
  const exponent = /^(-?)(\d)(?:\.(\d+))?e-(\d+)$/.exec(text);
  if (!exponent) return text;
  const [, sign = '', first = '', digits = '', power = ''] = exponent;
  return `${sign}0.${'0'.repeat(Number(power) - 1)}${first}${digits}`;
}
