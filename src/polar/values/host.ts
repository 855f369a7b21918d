import { defaultEqualityFn, type Oso, Relation, Variable } from 'oso';
import {
  Expression,
  Pattern as OsoPattern,
  UnregisteredClassError as OsoUnregisteredClassError,
  Predicate,
} from '../../engine/oso-internals.js';
import { type AnyClass, ancestors, constructorOf, isConstructor } from '../../guard/class-of.js';
import { guardHost, makeDictionary } from '../../guard/guarded-host.js';
import { Extent, itemsOf, refuseInexact, wellFormed } from '../../guard/limits.js';
import { NotCovered } from '../errors.js';
import { sortFields } from '../syntax/tree.js';
import { Relations, RowReference } from './relations.js';
import { Unknown } from './unknown.js';
import {
  Dictionary,
  Float,
  flatten,
  Instance,
  List,
  LogicVariable,
  type Meter,
  UNMADE,
  type Value,
} from './values.js';

/** What the host knows of a registered class. */
export interface RegisteredClass {
  readonly name: string;
  readonly cls: AnyClass;
  readonly id: number;
  readonly fields: ReadonlyMap<string, unknown>;
  readonly isaCheck: (instance: unknown) => unknown;
}

export type HostEquality = (left: unknown, right: unknown) => unknown;

const MAX_NESTING = 500;
/** What is converted is counted already. */
const NOT_COUNTED: Meter = { visit: () => {} };

/**
 * The JavaScript side of a policy: its classes and constants, and the passage of values in both directions. It reads
 * everything from the Oso instance it serves, which stays the one place where classes are registered.
 */
export class PolicyHost {
  readonly #oso: Oso;
  readonly #constants = new Map<string, Value | NotCovered>();
  readonly #lineages = new Map<RegisteredClass, ReadonlySet<number>>();
  #equals: HostEquality;
  readonly #differs: HostEquality | undefined;
  #hasRelations = false;
  /** Only rows equal rows: of all else the equality says what Oso's own does, to which no object equals nil or a plain value. */
  rowsEqualOnlyRows = false;
  /** How many of Oso's `Variable` were met in values, to know which lists and dictionaries hold any. */
  #variablesMet = 0;
  /** Oso's own registry, to which it only ever adds. */
  readonly #types: ReadonlyMap<string | AnyClass, RegisteredClass>;
  /** The registered classes by the prototypes of their instances: most values are found here at once. */
  readonly #byPrototype = new Map<unknown, RegisteredClass>();
  readonly #dictionaryClass: AnyClass;
  /** How many items and fields have passed so far, in either direction. */
  converted = 0;

  constructor(oso: Oso, equalityFn: HostEquality | undefined, differs?: HostEquality) {
    this.#oso = oso;
    guardHost(oso.getHost());
    this.#types = oso.getHost().types as ReadonlyMap<string | AnyClass, RegisteredClass>;
    this.#dictionaryClass = this.requireClass('Dictionary').cls;
    this.#equals = equalityFn ?? defaultEqualityFn;
    this.#differs = differs;
  }

  /** When two values are equal to policies. */
  get equals(): HostEquality {
    return this.#equals;
  }

  set equals(equalityFn: HostEquality) {
    this.#equals = equalityFn;
  }

  differs(left: unknown, right: unknown): unknown {
    return this.#differs === undefined ? !this.#equals(left, right) : this.#differs(left, right);
  }

  /** With the default equality, a value always equals itself, and the function need not be asked. */
  get equalsIsDefault(): boolean {
    return this.#equals === defaultEqualityFn;
  }

  /** Whether look-ups have to mind relations that were registered for data filtering. */
  get hasRelations(): boolean {
    return this.#hasRelations;
  }

  /** Classes changed: forget what was derived from them. */
  classesChanged(): void {
    this.#lineages.clear();
    this.#hasRelations = false;
    for (const type of this.#types.values()) {
      const { prototype } = type.cls;
      if (constructorOf(Object.create(prototype)) === type.cls)
        this.#byPrototype.set(prototype, this.#types.get(type.cls) as RegisteredClass);
      for (const field of type.fields.values()) if (field instanceof Relation) this.#hasRelations = true;
    }
  }

