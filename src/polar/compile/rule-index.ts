import { Dictionary, deref, List, numberOf, type Value } from '../values/values.js';
import type { Constant } from './fact-table.js';
import type { CompiledRule } from './rule.js';

/** Rules by their order in the policy; a single one without an array around it, as most constants have one rule. */
type Orders = number | number[];

/** A parameter position at which rules differ in what they accept. */
export interface Position {
  readonly at: number;
  /** The rules that have a constant there, by the constant. */
  readonly constants: ReadonlyMap<Constant, Orders>;
  /** The rules that have something else there. */
  readonly others: readonly number[];
  /** Some rule names a class there. */
  readonly classes: boolean;
}

/** Finds the rules that may apply without looking at all of them. */
export class RuleIndex {
  /** The positions that tell rules apart. */
  readonly positions: readonly Position[];
  readonly #rules: readonly CompiledRule[];

  constructor(rules: readonly CompiledRule[], arity: number) {
    this.#rules = rules;
    const positions: Position[] = [];
    for (let at = 0; at < arity; at++) {
      const position = indexPosition(rules, at);
      if (position !== undefined) positions.push(position);
    }
    this.positions = positions;
  }

  /** The rules whose constants agree with the arguments, in the order of the policy. */
  candidates(args: readonly Value[]): CompiledRule[] {
    let fewest: readonly number[] | undefined;
    const wanted: (readonly [at: number, constant: Constant | undefined])[] = [];
    for (const { at, constants, others } of this.positions) {
      const value = deref(args[at] as Value);
      const constant = constantOf(value);
      // An object may equal a constant, and a variable may become one.
      if (constant === undefined && !isCollection(value)) continue;
      wanted.push([at, constant]);
      const orders = constant === undefined ? undefined : constants.get(constant);
      const count =
        others.length + (orders === undefined ? 0 : typeof orders === 'number' ? 1 : orders.length);
      if (fewest === undefined || count < fewest.length) fewest = merge(orders, others);
    }
    if (fewest === undefined) return [...this.#rules];
    const rules = fewest.map(order => this.#rules[order] as CompiledRule);
    return rules.filter(({ parameters }) =>
      wanted.every(([at, constant]) => {
        const parameter = parameters[at];
        return parameter?.kind !== 'constant' || parameter.value === constant;
      }),
    );
  }
}

function indexPosition(rules: readonly CompiledRule[], at: number): Position | undefined {
  const constants = new Map<Constant, Orders>();
  const others: number[] = [];
  let classes = false;
  let plain = true;
  for (const [order, { parameters }] of rules.entries()) {
    const parameter = parameters[at];
    if (parameter?.kind !== 'any') plain = false;
    if (parameter?.kind === 'class' || parameter?.kind === 'union') classes = true;
    if (parameter?.kind !== 'constant') others.push(order);
    else {
      const known = constants.get(parameter.value);
      if (known === undefined) constants.set(parameter.value, order);
      else if (typeof known === 'number') constants.set(parameter.value, [known, order]);
      else known.push(order);
    }
  }
  return plain ? undefined : { at, constants, others, classes };
}

function constantOf(value: Value): Constant | undefined {
  return typeof value === 'string' || typeof value === 'boolean' ? value : numberOf(value);
}

function isCollection(value: Value): boolean {
  return value instanceof List || value instanceof Dictionary;
}

/** Two ascending rows as one. */
function merge(orders: Orders | undefined, others: readonly number[]): readonly number[] {
  if (orders === undefined) return others;
  if (others.length === 0) return typeof orders === 'number' ? [orders] : orders;
  return [...others, ...(typeof orders === 'number' ? [orders] : orders)].sort((a, b) => a - b);
}
