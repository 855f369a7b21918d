import { NotCovered } from '../errors.js';
import { callerOf, keep, kept } from '../evaluate/attempts.js';
import { type Frame, type Machine, proceed, type Step } from '../evaluate/machine.js';
import { match } from '../evaluate/match.js';
import type { Trace } from '../evaluate/trace.js';
import { markAliased, unify } from '../evaluate/unify.js';
import { findTwin } from '../syntax/analysis.js';
import { isGroundTerm, type Parameter, type Rule } from '../syntax/tree.js';
import type { PolicyHost } from '../values/host.js';
import { deref, LogicVariable, type Value } from '../values/values.js';
import { Compiler } from './condition.js';
import type { Program } from './program.js';
import {
  isNamed,
  type ParameterShape,
  type RuleShape,
  type SpecializerShape,
  shapeOf,
  shapeOfSpecializer,
} from './rule-shape.js';
import { CannotCompile, Scope, type UnionMembers } from './scope.js';

/** One rule, compiled when it is first needed. */
export class CompiledRule implements RuleShape {
  readonly rule: Rule;
  readonly arity: number;
  readonly parameters: readonly ParameterShape[];
  readonly specializers: readonly (SpecializerShape | undefined)[];
  /** Without variables in its head, so that the index alone decides whether it applies. */
  readonly ground: boolean;
  readonly #host: PolicyHost;
  readonly #members: UnionMembers;
  readonly #program: Program;
  /** The parameters that are variables of their own, and so another name for the argument. */
  readonly #named: readonly boolean[];
  #made: Scope | undefined;
  #barrier: number | undefined;
  #body: Step | undefined;
  #head: Step | undefined;
  #constants: Step | undefined;
  #test: Step | undefined;

  constructor(rule: Rule, host: PolicyHost, members: UnionMembers, program: Program) {
    this.rule = rule;
    this.arity = rule.parameters.length;
    this.#host = host;
    this.#members = members;
    this.#program = program;
    this.#named = rule.parameters.map((_, at) => isNamed(rule.parameters, at, host));
    this.parameters = rule.parameters.map((parameter, at) =>
      shapeOf(parameter, this.#named[at] === true, members),
    );
    this.specializers = rule.parameters.map(({ specializer }) => shapeOfSpecializer(specializer, members));
    this.ground = rule.parameters.every(
      ({ term, specializer }) => specializer === undefined && isGroundTerm(term),
    );
  }

  /** Tests the body, if the head is known to match. */
  get body(): Step {
    this.#body ??= this.#compileBody();
    return this.#body;
  }

  /** Unifies the head with the arguments in the frame, then tests the body. */
  get head(): Step {
    this.#head ??= this.#compileHead(this.body);
    return this.#head;
  }

  /** As {@link head}, if the classes are known to match already. */
  get constants(): Step {
    this.#constants ??= this.parameters.reduceRight<Step>((next, parameter, at) => {
      if (parameter.kind !== 'constant') return next;
      const { value } = parameter;
      return machine => unify(machine, machine.frame[at] as Value, value, next);
    }, this.body);
    return this.#constants;
  }

  /** Only the head: whether the rule applies. */
  get test(): Step {
    this.#test ??= this.#compileHead(proceed);
    return this.#test;
  }

  /** There are no conditions, and nobody who would want to know that the rule was tried. */
  get plain(): boolean {
    return this.rule.body.args.length === 0 && !this.#program.observed;
  }

  /** Starts the rule with the given arguments: fresh variables, and what a cut will go back to. */
  enter(machine: Machine, args: readonly Value[], choices: number, step: Step): Step {
    const { arity } = this;
    const frame: Frame = [];
    for (let at = 0; at < arity; at++) {
      let value = args[at] as Value;
      if (value instanceof LogicVariable) {
        value = deref(value);
        if (value instanceof LogicVariable && this.#named[at]) markAliased(machine, value);
      }
      frame.push(value);
    }
    const { size } = this.#scope;
    for (let at = arity; at < size; at++) frame.push(new LogicVariable());
    if (this.#barrier !== undefined) frame[this.#barrier] = choices;
    machine.frame = frame;
    return step;
  }

  /** The rule's variables. There is no need of them before the rule is tried: most facts never are. */
  get #scope(): Scope {
    if (this.#made === undefined) {
      const scope = new Scope(this.#host, this.#members, this.rule.name, this.arity);
      for (const [at, { term }] of this.rule.parameters.entries()) {
        if (this.#named[at] && term.kind === 'variable') scope.name(term.name, at);
      }
      if (this.#program.cuts) this.#barrier = scope.reserve();
      this.#made = scope;
    }
    return this.#made;
  }

  #compileBody(): Step {
    const scope = this.#scope;
    const twin = this.#program.cuts ? findTwin(this.rule.body) : undefined;
    if (twin !== undefined) {
      // Oso tells a cut's own choices from others by what was asked, and so mistakes one twin for the other.
      return () => {
        throw new NotCovered(
          'the same condition twice in one rule, in a policy that cuts',
          this.#scope.placeOf(twin),
        );
      };
    }
    const barriers = this.#barrier === undefined ? [] : [this.#barrier];
    if (!this.#program.observed) {
      return new Compiler(scope, this.#program).condition(this.rule.body, proceed, barriers);
    }
    const slot = scope.reserve();
    const step = new Compiler(scope, this.#program, slot).condition(
      this.rule.body,
      machine => {
        (machine.trace as Trace).held(kept(machine.frame, slot));
        return proceed;
      },
      barriers,
    );
    return machine => {
      const { frame } = machine;
      const trace = machine.trace as Trace;
      const caller = callerOf(machine.continuation);
      keep(frame, slot, trace.rule(this.rule, this.rule.name, caller, frame.slice(0, this.arity)));
      return step;
    };
  }

  #compileHead(next: Step): Step {
    return this.rule.parameters.reduceRight<Step>((after, parameter, at) => {
      try {
        return this.#compileParameter(parameter, at, after);
      } catch (error) {
        if (!(error instanceof CannotCompile)) throw error;
        const { construct, located } = error;
        return () => {
          throw new NotCovered(construct, this.#scope.placeOf(located));
        };
      }
    }, next);
  }

  #compileParameter({ term, specializer }: Parameter, at: number, next: Step): Step {
    let step = next;
    if (specializer !== undefined) {
      const pattern = this.#scope.build(specializer);
      const after = step;
      const place = () => this.#scope.placeOf(specializer);
      step = machine => {
        machine.placeOf = place;
        return match(machine, machine.frame[at] as Value, pattern(machine.frame), false, after);
      };
    }
    // The slot of a plain variable is the argument's own.
    if (term.kind === 'variable' && this.#scope.slots.get(term.name) === at) return step;
    const build = this.#scope.build(term);
    const after = step;
    const place = () => this.#scope.placeOf(term);
    return machine => {
      machine.placeOf = place;
      return unify(machine, machine.frame[at] as Value, build(machine.frame), after);
    };
  }
}
