import type { Class } from 'oso';
import { compareColumns, compareToValue, type PolicyOperator } from '../condition/comparison.js';
import {
  always,
  type Column,
  type Condition,
  never,
  type RowVariable,
  whereNotNull,
  whereNull,
  whereUnreadable,
} from '../condition/condition.js';
import { and, exists, negate, or, reaches } from '../condition/simplify.js';
import type { Entity, EntityRelation, Field } from '../schema.js';
import { COMPARE, Unfilterable } from '../unfilterable.js';

/** The class that policies call by a name. */
export type ClassNamed = (name: string) => Class | undefined;

/** What a term stands for: a field of a row, the row itself, or the rows that it is related to. */
export type Path = FieldPath | RowPath | RowsPath;

interface FieldPath {
  readonly kind: 'field';
  readonly via: Navigation;
  readonly field: Field;
}

export interface RowPath {
  readonly kind: 'row';
  readonly via: Navigation;
  /** The relation that leads to it from the end of the path; undefined if the row is the end of the path. */
  readonly relation: EntityRelation | undefined;
}

interface RowsPath {
  readonly kind: 'rows';
  readonly via: Navigation;
  readonly relation: EntityRelation;
}

/** From a row, through relations to one, to another. */
interface Navigation {
  readonly from: RowVariable;
  readonly relations: readonly EntityRelation[];
}

/** A row of a relation to many. */
export interface Item {
  /** The same for the same relation of the same row. */
  readonly list: string;
  readonly row: RowPath;
  /** That there is such a row, for which a condition holds. */
  exists(condition: Condition): Condition;
  /** That what the relation belongs to is not there. */
  missing(): Condition;
}

/** Values that are known, as against paths into rows that are not yet. */
export interface Known {
  readonly kind: 'value';
  readonly value: unknown;
}

/** More than databases care to join. */
const MAX_RELATIONS = 30;

/** Classes that values of fields may be of. */
const VALUE_CLASSES: ReadonlySet<unknown> = new Set([Object, String, Number, Boolean, Date, Array]);

/** What policies say of paths into rows, as conditions on these rows. */
export class Paths {
  readonly #classNamed: ClassNamed;
  readonly #rowVariables = new Map<string, RowVariable>();
  readonly #relatedBy = new Map<string, Condition>();
  /** How many rows are spoken of; the next one has it as its number. */
  #count = 0;

  constructor(classNamed: ClassNamed) {
    this.#classNamed = classNamed;
  }

  /** Another row that is asked about, where paths begin. */
  root(entity: Entity): RowPath {
    const from: RowVariable = { entity, number: this.#count++ };
    return { kind: 'row', via: { from, relations: [] }, relation: undefined };
  }

  /** An attribute of what a path leads to. */
  attribute(owner: Path, name: string): Path {
    if (owner.kind !== 'row') throw attributeOfNoRow(name);
    const relations =
      owner.relation === undefined ? owner.via.relations : [...owner.via.relations, owner.relation];
    const via = { from: owner.via.from, relations };
    const entity = endOf(via);
    const relation = entity.relations.get(name);
    if (relation !== undefined) return { kind: relation.kind === 'one' ? 'row' : 'rows', via, relation };
    const field = entity.fields.get(name);
    if (field === undefined) throw unknownAttribute(name, entity.name);
    return { kind: 'field', via, field };
  }

  /** Whether rows may have something by a name that is not described: their class has it, or they are no rows but lists. */
  mayHave(path: Path, name: string): boolean {
    if (path.kind === 'rows') return true;
    if (path.kind === 'field')
      return path.field.type.kind === 'unsupported' || path.field.type.kind === 'date';
    return name in (path.relation?.target ?? endOf(path.via)).class.prototype;
  }

  /** Whether a path leads to a row through relations that may lead nowhere. */
  mayBeMissing(path: Path): path is RowPath {
    return path.kind === 'row' && (path.relation !== undefined || path.via.relations.length > 0);
  }

  /** The entity of the row that a path leads to. */
  entityOf({ via, relation }: RowPath): Entity {
    return relation?.target ?? endOf(via);
  }

  /** A row of an entity that is no other one of which is spoken. */
  anyRow(entity: Entity): RowPath {
    const from = this.#rowVariable(`any ${this.#rowVariables.size}`, entity);
    return { kind: 'row', via: { from, relations: [] }, relation: undefined };
  }

  /** The one relation that leads from the end of a path to the end of another one, of the same entity. */
  step(from: RowPath, to: RowPath): EntityRelation | undefined {
    const [before, after] = [relationsOf(from), relationsOf(to)];
    const last = after.at(-1);
    const isNext =
      from.via.from === to.via.from &&
      after.length === before.length + 1 &&
      before.every((relation, at) => relation === after[at]);
    return isNext && last?.target === this.entityOf(from) ? last : undefined;
  }

  /**
   * That from the row at a path a relation leads, step by step, to one for which a condition holds.
   *
   * @param any the row of which the two conditions speak
   * @param base holds of the row that is come to
   * @param step holds of each row that the relation leads on from
   */
  reaches(
    { via, relation }: RowPath,
    { via: { from: row } }: RowPath,
    by: EntityRelation,
    base: Condition,
    step: Condition,
  ): Condition {
    if (by.joinTable !== undefined || by.join.some(({ to }) => !by.target.key.includes(to))) {
      throw new Unfilterable({
        reason: `a rule calls itself for \`${by.name}\`, which does not refer to the key of ${by.target.name}`,
        remedy: 'relate the rows by a foreign key that refers to the primary key',
      });
    }
    return this.#through(via, from =>
      this.#end(from, relation, key => reaches({ key, row, relation: by, base, step })),
    );
  }

