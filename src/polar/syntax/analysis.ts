import { isAnonymous } from './hoist.js';
import { type Fields, type RestTerm, type Term, termsOf, type VariableTerm } from './tree.js';

/** A text that is the same for two terms exactly if Polar takes them for the same term. */
export function termKey(term: Term): string {
  switch (term.kind) {
    case 'string':
      return JSON.stringify(term.value);
    case 'number':
      return `#${term.value}`;
    case 'huge integer':
      return `#huge@${term.offset}`;
    case 'boolean':
      return `#${term.value}`;
    case 'variable':
      return `?${variableKey(term)}`;
    case 'rest':
      return `*${variableKey(term)}`;
    case 'list':
      return `[${term.items.map(termKey).join(',')}]`;
    case 'dictionary':
      return `{${fieldKeys(term.fields)}}`;
    case 'pattern':
      return `${term.tag ?? ''}<${fieldKeys(term.fields)}>`;
    case 'call':
      return `${term.name}(${term.args.map(termKey).join(',')})`;
    case 'operation':
      return `(${term.operator} ${term.args.map(termKey).join(',')})`;
  }
}

/** No two anonymous variables are the same, wherever they stand. */
function variableKey({ name, source, offset }: VariableTerm | RestTerm): string {
  return isAnonymous(name) ? `${name}@${source.file ?? ''}:${offset}` : name;
}

function fieldKeys(fields: Fields): string {
  return [...fields].map(([name, value]) => `${JSON.stringify(name)}:${termKey(value)}`).join(',');
}

/** The second of two calls or alternatives in a rule's body that are the same, if there are any. */
export function findTwin(body: Term): Term | undefined {
  const seen = new Set<string>();
  const open: Term[] = [body];
  for (let term = open.shift(); term !== undefined; term = open.shift()) {
    if (term.kind !== 'call' && term.kind !== 'operation') continue;
    if (term.kind === 'call' || term.operator === 'or') {
      const key = termKey(term);
      if (seen.has(key)) return term;
      seen.add(key);
    }
    if (term.kind === 'operation' && ['and', 'or', 'not', 'forall'].includes(term.operator))
      open.push(...term.args);
  }
  return undefined;
}

/** Whether a condition cuts, at any depth. */
export function cuts(body: Term): boolean {
  for (const term of termsOf([body])) if (term.kind === 'operation' && term.operator === 'cut') return true;
  return false;
}
