import { CutNotCovered, NotCovered, runtimeError } from '../errors.js';
import { calculate } from '../evaluate/arithmetic.js';
import { keep, kept, returnTo } from '../evaluate/attempts.js';
import { attribute } from '../evaluate/attribute.js';
import { compare, compareGround } from '../evaluate/compare.js';
import { make } from '../evaluate/construct.js';
import { type Build, fail, type Machine, type Step } from '../evaluate/machine.js';
import { match } from '../evaluate/match.js';
import { iterate, refuseUnrepeatable } from '../evaluate/membership.js';
import { negate } from '../evaluate/negation.js';
import type { Trace } from '../evaluate/trace.js';
import { tryEach } from '../evaluate/try-each.js';
import { unify } from '../evaluate/unify.js';
import { wait } from '../evaluate/waiting.js';
import { isLookup } from '../syntax/hoist.js';
import { isOperation } from '../syntax/parser.js';
import type { Located } from '../syntax/source.js';
import type {
  Arithmetic,
  CallTerm,
  Comparison,
  Operation,
  Operator,
  Term,
  VariableTerm,
} from '../syntax/tree.js';
import { formatValue } from '../values/format.js';
import { Unknown } from '../values/unknown.js';
import { deref, LogicVariable, type Value } from '../values/values.js';
import type { Callable, Program } from './program.js';
import { type Argument, argumentOf, CannotCompile, type Scope } from './scope.js';

/** Compiles conditions to steps. */
export class Compiler {
  readonly #scope: Scope;
  readonly #program: Program;
  /** What the condition that is being compiled is part of, in a twin. */
  #around: Around | undefined;

  /** @param slot where the attempt at the rule is kept, in a twin */
  constructor(scope: Scope, program: Program, slot?: number) {
    this.#scope = scope;
    this.#program = program;
    this.#around = slot === undefined ? undefined : { slot, left: undefined, around: undefined };
  }

  /**
   * The steps that test a condition and go on with `next`.
   *
   * @param barriers where, for each rule, `and` and `or` around the condition, the number of choices at its start is kept
   */
  condition(term: Term, next: Step, barriers: readonly number[]): Step {
    if (!this.#program.observed || isPlainSequence(term)) return this.#condition(term, next, barriers);
    const around = this.#around;
    if (around?.left === term) return this.#left(term, next, barriers, around.slot);
    return this.#observed(term, next, barriers);
  }

  #condition(term: Term, next: Step, barriers: readonly number[]): Step {
    try {
      switch (term.kind) {
        case 'operation':
          return this.#operation(term, next, barriers);
        case 'call':
          return this.#call(term, next);
        case 'boolean':
          return term.value ? next : fail;
        case 'variable':
          return this.#truth(term, next);
        default:
          return this.#notACondition(term);
      }
    } catch (error) {
      if (error instanceof CannotCompile) return this.#notCovered(error.construct, error.located);
      throw error;
    }
  }

