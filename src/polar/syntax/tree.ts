import type { Located } from './source.js';

/** The syntax tree of a policy. Every node keeps where it was written. */
export type Term =
  | NumberTerm
  | HugeIntegerTerm
  | StringTerm
  | BooleanTerm
  | VariableTerm
  | RestTerm
  | ListTerm
  | DictionaryTerm
  | PatternTerm
  | CallTerm
  | Operation;

export interface NumberTerm extends Located {
  readonly kind: 'number';
  readonly value: number;
  /** Written as a float: `2.0` and `2` are equal, but divide and overflow differently. */
  readonly float: boolean;
}

/** An integer that a JavaScript number cannot hold exactly. */
export interface HugeIntegerTerm extends Located {
  readonly kind: 'huge integer';
}

export interface StringTerm extends Located {
  readonly kind: 'string';
  readonly value: string;
}

export interface BooleanTerm extends Located {
  readonly kind: 'boolean';
  readonly value: boolean;
}

export interface VariableTerm extends Located {
  readonly kind: 'variable';
  readonly name: string;
}

/** `*rest`, as the last item of a list. */
export interface RestTerm extends Located {
  readonly kind: 'rest';
  readonly name: string;
}

export interface ListTerm extends Located {
  readonly kind: 'list';
  readonly items: readonly Term[];
}

/** Fields by name, in the order of their names. */
export type Fields = ReadonlyMap<string, Term>;

export interface DictionaryTerm extends Located {
  readonly kind: 'dictionary';
  readonly fields: Fields;
}

/** `Class{field: …}` or, without a class, `{field: …}` where a pattern is expected. */
export interface PatternTerm extends Located {
  readonly kind: 'pattern';
  readonly tag: string | undefined;
  readonly fields: Fields;
}

export interface CallTerm extends Located {
  readonly kind: 'call';
  readonly name: string;
  readonly args: readonly Term[];
  /** Named arguments were written; JavaScript has none, so Oso always refuses them. */
  readonly named: boolean;
}

export type Comparison = '==' | '!=' | '<' | '<=' | '>' | '>=';
export type Arithmetic = '+' | '-' | '*' | '/' | 'mod' | 'rem';
export type Operator =
  | Comparison
  | Arithmetic
  | 'and'
  | 'or'
  | 'not'
  | '='
  | ':='
  | 'in'
  | 'matches'
  | '.'
  | 'new'
  | 'forall'
  | 'cut'
  | 'print'
  | 'debug';

export interface Operation extends Located {
  readonly kind: 'operation';
  readonly operator: Operator;
  readonly args: readonly Term[];
  /** In Oso, the condition waits for look-ups that are done before it here. */
  readonly afterLookups?: boolean;
  /** A condition that was taken apart, of whose parts this is the conjunction. */
  readonly parted?: Parted;
}

/** A condition, and what is left of it once the look-ups and the arithmetic are lifted out. */
export interface Parted {
  readonly written: Term;
  readonly left: Term;
}

export interface Parameter {
  readonly term: Term;
  readonly specializer: Term | undefined;
}

export interface Rule extends Located {
  readonly name: string;
  readonly parameters: readonly Parameter[];
  /** The conditions, all of which must hold. */
  readonly body: Operation;
}

export interface Declaration extends Located {
  readonly kind: 'declaration';
  readonly name: string;
  /** Names of roles or permissions; or relations with their classes. */
  readonly value: ListTerm | DictionaryTerm;
}

/** `"head" if "implier" on "relation";` */
export interface ShorthandRule {
  readonly kind: 'shorthand';
  readonly head: StringTerm;
  readonly implier: StringTerm;
  readonly relation: StringTerm | undefined;
}

export interface ResourceBlock extends Located {
  readonly keyword: string | undefined;
  readonly resource: string;
  readonly productions: readonly (Declaration | ShorthandRule)[];
}

/** What one policy text holds. Rule types and inline queries are Oso's to check when it loads the policy. */
export interface ParsedText {
  readonly rules: Rule[];
  readonly blocks: ResourceBlock[];
}

/** Polar orders the fields of a dictionary by the code points of their names. */
export function compareNames(left: string, right: string): number {
  const length = Math.min(left.length, right.length);
  for (let at = 0; at < length; at++) {
    let a = left.charCodeAt(at);
    let b = right.charCodeAt(at);
    if (a !== b) {
      // Surrogates stand for code points above every other UTF-16 unit.
      if (a >= 0xd800 && a <= 0xdfff) a += 0x10000;
      if (b >= 0xd800 && b <= 0xdfff) b += 0x10000;
      return a - b;
    }
  }
  return left.length - right.length;
}

export function sortFields<Value>(fields: Map<string, Value>): Map<string, Value> {
  if (fields.size < 2) return fields;
  return new Map([...fields].sort(([left], [right]) => compareNames(left, right)));
}

/** Whether a rule is a fact of single literals, as most rules of a large policy are: there is nothing to find in it. */
export function isLiteralFact({ body, parameters }: Rule): boolean {
  return body.args.length === 0 && parameters.every(isLiteral);
}

function isLiteral({ term, specializer }: Parameter): boolean {
  return (
    specializer === undefined && (term.kind === 'string' || term.kind === 'number' || term.kind === 'boolean')
  );
}

/** The terms that a rule is made of: its body and its head. */
export function partsOf({ body, parameters }: Rule): Term[] {
  const parts: Term[] = [body];
  for (const { term, specializer } of parameters) {
    if (specializer !== undefined) parts.push(specializer);
    parts.push(term);
  }
  return parts;
}

/** Every term in the given ones, however deep, and these themselves. */
export function termsOf(roots: readonly Term[]): readonly Term[] {
  const terms: Term[] = [];
  const open = [...roots];
  for (let term = open.pop(); term !== undefined; term = open.pop()) {
    terms.push(term);
    if (term.kind === 'operation' || term.kind === 'call') for (const arg of term.args) open.push(arg);
    else if (term.kind === 'list') for (const item of term.items) open.push(item);
    else if (term.kind === 'dictionary' || term.kind === 'pattern') {
      for (const field of term.fields.values()) open.push(field);
    }
  }
  return terms;
}

/** Whether a term is made of literals alone. */
export function isGroundTerm(term: Term): boolean {
  switch (term.kind) {
    case 'string':
    case 'number':
    case 'huge integer':
    case 'boolean':
      return true;
    case 'list':
      return term.items.every(isGroundTerm);
    case 'dictionary':
      return [...term.fields.values()].every(isGroundTerm);
    default:
      return false;
  }
}
