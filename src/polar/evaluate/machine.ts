import { PolicyBudgetError, type PolicyPlace } from '../errors.js';
import type { PolicyHost } from '../values/host.js';
import type { Relations } from '../values/relations.js';
import type { Constraint, Constraints, Recursion } from '../values/unknown.js';
import { LogicVariable, type Meter, type Value } from '../values/values.js';
import type { Trace } from './trace.js';
import { isSliceOver, nextTurn } from './turns.js';

/**
 * A step of a compiled policy. It does its part and hands back the step to go on with, so that nothing in a policy,
 * however deep, ever grows the JavaScript stack.
 */
export type Step = (machine: Machine) => Step;

/** The variables of one rule that is being tried: its arguments first, then its other variables. */
export interface Frame extends Array<Value> {
  /** The call by which the rule is tried, if there are unknown values. */
  call?: Call;
}

/** Makes a term's value from the variables of a rule. */
export type Build = (frame: Frame) => Value;

/** Where to go on once a rule has succeeded. */
export class Continuation {
  readonly step: Step;
  readonly frame: Frame;
  readonly parent: Continuation | undefined;
  constructor(step: Step, frame: Frame, parent: Continuation | undefined) {
    this.step = step;
    this.frame = frame;
    this.parent = parent;
  }
}

/** A point to come back to when what follows fails. */
export class Choice {
  readonly trail: number;
  readonly frame: Frame;
  readonly continuation: Continuation | undefined;
  /** Goes on with the next alternative. The choice is gone by then, so what comes after that makes one of its own. */
  readonly retry: Step;
  constructor(trail: number, frame: Frame, continuation: Continuation | undefined, retry: Step) {
    this.trail = trail;
    this.frame = frame;
    this.continuation = continuation;
    this.retry = retry;
  }
}

/** Something besides a binding that backtracking takes back. */
export interface Undo {
  undo(): void;
}

/** The state in which a `not` began, and whether its condition has held. */
export interface Negation {
  readonly trail: number;
  readonly delayed: number;
  readonly constraints: number;
  /** The constraints of each result of the negated condition. */
  readonly alternatives: Constraints[];
  /** Constraints on the way to one that may fail, which is the last of them. */
  readonly failing: Constraints[];
  held: boolean;
}

/** A call of rules, and by which other one it came about. */
export interface Call {
  /** Tells the rules from all others. */
  readonly rules: string;
  readonly args: readonly Value[];
  /** Which of the arguments is an unknown row, if one alone is. */
  readonly at: number | undefined;
  readonly caller: Call | undefined;
  /** Set if what the rules say of any row is gathered. */
  readonly recursion: Recursion | undefined;
}

/** How far a query may go. */
export interface Budget {
  /**
   * Steps of evaluation, about one for each condition, rule or list item tried; and one for every sixteen parts of a value
   * that are only copied or looked at.
   */
  readonly steps: number;
  /** Wall-clock milliseconds, time that host code takes included. */
  readonly milliseconds: number;
}

/** Counts work against a budget, and says when it is time for a pause. */
export interface Pace {
  /** True if it is. */
  spend(steps: number): boolean;
  pause(): Promise<void>;
}

/** Why the machine stopped running. */
export type Outcome = 'result' | 'exhausted' | 'suspended' | 'paused';

/** Steps between two looks at the clock. */
const STEPS_PER_LOOK = 256;
/** So many parts of a value, copied or looked at, take about as long as a step: 2 to the power of this. */
const LOG_PARTS_PER_STEP = 4;

const STOP: Step = () => STOP;
// It has what other frames have, so that nothing is read from Object.prototype.
const NO_FRAME: Frame = Object.assign<Frame, { call: undefined }>([], { call: undefined });

