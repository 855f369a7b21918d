import { callerOf } from '../evaluate/attempts.js';
import { type Call, Continuation, type Machine, proceed, type Step } from '../evaluate/machine.js';
import { callWithUnknowns, type Rules } from '../evaluate/recursion.js';
import type { Trace } from '../evaluate/trace.js';
import { tryEach } from '../evaluate/try-each.js';
import type { PolicyHost } from '../values/host.js';
import type { Value } from '../values/values.js';
import { FactTable } from './fact-table.js';
import type { Callable } from './program.js';
import type { CompiledRule } from './rule.js';
import { type Selection, Selections } from './selection.js';
import { sortRules } from './specificity.js';

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
      group = new RuleGroup(this.#host, this.name, rule.arity);
      this.#arities.set(rule.arity, group);
    }
    group.add(rule);
  }

  /**
   * Whether a fact holds for these JavaScript values, if nothing else has to be asked: no other rule could apply and no
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
class RuleGroup implements Rules {
  readonly key: string;
  readonly #host: PolicyHost;
  readonly #arity: number;
  readonly #rules: CompiledRule[] = [];
  /** Undefined before the first call; null if there are no facts to speak of. */
  #facts: FactTable | null | undefined;
  #selections: Selections | undefined;

  constructor(host: PolicyHost, name: string, arity: number) {
    this.key = `${name}/${arity}`;
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
    return machine.hasUnknowns
      ? callWithUnknowns(machine, this, args, next)
      : this.tryAll(machine, args, next, undefined);
  }

  neverOfNil(at: number): boolean {
    return this.#rules.every(({ parameters }) => {
      const { kind } = parameters[at] as CompiledRule['parameters'][number];
      return kind === 'class' || kind === 'union';
    });
  }

  tryAll(machine: Machine, args: readonly Value[], next: Step, call: Call | undefined): Step {
    // The last condition of a rule needs no way back to it: a chain of such rules takes no memory.
    const continuation =
      next === proceed ? machine.continuation : new Continuation(next, machine.frame, machine.continuation);
    this.#selections ??= new Selections(this.#host, this.#arity, this.#rules);
    const { rules, decided, start } = this.#selections.select(args);
    if (machine.trace !== undefined) this.#tellSkipped(machine.trace, rules, args, continuation);
    if (decided) return tryRules(machine, rules, args, continuation, start, machine.choices.length, call);
    return filter(machine, {
      rules,
      at: rules.length - 1,
      applicable: [],
      args,
      continuation,
      choices: machine.choices.length,
      call,
    });
  }

  /** Which rules of the name are not tried, if the constants and classes tell; {@link filter} tells the others. */
  #tellSkipped(
    trace: Trace,
    tried: readonly CompiledRule[],
    args: readonly Value[],
    continuation: Continuation | undefined,
  ): void {
    const all = new Set(tried);
    const skipped = this.#rules.filter(rule => !all.has(rule));
    trace.skipped(skipped, callerOf(continuation), args);
  }
}

function tryRules(
  machine: Machine,
  rules: readonly CompiledRule[],
  args: readonly Value[],
  continuation: Continuation | undefined,
  start: Selection['start'],
  choices: number,
  call: Call | undefined,
): Step {
  return tryEach(machine, rules, (trying, rule) => {
    trying.continuation = continuation;
    const step = rule.enter(trying, args, choices, rule[start]);
    if (call !== undefined) trying.frame.call = call;
    return step;
  });
}

/** The search for the rules that apply, if they have to be tried. */
interface Filtering {
  readonly rules: readonly CompiledRule[];
  readonly at: number;
  readonly applicable: readonly CompiledRule[];
  readonly args: readonly Value[];
  readonly continuation: Continuation | undefined;
  readonly choices: number;
  readonly call: Call | undefined;
}

/** Tries the heads of the candidates, last first as Oso does, and undoes what that bound. */
function filter(machine: Machine, state: Filtering): Step {
  const { rules, args, applicable, choices } = state;
  const frame = machine.frame;
  const rule = rules[state.at];
  if (rule === undefined) {
    const sorted = sortRules(machine.host, [...applicable].reverse(), args);
    if (machine.trace !== undefined) {
      const tried = new Set(applicable);
      const skipped = rules.filter(each => !tried.has(each));
      machine.trace.skipped(skipped, callerOf(state.continuation), args);
    }
    return tryRules(machine, sorted, args, state.continuation, 'head', choices, state.call);
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
