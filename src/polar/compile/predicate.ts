import { Continuation, type Machine, proceed, type Step } from '../evaluate/machine.js';
import { tryEach } from '../evaluate/try-each.js';
import type { PolicyHost, RegisteredClass } from '../values/host.js';
import { Dictionary, deref, Instance, List, LogicVariable, numberOf, type Value } from '../values/values.js';
import { FactTable } from './fact-table.js';
import type { Callable } from './program.js';
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
interface Selection {
  readonly rules: readonly CompiledRule[];
  /** The heads are known to match; otherwise the rules are only candidates. */
  readonly decided: boolean;
  /** Where the rules start: an argument without a value leaves something of the head to do. */
  readonly start: 'body' | 'constants' | 'head';
}

type SelectionTree = Map<Kind, SelectionTree | Selection>;

/** All rules of one name. */
export class Predicate implements Callable {
  readonly name: string;
  readonly #host: PolicyHost;
  readonly #arities = new Map<number, RuleGroup>();

  constructor(name: string, host: PolicyHost) {
    this.name = name;
    this.#host = host;
  }

  add(rule: CompiledRule): void {
    let group = this.#arities.get(rule.arity);
    if (group === undefined) {
      group = new RuleGroup(this.#host, rule.arity);
      this.#arities.set(rule.arity, group);
    }
    group.add(rule);
  }

  /**
   * Whether a fact holds for these JavaScript values, where that is all there is to ask: no other rule could apply and no
   * condition be tested. Undefined otherwise.
   */
  fact(args: readonly unknown[]): boolean | undefined {
    return this.#arities.get(args.length)?.fact(args);
  }

  call(machine: Machine, args: readonly Value[], next: Step): Step {
    const group = this.#arities.get(args.length);
    return group === undefined ? machine.fail() : group.call(machine, args, next);
  }
}

/** All rules of one name and number of parameters. */
class RuleGroup {
  readonly #host: PolicyHost;
  readonly #arity: number;
  readonly #rules: CompiledRule[] = [];
  /** Undefined before the first call; null where there are no facts to speak of. */
  #facts: FactTable | null | undefined;
  #index: RuleIndex | undefined;
  #selections: SelectionTree = new Map();
  #kept = 0;
  /** The one selection of rules that take any arguments. */
  #only: Selection | undefined;

  constructor(host: PolicyHost, arity: number) {
    this.#host = host;
    this.#arity = arity;
  }

  add(rule: CompiledRule): void {
    this.#rules.push(rule);
  }

  fact(args: readonly unknown[]): boolean | undefined {
    if (this.#facts === undefined) this.#facts = FactTable.of(this.#rules, this.#arity) ?? null;
    return this.#facts?.contains(args);
  }

  call(machine: Machine, args: readonly Value[], next: Step): Step {
    const fact = this.fact(args);
    if (fact !== undefined) return fact ? next : machine.fail();
    // The last condition of a rule needs no way back to it: a chain of such rules takes no memory.
    const continuation =
      next === proceed ? machine.continuation : new Continuation(next, machine.frame, machine.continuation);
    this.#index ??= new RuleIndex(this.#rules, this.#arity);
    const selection = this.#select(this.#index, args);
    const { rules } = selection;
    if (selection.decided) {
      return tryRules(machine, rules, args, continuation, selection.start, machine.choices.length);
    }
    return filter(machine, {
      rules,
      at: rules.length - 1,
      applicable: [],
      args,
      continuation,
      choices: machine.choices.length,
    });
  }

  #select(index: RuleIndex, args: readonly Value[]): Selection {
    if (index.positions.length === 0) {
      this.#only ??= this.#judge(index, args, []);
      return this.#only;
    }
    const { positions } = index;
    const last = positions.length - 1;
    let node = this.#selections;
    for (let depth = 0; depth <= last; depth++) {
      const { at, constants, classes } = positions[depth] as Position;
      const found = node.get(this.#kindOf(args[at] as Value, constants, classes));
      if (found === undefined) break;
      if (depth === last) return found as Selection;
      node = found as SelectionTree;
    }
    return this.#makeSelection(index, args);
  }

  #makeSelection(index: RuleIndex, args: readonly Value[]): Selection {
    const kinds: Kind[] = [];
    for (const { at, constants, classes } of index.positions) {
      kinds.push(this.#kindOf(args[at] as Value, constants, classes));
    }
    const selection = this.#judge(index, args, kinds);
    if (++this.#kept > MAX_SELECTIONS + SELECTIONS_PER_RULE * this.#rules.length) {
      this.#selections = new Map();
      this.#kept = 0;
    }
    let node = this.#selections;
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
  #judge(index: RuleIndex, args: readonly Value[], kinds: readonly Kind[]): Selection {
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
        // The head, where it is asked, finds the several ways itself.
        const times = start === 'head' ? Math.min(ways, 1) : ways;
        for (let time = 0; time < times; time++) rules.push(rule);
      }
    }
    if (!decided) return { rules: [...new Set(rules)], decided, start: 'head' };
    return { rules: sortRules(this.#host, rules, args, classOf), decided, start };
  }

  /** In how many ways a parameter matches an argument; undefined where that shows only when it is tried. */
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

function tryRules(
  machine: Machine,
  rules: readonly CompiledRule[],
  args: readonly Value[],
  continuation: Continuation | undefined,
  start: 'body' | 'constants' | 'head',
  choices: number,
): Step {
  return tryEach(machine, rules, (trying, rule) => {
    trying.continuation = continuation;
    return rule.enter(trying, args, choices, rule[start]);
  });
}

/** The search for the rules that apply, where it takes trying. */
interface Filtering {
  readonly rules: readonly CompiledRule[];
  readonly at: number;
  readonly applicable: readonly CompiledRule[];
  readonly args: readonly Value[];
  readonly continuation: Continuation | undefined;
  readonly choices: number;
}

/** Tries the heads of the candidates, last first as Oso does, and undoes what that bound. */
function filter(machine: Machine, state: Filtering): Step {
  const { rules, args, applicable, choices } = state;
  const frame = machine.frame;
  const rule = rules[state.at];
  if (rule === undefined) {
    const sorted = sortRules(machine.host, [...applicable].reverse(), args);
    return tryRules(machine, sorted, args, state.continuation, 'head', choices);
  }
  const rest = { ...state, at: state.at - 1 };
  if (rule.ground) return filterNext(rest, [...applicable, rule]);
  const height = machine.choices.length;
  const trail = machine.trailHeight;
  const continuation = machine.continuation;
  machine.choose(after => filter(after, rest));
  machine.continuation = new Continuation(
    after => {
      after.cut(height);
      after.undoTo(trail);
      after.frame = frame;
      after.continuation = continuation;
      return filter(after, { ...rest, applicable: [...applicable, rule] });
    },
    frame,
    continuation,
  );
  return rule.enter(machine, args, choices, rule.test);
}

function filterNext(state: Filtering, applicable: readonly CompiledRule[]): Step {
  return machine => filter(machine, { ...state, applicable });
}
