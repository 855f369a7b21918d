import type { PolicySource } from './source.js';

/** What a token is. Words and punctuation stand for themselves, so that the parser reads like the grammar. */
export type TokenKind =
  | 'end'
  | 'symbol'
  | 'string'
  | 'integer'
  | 'float'
  | 'boolean'
  | ReservedWord
  | Punctuation;

export type ReservedWord =
  | 'new'
  | 'in'
  | 'cut'
  | 'debug'
  | 'print'
  | 'isa'
  | 'forall'
  | 'if'
  | 'and'
  | 'or'
  | 'not'
  | 'matches'
  | 'type'
  | 'mod'
  | 'rem';

type Punctuation =
  | ':'
  | ':='
  | '='
  | '=='
  | '<'
  | '<='
  | '>'
  | '>='
  | '!'
  | '!='
  | '?='
  | '|'
  | ','
  | '['
  | ']'
  | '{'
  | '}'
  | '('
  | ')'
  | '.'
  | '+'
  | '-'
  | '*'
  | '/'
  | ';';

export interface Token {
  readonly kind: TokenKind;
  /** The text of a symbol or reserved word, the content of a string, the digits of a number. */
  readonly text: string;
  readonly offset: number;
  /** The offset behind its last character. */
  readonly end: number;
}

const RESERVED: ReadonlySet<string> = new Set<ReservedWord>([
  'new',
  'in',
  'cut',
  'debug',
  'print',
  'isa',
  'forall',
  'if',
  'and',
  'or',
  'not',
  'matches',
  'type',
  'mod',
  'rem',
]);

/** Words that are numbers. */
const NUMBERS: ReadonlyMap<string, string> = new Map([
  ['inf', 'Infinity'],
  ['nan', 'NaN'],
]);

const TWO_CHARACTERS: ReadonlySet<string> = new Set([':=', '==', '<=', '>=', '!=', '?=']);
const ONE_CHARACTER: ReadonlySet<string> = new Set([...':=<>!|,[]{}().+-*/;']);
const ESCAPES: ReadonlyMap<string, string> = new Map([
  ['n', '\n'],
  ['r', '\r'],
  ['t', '\t'],
  ['0', '\0'],
]);

/** Policy text that this front end cannot read. Oso reads every policy first, so this is never the last word. */
export class UnreadablePolicyError extends Error {
  override readonly name = 'UnreadablePolicyError';
  readonly offset: number;

  constructor(message: string, offset: number) {
    super(message);
    this.offset = offset;
  }
}

/** Reads policy text as a row of tokens, one at a time. */
export class Lexer {
  readonly #text: string;
  #at = 0;

  constructor(source: PolicySource) {
    this.#text = source.text;
  }

  next(): Token {
    this.#skipBlanksAndComments();
    const offset = this.#at;
    if (offset >= this.#text.length) return { kind: 'end', text: '', offset, end: offset };
    const code = this.#text.charCodeAt(offset);
    if (code === 34) return this.#string(offset);
    if (isDigit(code)) return this.#number(offset);
    if (isSymbolPart(code)) return this.#symbol(offset);
    return this.#punctuation(offset);
  }

  #skipBlanksAndComments(): void {
    const text = this.#text;
    for (;;) {
      const code = text.charCodeAt(this.#at);
      if (code === 32 || code === 10 || code === 13 || code === 9) this.#at++;
      else if (code === 35) {
        while (this.#at < text.length && !isLineEnd(text.charCodeAt(this.#at))) this.#at++;
      } else return;
    }
  }

  #symbol(offset: number): Token {
    const text = this.#text;
    let at = offset + 1;
    for (;;) {
      const code = text.charCodeAt(at);
      if (isSymbolPart(code)) at++;
      else if (code === 58 && text.charCodeAt(at + 1) === 58) at += 2;
      else {
        // A question mark may only end a symbol.
        if (code === 63) at++;
        break;
      }
    }
    this.#at = at;
    const word = text.slice(offset, at);
    if (word.endsWith('::')) throw new UnreadablePolicyError('A symbol cannot end with "::"', offset);
    if (word === 'true' || word === 'false') return { kind: 'boolean', text: word, offset, end: at };
    const number = NUMBERS.get(word);
    if (number !== undefined) return { kind: 'float', text: number, offset, end: at };
    return { kind: RESERVED.has(word) ? (word as ReservedWord) : 'symbol', text: word, offset, end: at };
  }

  #string(offset: number): Token {
    const text = this.#text;
    let content = '';
    let from = offset + 1;
    for (let at = from; ; at++) {
      const character = text[at];
      if (character === undefined || character === '\n') {
        throw new UnreadablePolicyError('A string is not closed', offset);
      }
      if (character === '"') {
        this.#at = at + 1;
        return { kind: 'string', text: content + text.slice(from, at), offset, end: at + 1 };
      }
      if (character === '\\') {
        content += text.slice(from, at);
        at++;
        const escaped = text[at];
        if (escaped === undefined) throw new UnreadablePolicyError('A string is not closed', offset);
        content += ESCAPES.get(escaped) ?? escaped;
        from = at + 1;
      }
    }
  }

  #number(offset: number): Token {
    let at = this.#digits(offset);
    let float = false;
    if (this.#text[at] === '.') {
      float = true;
      at = this.#digits(at + 1);
    }
    if (this.#text[at] === 'e' || this.#text[at] === 'E') {
      float = true;
      at = this.#digits(at + 1);
      if (this.#text[at] === '+' || this.#text[at] === '-') at++;
      at = this.#digits(at);
    }
    this.#at = at;
    const text = this.#text.slice(offset, at);
    if (float && Number.isNaN(Number(text))) throw new UnreadablePolicyError('Not a number', offset);
    return { kind: float ? 'float' : 'integer', text, offset, end: at };
  }

  #digits(from: number): number {
    let at = from;
    while (isDigit(this.#text.charCodeAt(at))) at++;
    return at;
  }

  #punctuation(offset: number): Token {
    const two = this.#text.slice(offset, offset + 2);
    const text = TWO_CHARACTERS.has(two) ? two : two.charAt(0);
    if (text.length === 1 && !ONE_CHARACTER.has(text)) {
      throw new UnreadablePolicyError('Not a character that Polar uses here', offset);
    }
    this.#at = offset + text.length;
    return { kind: text as Punctuation, text, offset, end: this.#at };
  }
}

function isDigit(code: number): boolean {
  return code >= 48 && code <= 57;
}

function isLineEnd(code: number): boolean {
  return code === 10 || code === 13;
}

/** Polar takes as a letter whatever is neither ASCII punctuation nor ASCII white space. */
function isSymbolPart(code: number): boolean {
  if (code >= 128) return true;
  if ((code >= 97 && code <= 122) || (code >= 65 && code <= 90) || code === 95 || isDigit(code)) return true;
  // Control characters other than tab, line feed, form feed and carriage return count as letters too.
  return code < 32 ? code !== 9 && code !== 10 && code !== 12 && code !== 13 : code === 127;
}