  setConstant(name: string, value: unknown): void {
    try {
      this.#constants.set(name, this.toValue(value));
    } catch (error) {
      if (!(error instanceof NotCovered)) throw error;
      this.#constants.set(name, error);
    }
  }

  /**
   * The value of a registered constant or class, or undefined if a name is an ordinary variable; a NotCovered for a
   * constant that the compiled form cannot hold.
   */
  constant(name: string): Value | NotCovered | undefined {
    return this.#constants.get(name);
  }

  classNamed(name: string): RegisteredClass | undefined {
    return this.#types.get(name);
  }

  /** As {@link classNamed}; throws Oso's UnregisteredClassError. */
  requireClass(name: string): RegisteredClass {
    const type = this.#types.get(name);
    if (type === undefined) throw new OsoUnregisteredClassError(name);
    return type;
  }

  /** The registered class that made a value, or that the value is; undefined if there is none. */
  classOf(instance: Instance): RegisteredClass | undefined {
    if (instance.made) return undefined;
    const value = instance.value instanceof RowReference ? instance.value.key : instance.value;
    if (typeof value === 'object' && value !== null) {
      const type = this.#byPrototype.get(Object.getPrototypeOf(value));
      if (type !== undefined) return type;
    }
    if (isConstructor(value)) return this.#types.get(value);
    const made = constructorOf(value);
    return made === undefined ? undefined : this.#types.get(made);
  }

