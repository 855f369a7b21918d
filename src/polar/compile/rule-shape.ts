import { termKey } from '../syntax/analysis.js';
import type { Parameter, Term } from '../syntax/tree.js';
import type { PolicyHost } from '../values/host.js';
import type { UnionMembers } from './scope.js';

/** A parameter of a rule, as far as it can be judged without trying it. */
export type ParameterShape =
  | { readonly kind: 'any' }
  | { readonly kind: 'constant'; readonly value: string | number | boolean }
  | { readonly kind: 'class'; readonly tag: string }
  | { readonly kind: 'union'; readonly members: readonly string[] }
  | { readonly kind: 'complex' };

/** A specializer, as it is compared with that of another rule. */
export interface SpecializerShape {
  /** Equal for equal specializers. */
  readonly key: string;
  readonly kind: 'union' | 'instance' | 'dictionary' | 'value';
  readonly tag: string | undefined;
  readonly fields: number;
}

/** A rule, as far as it can be judged without trying it. */
export interface RuleShape {
  readonly parameters: readonly ParameterShape[];
  readonly specializers: readonly (SpecializerShape | undefined)[];
  /** There are no conditions, and nobody who would want to know that the rule was tried. */
  readonly plain: boolean;
}

/** Whether a parameter is a variable that stands for its argument alone. */
export function isNamed(parameters: readonly Parameter[], at: number, host: PolicyHost): boolean {
  const { term } = parameters[at] as Parameter;
  if (term.kind !== 'variable' || host.constant(term.name) !== undefined) return false;
  for (let before = 0; before < at; before++) {
    if (holdsVariable((parameters[before] as Parameter).term, term.name)) return false;
  }
  return true;
}

function holdsVariable(term: Term, name: string): boolean {
  // Patterns come after the parameter that they belong to, and only bind what its own variable leaves open.
  return term.kind === 'variable' && term.name === name;
}

/** The shape of a parameter; `named` as {@link isNamed} says. */
export function shapeOf(
  { term, specializer }: Parameter,
  named: boolean,
  members: UnionMembers,
): ParameterShape {
  if (specializer === undefined) {
    if (term.kind === 'string' || term.kind === 'boolean') return { kind: 'constant', value: term.value };
    if (term.kind === 'number') {
      // A whole float is not the integer that it equals, and is left to unification.
      if (term.float && Number.isInteger(term.value)) return COMPLEX;
      return { kind: 'constant', value: term.value };
    }
    return named ? ANY : COMPLEX;
  }
  if (!named || specializer.kind !== 'pattern' || specializer.tag === undefined) return COMPLEX;
  const union = members(specializer.tag);
  if (union !== undefined) return { kind: 'union', members: union };
  return specializer.fields.size > 0 ? COMPLEX : { kind: 'class', tag: specializer.tag };
}

const ANY: ParameterShape = { kind: 'any' };
const COMPLEX: ParameterShape = { kind: 'complex' };

/** The shape of what a parameter has to match. */
export function shapeOfSpecializer(
  specializer: Term | undefined,
  members: UnionMembers,
): SpecializerShape | undefined {
  if (specializer === undefined) return undefined;
  const key = termKey(specializer);
  if (specializer.kind !== 'pattern') return { key, kind: 'value', tag: undefined, fields: 0 };
  const { tag, fields } = specializer;
  if (tag === undefined) return { key, kind: 'dictionary', tag, fields: fields.size };
  return { key, kind: members(tag) === undefined ? 'instance' : 'union', tag, fields: fields.size };
}
