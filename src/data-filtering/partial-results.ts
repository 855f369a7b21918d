import { Variable } from 'oso';
import { Expression } from 'oso/dist/src/Expression.js';
import { Pattern } from 'oso/dist/src/Pattern.js';
import type { Class } from 'oso/dist/src/types.js';
import { compareColumns, compareToValue } from './comparison.js';
import {
  always,
  and,
  type Column,
  type Condition,
  exists,
  negate,
  never,
  type Operator,
  or,
  type Source,
  whereNotNull,
} from './condition.js';
import type { Entity, EntityRelation, Field } from './schema.js';
import { Unfilterable } from './unfilterable.js';

/**
 * Turns what Oso's partial evaluation leaves open into a condition on rows.
 *
 * Oso's own `Filter` is not made use of: it names the columns of a related row by its class alone, so that two
 * relations to one class, or a class that is related to itself, run into each other; and it leaves out which class a
 * row has to be of. The results that it is made from have it all.
 *
 * @param results the values of the resource in each result of `allow`: a row is allowed where one of them holds
 * @throws {Unfilterable} where one of them cannot be expressed
 */
export function conditionOf(entity: Entity, classNamed: ClassNamed, results: readonly unknown[]): Condition {
  const reader = new PartialResults(entity, classNamed);
  return or(results.map(result => reader.read(result)));
}

/** The class that policies call by a name. */
export type ClassNamed = (name: string) => Class | undefined;

/** What a term stands for: a field of a row, the row itself, or the rows that it is related to. */
export type Place = FieldPlace | RowPlace | RowsPlace;

interface FieldPlace {
  readonly kind: 'field';
  readonly path: Path;
  readonly field: Field;
}

export interface RowPlace {
  readonly kind: 'row';
  readonly path: Path;
  /** The relation that leads to it from the end of the path; undefined where the row is the end of the path. */
  readonly relation: EntityRelation | undefined;
}

interface RowsPlace {
  readonly kind: 'rows';
  readonly path: Path;
  readonly relation: EntityRelation;
}

/** From a row, through relations to one, to another. */
interface Path {
  readonly from: Source;
  readonly relations: readonly EntityRelation[];
}

/** A row of a relation to many. */
export interface Item {
  /** The same for the same relation of the same row. */
  readonly list: string;
  readonly row: RowPlace;
  /** That there is such a row, for which a condition holds. */
  exists(condition: () => Condition): Condition;
}

/** Values that are known, as against places in rows that are not yet. */
export interface Known {
  readonly kind: 'value';
  readonly value: unknown;
}

/** Variables of the policy, and what they stand for. */
type Scope = ReadonlyMap<string, Place>;

const COMPARISONS: Readonly<Record<string, Operator>> = {
  Unify: '=',
  Assign: '=',
  Eq: '=',
  Neq: '!=',
  Lt: '<',
  Leq: '<=',
  Gt: '>',
  Geq: '>=',
};

const FLIPPED: Readonly<Record<Operator, Operator>> = {
  '=': '=',
  '!=': '!=',
  '<': '>',
  '<=': '>=',
  '>': '<',
  '>=': '<=',
};

/** How the policy's text writes the operators that Oso's results name otherwise. */
const WRITTEN: Readonly<Record<string, string>> = {
  Add: '+',
  Sub: '-',
  Mul: '*',
  Div: '/',
  Mod: 'mod',
  Rem: 'rem',
  In: 'in',
  Isa: 'matches',
  New: 'new',
  Unify: '=',
  Eq: '==',
  Neq: '!=',
  Lt: '<',
  Leq: '<=',
  Gt: '>',
  Geq: '>=',
  Not: 'not',
};

/** What is said of places in rows, as conditions. */
export class PartialResults {
  readonly #classNamed: ClassNamed;
  readonly #root: Source;
  readonly #sources = new Map<string, Source>();
  /** How many times the result that is read speaks of the rows of a relation. */
  #lists = new Map<string, number>();

  constructor(entity: Entity, classNamed: ClassNamed) {
    this.#classNamed = classNamed;
    this.#root = { entity, number: 0 };
  }