  #operation(operation: Operation, next: Step, barriers: readonly number[]): Step {
    const { operator, args } = operation;
    const [first, second, third] = args;
    switch (operator) {
      case 'and':
        return this.#and(args, next, barriers);
      case 'or':
        return this.#or(args, next, barriers);
      case 'not':
        return this.#not(first as Term, next);
      case 'forall':
        return this.#forall(operation, next);
      case 'cut':
        return this.#cut(operation, next, barriers);
      case 'print':
        return this.#print(args, next);
      case 'debug':
        return this.#notCovered('debug()', operation);
      default:
        break;
    }
    if (first === undefined || second === undefined) {
      return this.#notCovered(`"${operator}" with ${args.length} arguments`, operation);
    }
    switch (operator) {
      case '=':
        return this.#unify(first, second, operation, next);
      case ':=':
        return this.#assign(first, second, operation, next);
      case 'in':
        return this.#in(first, second, operation, next);
      case 'matches':
        return this.#matches(first, second, operation, next);
      case '==':
      case '!=':
      case '<':
      case '<=':
      case '>':
      case '>=':
        return this.#compare(operator, first, second, operation, next);
      default:
        break;
    }
    if (operator === 'new') return this.#new(first, second, operation, next);
    if (third === undefined) return this.#notCovered(`"${operator}" with 2 arguments`, operation);
    if (operator === '.') return this.#dot(first, second, third, operation, next);
    return this.#arithmetic(operator, first, second, third, operation, next);
  }

  #and(args: readonly Term[], next: Step, barriers: readonly number[]): Step {
    const barrier = this.#barrier();
    const inner = [...barriers, barrier];
    const step = args.reduceRight((after, arg) => this.condition(arg, after, inner), next);
    return this.#entered(barrier, step);
  }

  #or(args: readonly Term[], next: Step, barriers: readonly number[]): Step {
    const barrier = this.#barrier();
    const inner = [...barriers, barrier];
    const alternatives = args.map(arg => this.condition(arg, next, inner));
    return this.#entered(barrier, machine => tryEach(machine, alternatives, goOn));
  }

  /** A slot for the number of choices at the start of an `and` or `or`; none if no rule cuts. */
  #barrier(): number {
    return this.#program.cuts ? this.#scope.reserve() : -1;
  }

  #entered(barrier: number, step: Step): Step {
    if (barrier === -1) return step;
    return machine => {
      machine.frame[barrier] = machine.choices.length;
      return step;
    };
  }

  #cut(operation: Operation, next: Step, barriers: readonly number[]): Step {
    // A cut reaches as far back as the start of what its `and` or `or` stands in.
    const [barrier, inner] = barriers.slice(-2);
    if (barrier === undefined || inner === undefined) return this.#notCovered('cut on its own', operation);
    const place = this.#placer(operation);
    return machine => {
      // What was found before may depend on values that are not known.
      if (machine.hasUnknowns) throw new CutNotCovered(place());
      const { frame } = machine;
      const height = frame[barrier] as number;
      machine.cut(height);
      // What the cut stands in now has fewer choices before it than at its start.
      frame[inner] = height;
      return next;
    };
  }

  #not(term: Term, next: Step): Step {
    return negate(held => this.#apart(term, held), next, this.#placer(term));
  }

  #forall({ args }: Operation, next: Step): Step {
    const [each, test] = args as readonly [Term, Term];
    return negate(held => this.#both(each, test, held), next, this.#placer(each));
  }

  /** A condition that is tested on its own: a cut in it goes back no further than its start. */
  #apart(term: Term, next: Step): Step {
    const barrier = this.#barrier();
    return this.#entered(barrier, this.condition(term, next, barrier === -1 ? [] : [barrier]));
  }

  /** `each and not test`, as `forall` asks it. */
  #both(each: Term, test: Term, next: Step): Step {
    const start = this.#barrier();
    const barrier = this.#barrier();
    const step = this.condition(each, this.#not(test, next), barrier === -1 ? [] : [start, barrier]);
    return this.#entered(start, this.#entered(barrier, step));
  }

  #unify(left: Term, right: Term, located: Located, next: Step): Step {
    if (left.kind === 'variable' && right.kind === 'variable' && left.name === right.name) return next;
    if (isNotANumber(left) && isNotANumber(right)) return fail;
    const buildLeft = this.#scope.build(left);
    const buildRight = this.#scope.build(right);
    const place = this.#placer(located);
    return machine => {
      machine.placeOf = place;
      return unify(machine, buildLeft(machine.frame), buildRight(machine.frame), next);
    };
  }

  #assign(left: Term, right: Term, operation: Operation, next: Step): Step {
    const place = this.#placer(operation);
    if (left.kind !== 'variable') return this.#notCovered('":=" to something other than a variable', left);
    const buildLeft = this.#scope.build(left);
    const buildRight = this.#scope.build(right);
    return machine => {
      const variable = buildLeft(machine.frame);
      if (
        !(variable instanceof LogicVariable) ||
        variable.binding !== undefined ||
        variable.aliased ||
        variable.waiting !== undefined
      ) {
        throw runtimeError('TypeError', `":=" needs a new variable, and "${left.name}" is not new`, place());
      }
      return unify(machine, variable, buildRight(machine.frame), next);
    };
  }

  #compare(operator: Comparison, left: Term, right: Term, located: Operation, next: Step): Step {
    const buildLeft = this.#scope.build(left);
    const buildRight = this.#scope.build(right);
    const place = this.#placer(located);
    return machine => {
      const a = deref(buildLeft(machine.frame));
      const b = deref(buildRight(machine.frame));
      if (a instanceof LogicVariable || b instanceof LogicVariable) {
        wait(machine, { kind: 'compare', left: a, right: b, operator, located });
        return next;
      }
      if (located.afterLookups) {
        const known = compareGround(machine, operator, a, b);
        if (known !== undefined) return known ? next : machine.fail();
      }
      return compare(machine, operator, a, b, place, next);
    };
  }

  #arithmetic(
    operator: Arithmetic,
    left: Term,
    right: Term,
    result: Term,
    located: Located,
    next: Step,
  ): Step {
    const buildLeft = this.#scope.build(left);
    const buildRight = this.#scope.build(right);
    const buildResult = this.#scope.build(result);
    const place = this.#placer(located);
    return machine => {
      const a = deref(buildLeft(machine.frame));
      const b = deref(buildRight(machine.frame));
      if (a instanceof LogicVariable || b instanceof LogicVariable) {
        throw new NotCovered(`"${operator}" on a variable without a value`, place());
      }
      if (a instanceof Unknown || b instanceof Unknown) {
        throw new NotCovered(`"${operator}" on an unknown value`, place());
      }
      return unify(machine, calculate(operator, a, b, place), buildResult(machine.frame), next);
    };
  }

  #in(item: Term, iterable: Term, operation: Operation, next: Step): Step {
    const buildItem = this.#scope.build(item);
    const buildIterable = this.#scope.build(iterable);
    const place = this.#placer(operation);
    return machine => {
      const source = buildIterable(machine.frame);
      if (operation.afterLookups) refuseUnrepeatable(machine, source, place);
      return iterate(machine, buildItem(machine.frame), source, place, next);
    };
  }

  #matches(left: Term, right: Term, { afterLookups: waited = false }: Operation, next: Step): Step {
    const buildLeft = this.#scope.build(left);
    const buildRight = this.#scope.build(right);
    const place = this.#placer(right);
    return machine => {
      machine.placeOf = place;
      return match(machine, buildLeft(machine.frame), buildRight(machine.frame), waited, next);
    };
  }

  #dot(object: Term, field: Term, result: Term, operation: Operation, next: Step): Step {
    const place = this.#placer(operation);
    const buildObject = this.#scope.build(object);
    const buildResult = this.#scope.build(result);
    if (field.kind === 'call') {
      const args = field.args.map(arg => this.#scope.build(arg));
      const { name, named } = field;
      return attribute(
        buildObject,
        frame => ({ name, args: args.map(arg => arg(frame)), named }),
        buildResult,
        place,
        next,
      );
    }
    if (field.kind === 'string') {
      const named = { name: field.value, args: undefined, named: false };
      return attribute(buildObject, () => named, buildResult, place, next);
    }
    const buildField = this.#scope.build(field);
    return attribute(buildObject, frame => deref(buildField(frame)), buildResult, place, next);
  }

  #new(call: Term, result: Term, operation: Operation, next: Step): Step {
    if (call.kind !== 'call' || result.kind !== 'variable') {
      return this.#notCovered('new() with unusual arguments', operation);
    }
    const args = call.args.map(arg => this.#scope.build(arg));
    return make(call.name, args, call.named, this.#scope.build(result), this.#placer(operation), next);
  }

  #call(call: CallTerm, next: Step): Step {
    if (call.named) return this.#notCovered('named arguments', call);
    const { name } = call;
    const place = this.#placer(call);
    const args = call.args.map(arg => this.#scope.argument(arg));
    const program = this.#program;
    const after = program.observed && this.#around ? returnTo(this.#around.slot, next) : next;
    let predicate: Callable | undefined;
    return machine => {
      predicate ??= program.predicate(name);
      if (predicate === undefined) {
        throw runtimeError('QueryForUndefinedRule', `There is no rule named "${name}"`, place());
      }
      const { frame } = machine;
      const values: Value[] = [];
      for (let at = 0; at < args.length; at++) values.push(argumentOf(args[at] as Argument, frame));
      return predicate.call(machine, values, after);
    };
  }

  /** A variable as a condition: its value must be true. */
  #truth(term: Term, next: Step): Step {
    const build = this.#scope.build(term);
    const place = this.#placer(term);
    return machine => {
      const value = deref(build(machine.frame));
      if (value === true) return next;
      if (value === false) return machine.fail();
      if (value instanceof LogicVariable) return unify(machine, value, true, next);
      if (value instanceof Unknown) {
        machine.placeOf = place;
        machine.constrain(value.isTrue(place));
        return next;
      }
      return this.#notACondition(term);
    };
  }

  #notACondition(term: Term): Step {
    const place = this.#placer(term);
    return () => {
      throw runtimeError('TypeError', 'A condition must be true or false', place());
    };
  }

  #print(args: readonly Term[], next: Step): Step {
    const builders = args.map(arg => this.#scope.build(arg));
    return machine => {
      const shown = builders.map(build => formatValue(machine, build(machine.frame))).join(', ');
      machine.visit(shown.length);
      machine.printed.push(shown);
      return next;
    };
  }

  /** A condition of a twin: its attempts are told, and what it is made of with it. */
  #observed(term: Term, next: Step, barriers: readonly number[]): Step {
    if (term.kind === 'operation' && isLookup(term)) return this.#lookup(term, next, barriers);
    const { written, left } = (term.kind === 'operation' ? term.parted : undefined) ?? {
      written: term,
      left: term,
    };
    const slot = this.#scope.reserve();
    const around = this.#around;
    this.#around = { slot, left, around };
    const step = this.#condition(
      term,
      machine => {
        traceOf(machine).held(kept(machine.frame, slot));
        return next;
      },
      barriers,
    );
    const tested = term === left ? this.#withOperands(left, slot, step) : step;
    this.#around = around;
    const cuts = isOperation(term, 'cut');
    return machine => {
      const { frame } = machine;
      const parent = around && kept(frame, around.slot);
      const attempt = traceOf(machine).condition(written, this.#scope.rule, parent, false);
      keep(frame, slot, attempt);
      // A cut would drop the choice that tells of its failure, and it never fails.
      if (!cuts) {
        machine.choose(after => (traceOf(after).failed(attempt) ? next : after.fail()));
      }
      return tested;
    };
  }

  /** What is left of a condition that was taken apart. */
  #left(term: Term, next: Step, barriers: readonly number[], slot: number): Step {
    return this.#withOperands(term, slot, this.#condition(term, next, barriers));
  }

  #withOperands(term: Term, slot: number, step: Step): Step {
    const builders = this.#operandsOf(term);
    if (builders.length === 0) return step;
    return machine => {
      const { frame } = machine;
      kept(frame, slot).operands = builders.map(build => deref(build(frame)));
      return step;
    };
  }

  #operandsOf(term: Term): Build[] {
    try {
      return operandTerms(term).map(each => this.#scope.build(each));
    } catch (error) {
      if (error instanceof CannotCompile) return [];
      throw error;
    }
  }

  /** Something that is read for a condition. What was found is noted before it is unified with anything. */
  #lookup(term: Operation, next: Step, barriers: readonly number[]): Step {
    const slot = this.#scope.reserve();
    const around = this.#around;
    const result = term.args.at(-1) as Term;
    const buildResult = this.#scope.build(result);
    const operand =
      around?.left === undefined ? -1 : operandTerms(around.left).findIndex(each => isSame(each, result));
    // What "new" makes has to have the variable of the condition: it is bound before it is made.
    const isNew = term.operator === 'new';
    const own: Term = isNew ? result : { ...(result as VariableTerm), name: `_ found ${slot}` };
    const buildOwn = this.#scope.build(own);
    const buildObject = isNew ? undefined : this.#scope.build(term.args[0] as Term);
    const step = this.#condition(
      { ...term, args: [...term.args.slice(0, -1), own] },
      machine => {
        const { frame } = machine;
        const found = buildOwn(frame);
        const attempt = kept(frame, slot);
        attempt.operands = [found];
        if (operand >= 0 && attempt.parent !== undefined) attempt.parent.operands[operand] = deref(found);
        traceOf(machine).held(attempt);
        return isNew ? next : unify(machine, buildResult(frame), found, next);
      },
      barriers,
    );
    return machine => {
      const { frame } = machine;
      const parent = around && kept(frame, around.slot);
      const attempt = traceOf(machine).condition(term, this.#scope.rule, parent, true);
      if (buildObject) attempt.operands = [deref(buildObject(frame))];
      keep(frame, slot, attempt);
      return step;
    };
  }

  #notCovered(construct: string, located: Located): Step {
    const place = this.#placer(located);
    return () => {
      throw new NotCovered(construct, place());
    };
  }

  #placer(located: Located) {
    return () => this.#scope.placeOf(located);
  }
}