  /** That there is a row at a path. */
  isThere({ via, relation }: RowPath): Condition {
    return this.#through(via, from => (relation === undefined ? always : this.#related(from, relation)));
  }

  /** A rule that follows a relation from row to row, and counts, may have no end before there are rows. */
  refuseEndless(path: Path, name: string): void {
    if (path.via.relations.length < MAX_RELATIONS || path.kind !== 'row') return;
    if (!(path.relation?.target ?? endOf(path.via)).relations.has(name)) return;
    throw new Unfilterable({
      reason: `it follows more than ${MAX_RELATIONS} relations in a row, as a rule does that calls itself`,
      remedy: 'follow as many as there can be, each in a rule of its own',
    });
  }

  /** Whether what a path leads to is of a class. */
  isA(path: Path, tag: string): Condition {
    if (path.kind === 'rows') return tag === 'List' ? always : never;
    if (path.kind === 'field') return this.#isFieldA(path, tag);
    const entity = path.relation?.target ?? endOf(path.via);
    const isOne = this.#isA(entity, tag);
    if (!isOne) return never;
    return this.isThere(path);
  }

  /** Whether the value of a field is of a class: text is a String, and no value is a row. */
  #isFieldA({ via, field }: FieldPath, tag: string): Condition {
    const { kind } = field.type;
    const isText = kind === 'text' || kind === 'uuid' || kind === 'enum' || kind === 'bigint';
    if ((isText && tag === 'String') || (kind === 'boolean' && tag === 'Boolean')) {
      return this.#through(via, row => whereNotNull({ row, field }));
    }
    const named = this.#classNamed(tag);
    const isOther = kind !== 'unsupported' && named !== undefined && !VALUE_CLASSES.has(named);
    if (!isOther) throw unsupportedClass(tag);
    return never;
  }

  /** Whether every row of an entity is of the class; refused if some may be, and some not. */
  #isA(entity: Entity, tag: string): boolean {
    if (tag === entity.name) return true;
    const other = this.#classNamed(tag);
    if (other === undefined) throw unsupportedClass(tag);
    if (other === entity.class || inherits(entity.class, other)) return true;
    if (inherits(other, entity.class)) throw unsupportedClass(tag);
    return false;
  }

  /** A field is true; it fails if it is neither true nor false. */
  isTrue(path: Path): { holds: Condition; fails: Condition } {
    if (path.kind !== 'field' || path.field.type.kind !== 'boolean') throw noCondition();
    const { via, field } = path;
    return {
      holds: this.compare(path, '=', { kind: 'value', value: true }),
      fails: or([
        this.#missingAlong(via),
        this.#through(via, row => whereNull({ row, field })),
        this.unreadable(path),
      ]),
    };
  }

  /** That a field holds a value that is an error to policies that read it. */
  unreadable(path: Path): Condition {
    if (path.kind !== 'field') return never;
    return this.#through(path.via, row => whereUnreadable({ row, field: path.field }));
  }

  /** The rows of a relation to many. */
  rows(path: Path): RowsPath {
    if (path.kind === 'rows') return path;
    throw new Unfilterable({
      reason: 'it looks with `in` into what is no relation to many',
      remedy: 'ask for a row of a relation to many, or for a value of a list that is known',
    });
  }

  /**
   * Compares what a path leads to with what another one does, or with a value.
   *
   * @param inNot inside of a `not` an attribute of nil is undefined, which differs from all but itself; elsewhere it is
   *   an error, and nothing holds of it
   */
  compare(left: Path, policyOperator: PolicyOperator, right: Path | Known, inNot = false): Condition {
    const compared = this.#compare(left, policyOperator, right);
    if (!inNot) return compared;
    const [a, b] = [this.#undefined(left), this.#undefined(right)];
    if (isEquality(policyOperator)) return or([compared, and([a, b])]);
    if (policyOperator !== '!=') return compared;
    return or([compared, and([a, negate(b)]), and([negate(a), b])]);
  }

  /** Whether a value is undefined, as is the attribute of a row that is not there. */
  #undefined(path: Path | Known): Condition {
    if (path.kind === 'value') return path.value === undefined ? always : never;
    return this.#missingAlong(path.via);
  }

  #missingAlong({ from, relations }: Navigation): Condition {
    const last = relations.at(-1);
    if (last === undefined) return never;
    return negate(
      this.#through({ from, relations: relations.slice(0, -1) }, row => this.#related(row, last)),
    );
  }

  #compare(left: Path, policyOperator: PolicyOperator, right: Path | Known): Condition {
    const operator = policyOperator === '==' ? '=' : policyOperator;
    if (left.kind === 'rows' || right.kind === 'rows') throw unsupportedOperator(operator);
    if (left.kind === 'field') {
      if (right.kind === 'value') return this.#compareField(left, policyOperator, right.value);
      if (right.kind === 'row') return throwMixed(left.field);
      return this.#through(left.via, a =>
        this.#through(right.via, b =>
          compareColumns({ row: a, field: left.field }, operator, { row: b, field: right.field }),
        ),
      );
    }
    if (operator !== '=' && operator !== '!=') throw unsupportedOperator(operator);
    if (right.kind === 'field') return throwMixed(right.field);
    const isSame =
      right.kind === 'value' ? this.#isInstance(left, right.value) : this.#isSameRow(left, right);
    return operator === '=' ? isSame : this.#reached(left, right, negate(isSame));
  }

  /** A key of a related row is asked of the row that refers to it: no join for what is known already. */
  #compareField({ via, field }: FieldPath, operator: PolicyOperator, value: unknown): Condition {
    const last = via.relations.at(-1);
    const reference = last?.guaranteed ? referenceTo(last, field) : undefined;
    if (reference === undefined) {
      return this.#through(via, row => compareToValue({ row, field }, operator, value));
    }
    return this.#through({ ...via, relations: via.relations.slice(0, -1) }, row =>
      and([
        this.#related(row, last as EntityRelation),
        compareToValue({ row, field: reference }, operator, value),
      ]),
    );
  }

  /** Whether the row is the given instance: they have the same key. */
  #isInstance({ via, relation }: RowPath, value: unknown): Condition {
    if (value === null) {
      return relation === undefined
        ? never
        : this.#through(via, from => negate(this.#related(from, relation)));
    }
    const entity = relation?.target ?? endOf(via);
    if (!(value instanceof entity.class)) return never;
    const key = entity.key.map(field => ({ field, value: (value as Record<string, unknown>)[field.name] }));
    if (key.some(part => part.value === undefined || part.value === null)) {
      throw new Unfilterable({
        reason: `a row is compared to a ${entity.name} that has no key`,
        remedy: 'see to it that what the policy reads of the actor is saved, and loaded with its key',
      });
    }
    const relations = relation === undefined ? via.relations : [...via.relations, relation];
    return and(
      key.map(part =>
        this.#compareField({ kind: 'field', via: { ...via, relations }, field: part.field }, '=', part.value),
      ),
    );
  }

  /** Whether two paths lead to the same row, or neither holds any. */
  #isSameRow(left: RowPath, right: RowPath): Condition {
    return this.#through(left.via, a =>
      this.#through(right.via, b => {
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
  #reached(left: RowPath, right: Path | Known, condition: Condition): Condition {
    const paths = right.kind === 'row' ? [left.via, right.via] : [left.via];
    return and([...paths.map(path => this.#through(path, () => always)), condition]);
  }

  #missing(from: RowVariable, relation: EntityRelation | undefined): Condition {
    return relation === undefined ? never : negate(this.#related(from, relation));
  }

  /** The columns that hold the key of a row, or that refer to it. */
  #end(
    from: RowVariable,
    relation: EntityRelation | undefined,
    condition: (key: readonly Column[]) => Condition,
  ): Condition {
    const keyOf = (row: RowVariable) => row.entity.key.map(field => ({ row, field }));
    if (relation === undefined) return condition(keyOf(from));
    const references = relation.target.key.map(key => referenceTo(relation, key));
    if (relation.guaranteed && references.every(field => field !== undefined)) {
      const columns = references.map(field => ({ row: from, field }));
      return and([this.#related(from, relation), condition(columns)]);
    }
    return this.#step(from, relation, to => condition(keyOf(to)));
  }

  /** Whether a relation to one leads anywhere. It is one condition for all who ask, so that its key is made once. */
  #related(from: RowVariable, relation: EntityRelation): Condition {
    const step = `${from.number}.${relation.name}`;
    let related = this.#relatedBy.get(step);
    if (related === undefined) {
      related = relation.guaranteed
        ? and(
            // No policy reads the reference.
            relation.join.map(join => whereNotNull({ row: from, field: { ...join.from, mayFail: false } })),
          )
        : this.#step(from, relation, () => always);
      this.#relatedBy.set(step, related);
    }
    return related;
  }

  #through({ from, relations }: Navigation, condition: (end: RowVariable) => Condition): Condition {
    const [first, ...rest] = relations;
    if (first === undefined) return condition(from);
    return this.#step(from, first, to => this.#through({ from: to, relations: rest }, condition));
  }

  /** One of the rows of a relation. Every `in` speaks of a row of its own, even of the same list. */
  #item(from: RowVariable, relation: EntityRelation, before: number): RowVariable {
    return this.#rowVariable(`${from.number}.${relation.name}.${before}`, relation.target);
  }

  /**
   * Any of the rows of a relation.
   *
   * @param before how many other rows of the same relation are spoken of
   */
  item({ via, relation }: RowsPath, before: number): Item {
    const from = via.relations.reduce(
      (row, step) => this.#rowVariable(`${row.number}.${step.name}`, step.target),
      via.from,
    );
    const to = this.#item(from, relation, before);
    return {
      list: `${from.number}.${relation.name}`,
      row: { kind: 'row', via: { from: to, relations: [] }, relation: undefined },
      exists: condition => this.#through(via, () => exists(relation, from, to, condition)),
      missing: () => this.#missingAlong(via),
    };
  }

  #step(from: RowVariable, relation: EntityRelation, condition: (to: RowVariable) => Condition): Condition {
    const to = this.#rowVariable(`${from.number}.${relation.name}`, relation.target);
    return exists(relation, from, to, condition(to));
  }

  /** The row at the end of a step; the same for the same step, so that conditions on it come together. */
  #rowVariable(step: string, entity: Entity): RowVariable {
    const known = this.#rowVariables.get(step);
    if (known !== undefined) return known;
    const row: RowVariable = { entity, number: this.#count++ };
    this.#rowVariables.set(step, row);
    return row;
  }
}

