import { constructorOf } from '../../guard/class-of.js';
import { NotCovered } from '../errors.js';
import { isThenable, type PolicyHost, type RegisteredClass } from '../values/host.js';
import { RowReference } from '../values/relations.js';
import { deref, Instance, type Value } from '../values/values.js';
import type { CompiledRule } from './rule.js';

/**
 * Puts the rules that apply in the order in which they are tried: the more specific for the given arguments first, and
 * otherwise as they stand in the policy. The order of more specific is no total order, so this is the very insertion sort
 * that Oso uses.
 *
 * @param classOf the class of an argument by its position, to go by in place of the argument itself: the order can then be
 *   kept for all arguments of these classes
 */
export function sortRules(
  host: PolicyHost,
  rules: readonly CompiledRule[],
  args: readonly Value[],
  classOf?: (at: number) => RegisteredClass | undefined,
): readonly CompiledRule[] {
  if (rules.length < 2) return rules;
  const sorted = [...rules];
  for (let outer = 1; outer < sorted.length; outer++) {
    for (let inner = outer; inner > 0; inner--) {
      const left = sorted[inner] as CompiledRule;
      const right = sorted[inner - 1] as CompiledRule;
      if (left === right || !isMoreSpecific(host, left, right, args, classOf)) break;
      sorted[inner] = right;
      sorted[inner - 1] = left;
    }
  }
  return sorted;
}

/** The first parameter whose specializers differ decides. */
function isMoreSpecific(
  host: PolicyHost,
  { specializers: left }: CompiledRule,
  { specializers: right }: CompiledRule,
  args: readonly Value[],
  classOf: ((at: number) => RegisteredClass | undefined) | undefined,
): boolean {
  for (let at = 0; at < args.length; at++) {
    const a = left[at];
    const b = right[at];
    if (a === undefined && b === undefined) continue;
    if (a === undefined) return false;
    if (b === undefined) return true;
    if (a.kind === 'union' && b.kind === 'union') continue;
    if (a.kind === 'union') return false;
    if (b.kind === 'union') return true;
    if (a.key === b.key) continue;
    return isSubspecializer(host, a, b, deref(args[at] as Value), classOf && { type: classOf(at) });
  }
  return false;
}

type Specializer = NonNullable<CompiledRule['specializers'][number]>;

function isSubspecializer(
  host: PolicyHost,
  left: Specializer,
  right: Specializer,
  arg: Value,
  known: { readonly type: RegisteredClass | undefined } | undefined,
): boolean {
  if (left.kind === 'instance' && right.kind === 'instance') {
    if (!(arg instanceof Instance)) return false;
    const value = arg.value instanceof RowReference ? arg.value.key : arg.value;
    if (known === undefined && isThenable(value))
      throw new NotCovered('a promise as the argument of a rule', undefined);
    if (left.tag === right.tag) {
      host.requireClass(left.tag as string);
      return right.fields < left.fields;
    }
    const cls = known === undefined ? constructorOf(value) : known.type?.cls;
    return host.isNearer(cls, left.tag as string, right.tag as string);
  }
  if (left.kind === 'dictionary' && right.kind === 'dictionary') return right.fields < left.fields;
  return left.kind === 'instance' && right.kind === 'dictionary';
}