function isNotANumber(term: Term): boolean {
  return term.kind === 'number' && Number.isNaN(term.value);
}

function goOn(_: Machine, step: Step): Step {
  return step;
}

/** Where the attempt is kept that a condition is part of, in a twin. */
interface Around {
  readonly slot: number;
  /** What is left of it, once the look-ups are lifted out. */
  readonly left: Term | undefined;
  readonly around: Around | undefined;
}

/** The conditions of an `and` are observed one by one. */
function isPlainSequence(term: Term): boolean {
  return isOperation(term, 'and') && term.parted === undefined;
}

/** The values that a condition is about. */
function operandTerms(term: Term): readonly Term[] {
  switch (term.kind) {
    case 'call':
      return term.args;
    case 'variable':
      return [term];
    case 'operation':
      return OF_VALUES.has(term.operator) ? term.args : [];
    default:
      return [];
  }
}

const OF_VALUES: ReadonlySet<Operator> = new Set<Operator>([
  '=',
  ':=',
  'in',
  'matches',
  '==',
  '!=',
  '<',
  '<=',
  '>',
  '>=',
]);

function isSame(term: Term, other: Term): boolean {
  return term.kind === 'variable' && other.kind === 'variable' && term.name === other.name;
}

/** A twin runs on a machine with a trace alone. */
function traceOf({ trace }: Machine): Trace {
  return trace as Trace;
}
