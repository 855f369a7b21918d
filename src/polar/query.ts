import { Compiler } from './compile/condition.js';
import type { CompiledPolicy } from './compile/policy.js';
import { Scope } from './compile/scope.js';
import { NotCovered, runtimeError } from './errors.js';
import { type Budget, type Frame, Machine, type Outcome, type Pace, type Step } from './evaluate/machine.js';
import { RecursionFound } from './evaluate/recursion.js';
import type { Trace } from './evaluate/trace.js';
import { anyWaits } from './evaluate/waiting.js';
import { cuts, findTwin } from './syntax/analysis.js';
import { hoistQuery, isAnonymous } from './syntax/hoist.js';
import { parseQuery } from './syntax/parser.js';
import { PolicySource } from './syntax/source.js';
import type { Term } from './syntax/tree.js';
import { isThenable } from './values/host.js';
import type { Relations } from './values/relations.js';
import type { Constraints } from './values/unknown.js';
import { deref, LogicVariable, type Value } from './values/values.js';

/** More alternatives than this are no condition that anybody can make use of. */
const MAX_ALTERNATIVES = 50_000;

/** As many rules may turn out to call themselves while one question is asked; it begins anew each time. */
const MAX_RECURSIVE_RULES = 100;

/** The value of each variable that a result binds. */
export type Bindings = Map<string, unknown>;

/** What has to hold of unknown values. */
export interface Alternatives {
  /** The constraints of each result. */
  readonly results: readonly Constraints[];
  /** What is left of the query's budget, for what is made of them. */
  readonly pace: Pace;
}

/**
 * What a query goes by, besides the policy and the question. Each field is always there, if undefined: what
 * Object.prototype may hold decides nothing.
 */
export interface QuerySettings {
  readonly budget: Budget;
  /** Values that variables have from the start, by their names. */
  readonly given: ReadonlyMap<string, unknown> | undefined;
  /** There are unknown values among the arguments. */
  readonly hasUnknowns: boolean;
  /** What follows relations, for this query and others that are asked with it; by default it has its own. */
  readonly relations: Relations | undefined;
  /** Told what happens, if the policy is a twin. */
  readonly trace: Trace | undefined;
}

/** One query on a compiled policy, ready to run. */
export class Query {
  readonly #machine: Machine;
  readonly #start: Step;
  readonly #variables: ReadonlyMap<string, LogicVariable>;

  private constructor(machine: Machine, start: Step, variables: ReadonlyMap<string, LogicVariable>) {
    this.#machine = machine;
    this.#start = start;
    this.#variables = variables;
  }

  /** A query for a rule with JavaScript values, or Oso's `Variable`, as arguments. */
  static forRule(
    policy: CompiledPolicy,
    name: string,
    args: readonly unknown[],
    { budget, given, hasUnknowns, relations, trace }: QuerySettings,
  ): Query {
    const machine = new Machine(policy.host, budget, hasUnknowns, relations, trace);
    const variables = new Map<string, LogicVariable>();
    const values = args.map(arg => machine.toValue(arg, variables));
    bindGiven(machine, variables, given);
    const predicate = policy.predicate(name);
    if (predicate === undefined) {
      return new Query(
        machine,
        () => {
          throw runtimeError('QueryForUndefinedRule', `There is no rule named "${name}"`, undefined);
        },
        variables,
      );
    }
    return new Query(machine, running => predicate.call(running, values, RESULT), variables);
  }

  /** A query in Polar's own notation. Oso has accepted the text before. */
  static forText(
    policy: CompiledPolicy,
    { term, scope, step }: CompiledQuery,
    { budget, given, hasUnknowns, relations, trace }: QuerySettings,
  ): Query {
    const machine = new Machine(policy.host, budget, hasUnknowns, relations, trace);
    const variables = new Map<string, LogicVariable>();
    const frame: Frame = [];
    for (const [name, slot] of scope.slots) {
      const variable = new LogicVariable(isAnonymous(name) ? undefined : name);
      frame[slot] = variable;
      if (!isAnonymous(name)) variables.set(name, variable);
    }
    // A cut in the query itself goes back to the start, where there are no choices yet.
    for (let slot = 0; slot < scope.size; slot++) frame[slot] ??= 0;
    bindGiven(machine, variables, given);
    machine.frame = frame;
    if (policy.cuts && findTwin(term) !== undefined) {
      throw new NotCovered('the same condition twice in a query, in a policy that cuts', undefined);
    }
    return new Query(machine, step, variables);
  }

  /** Runs to the first result, as far as that goes without waiting. */
  begin(): Outcome {
    try {
      return this.#show(this.#machine.run(this.#start));
    } catch (error) {
      throw this.#failed(error);
    }
  }

