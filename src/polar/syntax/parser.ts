import { Lexer, type Token, type TokenKind, UnreadablePolicyError } from './lexer.js';
import type { Located, PolicySource } from './source.js';
import {
  type Arithmetic,
  type CallTerm,
  type Comparison,
  type Declaration,
  type DictionaryTerm,
  type Fields,
  type ListTerm,
  type Operation,
  type Operator,
  type Parameter,
  type ParsedText,
  type ResourceBlock,
  type Rule,
  type ShorthandRule,
  type StringTerm,
  sortFields,
  type Term,
} from './tree.js';

/** Deeper than people write, and shallow enough for every later step to walk the tree. */
const MAX_DEPTH = 400;

/** How tightly the operators bind, loosest first. */
const LEVELS: ReadonlyMap<TokenKind, number> = new Map<TokenKind, number>([
  ['or', 1],
  ['and', 2],
  ['=', 4],
  [':=', 4],
  ['==', 5],
  ['!=', 5],
  ['<', 5],
  ['<=', 5],
  ['>', 5],
  ['>=', 5],
  ['+', 6],
  ['-', 6],
  ['*', 7],
  ['/', 7],
  ['mod', 7],
  ['rem', 7],
  ['in', 8],
  ['matches', 8],
]);
const NOT_LEVEL = 3;
const ITEM_LEVEL = 6;
const DICTIONARY_VALUE_LEVEL = 5;
const DOT_LEVEL = 9;

/** Reserved words that may name a field, an argument or a method. */
const FIELD_WORDS: ReadonlySet<TokenKind> = new Set<TokenKind>([
  'type',
  'cut',
  'debug',
  'print',
  'in',
  'forall',
  'if',
  'and',
  'or',
  'not',
  'new',
  'matches',
]);

/** Reads a policy. Throws {@link UnreadablePolicyError} if this parser does not know a construct. */
export function parsePolicy(source: PolicySource): ParsedText {
  return new Parser(source).policy();
}

/** Reads one query, as it is given to `query()`. */
export function parseQuery(source: PolicySource): Term {
  return new Parser(source).query();
}

class Parser {
  readonly #source: PolicySource;
  readonly #lexer: Lexer;
  #token: Token;
  /** The offset behind the last token that was taken. */
  #end = 0;
  #depth = 0;

  constructor(source: PolicySource) {
    this.#source = source;
    this.#lexer = new Lexer(source);
    this.#token = this.#lexer.next();
  }

