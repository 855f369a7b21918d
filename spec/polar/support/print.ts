import type { Parameter, Rule, Term } from '../../../src/polar/syntax/tree.js';

const INFIX = new Set(['=', ':=', 'in', 'matches', '==', '!=', '<', '<=', '>', '>=']);
const RESULT_LAST = new Set(['+', '-', '*', '/', 'mod', 'rem']);

/** A rule of the syntax tree, written as Polar. What was lifted out of an expression reads `_1 = user.team`. */
export function printRule({ name, parameters, body }: Rule): string {
  const head = `${name}(${parameters.map(printParameter).join(', ')})`;
  return body.args.length === 0 ? `${head};` : `${head} if ${printTerm(body)};`;
}

function printParameter({ term, specializer }: Parameter): string {
  return specializer === undefined ? printTerm(term) : `${printTerm(term)}: ${printTerm(specializer)}`;
}

export function printTerm(term: Term): string {
  switch (term.kind) {
    case 'number':
    case 'boolean':
      return String(term.value);
    case 'string':
      return JSON.stringify(term.value);
    case 'variable':
      return term.name.replace('_ ', '_');
    case 'rest':
      return `*${term.name}`;
    case 'list':
      return `[${term.items.map(printTerm).join(', ')}]`;
    case 'dictionary':
    case 'pattern': {
      const fields = [...term.fields].map(([name, field]) => `${name}: ${printTerm(field)}`).join(', ');
      const tag = term.kind === 'pattern' ? (term.tag ?? '') : '';
      return tag !== '' && fields === '' ? tag : `${tag}{${fields}}`;
    }
    case 'call':
      return `${term.name}(${term.args.map(printTerm).join(', ')})`;
    case 'operation':
      return printOperation(term.operator, term.args);
    default:
      throw new Error(`A ${term.kind} is not printed`);
  }
}

function printOperation(operator: string, args: readonly Term[]): string {
  const [first, second, third] = args.map(printTerm) as [string, string, string];
  if (operator === '.') return `${third} = ${first}.${second.replaceAll('"', '')}`;
  if (RESULT_LAST.has(operator)) return `${third} = ${first} ${operator} ${second}`;
  if (INFIX.has(operator)) return `${first} ${operator} ${second}`;
  if (operator === 'not') return `not (${first})`;
  if (operator === 'or') return `(${args.map(printTerm).join(' or ')})`;
  if (operator === 'and') return args.map(printTerm).join(' and ');
  return `${operator}(${args.map(printTerm).join(', ')})`;
}
