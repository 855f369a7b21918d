import type { Class } from 'oso';
import { compareColumns, compareToValue, type PolicyOperator } from '../condition/comparison.js';
import {
  always,
  and,
  type Column,
  type Condition,
  exists,
  negate,
  never,
  or,
  type Source,
  whereNotNull,
  whereNull,
  whereUnreadable,
} from '../condition/condition.js';
import type { Entity, EntityRelation, Field } from '../schema.js';
import { COMPARE, Unfilterable } from '../unfilterable.js';

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
  exists(condition: Condition): Condition;
  /** That what the relation belongs to is not there. */
  missing(): Condition;
}

/** Values that are known, as against places in rows that are not yet. */
export interface Known {
  readonly kind: 'value';
  readonly value: unknown;
}

const FLIPPED: Readonly<Record<PolicyOperator, PolicyOperator>> = {
  '=': '=',
  '==': '==',
  '!=': '!=',
  '<': '>',
  '<=': '>=',
  '>': '<',
  '>=': '<=',
};

/** More than databases care to join. */
const MAX_RELATIONS = 30;

/** Classes that values of fields may be of. */
const VALUE_CLASSES: ReadonlySet<unknown> = new Set([Object, String, Number, Boolean, Date, Array]);

/** What policies say of places in rows, as conditions on the rows of one entity. */
export class Places {
  readonly #classNamed: ClassNamed;
  readonly #root: Source;
  readonly #sources = new Map<string, Source>();

  constructor(entity: Entity, classNamed: ClassNamed) {
    this.#classNamed = classNamed;
    this.#root = { entity, number: 0 };
  }