  /** Whether there is a result; waits for what {@link begin} could not go on without. */
  async settle(begun: Outcome): Promise<boolean> {
    let outcome = begun;
    try {
      while (outcome === 'suspended' || outcome === 'paused') outcome = await this.#machine.resume();
      return this.#show(outcome) === 'result';
    } catch (error) {
      throw this.#failed(error);
    }
  }

  /** Runs to the next result. */
  next(): Outcome {
    try {
      return this.#show(this.#machine.backtrack());
    } catch (error) {
      throw this.#failed(error);
    }
  }

  #show(outcome: Outcome): Outcome {
    const { printed } = this.#machine;
    if (printed.length > 0 && (outcome === 'result' || outcome === 'exhausted')) {
      for (const text of printed.splice(0)) {
        if (this.#machine.trace?.isQuiet) continue;
        // biome-ignore lint/suspicious/noConsole: this is what print() is for, and where Oso prints.
        console.log(text);
      }
    }
    return outcome;
  }

  #failed(error: unknown): unknown {
    if (!(error instanceof NotCovered)) {
      this.#show('exhausted');
      this.#machine.trace?.error();
    }
    return error;
  }

  /** What has to hold of unknown values among the arguments, for each of the results of a rule. */
  static async alternatives(
    policy: CompiledPolicy,
    name: string,
    args: readonly unknown[],
    settings: QuerySettings,
  ): Promise<Alternatives> {
    const { recursive } = policy;
    for (let attempt = 0; attempt < MAX_RECURSIVE_RULES; attempt++) {
      const query = Query.forRule(policy, name, args, settings);
      query.#machine.recursive = recursive;
      try {
        return await query.#alternatives();
      } catch (error) {
        if (!(error instanceof RecursionFound)) throw error;
        recursive.add(error.rules);
      }
    }
    throw new NotCovered('more rules that call themselves than can be told apart', undefined);
  }

  async #alternatives(): Promise<Alternatives> {
    const machine = this.#machine;
    const results: Constraints[] = [];
    try {
      for (let more = await this.settle(this.begin()); more; more = await this.settle(this.next())) {
        if (results.length === MAX_ALTERNATIVES) {
          throw new NotCovered(`a rule with more than ${MAX_ALTERNATIVES} results`, undefined);
        }
        machine.visit(machine.constraints.length);
        results.push([...machine.constraints]);
      }
    } catch (error) {
      if (!(error instanceof NotCovered) || error.place !== undefined) throw error;
      throw new NotCovered(error.construct, machine.placeOf?.());
    }
    return { results, pace: machine };
  }

  /** The bindings of the present result. */
  async bindings(): Promise<Bindings> {
    const bindings: Bindings = new Map();
    for (const [name, variable] of this.#variables) {
      if (name.startsWith('_')) continue;
      if (variable.binding === undefined && !variable.aliased) continue;
      if (this.#machine.conditional && deref(variable) instanceof LogicVariable) {
        throw new NotCovered('a variable without a value in a result, beside conditions', undefined);
      }
      const value = this.#machine.toJs(variable.binding ?? variable, end => end.name ?? name);
      bindings.set(name, isThenable(value) ? await this.#machine.wait(value) : value);
    }
    return bindings;
  }
}

/** A query text, compiled once for all the times it is asked. */
export interface CompiledQuery {
  readonly term: Term;
  readonly scope: Scope;
  readonly step: Step;
  /** Of the twin. */
  readonly observed: boolean;
}

export function compileQuery(policy: CompiledPolicy, text: string): CompiledQuery {
  const term = hoistQuery(parseQuery(new PolicySource(text)));
  const scope = new Scope(policy.host, policy.members, undefined, 0);
  const program = {
    predicate: (name: string) => policy.predicate(name),
    cuts: policy.cuts || cuts(term),
    observed: policy.observed,
  };
  const start = program.cuts ? [scope.reserve()] : [];
  const step = new Compiler(scope, program).condition(term, RESULT, start);
  return { term, scope, step, observed: policy.observed };
}

const RESULT: Step = machine => {
  if (anyWaits(machine)) throw new NotCovered('a variable with conditions but no value', undefined);
  machine.trace?.result();
  return machine.succeed();
};

function bindGiven(
  machine: Machine,
  variables: Map<string, LogicVariable>,
  given: ReadonlyMap<string, unknown> | undefined,
): void {
  if (given === undefined) return;
  for (const [name, value] of given) {
    if (machine.host.constant(name) !== undefined) throw new NotCovered('a constant as a binding', undefined);
    const known: Value = machine.toValue(value);
    const variable = variables.get(name) ?? new LogicVariable(name);
    variables.set(name, variable);
    machine.bind(variable, known);
  }
}
