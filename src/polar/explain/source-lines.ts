/** What an explanation quotes of a policy: its lines, and what its comments say of a rule. */
import type { Located } from '../syntax/source.js';
import type { Rule } from '../syntax/tree.js';

/** The text of what was written, on one line, cut short. */
export function textOf({ source, offset, end }: Located, length = 90): string {
  const text = source.text.slice(offset, end).replace(/\s+/g, ' ');
  return text.length <= length ? text : `${text.slice(0, length - 1)}…`;
}

export function lineOf({ source, offset }: Located): number {
  return source.placeAt(offset).line;
}

/** The line on which something stands, and a line of carets below what of it is meant. */
export function annotated({ source, offset, end }: Located): {
  readonly line: number;
  readonly text: string;
  readonly carets: string;
} {
  const { line, column } = source.placeAt(offset);
  const start = offset - column + 1;
  const stop = source.text.indexOf('\n', start);
  const text = source.text.slice(start, stop === -1 ? undefined : stop).trimEnd();
  const until = Math.min(end - start, text.length);
  const blanks = text.slice(0, column - 1).replace(/[^\t]/g, ' ');
  return { line, text, carets: blanks + '^'.repeat(Math.max(1, until - column + 1)) };
}

/** What a policy says to those whom a rule refuses. */
export interface Reason {
  readonly code: string;
  /** For the user: it is opted in by the comment. */
  readonly message: string;
}

const REASON = /^#\s*@reason\s+([\w.-]+)\s*:\s*(\S.*?)\s*$/;

/** `# @reason code: text` among the comments right above a rule. */
export function reasonOf({ source, offset }: Rule): Reason | undefined {
  const { column } = source.placeAt(offset);
  let start = offset - column + 1;
  while (start > 0) {
    const before = source.text.lastIndexOf('\n', start - 2) + 1;
    const line = source.text.slice(before, start - 1).trim();
    if (!line.startsWith('#')) return undefined;
    const [, code, message] = REASON.exec(line) ?? [];
    if (code !== undefined && message !== undefined) return { code, message };
    start = before;
  }
  return undefined;
}
