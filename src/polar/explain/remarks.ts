/** Why no rule was tried: names that are misspelt, classes that nobody registered. */
import type { Rule, Term } from '../syntax/tree.js';
import type { PolicyHost } from '../values/host.js';
import { deref, Instance, type Value } from '../values/values.js';
import { closest, namesOf, type Show } from './show.js';
import { lineOf } from './source-lines.js';

/** A call for which no rule was tried. */
export interface Unanswered {
  readonly name: string;
  readonly args: readonly Value[];
  /** The arguments as they were written, if a condition calls. */
  readonly terms: readonly Term[] | undefined;
  /** The rules of this name. */
  readonly rules: readonly Rule[];
}

export function remarkOn(call: Unanswered, show: Show, host: PolicyHost): string {
  const { name, args, rules } = call;
  const sameArity = rules.filter(({ parameters }) => parameters.length === args.length);
  if (sameArity.length === 0) return `there is no rule ${name} with ${args.length} parameters`;
  const subject = describe(call, show);
  const stranger = args.findIndex(arg => isStranger(deref(arg), host));
  const hint =
    stranger >= 0
      ? ': registerClass() makes its class known'
      : (meant(call, sameArity, show, host) ?? missingName(args, sameArity, host) ?? '');
  return `${subject}${hint}`;
}

function describe({ name, args, terms }: Unanswered, show: Show): string {
  const shown = args.map((arg, at) => shownArgument(arg, terms?.[at], show));
  const [, action, resource] = args;
  if (
    args.length === 3 &&
    (name === 'allow' || name === 'has_permission') &&
    typeof deref(action as Value) === 'string'
  ) {
    return `no rule allows ${shown[1]} on ${show.kind(resource as Value)}`;
  }
  return `no rule ${name} takes (${shown.join(', ')})`;
}

export function shownArgument(arg: Value, term: Term | undefined, show: Show): string {
  return term?.kind === 'string' ? JSON.stringify(term.value) : show.value(arg);
}

function isStranger(value: Value, host: PolicyHost): boolean {
  if (!(value instanceof Instance) || typeof value.value !== 'object' || value.value === null) return false;
  return host.classOf(value) === undefined;
}

/** The name that was meant, of those for which there are rules that would take the rest. */
function meant(
  { args, terms }: Unanswered,
  rules: readonly Rule[],
  show: Show,
  host: PolicyHost,
): string | undefined {
  for (const [at, arg] of args.entries()) {
    const given = deref(arg);
    if (typeof given !== 'string' || !(show.isKnown(given) || terms?.[at]?.kind === 'string')) continue;
    const names = rules
      .filter(rule =>
        args.every((other, position) => position === at || mayTake(rule, position, deref(other), host)),
      )
      .flatMap(({ parameters }) => {
        const term = parameters[at]?.term;
        return term?.kind === 'string' ? [term.value] : [];
      });
    const name = closest(given, names);
    if (name !== undefined) return `; did you mean ${JSON.stringify(name)}?`;
  }
  return undefined;
}

function mayTake({ parameters }: Rule, at: number, value: Value, host: PolicyHost): boolean {
  const parameter = parameters[at];
  if (parameter === undefined) return false;
  const { term, specializer } = parameter;
  if (term.kind === 'string' || term.kind === 'number' || term.kind === 'boolean')
    return term.value === value;
  if (specializer?.kind !== 'pattern' || specializer.tag === undefined || !(value instanceof Instance))
    return true;
  const type = host.classOf(value);
  // A union, as Actor, takes what its classes take: that is not looked into.
  return (
    type === undefined ||
    host.classNamed(specializer.tag) === undefined ||
    host.descends(type, specializer.tag)
  );
}

/** A pattern asks for an attribute that an object of the class does not have. */
function missingName(args: readonly Value[], rules: readonly Rule[], host: PolicyHost): string | undefined {
  for (const rule of rules) {
    for (const [at, { specializer }] of rule.parameters.entries()) {
      const value = deref(args[at] as Value);
      if (specializer?.kind !== 'pattern' || !(value instanceof Instance) || !mayTake(rule, at, value, host))
        continue;
      const object = value.value;
      if (typeof object !== 'object' || object === null) continue;
      for (const name of specializer.fields.keys()) {
        if (name in object) continue;
        const other = closest(name, namesOf(object));
        const guess = other === undefined ? '' : `; did you mean "${other}"?`;
        return `; the pattern in line ${lineOf(specializer)} asks for "${name}", which there is not${guess}`;
      }
    }
  }
  return undefined;
}
