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
  LogicVariable,
  type Meter,
  type Pattern,
  type Value,
} from './values.js';

/** A value as `print` shows it, in Polar's notation. */
export function formatValue(shown: Shown, value: Value): string {
  return format(shown, value, []);
}

/** What is needed to show values. */
interface Shown extends Meter {
  readonly host: PolicyHost;
}

function format(shown: Shown, value: Value, path: readonly LogicVariable[]): string {
  if (value instanceof LogicVariable) {
    if (value.binding === undefined || path.includes(value)) return value.name ?? '_';
    return format(shown, value.binding, [...path, value]);
  }
  if (value instanceof Unknown) return '_';
  if (typeof value === 'string') return `"${value}"`;
  if (typeof value === 'number') return formatNumber(value);
  if (typeof value === 'boolean') return String(value);
  if (value instanceof Float) return formatNumber(value.value);
  if (value instanceof List) {
    const list = flatten(value, shown);
    const items = list.toArray().map(item => format(shown, item, path));
    if (list.rest !== undefined) items.push(`*${format(shown, deref(list.rest), path)}`);
    return `[${items.join(', ')}]`;
  }
  if (value instanceof Instance) {
    return `${inspect(value.value)} TYPE \`${shown.host.classOf(value)?.name ?? 'UNKNOWN'}\``;
  }
  const fields = [...value.fields].map(([name, field]) => `${name}: ${format(shown, field, path)}`);
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