  read(result: unknown): Condition {
    this.#lists = new Map();
    const resource: Place = { kind: 'row', path: { from: this.#root, relations: [] }, relation: undefined };
    if (result instanceof Variable) return always;
    if (!(result instanceof Expression)) return this.compare(resource, '=', { kind: 'value', value: result });
    return this.#all(
      [result],
      new Map([
        ['resource', resource],
        ['_this', resource],
      ]),
    );
  }

  /** All of the terms hold, for some value of the variables that only they speak of. */
  #all(terms: readonly unknown[], scope: Scope): Condition {
    const parts = terms.flatMap(conjuncts);
    for (const part of parts) {
      const binding = this.#binding(part, scope);
      if (binding === undefined) continue;
      const others = parts.filter(other => other !== part);
      const { variable, place } = binding;
      if (place.kind !== 'rows') return this.#all(others, new Map(scope).set(variable, place));
      const [inside, outside] = speaking(variable, others, scope);
      return and([
        this.#exists(place, row => this.#all(inside, new Map(scope).set(variable, row))),
        this.#all(outside, scope),
      ]);
    }
    return and(parts.map(part => this.#one(part, scope)));
  }

  /** `variable in rows`, or `variable = place`, where nothing is known of the variable yet. */
  #binding(part: unknown, scope: Scope): { variable: string; place: Place } | undefined {
    if (!(part instanceof Expression) || part.args.length !== 2) return undefined;
    const [left, right] = part.args;
    if (part.operator === 'In') return this.#bound(left, right, scope, 'rows');
    if (part.operator !== 'Unify') return undefined;
    return this.#bound(left, right, scope) ?? this.#bound(right, left, scope);
  }

  #bound(
    variable: unknown,
    term: unknown,
    scope: Scope,
    kind?: Place['kind'],
  ): { variable: string; place: Place } | undefined {
    if (!(variable instanceof Variable) || scope.has(variable.name)) return undefined;
    if (!isPlace(term) || !variablesOf(term).every(name => scope.has(name))) return undefined;
    const place = this.#place(term, scope);
    if (kind !== undefined && place.kind !== kind) return undefined;
    return { variable: variable.name, place };
  }

