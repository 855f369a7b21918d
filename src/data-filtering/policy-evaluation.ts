import { Relation } from 'oso';
import { Dict } from 'oso/dist/src/types.js';
import { calculate } from '../polar/arithmetic.js';
import type { Unions } from '../polar/resource-blocks.js';
import type {
  Arithmetic,
  CallTerm,
  Comparison,
  Operation,
  Operator,
  PatternTerm,
  Rule,
  Term,
} from '../polar/syntax.js';
import { compareStrings, numberOf, type Value as PolarValue } from '../polar/terms.js';
import { always, and, type Condition, negate, never, or } from './condition.js';
import type { EqualityFn } from './equality.js';
import { type Known, type Place, Places, type RowsPlace, unsupportedOperator } from './places.js';
import type { Entity, Schema } from './schema.js';
import { Unfilterable } from './unfilterable.js';

/** What evaluation asks of Oso: what the policy's names stand for, and how to look up what is known. */
export interface PolicyWorld {
  readonly rules: ReadonlyMap<string, readonly Rule[]>;
  readonly unions: Unions;
  readonly equals: EqualityFn;
  /** Whether a value that is known is of a class. */
  isInstance(value: unknown, tag: string): Promise<boolean>;
  /** The value of a registered constant or class; undefined where the name is a variable. */
  constant(name: string): Promise<{ readonly value: unknown } | undefined>;
  /** The rows that a relation of a known row leads to, or the one, or null. */
  related(row: object, relation: Relation): Promise<unknown>;
  relationOf(value: object, name: string): Relation | undefined;
}

/** A variable of the policy. */
class Logic {
  /** Variables are as old as the rules that brought them in. */
  readonly serial: number;

  constructor(serial: number) {
    this.serial = serial;
  }
}

/** A list that the policy makes, not all of which is known. */
interface List {
  readonly kind: 'list';
  readonly items: readonly Value[];
}

/** An attribute of what is not there, in a negation: Oso takes it for undefined there, and for an error elsewhere. */
interface Missing {
  readonly kind: 'missing';
}

type Value = Known | Place | List | Missing | Logic;

const MISSING: Missing = { kind: 'missing' };
const TRUE: Known = { kind: 'value', value: true };

/** Where evaluation is in the text, and what its variables are. */
interface Frame {
  readonly rule: string;
  readonly variables: Map<string, Logic>;
  readonly depth: number;
}

/** What is known on one of the ways through the policy. */
interface State {
  readonly bindings: ReadonlyMap<Logic, Value>;
  /** What is asked of variables that have no value yet. */
  readonly waiting: ReadonlyMap<Logic, readonly Waiting[]>;
  readonly mode: Mode;
  /** How many rows of each list are spoken of. */
  readonly lists: ReadonlyMap<string, number>;
}

/**
 * Outside of a negation, an error allows nothing, which is what a condition that does not hold does. Within one it has to
 * be told from that: a negation is first evaluated as if there were no errors, and where there may be one once more, for
 * the condition on which there is.
 */
type Mode = 'allowing' | 'negated' | 'seeking errors';

/** What is asked of a variable's value. */
type Waiting = (value: Value, state: State, rest: Rest) => Promise<Condition>;

/** What remains to be decided, once what comes before it holds. */
type Rest = (state: State) => Promise<Condition>;
type RestOf<Found> = (found: Found, state: State) => Promise<Condition>;

const done: Rest = async ({ bindings, waiting, mode }) => {
  for (const variable of waiting.keys()) if (!bindings.has(variable)) throw unboundVariable();
  return mode === 'seeking errors' ? never : always;
};

const MAX_DEPTH = 50;
const MAX_STEPS = 50_000;

/**
 * What must hold of a row for a policy to allow it: the policy evaluated with everything known but the row.
 *
 * Oso's own partial evaluation is not made use of, for what it makes of a `not` is not what the policy says: where there
 * are several ways in which the negated condition may hold, it loses what they have in common, or some of them.
 *
 * A way on which the policy runs into an error (an attribute of nil, say) allows nothing. Within a `not`, such an attribute
 * is undefined, which is how Oso has it.
 *
 * @throws {Unfilterable} where no condition can say what the policy says
 */