/** Evaluates one query. */
export class Machine implements Meter, Pace {
  readonly host: PolicyHost;
  /** There are unknown values among what the query asks about. */
  readonly hasUnknowns: boolean;
  /** Told what the steps of a policy's twin do. */
  readonly trace: Trace | undefined;
  /** Rules that are known to call themselves for what a relation of an unknown row leads to. */
  recursive: ReadonlySet<string> | undefined;
  /** Where the policy is: what the condition or parameter says that is being tested, if it can ask something of unknown values. */
  placeOf: PlaceOf | undefined;
  /** What has to hold of unknown values, for what was found so far. */
  readonly constraints: Constraint[] = [];
  readonly #budget: Budget;
  frame: Frame = NO_FRAME;
  continuation: Continuation | undefined = undefined;
  readonly choices: Choice[] = [];
  readonly #trail: (LogicVariable | Undo)[] = [];
  /** Variables which have just been bound and for which conditions waited. */
  woken: LogicVariable[] = [];
  /** Variables with waiting conditions, so that none is forgotten when a result is due. */
  readonly delayed: LogicVariable[] = [];
  /** Each `not` that is being evaluated around the current step, outermost first. */
  readonly negations: Negation[] = [];
  /** Some condition has waited or been negated: a variable left without a value may not be free to take any. */
  conditional = false;
  /** What `print` has to show once it is certain that Oso's engine will not show it again. */
  readonly printed: string[] = [];
  outcome: Outcome = 'exhausted';
  #pending: PromiseLike<unknown> | undefined;
  #resume: ((value: unknown) => Step) | undefined;
  #next: Step = STOP;
  /** Steps until the next look at the clock; less than none, if a step has done more than that. */
  #fuel = STEPS_PER_LOOK;
  /** What the fuel was after the last look. */
  #tank = STEPS_PER_LOOK;
  #steps = 0;
  #started = 0;
  #relations: Relations | undefined;

  constructor(
    host: PolicyHost,
    budget: Budget,
    hasUnknowns: boolean,
    relations: Relations | undefined,
    trace: Trace | undefined,
  ) {
    this.host = host;
    this.#budget = budget;
    this.hasUnknowns = hasUnknowns;
    this.#relations = relations;
    this.trace = trace;
  }

  /** What follows relations. Few questions follow any. */
  get relations(): Relations {
    this.#relations ??= this.host.relations();
    return this.#relations;
  }

  /** Runs from `step` until there is a result, none is left, a promise has to be waited for, or the slice is over. */
  run(step: Step): Outcome {
    let next = step;
    while (next !== STOP) {
      if (--this.#fuel <= 0 && this.#look()) {
        this.#next = next;
        this.outcome = 'paused';
        return 'paused';
      }
      next = next(this);
    }
    return this.outcome;
  }

  /** Goes on after a result, for the next one. */
  backtrack(): Outcome {
    return this.run(fail);
  }