  #one(term: unknown, scope: Scope): Condition {
    if (typeof term === 'boolean') return term ? always : never;
    if (!(term instanceof Expression)) throw unsupported('a term that is no condition');
    const { operator, args } = term;
    if (operator === 'And') return this.#all(args, scope);
    if (operator === 'Or') return this.#any(args, scope);
    if (operator === 'Not') return negate(this.#all(args, scope));
    if (args.length !== 2) throw unsupportedOperator(operator);
    if (operator === 'Isa') return this.#matches(args[0], args[1], scope);
    if (operator === 'In') return this.#in(args[0], args[1], scope);
    if (operator === 'Dot')
      return this.compare(this.#operand(term, scope), '=', { kind: 'value', value: true });
    const comparison = COMPARISONS[operator];
    if (comparison === undefined) throw unsupportedOperator(operator);
    return this.compare(this.#operand(args[0], scope), comparison, this.#operand(args[1], scope));
  }

  /**
   * One of the terms holds. What `not` makes of `tag in expense.tags and tag.name = "x"` is an alternative, too: the tag
   * is none of the expense's, or its name is another; and that for every tag, since there was to be none.
   */
  #any(terms: readonly unknown[], scope: Scope): Condition {
    for (const term of terms) {
      if (!(term instanceof Expression) || term.operator !== 'Not') continue;
      const binding = this.#binding(term.args[0], scope);
      if (binding?.place.kind !== 'rows') continue;
      const { variable, place } = binding;
      const others = terms.filter(other => other !== term);
      const [inside, outside] = speaking(variable, others, scope);
      const noneOther = negate(
        this.#exists(place, row => negate(this.#any(inside, new Map(scope).set(variable, row)))),
      );
      return or([noneOther, this.#any(outside, scope)]);
    }
    return or(terms.map(term => this.#all([term], scope)));
  }

  #matches(term: unknown, pattern: unknown, scope: Scope): Condition {
    if (
      !(pattern instanceof Pattern) ||
      pattern.tag === undefined ||
      Object.keys(pattern.fields).length > 0
    ) {
      throw unsupportedOperator('Isa');
    }
    const { tag } = pattern;
    return this.isA(this.#operand(term, scope), tag);
  }

  /** Whether what a place stands for is of a class. */
  isA(place: Place | Known, tag: string): Condition {
    if (place.kind === 'rows') return tag === 'List' ? always : never;
    if (place.kind !== 'row') throw unsupportedClass(tag);
    const entity = place.relation?.target ?? endOf(place.path);
    const isOne = this.#isA(entity, tag);
    if (!isOne) return never;
    return place.relation === undefined
      ? this.#through(place.path, () => always)
      : this.#through(place.path, from => this.#related(from, place.relation as EntityRelation));
  }

  /** Whether every row of an entity is of the class; refused where some may be, and some not. */
  #isA(entity: Entity, tag: string): boolean {
    if (tag === entity.name) return true;
    const other = this.#classNamed(tag);
    if (other === undefined) throw unsupportedClass(tag);
    if (other === entity.class || inherits(entity.class, other)) return true;
    if (inherits(other, entity.class)) throw unsupportedClass(tag);
    return false;
  }

  #in(left: unknown, right: unknown, scope: Scope): Condition {
    const item = this.#operand(left, scope);
    const list = this.#operand(right, scope);
    if (list.kind === 'rows') {
      return this.#exists(list, row => this.compare(row, '=', item));
    }
    if (list.kind === 'value' && Array.isArray(list.value)) {
      return or(list.value.map(value => this.compare(item, '=', { kind: 'value', value })));
    }
    throw unsupportedOperator('In');
  }

  /** A field is true. Where it is null, that is an error of the policy, and so is its negation. */
  isTrue(place: Place): Condition {
    if (place.kind !== 'field') throw unsupported('a row as a condition');
    return this.compare({ ...place, field: { ...place.field, nullable: false } }, '=', {
      kind: 'value',
      value: true,
    });
  }

  compare(left: Place | Known, operator: Operator, right: Place | Known): Condition {
    if (left.kind === 'value') {
      if (right.kind === 'value') throw unsupported('a comparison of two values that are known');
      return this.compare(right, FLIPPED[operator], left);
    }
    if (left.kind === 'rows' || right.kind === 'rows') throw unsupportedOperator(nameOf(operator));
    if (left.kind === 'field') {
      if (right.kind === 'value') return this.#compareField(left, operator, right.value);
      if (right.kind === 'row') return throwMixed(left.field);
      return this.#through(left.path, a =>
        this.#through(right.path, b =>
          compareColumns({ source: a, field: left.field }, operator, { source: b, field: right.field }),
        ),
      );
    }
    if (operator !== '=' && operator !== '!=') throw unsupportedOperator(nameOf(operator));
    if (right.kind === 'field') return throwMixed(right.field);
    const isSame =
      right.kind === 'value' ? this.#isInstance(left, right.value) : this.#isSameRow(left, right);
    return operator === '=' ? isSame : this.#reached(left, right, negate(isSame));
  }

  /** A key of a related row is asked of the row that refers to it: no join for what is known already. */
  #compareField({ path, field }: FieldPlace, operator: Operator, value: unknown): Condition {
    const last = path.relations.at(-1);
    const reference = last?.guaranteed ? last.join.find(({ to }) => to === field)?.from : undefined;
    if (reference === undefined) {
      return this.#through(path, source => compareToValue({ source, field }, operator, value));
    }
    return this.#through({ ...path, relations: path.relations.slice(0, -1) }, source =>
      and([
        whereNotNull({ source, field: reference }),
        // A reference has the type of what it refers to.
        compareToValue(
          { source, field: { ...reference, type: field.type, nullable: false } },
          operator,
          value,
        ),
      ]),
    );
  }

  /** Whether the row is the given instance: they have the same key. */
  #isInstance({ path, relation }: RowPlace, value: unknown): Condition {
    if (value === null) {
      return relation === undefined
        ? never
        : this.#through(path, from => negate(this.#related(from, relation)));
    }
    const entity = relation?.target ?? endOf(path);
    if (!(value instanceof entity.class)) return never;
    const key = entity.key.map(field => ({ field, value: (value as Record<string, unknown>)[field.name] }));
    if (key.some(part => part.value === undefined || part.value === null)) {
      throw new Unfilterable({
        reason: `a row is compared to a ${entity.name} that has no key`,
        remedy: 'see to it that what the policy reads of the actor is saved, and loaded with its key',
        construct: { kind: 'class', name: entity.name },
      });
    }
    const relations = relation === undefined ? path.relations : [...path.relations, relation];
    return and(
      key.map(part =>
        this.#compareField(
          { kind: 'field', path: { ...path, relations }, field: part.field },
          '=',
          part.value,
        ),
      ),
    );
  }

  /** Whether two places hold the same row, or neither holds any. */
  #isSameRow(left: RowPlace, right: RowPlace): Condition {
    return this.#through(left.path, a =>
      this.#through(right.path, b => {
        const neither = and([this.#missing(a, left.relation), this.#missing(b, right.relation)]);
        if ((left.relation?.target ?? a.entity) !== (right.relation?.target ?? b.entity)) return neither;
        const same = this.#end(a, left.relation, keyA =>
          this.#end(b, right.relation, keyB =>
            and(keyA.map((column, at) => compareColumns(column, '=', keyB[at] as Column))),
          ),
        );
        return or([neither, same]);
      }),
    );
  }

  /** A row that is different has to be there all the same, but for the last step to it. */
  #reached(left: RowPlace, right: Place | Known, condition: Condition): Condition {
    const paths = right.kind === 'row' ? [left.path, right.path] : [left.path];
    return and([...paths.map(path => this.#through(path, () => always)), condition]);
  }

  #missing(from: Source, relation: EntityRelation | undefined): Condition {
    return relation === undefined ? never : negate(this.#related(from, relation));
  }

  /** The columns that hold the key of a row, or that refer to it. */
  #end(
    from: Source,
    relation: EntityRelation | undefined,
    condition: (key: readonly Column[]) => Condition,
  ): Condition {
    const keyOf = (source: Source) => source.entity.key.map(field => ({ source, field }));
    if (relation === undefined) return condition(keyOf(from));
    const references = relation.target.key.map(key => relation.join.find(({ to }) => to === key)?.from);
    if (relation.guaranteed && references.every(field => field !== undefined)) {
      const columns = references.map((field, at) => ({
        source: from,
        // A reference has the type of what it refers to.
        field: { ...field, nullable: false, type: (relation.target.key[at] as Field).type },
      }));
      return and([this.#related(from, relation), condition(columns)]);
    }
    return this.#step(from, relation, to => condition(keyOf(to)));
  }

  /** Whether a relation to one leads anywhere. */
  #related(from: Source, relation: EntityRelation): Condition {
    if (!relation.guaranteed) return this.#step(from, relation, () => always);
    return and(relation.join.map(join => whereNotNull({ source: from, field: join.from })));
  }

  #through({ from, relations }: Path, condition: (end: Source) => Condition): Condition {
    const [first, ...rest] = relations;
    if (first === undefined) return condition(from);
    return this.#step(from, first, to => this.#through({ from: to, relations: rest }, condition));
  }

  #exists({ path, relation }: RowsPlace, condition: (row: RowPlace) => Condition): Condition {
    return this.#through(path, from => {
      const list = `${from.number}.${relation.name}`;
      const before = this.#lists.get(list) ?? 0;
      this.#lists.set(list, before + 1);
      const to = this.#item(from, relation, before);
      const row: RowPlace = { kind: 'row', path: { from: to, relations: [] }, relation: undefined };
      return exists(relation, from, to, condition(row));
    });
  }

  /** One of the rows of a relation. Every `in` speaks of a row of its own, even of the same list. */
  #item(from: Source, relation: EntityRelation, before: number): Source {
    return this.#source(`${from.number}.${relation.name}.${before}`, relation.target);
  }

  /**
   * Any of the rows of a relation.
   *
   * @param before how many other rows of the same relation are spoken of
   */
  item({ path, relation }: RowsPlace, before: number): Item {
    const from = path.relations.reduce(
      (source, step) => this.#source(`${source.number}.${step.name}`, step.target),
      path.from,
    );
    const to = this.#item(from, relation, before);
    return {
      list: `${from.number}.${relation.name}`,
      row: { kind: 'row', path: { from: to, relations: [] }, relation: undefined },
      exists: condition => this.#through(path, () => exists(relation, from, to, condition())),
    };
  }

  #step(from: Source, relation: EntityRelation, condition: (to: Source) => Condition): Condition {
    const to = this.#source(`${from.number}.${relation.name}`, relation.target);
    return exists(relation, from, to, condition(to));
  }

  /** The row at the end of a step; the same for the same step, so that conditions on it come together. */
  #source(step: string, entity: Entity): Source {
    const known = this.#sources.get(step);
    if (known !== undefined) return known;
    const source: Source = { entity, number: this.#sources.size + 1 };
    this.#sources.set(step, source);
    return source;
  }

  get root(): RowPlace {
    return { kind: 'row', path: { from: this.#root, relations: [] }, relation: undefined };
  }

  #operand(term: unknown, scope: Scope): Place | Known {
    if (isPlace(term)) return this.#place(term, scope);
    if (term instanceof Expression) throw unsupportedOperator(term.operator);
    if (term instanceof Pattern) throw unsupportedOperator('Isa');
    return { kind: 'value', value: term };
  }

  #place(term: Variable | Expression, scope: Scope): Place {
    if (term instanceof Variable) {
      const place = scope.get(term.name);
      if (place === undefined) throw unsupported('a variable that has no value');
      return place;
    }
    const [base, name] = term.args;
    if (typeof name !== 'string') throw unsupportedOperator('Dot');
    return this.attribute(this.#operand(base, scope), name);
  }

  /** An attribute of what a place stands for. */
  attribute(owner: Place | Known, name: string): Place {
    if (owner.kind !== 'row') throw unknownAttribute(name, 'what is no row');
    const relations =
      owner.relation === undefined ? owner.path.relations : [...owner.path.relations, owner.relation];
    const path = { from: owner.path.from, relations };
    const entity = endOf(path);
    const relation = entity.relations.get(name);
    if (relation !== undefined) return { kind: relation.kind === 'one' ? 'row' : 'rows', path, relation };
    const field = entity.fields.get(name);
    if (field === undefined) throw unknownAttribute(name, entity.name);
    return { kind: 'field', path, field };
  }
}