export async function allowCondition(
  world: PolicyWorld,
  schema: Schema,
  entity: Entity,
  actor: unknown,
  action: unknown,
): Promise<Condition> {
  const evaluation = new Evaluation(world, schema, entity);
  return evaluation.allow(actor, action);
}

class Evaluation {
  readonly #world: PolicyWorld;
  readonly #places: Places;
  readonly #iterated = new Map<unknown, Promise<readonly Value[] | undefined>>();
  #serial = 0;
  #steps = 0;
  /** How many errors were met within negations. */
  #errors = 0;

  constructor(world: PolicyWorld, schema: Schema, entity: Entity) {
    this.#world = world;
    this.#places = new Places(schema, entity);
  }

  allow(actor: unknown, action: unknown): Promise<Condition> {
    const args: Value[] = [known(actor), known(action), this.#places.resource];
    const state: State = { bindings: new Map(), waiting: new Map(), mode: 'allowing', lists: new Map() };
    return this.#call('allow', args, 0, state, done);
  }

  async #solve(term: Term, frame: Frame, state: State, rest: Rest): Promise<Condition> {
    if (++this.#steps > MAX_STEPS) throw tooLarge();
    try {
      return await this.#goal(term, frame, state, rest);
    } catch (error) {
      if (error instanceof Unfilterable) error.at ??= { rule: frame.rule, term };
      throw error;
    }
  }

  #goal(term: Term, frame: Frame, state: State, rest: Rest): Promise<Condition> {
    if (term.kind === 'boolean') return term.value ? rest(state) : Promise.resolve(never);
    if (term.kind === 'call') return this.#callTerm(term, frame, state, rest);
    if (term.kind === 'operation') return this.#operation(term, frame, state, rest);
    return this.#holds(term, frame, state, rest);
  }