  /** Waits for what the machine waits for, and runs on. */
  async resume(): Promise<Outcome> {
    if (this.outcome === 'paused') {
      await nextTurn();
      return this.run(this.#next);
    }
    const resume = this.#resume as (value: unknown) => Step;
    const pending = this.#pending as PromiseLike<unknown>;
    this.#pending = undefined;
    this.#resume = undefined;
    const value = await this.wait(this.#withinBudget(pending));
    // Promises that are already resolved would otherwise keep the event loop from ever turning.
    if (isSliceOver(performance.now())) await nextTurn();
    return this.run(resume(value));
  }

  /** Stops with a result. */
  succeed(): Step {
    this.outcome = 'result';
    return STOP;
  }

  /** Stops until `promise` settles, then goes on with what `resume` makes of its value. */
  suspend(promise: PromiseLike<unknown>, resume: (value: unknown) => Step): Step {
    this.#clock();
    this.#pending = promise;
    this.#resume = resume;
    this.outcome = 'suspended';
    return STOP;
  }

  /** Goes back to the latest choice, and takes it off. */
  fail(): Step {
    const choice = this.choices.pop();
    if (choice === undefined) {
      this.outcome = 'exhausted';
      return STOP;
    }
    this.undoTo(choice.trail);
    this.frame = choice.frame;
    this.continuation = choice.continuation;
    return choice.retry;
  }

  /** Remembers the present state, to be taken up again by `retry` after a failure. */
  choose(retry: Step): void {
    this.choices.push(new Choice(this.#trail.length, this.frame, this.continuation, retry));
  }

  /** Forgets the choices made since there were `height` of them. */
  cut(height: number): void {
    if (this.choices.length > height) this.choices.length = height;
  }

  /** The end of a rule: goes on where it was called. */
  proceedToCaller(): Step {
    const continuation = this.continuation as Continuation;
    this.frame = continuation.frame;
    this.continuation = continuation.parent;
    return continuation.step;
  }

  get trailHeight(): number {
    return this.#trail.length;
  }

  /** What was bound or noted since the trail was `height` long. */
  trailFrom(height: number): readonly (LogicVariable | Undo)[] {
    return this.#trail.slice(height);
  }

  undoTo(height: number): void {
    const trail = this.#trail;
    while (trail.length > height) {
      const entry = trail.pop() as LogicVariable | Undo;
      if (entry instanceof LogicVariable) entry.binding = undefined;
      else entry.undo();
    }
    if (this.woken.length > 0) this.woken = [];
  }

  bind(variable: LogicVariable, value: Value): void {
    variable.binding = value;
    this.#trail.push(variable);
    if (variable.waiting !== undefined) this.woken.push(variable);
  }

  /** Makes one unbound variable stand for another. */
  link(variable: LogicVariable, other: LogicVariable): void {
    variable.binding = other;
    this.#trail.push(variable);
  }

  /** Notes something for backtracking to take back. */
  onUndo(entry: Undo): void {
    this.#trail.push(entry);
  }

  /** Notes what has to hold of unknown values. */
  constrain(constraint: Constraint): void {
    this.constraints.push(constraint);
    this.#trail.push(this.#unconstrain);
    const negation = this.negations.at(-1);
    if (negation !== undefined && constraint.mayFail) {
      this.visit(this.constraints.length - negation.constraints);
      negation.failing.push(this.constraints.slice(negation.constraints));
    }
  }

  readonly #unconstrain: Undo = { undo: () => this.constraints.pop() };

  /**
   * Counts steps that a step does in a loop of its own. True if the event loop should have its turn: the loop leaves off,
   * and hands back a step that goes on with it. A pause that is not taken there is taken after the step.
   */
  spend(steps = 1): boolean {
    this.#fuel -= steps;
    return this.#fuel <= 0 && this.#look();
  }

  /** Lets the event loop have its turn, once {@link spend} has said that it should. */
  pause(): Promise<void> {
    return nextTurn();
  }

  /** Counts work on the parts of a value, which cannot be left off. */
  visit(parts: number): void {
    const steps = parts >> LOG_PARTS_PER_STEP;
    if (steps > 0) this.spend(steps);
  }

  /** A JavaScript value as the policy sees it. */
  toValue(value: unknown, variables?: Map<string, LogicVariable>): Value {
    const { host } = this;
    if (typeof value !== 'object') return host.toValue(value);
    const before = host.converted;
    const converted = host.toValue(value, variables);
    this.visit(host.converted - before);
    return converted;
  }

  /** A policy's value as JavaScript sees it. */
  toJs(value: Value, nameOf?: (variable: LogicVariable) => string): unknown {
    if (typeof value !== 'object') return value;
    const { host } = this;
    const before = host.converted;
    const converted = host.toJs(value, nameOf);
    this.visit(host.converted - before);
    return converted;
  }

  /** Counts steps and looks at the clock; true if the event loop should have its turn. */
  #look(): boolean {
    this.#steps += this.#tank - this.#fuel;
    if (this.#steps > this.#budget.steps) throw new PolicyBudgetError('steps', this.#budget.steps);
    const isDue = isSliceOver(this.#clock());
    // A pause that is due stays due until it is taken.
    this.#tank = isDue ? 1 : STEPS_PER_LOOK;
    this.#fuel = this.#tank;
    return isDue;
  }

  #clock(): number {
    const now = performance.now();
    if (this.#started === 0) this.#started = now;
    else if (now - this.#started > this.#budget.milliseconds) throw this.#overtime();
    return now;
  }

  /** Waits, while others go on that are asked side by side. */
  wait<Result>(pending: PromiseLike<Result>): PromiseLike<Result> {
    return this.#relations === undefined ? pending : this.#relations.wait(pending);
  }

  /** Waits for host code, but no longer than the budget lasts. */
  #withinBudget(pending: PromiseLike<unknown>): Promise<unknown> {
    const left = this.#budget.milliseconds - (performance.now() - this.#started);
    if (!Number.isFinite(left)) return Promise.resolve(pending);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(this.#overtime(this.#relations?.loading)),
        Math.max(0, Math.min(left, 0x7fffffff)),
      );
      const settle = (settled: () => void): void => {
        clearTimeout(timer);
        settled();
      };
      pending.then(
        value => settle(() => resolve(value)),
        reason => settle(() => reject(reason)),
      );
    });
  }

  /** @param awaited the relation that it waited for */
  #overtime(awaited?: string): PolicyBudgetError {
    return new PolicyBudgetError('milliseconds', this.#budget.milliseconds, awaited);
  }
}

/** Fails: a step like any other, for where one is asked for. */
export const fail: Step = machine => machine.fail();

/** The end of a rule's body. */
export const proceed: Step = machine => machine.proceedToCaller();

/** What a step needs to know of where it was written, worked out only when something goes wrong there. */
export type PlaceOf = () => PolicyPlace;