  policy(): ParsedText {
    const policy: ParsedText = { rules: [], blocks: [] };
    while (this.#token.kind !== 'end') this.#line(policy);
    return policy;
  }

  query(): Term {
    const term = this.#term(1, false);
    this.#expect('end');
    return term;
  }

  #line(policy: ParsedText): void {
    if (this.#take('?=')) {
      this.#term(1, false);
      this.#expect(';');
    } else if (this.#take('type')) {
      this.#rule(this.#expect('symbol'));
    } else {
      const first = this.#expect('symbol');
      if (this.#token.kind === '(') policy.rules.push(this.#rule(first));
      else policy.blocks.push(this.#block(first));
    }
  }

  #rule(name: Token): Rule {
    const parameters: Parameter[] = [];
    this.#expect('(');
    if (!this.#take(')')) {
      do parameters.push(this.#parameter());
      while (this.#take(','));
      this.#expect(')');
    }
    const { offset } = this.#token;
    const body = this.#take('if') ? this.#term(1, false) : this.#operation('and', [], offset);
    this.#expect(';');
    return {
      name: name.text,
      parameters,
      body: isOperation(body, 'and') ? body : this.#operation('and', [body], body.offset),
      source: this.#source,
      offset: name.offset,
      end: this.#end,
    };
  }

  #parameter(): Parameter {
    const term = this.#term(ITEM_LEVEL, false);
    if (!this.#take(':')) return { term, specializer: undefined };
    return { term, specializer: this.#specializer() };
  }

  /** A pattern where a bare name stands for a class. */
  #specializer(): Term {
    const pattern = this.#pattern();
    if (pattern.kind !== 'variable') return pattern;
    const { name, source, offset, end } = pattern;
    return { kind: 'pattern', tag: name, fields: new Map(), source, offset, end };
  }

  #block(first: Token): ResourceBlock {
    const second = this.#token.kind === 'symbol' ? this.#expect('symbol') : undefined;
    const productions: (Declaration | ShorthandRule)[] = [];
    this.#expect('{');
    while (!this.#take('}')) {
      if (this.#token.kind === 'string') productions.push(this.#shorthandRule());
      else productions.push(this.#declaration());
    }
    return {
      keyword: second ? first.text : undefined,
      resource: (second ?? first).text,
      productions,
      source: this.#source,
      offset: first.offset,
      end: this.#end,
    };
  }

  #declaration(): Declaration {
    const name = this.#expect('symbol');
    this.#expect('=');
    const start = this.#token;
    let value: ListTerm | DictionaryTerm;
    if (this.#take('[')) value = this.#list(start, false);
    else {
      this.#expect('{');
      value = this.#dictionary(start, false);
    }
    this.#expect(';');
    return { kind: 'declaration', name: name.text, value, ...this.#since(name.offset) };
  }

  #shorthandRule(): ShorthandRule {
    const head = this.#string();
    this.#expect('if');
    const implier = this.#string();
    const relation = this.#take('symbol') ? this.#string() : undefined;
    this.#expect(';');
    return { kind: 'shorthand', head, implier, relation };
  }

  #string(): StringTerm {
    const { text, offset } = this.#expect('string');
    return { kind: 'string', value: text, ...this.#since(offset) };
  }

  /** An expression whose operators bind at least as tightly as `level`. */
  #term(level: number, pattern: boolean): Term {
    this.#descend();
    const start = this.#token.offset;
    let left: Term;
    if (this.#token.kind === 'not' && level <= NOT_LEVEL) {
      const { offset } = this.#advance();
      left = this.#operation('not', [this.#term(NOT_LEVEL + 1, pattern)], offset);
    } else left = this.#lookups(pattern);
    let chain = 0;
    for (;;) {
      const { kind } = this.#token;
      const bound = LEVELS.get(kind);
      if (bound === undefined || bound < level) break;
      if (++chain > MAX_DEPTH) throw this.#tooDeep();
      if (kind === 'and' || kind === 'or') left = this.#chain(kind, left, bound + 1, pattern, start);
      else {
        this.#advance();
        const right =
          kind === 'matches' ? this.#specializer() : this.#term(Math.min(bound + 1, DOT_LEVEL), pattern);
        left = this.#operation(kind as Operator, [left, right], start);
      }
    }
    this.#depth--;
    return left;
  }

  /** Any number of conditions between the same word, as one operation; one in parentheses at the end joins them. */
  #chain(word: 'and' | 'or', first: Term, level: number, pattern: boolean, start: number): Operation {
    const args = [first];
    while (this.#take(word)) args.push(this.#term(level, pattern));
    const last = args.pop() as Term;
    if (isOperation(last, word)) args.push(...last.args);
    else args.push(last);
    return this.#operation(word, args, start);
  }

  /** A value and the look-ups on it: `value.field.method(…)`. */
  #lookups(pattern: boolean): Term {
    const start = this.#token.offset;
    let term = pattern ? this.#patternValue() : this.#value();
    let chain = 0;
    while (this.#take('.')) {
      if (++chain > MAX_DEPTH) throw this.#tooDeep();
      term = this.#operation('.', [term, this.#field()], start);
    }
    return term;
  }

  #field(): Term {
    const { kind, text, offset, end } = this.#advance();
    if (kind === '(') {
      const inner = this.#advance();
      this.#expect(')');
      const where = { source: this.#source, offset: inner.offset, end: inner.end };
      if (inner.kind === 'string') return { kind: 'string', value: inner.text, ...where };
      if (inner.kind === 'symbol') return { kind: 'variable', name: inner.text, ...where };
      throw this.#unexpected(inner);
    }
    if (kind !== 'symbol' && !FIELD_WORDS.has(kind)) throw this.#unexpected({ kind, text, offset, end });
    if (this.#token.kind === '(') return this.#call(text, offset);
    return { kind: 'string', value: text, ...this.#since(offset) };
  }

  #call(name: string, offset: number): CallTerm {
    const args: Term[] = [];
    let named = false;
    this.#expect('(');
    if (!this.#take(')')) {
      do {
        if (this.#token.kind === ')') break;
        const term = this.#argument();
        if (this.#take(':')) {
          named = true;
          this.#term(1, false);
        } else if (term) args.push(term);
      } while (this.#take(','));
      this.#expect(')');
    }
    return { kind: 'call', name, args, named, ...this.#since(offset) };
  }

  /** An argument; nothing if a reserved word names one. */
  #argument(): Term | undefined {
    const { kind } = this.#token;
    if (!FIELD_WORDS.has(kind)) return this.#term(1, false);
    const token = this.#token;
    if (kind === 'type' || kind === 'if' || kind === 'and' || kind === 'or' || kind === 'matches') {
      this.#advance();
      if (this.#token.kind !== ':') throw this.#unexpected(token);
      return undefined;
    }
    return this.#term(1, false);
  }

  #value(): Term {
    const token = this.#advance();
    const { kind, text, offset } = token;
    switch (kind) {
      case '(': {
        const term = this.#term(1, false);
        this.#expect(')');
        return term;
      }
      case 'symbol':
        if (this.#token.kind === '(') return this.#call(text, offset);
        return { kind: 'variable', name: text, ...this.#since(offset) };
      case 'cut':
        return this.#operation('cut', [], offset);
      case 'print':
      case 'debug':
        return this.#operation(kind, this.#arguments(), offset);
      case 'forall': {
        const args = this.#arguments();
        if (args.length !== 2) throw this.#unexpected(token);
        return this.#operation('forall', args, offset);
      }
      case 'new':
        if (this.#token.kind === '(') return this.#operation('new', this.#arguments(), offset);
        return this.#operation('new', [this.#call(this.#expect('symbol').text, offset)], offset);
      case 'in':
      case '.':
        return this.#operation(kind, this.#arguments(), offset);
      case '[':
        return this.#list(token, false);
      case '{':
        return this.#dictionary(token, false);
      default:
        return this.#literal(token);
    }
  }

  #patternValue(): Term {
    if (!this.#take('(')) return this.#pattern();
    const term = this.#term(1, true);
    this.#expect(')');
    return term;
  }

  #pattern(): Term {
    const token = this.#advance();
    const { kind, text, offset } = token;
    if (kind === 'symbol') {
      if (!this.#take('{')) return { kind: 'variable', name: text, ...this.#since(offset) };
      const fields = this.#fields(true);
      return { kind: 'pattern', tag: text, fields, ...this.#since(offset) };
    }
    if (kind === '{') {
      const fields = this.#fields(true);
      return { kind: 'pattern', tag: undefined, fields, ...this.#since(offset) };
    }
    if (kind === '[') return this.#list(token, true);
    return this.#literal(token);
  }

  #literal(token: Token): Term {
    const { kind, text, offset } = token;
    if (kind === 'string') return { kind: 'string', value: text, ...this.#since(offset) };
    if (kind === 'boolean') return { kind: 'boolean', value: text === 'true', ...this.#since(offset) };
    if (kind === '+' || kind === '-') return this.#number(this.#advance(), kind === '-' ? -1 : 1);
    return this.#number(token, 1);
  }

  #number(token: Token, sign: 1 | -1): Term {
    const { kind, text, offset } = token;
    if (kind === 'float') {
      return { kind: 'number', value: sign * Number(text), float: true, ...this.#since(offset) };
    }
    if (kind !== 'integer') throw this.#unexpected(token);
    const value = Number(text);
    if (!Number.isSafeInteger(value)) return { kind: 'huge integer', ...this.#since(offset) };
    return { kind: 'number', value: value === 0 ? 0 : sign * value, float: false, ...this.#since(offset) };
  }

  #arguments(): Term[] {
    const args: Term[] = [];
    this.#expect('(');
    while (!this.#take(')')) {
      args.push(this.#term(1, false));
      if (!this.#take(',')) {
        this.#expect(')');
        break;
      }
    }
    return args;
  }

  #list({ offset }: Token, pattern: boolean): ListTerm {
    const items: Term[] = [];
    while (!this.#take(']')) {
      const rest = this.#take('*');
      if (rest) {
        const { text, offset: at } = this.#expect('symbol');
        items.push({ kind: 'rest', name: text, ...this.#since(at) });
      } else items.push(this.#term(ITEM_LEVEL, pattern));
      if (!this.#take(',')) {
        this.#expect(']');
        break;
      }
    }
    return { kind: 'list', items, ...this.#since(offset) };
  }

  #dictionary({ offset }: Token, pattern: boolean): DictionaryTerm {
    const fields = this.#fields(pattern);
    return { kind: 'dictionary', fields, ...this.#since(offset) };
  }

  /** The fields of a dictionary or pattern, its opening brace already read. */
  #fields(pattern: boolean): Fields {
    const fields = new Map<string, Term>();
    while (!this.#take('}')) {
      const { kind, text, offset, end } = this.#advance();
      if (kind !== 'symbol' && !FIELD_WORDS.has(kind)) throw this.#unexpected({ kind, text, offset, end });
      if (this.#take(':')) {
        fields.set(text, this.#term(pattern ? DOT_LEVEL : DICTIONARY_VALUE_LEVEL, pattern));
      } else fields.set(text, { kind: 'variable', name: text, ...this.#since(offset) });
      if (!this.#take(',')) {
        this.#expect('}');
        break;
      }
    }
    return sortFields(fields);
  }

  #operation(operator: Operator | Comparison | Arithmetic, args: readonly Term[], offset: number): Operation {
    return { kind: 'operation', operator, args, ...this.#since(offset) };
  }

  /** From there to the end of what was read. */
  #since(offset: number): Located {
    return { source: this.#source, offset, end: this.#end };
  }

  #advance(): Token {
    const token = this.#token;
    this.#end = token.end;
    this.#token = this.#lexer.next();
    return token;
  }

  #take(kind: TokenKind): boolean {
    if (this.#token.kind !== kind) return false;
    this.#advance();
    return true;
  }

  #expect(kind: TokenKind): Token {
    if (this.#token.kind !== kind) throw this.#unexpected(this.#token);
    return this.#advance();
  }

  #descend(): void {
    if (++this.#depth > MAX_DEPTH) throw this.#tooDeep();
  }

  #tooDeep(): UnreadablePolicyError {
    return new UnreadablePolicyError(`nesting deeper than ${MAX_DEPTH} levels`, this.#token.offset);
  }

  #unexpected({ kind, offset }: Token): UnreadablePolicyError {
    return new UnreadablePolicyError(`unexpected ${kind}`, offset);
  }
}

export function isOperation(term: Term, operator: Operator): term is Operation {
  return term.kind === 'operation' && term.operator === operator;
}