  /** The row that is asked about. */
  get root(): RowPlace {
    return { kind: 'row', path: { from: this.#root, relations: [] }, relation: undefined };
  }

  /** An attribute of what a place stands for. */
  attribute(owner: Place | Known, name: string): Place {
    if (owner.kind !== 'row') throw attributeOfNoRow(name);
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

  /** Whether rows may have something by a name that is not described: their class has it, or they are no rows but lists. */
  mayHave(place: Place, name: string): boolean {
    if (place.kind === 'rows') return true;
    if (place.kind === 'field')
      return place.field.type.kind === 'unsupported' || place.field.type.kind === 'date';
    return name in (place.relation?.target ?? endOf(place.path)).class.prototype;
  }

  /** Whether a place is a row that is reached through relations which may lead nowhere. */
  mayBeMissing(place: Place): place is RowPlace {
    return place.kind === 'row' && (place.relation !== undefined || place.path.relations.length > 0);
  }

  /** That there is a row at a place. */
  isThere({ path, relation }: RowPlace): Condition {
    return this.#through(path, from => (relation === undefined ? always : this.#related(from, relation)));
  }

  /** A rule that follows a relation from row to row, and itself, has no end before there are rows. */
  refuseEndless(place: Place, name: string): void {
    if (place.path.relations.length < MAX_RELATIONS || place.kind !== 'row') return;
    if (!(place.relation?.target ?? endOf(place.path)).relations.has(name)) return;
    throw new Unfilterable({
      reason: `it follows more than ${MAX_RELATIONS} relations in a row, as a rule does that calls itself`,
      remedy: 'follow as many as there can be, each in a rule of its own',
    });
  }

  /** Whether what a place stands for is of a class. */
  isA(place: Place | Known, tag: string): Condition {
    if (place.kind === 'rows') return tag === 'List' ? always : never;
    if (place.kind === 'value') throw unsupportedClass(tag);
    if (place.kind === 'field') return this.#isFieldA(place, tag);
    const entity = place.relation?.target ?? endOf(place.path);
    const isOne = this.#isA(entity, tag);
    if (!isOne) return never;
    return this.isThere(place);
  }

  /** Whether the value of a field is of a class: text is a String, and no value is a row. */
  #isFieldA({ path, field }: FieldPlace, tag: string): Condition {
    const { kind } = field.type;
    const isText = kind === 'text' || kind === 'uuid' || kind === 'enum' || kind === 'bigint';
    if ((isText && tag === 'String') || (kind === 'boolean' && tag === 'Boolean')) {
      return this.#through(path, source => whereNotNull({ source, field }));
    }
    const named = this.#classNamed(tag);
    const isOther = kind !== 'unsupported' && named !== undefined && !VALUE_CLASSES.has(named);
    if (!isOther) throw unsupportedClass(tag);
    return never;
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

  /** A field is true; it fails where it is neither true nor false. */
  isTrue(place: Place): { holds: Condition; fails: Condition } {
    if (place.kind !== 'field' || place.field.type.kind !== 'boolean') throw noCondition();
    const { path, field } = place;
    return {
      holds: this.compare(place, '=', { kind: 'value', value: true }),
      fails: or([
        this.#missingPath(path),
        this.#through(path, source => whereNull({ source, field })),
        this.unreadable(place),
      ]),
    };
  }

  /** That a field holds a value that is an error to policies that read it. */
  unreadable(place: Place | Known): Condition {
    if (place.kind !== 'field') return never;
    return this.#through(place.path, source => whereUnreadable({ source, field: place.field }));
  }

  /** The rows of a relation to many. */
  rows(place: Place): RowsPlace {
    if (place.kind === 'rows') return place;
    throw new Unfilterable({
      reason: 'it looks with `in` into what is no relation to many',
      remedy: 'ask for a row of a relation to many, or for a value of a list that is known',
    });
  }

  /**
   * Compares what places stand for, or values.
   *
   * @param inNot inside of a `not` an attribute of nil is undefined, which differs from all but itself; elsewhere it is
   *   an error, and nothing holds of it
   */
  compare(
    left: Place | Known,
    policyOperator: PolicyOperator,
    right: Place | Known,
    inNot = false,
  ): Condition {
    const compared = this.#compare(left, policyOperator, right);
    if (!inNot) return compared;
    const [a, b] = [this.#undefined(left), this.#undefined(right)];
    if (isEquality(policyOperator)) return or([compared, and([a, b])]);
    if (policyOperator !== '!=') return compared;
    return or([compared, and([a, negate(b)]), and([negate(a), b])]);
  }

  /** Whether a value is undefined, as is the attribute of a row that is not there. */
  #undefined(place: Place | Known): Condition {
    if (place.kind === 'value') return place.value === undefined ? always : never;
    return this.#missingPath(place.path);
  }

  #missingPath({ from, relations }: Path): Condition {
    const last = relations.at(-1);
    if (last === undefined) return never;
    return negate(
      this.#through({ from, relations: relations.slice(0, -1) }, source => this.#related(source, last)),
    );
  }

  #compare(left: Place | Known, policyOperator: PolicyOperator, right: Place | Known): Condition {
    const operator = policyOperator === '==' ? '=' : policyOperator;
    if (left.kind === 'value') {
      if (right.kind === 'value') throw new TypeError('Both values are known');
      return this.#compare(right, FLIPPED[policyOperator], left);
    }
    if (left.kind === 'rows' || right.kind === 'rows') throw unsupportedOperator(operator);
    if (left.kind === 'field') {
      if (right.kind === 'value') return this.#compareField(left, policyOperator, right.value);
      if (right.kind === 'row') return throwMixed(left.field);
      return this.#through(left.path, a =>
        this.#through(right.path, b =>
          compareColumns({ source: a, field: left.field }, operator, { source: b, field: right.field }),
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
  #compareField({ path, field }: FieldPlace, operator: PolicyOperator, value: unknown): Condition {
    const last = path.relations.at(-1);
    const reference = last?.guaranteed ? last.join.find(({ to }) => to === field)?.from : undefined;
    if (reference === undefined) {
      return this.#through(path, source => compareToValue({ source, field }, operator, value));
    }
    return this.#through({ ...path, relations: path.relations.slice(0, -1) }, source =>
      and([
        this.#related(source, last as EntityRelation),
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
    // No policy reads the reference.
    return and(
      relation.join.map(join => whereNotNull({ source: from, field: { ...join.from, mayFail: false } })),
    );
  }

  #through({ from, relations }: Path, condition: (end: Source) => Condition): Condition {
    const [first, ...rest] = relations;
    if (first === undefined) return condition(from);
    return this.#step(from, first, to => this.#through({ from: to, relations: rest }, condition));
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
      exists: condition => this.#through(path, () => exists(relation, from, to, condition)),
      missing: () => this.#missingPath(path),
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
}

function isEquality(operator: PolicyOperator): boolean {
  return operator === '=' || operator === '==';
}

function inherits(descendant: Class, ancestor: Class): boolean {
  return descendant.prototype instanceof ancestor;
}

function endOf({ from, relations }: Path): Entity {
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
