/**
 * Which rules apply to the arguments of a call, and in which order: multiple dispatch, with a cache. What is worked out for one
 * call holds for all whose arguments are of the same kinds. It is kept in a tree with a level for each parameter at which rules
 * differ.
 *
 * ```polar
 * allow(user: User, "read", doc: Document) if doc.owner = user;
 * allow(_: Admin, "read", _);
 * allow(_, "ping", "server");
 * ```
 *
 * Let Admin be a class that extends User. After some questions, the tree of these rules is this:
 *
 * ```txt
 * User ─┬─ "read" ───────── Document ── rule 1
 *       ├─ "ping" ───────── "server" ── rule 3
 *       └─ other string ─── Document ── none
 * Admin ── "read" ───────── Document ── rule 2, then rule 1, whose class is less specific
 * ```
 *
 * A constant that stands in a rule is a kind of its own, and so is a registered class. All other strings are one kind. If the kinds
 * do not decide (a head like `User{team: t}`), what is kept are the rules to be tried.
 */
import type { PolicyHost, RegisteredClass } from '../values/host.js';
import { Dictionary, deref, Instance, List, LogicVariable, numberOf, type Value } from '../values/values.js';
import type { CompiledRule } from './rule.js';
import { type Position, RuleIndex } from './rule-index.js';
import type { ParameterShape } from './rule-shape.js';
import { sortRules } from './specificity.js';

/** What is known of an argument's kind; rules of the same shape treat arguments of the same kind alike. */
type Kind = string | number | boolean | symbol | RegisteredClass;

const UNBOUND = Symbol('unbound');
const WAITING = Symbol('unbound, with conditions');
const OTHER_STRING = Symbol('other string');
const OTHER_NUMBER = Symbol('other number');
const LIST = Symbol('list');
const DICTIONARY = Symbol('dictionary');
const INSTANCE = Symbol('instance');

/**
 * Selections kept for a predicate, besides some for each of its rules. Past that they are forgotten and made anew, so that
 * the memory they take is bounded by the size of the policy.
 */
const MAX_SELECTIONS = 2000;
const SELECTIONS_PER_RULE = 4;

/** The classes that Oso registers itself, and the kinds of values that belong to them. */
const BUILT_IN: ReadonlyMap<string, (value: Value) => boolean> = new Map<string, (value: Value) => boolean>([
  ['String', value => typeof value === 'string'],
  ['Boolean', value => typeof value === 'boolean'],
  ['Integer', value => numberOf(value) !== undefined],
  ['Float', value => numberOf(value) !== undefined],
  ['List', value => value instanceof List],
  ['Dictionary', value => value instanceof Dictionary],
]);

/** The rules that apply to arguments of certain kinds, in the order in which they are tried. */
export interface Selection {
  readonly rules: readonly CompiledRule[];
  /** The heads are known to match; otherwise the rules are only candidates. */
  readonly decided: boolean;
  /** Where the rules start: an argument without a value leaves something of the head to do. */
  readonly start: 'body' | 'constants' | 'head';
}

type SelectionTree = Map<Kind, SelectionTree | Selection>;

/** The selections of rules of one name and number of parameters. */
export class Selections {
  readonly #host: PolicyHost;
  readonly #arity: number;
  readonly #rules: readonly CompiledRule[];
  readonly #index: RuleIndex;
  #tree: SelectionTree = new Map();
  #kept = 0;
  /** The one selection of rules that take any arguments. */
  #only: Selection | undefined;

  constructor(host: PolicyHost, arity: number, rules: readonly CompiledRule[]) {
    this.#host = host;
    this.#arity = arity;
    this.#rules = rules;
    this.#index = new RuleIndex(rules, arity);
  }