const references = new WeakMap<EntityRelation, Map<Field, Field>>();

/** The field by which a relation refers to one of its target, not null, as it is if the relation leads somewhere. */
function referenceTo(relation: EntityRelation, field: Field): Field | undefined {
  let known = references.get(relation);
  if (known === undefined) {
    // A reference has the type of what it refers to.
    known = new Map(relation.join.map(({ from, to }) => [to, { ...from, type: to.type, nullable: false }]));
    references.set(relation, known);
  }
  return known.get(field);
}

function relationsOf({ via, relation }: RowPath): readonly EntityRelation[] {
  return relation === undefined ? via.relations : [...via.relations, relation];
}

function isEquality(operator: PolicyOperator): boolean {
  return operator === '=' || operator === '==';
}

function inherits(descendant: Class, ancestor: Class): boolean {
  return descendant.prototype instanceof ancestor;
}

function endOf({ from, relations }: Navigation): Entity {
  return relations.at(-1)?.target ?? from.entity;
}

function noCondition(): Unfilterable {
  return new Unfilterable({
    reason: 'it takes for a condition what is neither true nor false',
    remedy: 'compare it to a value',
  });
}

function unsupportedOperator(operator: PolicyOperator): Unfilterable {
  return new Unfilterable({
    reason: `it compares rows with \`${operator}\``,
    remedy: COMPARE,
  });
}

function unsupportedClass(name: string): Unfilterable {
  return new Unfilterable({
    reason: `it asks of a row whether it is of the class \`${name}\`, which its table does not tell`,
    remedy: 'compare a field that tells',
  });
}

function attributeOfNoRow(name: string): Unfilterable {
  return new Unfilterable({
    reason: `it asks for \`${name}\` of what is no row`,
    remedy: 'say of a relation to many which row is meant: item in resource.items',
  });
}

function unknownAttribute(name: string, of: string): Unfilterable {
  return new Unfilterable({
    reason: `\`${name}\` is no field and no relation of ${of} that the database knows`,
    remedy: 'use what is in the database',
  });
}

function throwMixed(field: Field): never {
  throw new Unfilterable({
    reason: `the field \`${field.name}\` is compared to a row`,
    remedy: 'compare it to a field of that row',
  });
}