function inherits(descendant: Class, ancestor: Class): boolean {
  return descendant.prototype instanceof ancestor;
}

function endOf({ from, relations }: Path): Entity {
  return relations.at(-1)?.target ?? from.entity;
}

/** A variable, or look-ups that start from one. */
function isPlace(term: unknown): term is Variable | Expression {
  return term instanceof Variable || (term instanceof Expression && term.operator === 'Dot');
}

function conjuncts(term: unknown): unknown[] {
  return term instanceof Expression && term.operator === 'And' ? term.args.flatMap(conjuncts) : [term];
}

/** The terms that speak of a variable, or of one that they tie to it; and the others. */
function speaking(variable: string, terms: readonly unknown[], scope: Scope): [unknown[], unknown[]] {
  const tied = new Set([variable]);
  const inside = new Set<unknown>();
  for (let grown = true; grown; ) {
    grown = false;
    for (const term of terms) {
      if (inside.has(term)) continue;
      const names = variablesOf(term);
      if (!names.some(name => tied.has(name))) continue;
      inside.add(term);
      for (const name of names) if (!scope.has(name)) tied.add(name);
      grown = true;
    }
  }
  return [terms.filter(term => inside.has(term)), terms.filter(term => !inside.has(term))];
}

function variablesOf(term: unknown): string[] {
  if (term instanceof Variable) return [term.name];
  return term instanceof Expression ? term.args.flatMap(variablesOf) : [];
}

