import { isOperation } from './parser.js';
import type { Located } from './source.js';
import {
  type Fields,
  isLiteralFact,
  type ListTerm,
  type Operation,
  type Operator,
  type Parameter,
  type Rule,
  type Term,
} from './tree.js';

/**
 * Polar evaluates `f(x.y + 1)` as `v = x.y and w = v + 1 and f(w)`: look-ups, arithmetic and `new` are lifted out of the
 * expression they stand in, into the nearest conjunction, each with a variable for its result as its last argument.
 * Which side of the expression they land on decides what runs first, and so it follows Oso to the letter.
 */
export function hoistRule(rule: Rule): Rule {
  if (isLiteralFact(rule)) return rule;
  const hoister = new Hoister();
  const body = hoister.conjunction(rule.body) as Operation;
  const [parameters, lifted] = hoister.collect(() => rule.parameters.map(each => hoister.parameter(each)));
  if (lifted.length === 0) return { ...rule, parameters, body };
  return { ...rule, parameters, body: { ...body, args: [...body.args, ...lifted] } };
}

export function hoistQuery(term: Term): Term {
  return new Hoister().conjunction(term);
}

/** Variables made here start with an underscore and hold a space, so that no policy can name them. */
export function isAnonymous(name: string): boolean {
  return name.startsWith('_ ');
}

/** What can be lifted after a unification without changing its outcome. */
const PURE: ReadonlySet<Operator> = new Set<Operator>(['.', '+', '-', '*', '/', 'rem']);
const ARITHMETIC: ReadonlySet<Operator> = new Set<Operator>(['+', '-', '*', '/', 'mod', 'rem']);

/**
 * Conditions that wait, in Oso, as constraints until the values lifted after them are known. Looking the values up
 * first asks the same question of the same values.
 */
const WAITING: ReadonlySet<Operator> = new Set<Operator>(['in', 'matches', '==', '!=', '<', '<=', '>', '>=']);

class Hoister {
  #frames: Operation[][] = [];
  #variables = 0;

  /** Runs `work` and hands back what it lifted. */
  collect<Result>(work: () => Result): [Result, Operation[]] {
    this.#frames.push([]);
    const result = work();
    return [result, this.#frames.pop() as Operation[]];
  }

  conjunction(term: Term): Term {
    const [result, lifted] = this.collect(() => this.#term(term));
    return parted(term, result, before(lifted, result));
  }

  parameter({ term, specializer }: Parameter): Parameter {
    return { term: this.#term(term), specializer: specializer && this.#term(specializer) };
  }

  #term(term: Term): Term {
    switch (term.kind) {
      case 'variable':
      case 'rest':
        return term.name === '_' ? { ...term, name: this.#fresh() } : term;
      case 'list':
        return this.#list(term);
      case 'dictionary':
      case 'pattern':
        return { ...term, fields: this.#fields(term.fields) };
      case 'call':
        return { ...term, args: term.args.map(arg => this.#term(arg)) };
      case 'operation':
        return this.#operation(term);
      default:
        return term;
    }
  }

  #list(term: ListTerm): ListTerm {
    return { ...term, items: term.items.map(item => this.#term(item)) };
  }

  #fields(fields: Fields): Fields {
    return new Map([...fields].map(([name, value]) => [name, this.#term(value)]));
  }

  #operation(operation: Operation): Term {
    const { operator, args } = operation;
    switch (operator) {
      case 'and':
      case 'or':
      case 'not':
        return { ...operation, args: args.map(arg => this.#condition(arg)) };
      case 'forall':
        return { ...operation, args: args.map(arg => this.#quantified(arg)) };
      default: {
        const inner: Operation = { ...operation, args: args.map(arg => this.#term(arg)) };
        return isLifted(operation) ? this.#lift(inner) : inner;
      }
    }
  }

  #condition(condition: Term): Term {
    const [result, lifted] = this.collect(() => this.#term(condition));
    if (isOperation(condition, '=') && lifted.every(({ operator }) => PURE.has(operator))) {
      return parted(condition, result, after(result, lifted));
    }
    return parted(condition, result, before(lifted, result));
  }

  #quantified(condition: Term): Term {
    const [result, lifted] = this.collect(() => this.#term(condition));
    const waits =
      result.kind === 'operation' &&
      WAITING.has(result.operator) &&
      lifted.every(({ operator }) => operator !== 'new');
    if (!waits) return parted(condition, result, after(result, lifted));
    const left = lifted.length > 0 ? { ...result, afterLookups: true } : result;
    return parted(condition, left, before(lifted, left));
  }

  #lift(operation: Operation): Term {
    const { source, offset, end } = operation;
    const result: Term = { kind: 'variable', name: this.#fresh(), source, offset, end };
    this.#frames.at(-1)?.push({ ...operation, args: [...operation.args, result] });
    return result;
  }

  #fresh(): string {
    return `_ ${++this.#variables}`;
  }
}

function isLifted({ operator, args }: Operation): boolean {
  if (operator === 'new') return args.length === 1;
  return (operator === '.' || ARITHMETIC.has(operator)) && args.length === 2;
}

/** Says of a conjunction which condition it was, if anything was lifted. */
function parted(written: Term, left: Term, parts: Term): Term {
  return parts === left || parts.kind !== 'operation' ? parts : { ...parts, parted: { written, left } };
}

/** Whether an operation was lifted out of a condition: it is followed by the variable for its result. */
export function isLookup({ operator, args }: Operation): boolean {
  if (operator === 'new') return args.length === 2;
  return (operator === '.' || ARITHMETIC.has(operator)) && args.length === 3;
}

function before(lifted: readonly Operation[], term: Term): Term {
  return lifted.reduceRight<Term>((right, left) => both(left, right), term);
}

function after(term: Term, lifted: readonly Operation[]): Term {
  return lifted.reduce<Term>((left, right) => both(left, right), term);
}

function both(left: Term, right: Term): Operation {
  const { source, offset, end }: Located = left;
  return { kind: 'operation', operator: 'and', args: [left, right], source, offset, end };
}