  /** The rules that apply to arguments. */
  select(args: readonly Value[]): Selection {
    const index = this.#index;
    if (index.positions.length === 0) {
      this.#only ??= this.#judge(args, []);
      return this.#only;
    }
    const { positions } = index;
    const last = positions.length - 1;
    let node = this.#tree;
    for (let depth = 0; depth <= last; depth++) {
      const { at, constants, classes } = positions[depth] as Position;
      const found = node.get(this.#kindOf(args[at] as Value, constants, classes));
      if (found === undefined) break;
      if (depth === last) return found as Selection;
      node = found as SelectionTree;
    }
    return this.#make(args);
  }

  #make(args: readonly Value[]): Selection {
    const kinds: Kind[] = [];
    for (const { at, constants, classes } of this.#index.positions) {
      kinds.push(this.#kindOf(args[at] as Value, constants, classes));
    }
    const selection = this.#judge(args, kinds);
    if (++this.#kept > MAX_SELECTIONS + SELECTIONS_PER_RULE * this.#rules.length) {
      this.#tree = new Map();
      this.#kept = 0;
    }
    let node = this.#tree;
    kinds.forEach((kind, depth) => {
      if (depth === kinds.length - 1) node.set(kind, selection);
      else {
        let inner = node.get(kind);
        if (!(inner instanceof Map)) {
          inner = new Map();
          node.set(kind, inner);
        }
        node = inner;
      }
    });
    return selection;
  }

  #kindOf(value: Value, constants: ReadonlyMap<unknown, unknown>, classes: boolean): Kind {
    const known = deref(value);
    if (typeof known === 'string') return constants.has(known) ? known : OTHER_STRING;
    if (typeof known === 'boolean') return known;
    const number = numberOf(known);
    if (number !== undefined) return constants.has(number) ? number : OTHER_NUMBER;
    if (known instanceof Instance) {
      // A class itself counts as an instance of itself, but is ordered otherwise: it is left to the long way.
      if (!classes || typeof known.value === 'function') return INSTANCE;
      return this.#host.classOf(known) ?? INSTANCE;
    }
    if (known instanceof LogicVariable) return known.waiting === undefined ? UNBOUND : WAITING;
    return known instanceof List ? LIST : DICTIONARY;
  }

  /**
   * Works out, for arguments of these kinds, what can be known beforehand. An object's class is that of its kind and is not
   * looked up again: what is kept for a kind may depend on nothing else.
   */
  #judge(args: readonly Value[], kinds: readonly Kind[]): Selection {
    const index = this.#index;
    const candidates = index.candidates(args);
    const classOf = (at: number): RegisteredClass | undefined => {
      const kind = kinds[index.positions.findIndex(position => position.at === at)];
      return typeof kind === 'object' ? kind : undefined;
    };
    const open = args.map(arg => deref(arg)).filter(arg => arg instanceof LogicVariable);
    const heads = candidates.some(({ parameters }) =>
      parameters.some(({ kind }, at) => hasClass(kind) && deref(args[at] as Value) instanceof LogicVariable),
    );
    const start = heads ? 'head' : open.length > 0 ? 'constants' : 'body';
    let decided = true;
    const rules: CompiledRule[] = [];
    for (const rule of candidates) {
      let ways: number | undefined = 1;
      for (let at = 0; at < this.#arity && ways !== 0; at++) {
        const each = this.#ways(rule, at, args[at] as Value, classOf(at));
        // Whether it applies shows when it is tried. A later mismatch does not matter then: trying may be an error.
        ways = each === undefined || ways === undefined ? undefined : ways * each;
      }
      if (ways === undefined) {
        decided = false;
        rules.push(rule);
      } else {
        // The head, if it is asked, finds the several ways itself.
        const times = start === 'head' ? Math.min(ways, 1) : ways;
        for (let time = 0; time < times; time++) rules.push(rule);
      }
    }
    if (!decided) return { rules: [...new Set(rules)], decided, start: 'head' };
    return { rules: sortRules(this.#host, rules, args, classOf), decided, start };
  }

  /** In how many ways a parameter matches an argument; undefined if that shows only when it is tried. */
  #ways(rule: CompiledRule, at: number, arg: Value, type: RegisteredClass | undefined): number | undefined {
    const shape = rule.parameters[at] as CompiledRule['parameters'][number];
    if (shape.kind === 'any') return 1;
    if (shape.kind === 'complex') return undefined;
    const value = deref(arg);
    if (shape.kind === 'constant') {
      if (value instanceof LogicVariable) return 1;
      if (value instanceof Instance) return undefined;
      return value === shape.value || (numberOf(value) !== undefined && numberOf(value) === shape.value)
        ? 1
        : 0;
    }
    if (value instanceof Instance) {
      if (type === undefined) return undefined;
      const descends = (tag: string): boolean =>
        this.#host.classNamed(tag) !== undefined && this.#host.descends(type, tag);
      if (shape.kind === 'class') return descends(shape.tag) ? 1 : 0;
      return shape.members.filter(descends).length;
    }
    if (value instanceof LogicVariable) {
      // Without a value, and without conditions that could speak against it, any class will do for now.
      return value.waiting === undefined && (shape.kind === 'class' || shape.members.length > 0)
        ? 1
        : undefined;
    }
    if (shape.kind === 'class') {
      const builtIn = BUILT_IN.get(shape.tag);
      if (builtIn !== undefined) return builtIn(value) ? 1 : 0;
    }
    return undefined;
  }
}

function hasClass(kind: ParameterShape['kind']): boolean {
  return kind === 'class' || kind === 'union';
}
