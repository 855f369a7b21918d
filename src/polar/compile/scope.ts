import { NotCovered, type PolicyPlace } from '../errors.js';
import type { Build, Frame } from '../evaluate/machine.js';
import { type Located, placeOf } from '../syntax/source.js';
import { isGroundTerm, sortFields, type Term } from '../syntax/tree.js';
import type { PolicyHost } from '../values/host.js';
import { Dictionary, Float, List, Pattern, type Value } from '../values/values.js';

/** An argument of a call: a variable's slot, a constant, or else something to build. */
export interface Argument {
  /** -1 if the argument is not a variable. */
  readonly slot: number;
  readonly value: Value | undefined;
  readonly build: Build | undefined;
}

export function argumentOf({ slot, value, build }: Argument, frame: Frame): Value {
  if (slot >= 0) return frame[slot] as Value;
  return build === undefined ? (value as Value) : build(frame);
}

/** The unions that a policy's blocks declare: class names by the union's name. */
export type UnionMembers = (tag: string) => readonly string[] | undefined;

/** A term that cannot be compiled; what it is called, and where it stands. */
export class CannotCompile {
  readonly construct: string;
  readonly located: Located;
  constructor(construct: string, located: Located) {
    this.construct = construct;
    this.located = located;
  }
}

/** The variables of one rule or query, and how terms are made from them. */
export class Scope {
  readonly host: PolicyHost;
  readonly rule: string | undefined;
  readonly #members: UnionMembers;
  readonly #slots = new Map<string, number>();
  #size: number;

  /** `reserved` slots at the start hold the arguments of a rule. */
  constructor(host: PolicyHost, members: UnionMembers, rule: string | undefined, reserved: number) {
    this.host = host;
    this.#members = members;
    this.rule = rule;
    this.#size = reserved;
  }

  get size(): number {
    return this.#size;
  }

  /** The variables by name, with their slots. */
  get slots(): ReadonlyMap<string, number> {
    return this.#slots;
  }

  /** Lets a slot that exists already stand for a variable. */
  name(variable: string, slot: number): void {
    this.#slots.set(variable, slot);
  }

  /** A slot for something that is no variable of the policy. */
  reserve(): number {
    return this.#size++;
  }

  slotOf(variable: string): number {
    let slot = this.#slots.get(variable);
    if (slot === undefined) {
      slot = this.#size++;
      this.#slots.set(variable, slot);
    }
    return slot;
  }

  placeOf(located: Located): PolicyPlace {
    return { rule: this.rule, ...placeOf(located) };
  }

  /** The value of a term that holds no variables; undefined otherwise. */
  constant(term: Term): Value | undefined {
    switch (term.kind) {
      case 'string':
      case 'boolean':
        return term.value;
      case 'number':
        return term.float && Number.isInteger(term.value) ? new Float(term.value) : term.value;
      case 'variable': {
        const constant = this.host.constant(term.name);
        if (constant instanceof NotCovered)
          throw new CannotCompile(`${constant.construct} as a constant`, term);
        return constant;
      }
      case 'list': {
        const items = term.items.map(item => (item.kind === 'rest' ? undefined : this.constant(item)));
        return items.includes(undefined)
          ? undefined
          : new List(items as Value[], undefined, isGroundTerm(term));
      }
      case 'dictionary':
      case 'pattern': {
        const fields = new Map<string, Value>();
        for (const [name, field] of term.fields) {
          const value = this.constant(field);
          if (value === undefined) return undefined;
          fields.set(name, value);
        }
        if (term.kind === 'dictionary') return new Dictionary(fields, isGroundTerm(term));
        return new Pattern(term.tag, this.#membersOf(term.tag), fields, term);
      }
      default:
        return undefined;
    }
  }

  build(term: Term): Build {
    const constant = this.constant(term);
    if (constant !== undefined) return () => constant;
    switch (term.kind) {
      case 'variable':
      case 'rest': {
        const slot = this.slotOf(term.name);
        return frame => frame[slot] as Value;
      }
      case 'list': {
        const last = term.items.at(-1);
        const rest = last?.kind === 'rest' ? this.build(last) : undefined;
        const items = (rest ? term.items.slice(0, -1) : term.items).map(item => this.build(item));
        return frame =>
          new List(
            items.map(item => item(frame)),
            rest?.(frame),
          );
      }
      case 'dictionary': {
        const fields = this.#buildFields(term.fields);
        return frame => new Dictionary(fields(frame));
      }
      case 'pattern': {
        const fields = this.#buildFields(term.fields);
        const members = this.#membersOf(term.tag);
        return frame => new Pattern(term.tag, members, fields(frame), term);
      }
      case 'huge integer':
        throw new CannotCompile('an integer beyond 2^53', term);
      case 'call':
        throw new CannotCompile('a call as a value', term);
      default:
        throw new CannotCompile(
          `"${term.kind === 'operation' ? term.operator : term.kind}" as a value`,
          term,
        );
    }
  }

  /** As {@link build}, for values that are made so often that a call to make each would be felt. */
  argument(term: Term): Argument {
    const value = this.constant(term);
    if (value !== undefined) return { slot: -1, value, build: undefined };
    if (term.kind === 'variable') return { slot: this.slotOf(term.name), value, build: undefined };
    return { slot: -1, value, build: this.build(term) };
  }

  #buildFields(fields: ReadonlyMap<string, Term>): (frame: Frame) => Map<string, Value> {
    const builders = [...sortFields(new Map(fields))].map(
      ([name, term]) => [name, this.build(term)] as const,
    );
    return frame => new Map(builders.map(([name, build]) => [name, build(frame)]));
  }

  #membersOf(tag: string | undefined): readonly string[] | undefined {
    return tag === undefined ? undefined : this.#members(tag);
  }
}