  #operation(term: Operation, frame: Frame, state: State, rest: Rest): Promise<Condition> {
    const { operator, args } = term;
    const [first, second] = args as [Term, Term];
    switch (operator) {
      case 'and':
        return this.#all(args, frame, state, rest);
      case 'or':
        return this.#isolated(state, rest, async each =>
          or(await inTurn(args, arg => this.#solve(arg, frame, state, each))),
        );
      case 'not':
        return this.#not(state, rest, negated => this.#solve(first, frame, negated, done));
      case 'forall':
        return this.#not(state, rest, negated =>
          this.#quantified(first, frame, negated, each =>
            this.#not(each, done, twice => this.#quantified(second, frame, twice, done)),
          ),
        );
      case '=':
      case ':=':
        return this.#values(args, frame, state, ([left, right], after) =>
          this.#unify(left as Value, right as Value, after, rest),
        );
      case '==':
      case '!=':
      case '<':
      case '<=':
      case '>':
      case '>=':
        return this.#values(args, frame, state, ([left, right], after) =>
          this.#compare(operator, left as Value, right as Value, after, rest),
        );
      case 'in':
        return this.#values(args, frame, state, ([item, list], after) =>
          this.#in(item as Value, list as Value, after, rest),
        );
      case 'matches':
        return this.#value(first, frame, state, (value, after) =>
          this.#matches(value, second, frame, after, rest),
        );
      case '.':
        return this.#holds(term, frame, state, rest);
      case 'print':
        return rest(state);
      default:
        throw unsupportedOperator(operator);
    }
  }

  /**
   * What `forall` is given, as Oso takes it: a look-up that stands for itself need not find true or false, and values of
   * different types that are looked up may be asked whether they are equal.
   */
  #quantified(term: Term, frame: Frame, state: State, rest: Rest): Promise<Condition> {
    if (term.kind !== 'operation') return this.#solve(term, frame, state, rest);
    if (term.operator === '.') {
      return this.#value(term, frame, state, (value, after) => this.#unify(value, TRUE, after, rest));
    }
    const { operator, args } = term;
    if ((operator !== '==' && operator !== '!=') || !args.some(looksUp)) {
      return this.#solve(term, frame, state, rest);
    }
    return this.#values(args, frame, state, ([a, b], after) => {
      const left = deref(a as Value, after);
      const right = deref(b as Value, after);
      if (!isKnown(left) || !isKnown(right) || !isGround(left.value) || !isGround(right.value)) {
        return this.#compare(operator, left, right, after, rest);
      }
      const holds = this.#areSame(left.value, right.value) === (operator === '==');
      return holds ? rest(after) : Promise.resolve(never);
    });
  }

  /** A value that stands for itself as a condition: it has to be true or false. */
  #holds(term: Term, frame: Frame, state: State, rest: Rest): Promise<Condition> {
    return this.#value(term, frame, state, async (found, after) => {
      const value = deref(found, after);
      if (value instanceof Logic) throw unboundVariable();
      if (isKnown(value) && typeof value.value === 'boolean') return value.value ? rest(after) : never;
      if (value.kind !== 'field' || value.field.type.kind !== 'boolean') return this.#fail(after);
      const isNull = this.#places.compare(value, '=', { kind: 'value', value: null });
      const holds = await this.#given(this.#places.compare(value, '=', TRUE), after, rest);
      if (isNull.kind === 'never') return holds;
      const fails = this.#fail(after);
      return or([holds, and([isNull, fails])]);
    });
  }

  #all(terms: readonly Term[], frame: Frame, state: State, rest: Rest): Promise<Condition> {
    const [first, ...others] = terms;
    if (first === undefined) return rest(state);
    return this.#solve(first, frame, state, after => this.#all(others, frame, after, rest));
  }

  async #not(state: State, rest: Rest, evaluate: (negated: State) => Promise<Condition>): Promise<Condition> {
    const errorsBefore = this.#errors;
    const isNot = negate(await evaluate({ ...state, mode: 'negated' }));
    if (state.mode === 'negated' || this.#errors === errorsBefore) return this.#given(isNot, state, rest);
    const fails = await evaluate({ ...state, mode: 'seeking errors' });
    if (state.mode === 'allowing') return this.#given(and([isNot, negate(fails)]), state, rest);
    return or([fails, await this.#given(isNot, state, rest)]);
  }

  /** The policy runs into an error. */
  #fail({ mode }: State): Condition {
    this.#errors++;
    return mode === 'seeking errors' ? always : never;
  }

  /** Goes on where the condition may hold. */
  async #given(condition: Condition, state: State, rest: Rest): Promise<Condition> {
    return condition.kind === 'never' ? never : and([condition, await rest(state)]);
  }

  /**
   * Of several ways, those that tell the rest of the policy nothing are one condition: the rest need not be evaluated for
   * each of them.
   */
  async #isolated(
    state: State,
    rest: Rest,
    evaluate: (each: Rest) => Promise<Condition>,
  ): Promise<Condition> {
    if (state.mode === 'seeking errors') return evaluate(rest);
    const before = this.#serial;
    let tells = false;
    const condition = await evaluate(async after => {
      tells ||= after.waiting !== state.waiting;
      for (const variable of after.bindings.keys()) {
        tells ||= variable.serial <= before && !state.bindings.has(variable);
      }
      return always;
    });
    return tells ? evaluate(rest) : this.#given(condition, state, rest);
  }

  #callTerm({ name, args }: CallTerm, frame: Frame, state: State, rest: Rest): Promise<Condition> {
    return this.#values(args, frame, state, (values, after) =>
      this.#call(name, values, frame.depth + 1, after, rest),
    );
  }

  #call(name: string, args: readonly Value[], depth: number, state: State, rest: Rest): Promise<Condition> {
    const rules = this.#world.rules.get(name);
    if (rules === undefined) {
      throw new Unfilterable({
        reason: `there is no rule \`${name}\``,
        remedy: 'load the policy that has it',
      });
    }
    if (depth > MAX_DEPTH) throw tooDeep(name);
    const candidates = rules.filter(({ parameters }) => parameters.length === args.length);
    return this.#isolated(state, rest, async each =>
      or(await inTurn(candidates, rule => this.#rule(rule, args, depth, state, each))),
    );
  }

  #rule(rule: Rule, args: readonly Value[], depth: number, state: State, rest: Rest): Promise<Condition> {
    const frame: Frame = { rule: rule.name, variables: new Map(), depth };
    const parameter = (at: number, before: State): Promise<Condition> => {
      const { term, specializer } = rule.parameters[at] ?? {};
      const arg = args[at];
      if (term === undefined || arg === undefined) return this.#solve(rule.body, frame, before, rest);
      return this.#value(term, frame, before, (value, named) =>
        this.#unify(value, arg, named, after =>
          specializer === undefined
            ? parameter(at + 1, after)
            : this.#matches(arg, specializer, frame, after, matched => parameter(at + 1, matched)),
        ),
      );
    };
    return parameter(0, state);
  }

  #values(
    terms: readonly Term[],
    frame: Frame,
    state: State,
    rest: RestOf<readonly Value[]>,
  ): Promise<Condition> {
    const next = (at: number, values: readonly Value[], before: State): Promise<Condition> => {
      const term = terms[at];
      if (term === undefined) return rest(values, before);
      return this.#value(term, frame, before, (value, after) => next(at + 1, [...values, value], after));
    };
    return next(0, [], state);
  }

  async #value(term: Term, frame: Frame, state: State, rest: RestOf<Value>): Promise<Condition> {
    switch (term.kind) {
      case 'string':
      case 'number':
      case 'boolean':
        return rest({ kind: 'value', value: term.value }, state);
      case 'variable':
        return rest(await this.#variable(term.name, frame), state);
      case 'list':
        return this.#values(term.items, frame, state, (items, after) =>
          rest(this.#list(items, after), after),
        );
      case 'dictionary':
        return this.#values([...term.fields.values()], frame, state, (values, after) =>
          rest(this.#dictionary([...term.fields.keys()], values, after), after),
        );
      case 'operation':
        if (term.operator === '.') return this.#attribute(term, frame, state, rest);
        return this.#arithmetic(term, frame, state, rest);
      default:
        throw unsupportedTerm();
    }
  }

  async #variable(name: string, { variables }: Frame): Promise<Value> {
    if (name === '_') return this.#fresh();
    const known = variables.get(name);
    if (known !== undefined) return known;
    const constant = await this.#world.constant(name);
    if (constant !== undefined) return { kind: 'value', value: constant.value };
    const fresh = this.#fresh();
    variables.set(name, fresh);
    return fresh;
  }

  #fresh(): Logic {
    this.#serial++;
    return new Logic(this.#serial);
  }

  #list(items: readonly Value[], state: State): Value {
    const values = items.map(item => deref(item, state));
    return values.every(isKnown)
      ? { kind: 'value', value: values.map(({ value }) => value) }
      : { kind: 'list', items };
  }

  #dictionary(names: readonly string[], values: readonly Value[], state: State): Value {
    const known = values.map(value => deref(value, state));
    if (!known.every(isKnown)) throw unsupportedTerm();
    return {
      kind: 'value',
      value: new Dict(Object.fromEntries(names.map((name, at) => [name, known[at]?.value]))),
    };
  }

  #arithmetic(
    { operator, args, source, offset }: Operation,
    frame: Frame,
    state: State,
    rest: RestOf<Value>,
  ): Promise<Condition> {
    if (!isArithmetic(operator)) throw unsupportedOperator(operator);
    return this.#values(args, frame, state, async (values, after) => {
      const [left, right] = values.map(value => deref(value, after)) as [Value, Value];
      if (!isKnown(left) || !isKnown(right)) throw unsupportedOperator(operator);
      if (typeof left.value !== 'number' || typeof right.value !== 'number') return this.#fail(after);
      let result: PolarValue;
      try {
        result = calculate(operator, left.value, right.value, () => ({
          rule: frame.rule,
          ...source.placeAt(offset),
        }));
      } catch {
        return this.#fail(after);
      }
      return rest({ kind: 'value', value: numberOf(result) }, after);
    });
  }

  #attribute({ args }: Operation, frame: Frame, state: State, rest: RestOf<Value>): Promise<Condition> {
    const [owner, attribute] = args as [Term, Term];
    return this.#value(owner, frame, state, (value, before) => {
      if (attribute.kind === 'call') return this.#method(value, attribute, frame, before, rest);
      return this.#value(attribute, frame, before, (given, after) => {
        const name = deref(given, after);
        if (!isKnown(name) || typeof name.value !== 'string') throw unsupportedTerm();
        return this.#lookup(value, name.value, false, after, rest);
      });
    });
  }

  /** @param isPattern patterns take what is not there for undefined, as a `not` does */
  async #lookup(
    of: Value,
    name: string,
    isPattern: boolean,
    state: State,
    rest: RestOf<Value>,
  ): Promise<Condition> {
    const owner = deref(of, state);
    const ifMissing = async () => (isPattern || state.mode !== 'allowing' ? rest(MISSING, state) : never);
    if (owner instanceof Logic) throw unboundVariable();
    switch (owner.kind) {
      case 'missing':
        return ifMissing();
      case 'list':
        throw unsupportedTerm();
      case 'value': {
        const found = await this.#read(owner.value, name);
        if (found !== undefined) return rest(found, state);
        return owner.value instanceof Dict ? never : ifMissing();
      }
      case 'row': {
        const isThere = this.#places.exists(owner);
        const found = this.#places.lookup(owner, name);
        if (isThere.kind === 'always') return rest(found, state);
        return or([
          await this.#given(isThere, state, after => rest(found, after)),
          await this.#given(negate(isThere), state, ifMissing),
        ]);
      }
      default:
        return rest(this.#places.lookup(owner, name), state);
    }
  }

  /** An attribute of a value that is known; undefined where it has none of this name. */
  async #read(owner: unknown, name: string): Promise<Known | undefined> {
    if (typeof owner !== 'object' && typeof owner !== 'function') return undefined;
    if (owner === null) return undefined;
    if (owner instanceof Dict) {
      return Object.hasOwn(owner, name) ? known(owner[name]) : undefined;
    }
    const relation = this.#world.relationOf(owner, name);
    if (relation instanceof Relation) {
      return known(await this.#world.related(owner, relation));
    }
    try {
      if (!(name in owner)) return undefined;
      return known(await (owner as Record<string, unknown>)[name]);
    } catch (error) {
      if (error instanceof TypeError) return undefined;
      throw error;
    }
  }

  #method(
    of: Value,
    { name, args, named }: CallTerm,
    frame: Frame,
    state: State,
    rest: RestOf<Value>,
  ): Promise<Condition> {
    return this.#values(args, frame, state, async (given, after) => {
      const owner = deref(of, after);
      const values = given.map(value => deref(value, after));
      if (named || !isKnown(owner) || !values.every(isKnown)) throw unsupportedMethod(name);
      const receiver = owner.value as Record<string, unknown> | null | undefined;
      const method = receiver?.[name];
      const ifMissing = async () => (after.mode === 'allowing' ? never : rest(MISSING, after));
      if (typeof method !== 'function') return ifMissing();
      let value: unknown;
      try {
        value = await method.apply(
          receiver,
          values.map(each => each.value),
        );
      } catch (error) {
        if (error instanceof TypeError) return ifMissing();
        throw error;
      }
      return rest(known(value), after);
    });
  }

  async #unify(a: Value, b: Value, state: State, rest: Rest): Promise<Condition> {
    const left = deref(a, state);
    const right = deref(b, state);
    if (left === right) return rest(state);
    if (left instanceof Logic && right instanceof Logic) {
      return left.serial > right.serial
        ? this.#bind(left, right, state, rest)
        : this.#bind(right, left, state, rest);
    }
    if (left instanceof Logic) return this.#bind(left, right, state, rest);
    if (right instanceof Logic) return this.#bind(right, left, state, rest);
    if (left.kind === 'missing' || right.kind === 'missing') {
      return isUndefined(left) && isUndefined(right) ? rest(state) : never;
    }
    if (left.kind === 'list' || right.kind === 'list') {
      const leftItems = itemsOf(left);
      const rightItems = itemsOf(right);
      if (leftItems === undefined || rightItems?.length !== leftItems.length) return never;
      const next = (at: number, before: State): Promise<Condition> =>
        at === leftItems.length
          ? rest(before)
          : this.#unify(leftItems[at] as Value, rightItems[at] as Value, before, after =>
              next(at + 1, after),
            );
      return next(0, state);
    }
    if (isKnown(left) && isKnown(right)) {
      return this.#areSame(left.value, right.value) ? rest(state) : never;
    }
    return this.#given(this.#places.compare(left, '=', right), state, rest);
  }

  #bind(variable: Logic, value: Value, before: State, rest: Rest): Promise<Condition> {
    const state = { ...before, bindings: new Map(before.bindings).set(variable, value) };
    const waiting = before.waiting.get(variable) ?? [];
    const next = (at: number, after: State): Promise<Condition> => {
      const ask = waiting[at];
      return ask === undefined ? rest(after) : ask(value, after, each => next(at + 1, each));
    };
    return next(0, state);
  }

  /** Asks for something once the variable has a value. */
  #wait(variable: Logic, ask: Waiting, state: State, rest: Rest): Promise<Condition> {
    const asked = [...(state.waiting.get(variable) ?? []), ask];
    return rest({ ...state, waiting: new Map(state.waiting).set(variable, asked) });
  }

  #areSame(left: unknown, right: unknown): boolean {
    if (Array.isArray(left) && Array.isArray(right)) {
      return left.length === right.length && left.every((item, at) => this.#areSame(item, right[at]));
    }
    if (left instanceof Dict && right instanceof Dict) {
      const names = Object.keys(left);
      return (
        names.length === Object.keys(right).length &&
        names.every(name => Object.hasOwn(right, name) && this.#areSame(left[name], right[name]))
      );
    }
    if (isPrimitive(left) && isPrimitive(right)) return left === right;
    return Boolean(this.#world.equals(left, right));
  }

  async #compare(operator: Comparison, a: Value, b: Value, state: State, rest: Rest): Promise<Condition> {
    const left = deref(a, state);
    const right = deref(b, state);
    if (left instanceof Logic) {
      return this.#wait(
        left,
        (value, each, then) => this.#compare(operator, value, right, each, then),
        state,
        rest,
      );
    }
    if (right instanceof Logic) {
      return this.#wait(
        right,
        (value, each, then) => this.#compare(operator, left, value, each, then),
        state,
        rest,
      );
    }
    if (left.kind === 'list' || right.kind === 'list') throw unsupportedTerm();
    if (left.kind === 'missing' || right.kind === 'missing') {
      const holds = (operator === '==') === (isUndefined(left) && isUndefined(right));
      return (operator === '==' || operator === '!=') && holds ? rest(state) : never;
    }
    if (isKnown(left) && isKnown(right)) {
      const holds = this.#compareKnown(operator, left.value, right.value);
      if (holds === undefined) return this.#fail(state);
      return holds ? rest(state) : never;
    }
    return this.#given(this.#places.compare(left, operator, right), state, rest);
  }

  /** Undefined where the policy fails: the values are of different types. */
  #compareKnown(operator: Comparison, left: unknown, right: unknown): boolean | undefined {
    if (!isPrimitive(left) || !isPrimitive(right)) {
      if (Array.isArray(left) || Array.isArray(right)) return undefined;
      if (operator === '==') return Boolean(this.#world.equals(left, right));
      if (operator === '!=') return !this.#world.equals(left, right);
      return ordered(operator, left as number, right as number);
    }
    if (typeof left === 'string' && typeof right === 'string') {
      return ordered(operator, compareStrings(left, right), 0);
    }
    if (typeof left === 'string' || typeof right === 'string') return undefined;
    return ordered(operator, Number(left), Number(right));
  }

  async #in(a: Value, b: Value, state: State, rest: Rest): Promise<Condition> {
    const list = deref(b, state);
    if (list instanceof Logic) throw unboundVariable();
    if (list.kind === 'rows') return this.#inRows(a, list, state, rest);
    const items = itemsOf(list) ?? (isKnown(list) ? await this.#elements(list.value) : undefined);
    if (items === undefined) {
      if (isKnown(list) || list.kind === 'missing') return this.#fail(state);
      throw unsupportedOperator('in');
    }
    return this.#isolated(state, rest, async each =>
      or(await inTurn(items, item => this.#unify(a, item, state, each))),
    );
  }

  /** The elements of what JavaScript can iterate; an iterator goes through them only once. */
  #elements(value: unknown): Promise<readonly Value[] | undefined> {
    const elements = this.#iterated.get(value) ?? iterated(value);
    this.#iterated.set(value, elements);
    return elements;
  }

  async #inRows(item: Value, list: RowsPlace, state: State, rest: Rest): Promise<Condition> {
    // Every `in` speaks of a row of its own, even of the same list.
    const name = this.#places.nameOf(list);
    const number = state.lists.get(name) ?? 0;
    const { row, where } = this.#places.someOf(list, number);
    const lists = new Map(state.lists).set(name, number + 1);
    return where(await this.#unify(item, row, { ...state, lists }, rest));
  }

  #matches(value: Value, pattern: Term, frame: Frame, state: State, rest: Rest): Promise<Condition> {
    if (pattern.kind !== 'pattern') {
      return this.#value(pattern, frame, state, (other, after) => this.#unify(value, other, after, rest));
    }
    return this.#matchesPattern(value, pattern, frame, state, rest);
  }

  async #matchesPattern(
    of: Value,
    given: PatternTerm,
    frame: Frame,
    state: State,
    rest: Rest,
  ): Promise<Condition> {
    const value = deref(of, state);
    if (value instanceof Logic) {
      return this.#wait(
        value,
        (found, each, then) => this.#matchesPattern(found, given, frame, each, then),
        state,
        rest,
      );
    }
    if (value.kind === 'list') throw unsupportedTerm();
    const { tag, fields } = given;
    const isOfClass = tag === undefined ? always : await this.#isOfClass(value, tag);
    const names = [...fields.keys()];
    const next = (at: number, before: State): Promise<Condition> => {
      const name = names[at];
      if (name === undefined) return rest(before);
      return this.#lookup(value, name, true, before, (found, after) =>
        this.#matches(found, fields.get(name) as Term, frame, after, matched => next(at + 1, matched)),
      );
    };
    return this.#given(isOfClass, state, after => next(0, after));
  }

  async #isOfClass(value: Known | Place | Missing, tag: string): Promise<Condition> {
    const members = this.#world.unions.get(tag);
    if (members !== undefined) {
      return or(await inTurn(members, member => this.#isOfClass(value, member)));
    }
    if (value.kind === 'missing') return (await this.#world.isInstance(undefined, tag)) ? always : never;
    if (!isKnown(value)) return this.#places.isA(value, tag);
    return (await this.#world.isInstance(value.value, tag)) ? always : never;
  }
}

/** One after the other: what is looked up is looked up in order. */
async function inTurn<Item>(
  items: readonly Item[],
  evaluate: (item: Item) => Promise<Condition>,
): Promise<Condition[]> {
  const conditions: Condition[] = [];
  for (const item of items) {
    const condition = await evaluate(item);
    conditions.push(condition);
    if (condition.kind === 'always') break;
  }
  return conditions;
}

function deref(value: Value, { bindings }: State): Exclude<Value, never> {
  let found = value;
  while (found instanceof Logic) {
    const bound = bindings.get(found);
    if (bound === undefined) return found;
    found = bound;
  }
  return found;
}

/** A value from outside of the policy. */
function known(value: unknown): Known {
  refuseHuge(value);
  return { kind: 'value', value };
}

/** Oso takes such numbers for 64-bit integers, and fails where they are none. */
function refuseHuge(value: unknown): void {
  if (Array.isArray(value)) for (const item of value) refuseHuge(item);
  else if (Number.isInteger(value) && !Number.isSafeInteger(value)) {
    throw new Unfilterable({
      reason: 'it reads an integer beyond 2^53',
      remedy: 'keep such numbers as strings',
    });
  }
}

function isKnown(value: Value): value is Known {
  return !(value instanceof Logic) && value.kind === 'value';
}

function isUndefined(value: Value): boolean {
  return (
    !(value instanceof Logic) && (value.kind === 'missing' || (isKnown(value) && value.value === undefined))
  );
}

/** Made of what Polar itself can compare. */
function isGround(value: unknown): boolean {
  if (Array.isArray(value)) return value.every(isGround);
  return value instanceof Dict ? Object.values(value).every(isGround) : isPrimitive(value);
}

/** Whether a term, or a part of it, is looked up. */
function looksUp(term: Term): boolean {
  if (term.kind === 'operation') return term.operator === '.' || term.args.some(looksUp);
  return term.kind === 'list' && term.items.some(looksUp);
}

function isArithmetic(operator: Operator): operator is Arithmetic {
  return ['+', '-', '*', '/', 'mod', 'rem'].includes(operator);
}

function isPrimitive(value: unknown): value is string | number | boolean {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
}

function itemsOf(value: Value): readonly Value[] | undefined {
  if (value instanceof Logic) return undefined;
  if (value.kind === 'list') return value.items;
  if (!isKnown(value) || !Array.isArray(value.value)) return undefined;
  return value.value.map(known);
}

/** The elements of what JavaScript can iterate; undefined where it cannot. */
async function iterated(value: unknown): Promise<readonly Value[] | undefined> {
  if (typeof value === 'string') return [...value].map(known);
  if (value instanceof Dict) {
    return Object.entries(value).map(known);
  }
  if (typeof value !== 'object' || value === null) return undefined;
  if (!(Symbol.iterator in value) && !(Symbol.asyncIterator in value)) return undefined;
  const items: Value[] = [];
  for await (const item of value as AsyncIterable<unknown>) items.push(known(item));
  return items;
}

function ordered(operator: Comparison, left: number, right: number): boolean {
  switch (operator) {
    case '==':
      return left === right;
    case '!=':
      return left !== right;
    case '<':
      return left < right;
    case '<=':
      return left <= right;
    case '>':
      return left > right;
    case '>=':
      return left >= right;
  }
}

function unsupportedTerm(): Unfilterable {
  return new Unfilterable({
    reason:
      'it makes a list or a dictionary of what only the database knows, or asks for more than can be told',
    remedy: 'compare fields of the resource to values',
  });
}

function unboundVariable(): Unfilterable {
  return new Unfilterable({
    reason: 'it asks for something of a variable that has no value yet',
    remedy: 'say first what the variable is',
  });
}

function unsupportedMethod(name: string): Unfilterable {
  return new Unfilterable({
    reason: `it calls the method \`${name}\` with, or of, what only the database knows`,
    remedy: 'compare fields of the resource, or of what it is related to, to values or to each other',
  });
}

function tooDeep(name: string): Unfilterable {
  return new Unfilterable({
    reason: `the rule \`${name}\` calls itself without end, as far as can be told without the rows`,
    remedy: 'say how deep it goes, rule by rule',
  });
}

function tooLarge(): Unfilterable {
  return new Unfilterable({
    reason: 'there are too many ways in which it may hold',
    remedy: 'ask for less at once: fewer alternatives, shorter lists of the actor',
  });
}