function nameOf(operator: Operator): string {
  return Object.keys(COMPARISONS).find(name => COMPARISONS[name] === operator) as string;
}

function unsupported(what: string): Unfilterable {
  return new Unfilterable({
    reason: `it leaves ${what}`,
    remedy: 'compare fields of the resource to values',
  });
}

function unsupportedOperator(operator: string): Unfilterable {
  const written = WRITTEN[operator] ?? operator.toLowerCase();
  return new Unfilterable({
    reason: `it applies \`${written}\` to what only the database knows`,
    remedy: 'compare fields of the resource, or of what it is related to, to values or to each other',
    construct: { kind: 'operator', operator: written },
  });
}

function unsupportedClass(name: string): Unfilterable {
  return new Unfilterable({
    reason: `it asks of a row whether it is of the class \`${name}\`, which its table does not tell`,
    remedy: 'compare a field that tells',
    construct: { kind: 'class', name },
  });
}

function unknownAttribute(name: string, of: string): Unfilterable {
  return new Unfilterable({
    reason: `\`${name}\` is no field and no relation of ${of} that the database knows`,
    remedy:
      'use what is in the database, or say of the relation to many which row is meant: item in resource.items',
    construct: { kind: 'attribute', name },
  });
}

function throwMixed(field: Field): never {
  throw new Unfilterable({
    reason: `the field \`${field.name}\` is compared to a row`,
    remedy: 'compare it to a field of that row',
    construct: { kind: 'attribute', name: field.name },
  });
}