  /** Whether a registered class is `tag` or inherits from it. */
  descends(type: RegisteredClass, tag: string): boolean {
    let lineage = this.#lineages.get(type);
    if (lineage === undefined) {
      const ids = ancestors(this.#types.get(type.name)?.cls).map(cls => this.#types.get(cls)?.id);
      lineage = new Set(ids.filter(id => id !== undefined));
      this.#lineages.set(type, lineage);
    }
    return lineage.has(this.requireClass(tag).id);
  }

  isSubclass(left: string, right: string): boolean {
    const leftClass = this.requireClass(left).cls;
    return ancestors(leftClass).includes(this.requireClass(right).cls);
  }

  /** Whether class `left` is nearer to a value's own class than class `right`. */
  isNearer(cls: AnyClass | undefined, left: string, right: string): boolean {
    const lineage = ancestors(cls);
    const leftAt = lineage.indexOf(this.requireClass(left).cls);
    const rightAt = lineage.indexOf(this.requireClass(right).cls);
    if (leftAt === -1) return false;
    return rightAt === -1 || leftAt < rightAt;
  }

  relation(receiver: object, attribute: string): Relation | undefined {
    const cls = constructorOf(receiver);
    const field = cls === undefined ? undefined : this.#types.get(cls)?.fields.get(attribute);
    return field instanceof Relation ? field : undefined;
  }

  /** What follows relations for one question. */
  relations(): Relations {
    return new Relations(this.#oso.getHost());
  }

  /**
   * A JavaScript value as the policy sees it. Arrays and dictionaries are copied, as Oso copies them.
   *
   * @param variables the query's variables by name, for a value that may hold Oso's `Variable`; new ones are added
   * @throws {RefusedValueError} if it is larger than a policy decides about
   */
  toValue(value: unknown, variables?: Map<string, LogicVariable>): Value {
    return typeof value === 'object' && value !== null
      ? this.#fromObject(value, undefined, 0, variables)
      : fromPrimitive(value);
  }

  #fromObject(
    value: object,
    around: Extent | undefined,
    depth: number,
    variables: Map<string, LogicVariable> | undefined,
  ): Value {
    if (Array.isArray(value)) {
      const met = this.#variablesMet;
      const extent = around ?? new Extent();
      this.converted += value.length;
      const items = itemsOf(value, extent, depth, item =>
        typeof item === 'object' && item !== null
          ? this.#fromObject(item, extent, depth + 1, variables)
          : fromPrimitive(item),
      );
      return new List(items, undefined, met === this.#variablesMet);
    }
    if (value instanceof Unknown) return value;
    if (value instanceof Variable) return this.#variable(value.name, variables);
    if (value instanceof Predicate || value instanceof Expression || value instanceof OsoPattern) {
      throw new NotCovered('a predicate, expression or pattern as a value', undefined);
    }
    if (value instanceof this.#dictionaryClass) {
      const met = this.#variablesMet;
      const extent = around ?? new Extent();
      const entries = Object.entries(value);
      extent.add(entries.length, depth);
      const fields = new Map<string, Value>();
      this.converted += entries.length;
      for (const [name, field] of entries) {
        fields.set(
          wellFormed(name),
          typeof field === 'object' && field !== null
            ? this.#fromObject(field, extent, depth + 1, variables)
            : fromPrimitive(field),
        );
      }
      return new Dictionary(sortFields(fields), met === this.#variablesMet);
    }
    return new Instance(value);
  }

  #variable(name: string, variables: Map<string, LogicVariable> | undefined): Value {
    if (variables === undefined) throw new NotCovered('a Variable from the host', undefined);
    this.#variablesMet++;
    const constant = this.#constants.get(name);
    if (constant instanceof NotCovered) throw constant;
    if (constant !== undefined) return constant;
    if (name === '_') return new LogicVariable();
    const known = variables.get(name) ?? new LogicVariable(name);
    variables.set(name, known);
    return known;
  }

  /**
   * A policy's value as JavaScript sees it: fresh arrays and dictionaries, variables as Oso's `Variable`. Where an
   * instance is a promise (or anything else to wait for), so is the answer.
   */
  toJs(value: Value, nameOf: (variable: LogicVariable) => string = nameOfVariable): unknown {
    return typeof value === 'object' ? this.#toJs(value, nameOf, []) : value;
  }

  #toJs(value: Value, nameOf: (variable: LogicVariable) => string, path: LogicVariable[]): unknown {
    if (typeof value !== 'object') return value;
    if (value instanceof Unknown)
      throw new NotCovered('JavaScript that is given an unknown value', undefined);
    if (value instanceof Instance) {
      if (value.value === UNMADE)
        throw new NotCovered('an instance as an argument of its own constructor', undefined);
      return value.value;
    }
    if (value instanceof Float) return value.value;
    if (path.length > MAX_NESTING) throw new NotCovered('a value nested too deep', undefined);
    if (value instanceof LogicVariable) {
      if (value.binding === undefined) return new Variable(nameOf(value));
      // How deep Oso looks into a value that holds itself depends on how the value came about.
      if (path.includes(value)) throw new NotCovered('a variable within its own value', undefined);
      return this.#toJs(value.binding, nameOf, [...path, value]);
    }
    if (value instanceof List) {
      const list = flatten(value, NOT_COUNTED);
      if (list.rest !== undefined) throw new NotCovered('a list with an open rest as a result', undefined);
      this.converted += list.length;
      const array = list.toArray().map(item => this.#toJs(item, nameOf, path));
      return array.some(isThenable) ? Promise.all(array) : array;
    }
    if (value instanceof Dictionary) {
      this.converted += value.fields.size;
      const fields = [...value.fields].map(
        ([name, field]) => [name, this.#toJs(field, nameOf, path)] as const,
      );
      const build = (entries: readonly (readonly [string, unknown])[]) =>
        makeDictionary(this.#dictionaryClass, entries);
      if (!fields.some(([, field]) => isThenable(field))) return build(fields);
      return Promise.all(fields.map(async ([name, field]) => [name, await field] as const)).then(build);
    }
    throw new NotCovered('a pattern as a value', undefined);
  }
}

/** Whether a value is one that `await` waits for. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    ((typeof value === 'object' && value !== null) || typeof value === 'function') &&
    typeof (value as { then?: unknown }).then === 'function'
  );
}

function nameOfVariable({ label }: LogicVariable): string {
  return label;
}

function fromPrimitive(value: unknown): Value {
  switch (typeof value) {
    case 'string':
      return wellFormed(value);
    case 'boolean':
      return value;
    case 'number':
      refuseInexact(value);
      return value === 0 ? 0 : value;
    default:
      return new Instance(value);
  }
}
