/** An explanation as text, in the form of a compiler's message. */
import type { Findings, WhyNode, WhyWay } from './explanation.js';

/** More lines of one way, and more ways, are counted and not shown. */
const MAX_CONDITIONS = 16;
const MAX_WAYS = 6;
const MAX_CARETS = 100;

const SIGNS = { held: '✓', failed: '✗', error: '!', 'not tested': '·' } as const;

type Shown = Omit<Findings, 'tree' | 'text'>;

/** The line of a policy that a condition stands on. */
export interface Quoted {
  readonly line: number;
  readonly text: string;
  readonly carets: string;
}

export type Quote = (node: WhyNode) => Quoted | undefined;

export function render(
  shown: Shown,
  quote: Quote,
  failedAt: WhyNode | undefined,
  path: readonly WhyNode[] | undefined,
): string {
  const { allowed, question, ways, by, remarks, notTried, error } = shown;
  const [nearest, ...others] = ways;
  const file = (nearest?.missing ?? failedAt ?? by[0])?.place.file;
  const lines = [
    `${allowed ? 'ALLOWED' : 'DENIED'}  ${question}${file === undefined ? '' : `  ${file}`}`,
    '',
  ];
  const headline = nearest?.missing ?? failedAt;
  if (headline !== undefined) lines.push(...quoted(headline, quote, nearest?.others ?? 0));
  if (nearest?.reason) lines.push(`     = reason ${nearest.reason.code}: ${nearest.reason.message}`);
  if (nearest?.isLast && nearest.conditions.length > 1)
    lines.push('     = all other conditions of this way hold');
  if (error !== undefined) lines.push(`     = ${error}`);
  for (const remark of remarks) lines.push(`  ${remark}`);
  if (lines.at(-1) !== '') lines.push('');
  if (nearest !== undefined && (ways.length > 1 || nearest.conditions.length > 1)) {
    const held = nearest.conditions.filter(({ state }) => state === 'held').length;
    const of = ways.length === 1 ? 'the only way' : `the nearest of ${ways.length} ways`;
    lines.push(
      `  ${of}: ${held} of ${nearest.conditions.length} conditions hold`,
      ...list(nearest.conditions),
    );
  }
  if (path !== undefined && path.length > 0) lines.push('  on the way there', ...list(path));
  if (others.length > 0) lines.push(...otherWays(others));
  if (by.length > 0) lines.push('  because', ...list(by));
  if (notTried !== undefined) lines.push(`  not tried: ${notTried}`);
  return `${lines.join('\n').trimEnd()}\n`;
}

function quoted(node: WhyNode, quote: Quote, others: number): string[] {
  const found = quote(node);
  if (found === undefined) return [];
  const { line, text, carets } = found;
  const gutter = String(line).padStart(4);
  const below = carets.length > MAX_CARETS ? `${carets.slice(0, MAX_CARETS)}…` : carets;
  const values = node.values === undefined ? '' : ` ${node.values}`;
  const isComparison = / (?:<=?|>=?|==?|!=|:=|in) /.test(values) && !/^ nothing|holds?(?:,|$)/.test(values);
  const verdict = node.state === 'failed' && isComparison ? `${values} does not hold` : values;
  const more = others === 0 ? '' : `, nor for ${others} more`;
  return [`${gutter} │ ${text}`, `     │ ${below}${verdict}${more}`];
}

function list(conditions: readonly WhyNode[]): string[] {
  const half = MAX_CONDITIONS / 2;
  const shown =
    conditions.length <= MAX_CONDITIONS
      ? conditions
      : [...conditions.slice(0, half), ...conditions.slice(-half)];
  const width = Math.min(60, Math.max(...shown.map(({ text }) => text.length)));
  const lines = shown.map(({ state, text, place, values }) =>
    `    ${SIGNS[state]} ${String(place.line).padStart(3)}  ${text.padEnd(width)}  ${values ?? ''}`.trimEnd(),
  );
  if (conditions.length > shown.length)
    lines.splice(half, 0, `    … ${conditions.length - shown.length} more …`);
  return lines;
}

function otherWays(ways: readonly WhyWay[]): string[] {
  const shown = ways.slice(0, MAX_WAYS);
  const listed = list(shown.map(({ missing }) => missing));
  const lines = [ways.length === 1 ? '  the other' : '  the others'];
  for (const [at, { calledBy, others }] of shown.entries()) {
    lines.push(`${listed[at]}${others === 0 ? '' : `, and ${others} more`}`);
    if (calledBy) lines.push(`           called in ${calledBy.place.line} by ${calledBy.text}`);
  }
  if (ways.length > shown.length) lines.push(`    … and ${ways.length - shown.length} more`);
  return lines;
}
