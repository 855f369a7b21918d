import type { CompiledRule } from './rule.js';
import { Dictionary, deref, isGround, List, numberOf, type Value } from './terms.js';

/** A parameter position at which rules differ in what they accept. */
export interface Position {
  readonly at: number;
  /** The constants that rules have there. */
  readonly constants: ReadonlySet<string | number | boolean>;
  /** Some rule names a class there. */
  readonly classes: boolean;
}

/** Rules by the constants in their heads: a tree, one level for each parameter. */
interface Node {
  readonly constants: Map<string | number | boolean, Node>;
  /** The rules with something other than a constant at this level. */
  others: Node | undefined;
  /** At the last level, the rules by their order in the policy. */
  readonly rules: number[];
}

/** Finds the rules that may apply without looking at all of them. */
export class RuleIndex {
  readonly positions: readonly Position[];
  readonly #rules: readonly CompiledRule[];
  readonly #arity: number;
  readonly #root = newNode();

  constructor(rules: readonly CompiledRule[], arity: number) {
    this.#rules = rules;
    this.#arity = arity;
    for (const [order, rule] of rules.entries()) this.#add(rule, order);
    const positions: Position[] = [];
    for (let at = 0; at < arity; at++) {
      const constants = new Set<string | number | boolean>();
      let classes = false;
      let plain = true;
      for (const { parameters } of rules) {
        const parameter = parameters[at];
        if (parameter?.kind === 'constant') constants.add(parameter.value);
        if (parameter?.kind === 'class' || parameter?.kind === 'union') classes = true;
        if (parameter?.kind !== 'any') plain = false;
      }
      if (!plain) positions.push({ at, constants, classes });
    }
    this.positions = positions;
  }

  /** The rules whose constants agree with the arguments, in the order of the policy. */
  candidates(args: readonly Value[]): CompiledRule[] {
    let nodes = [this.#root];
    for (let at = 0; at < this.#arity; at++) {
      const value = deref(args[at] as Value);
      const following: Node[] = [];
      for (const node of nodes) {
        const constant = typeof value === 'string' || typeof value === 'boolean' ? value : numberOf(value);
        if (constant !== undefined) {
          const found = node.constants.get(constant);
          if (found) following.push(found);
        } else if (!((value instanceof List || value instanceof Dictionary) && isGround(value))) {
          // An object may equal a constant, and a variable may become one.
          for (const each of node.constants.values()) following.push(each);
        }
        if (node.others) following.push(node.others);
      }
      nodes = following;
    }
    return nodes
      .flatMap(({ rules }) => rules)
      .sort((a, b) => a - b)
      .map(order => this.#rules[order] as CompiledRule);
  }

  #add({ parameters }: CompiledRule, order: number): void {
    let node = this.#root;
    for (const parameter of parameters) {
      if (parameter.kind === 'constant') {
        let next = node.constants.get(parameter.value);
        if (next === undefined) {
          next = newNode();
          node.constants.set(parameter.value, next);
        }
        node = next;
      } else {
        node.others ??= newNode();
        node = node.others;
      }
    }
    node.rules.push(order);
  }
}

function newNode(): Node {
  return { constants: new Map(), others: undefined, rules: [] };
}
