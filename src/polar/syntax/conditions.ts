import { isOperation } from './parser.js';
import type { Rule, Term } from './tree.js';

/** Each condition of a rule that is observed when the rule is tried, as it was written, those of `or` and `not` included. */
export function* conditionsOf({ body }: Rule): Generator<Term> {
  yield* conditionsIn(body);
}

function* conditionsIn(term: Term): Generator<Term> {
  if (!isOperation(term, 'and')) yield term;
  if (term.kind !== 'operation') return;
  const { operator, args } = term;
  if (operator === 'and' || operator === 'or' || operator === 'not' || operator === 'forall') {
    for (const arg of args) yield* conditionsIn(arg);
  }
}
