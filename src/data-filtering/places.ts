import type { Class } from 'oso/dist/src/types.js';
import { compareColumns, compareToValue, type PolicyOperator } from './comparison.js';
import {
  always,
  and,
  type Column,
  type Condition,
  negate,
  never,
  or,
  type Source,
  speaksOf,
  whereNotNull,
  whereNull,
} from './condition.js';
import { type Entity, type EntityRelation, entityOf, type Field, type Schema } from './schema.js';
import { Unfilterable } from './unfilterable.js';

/** What only the database knows: a field of a row, a row, or the rows that it is related to. */
export type Place = FieldPlace | RowPlace | RowsPlace;

export interface FieldPlace {
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

export interface RowsPlace {
  readonly kind: 'rows';
  readonly path: Path;
  readonly relation: EntityRelation;
}

/** From a row, through relations to one, to another. */
interface Path {
  readonly from: Source;
  readonly relations: readonly EntityRelation[];
}

/** A value that is known, as against places. */
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

/** The places of a query: it makes conditions of what a policy asks of them. */
export class Places {
  readonly #schema: Schema;
  readonly #sources = new Map<string, Source>();
  /** The row that is filtered. */
  readonly resource: RowPlace;

  constructor(schema: Schema, entity: Entity) {
    this.#schema = schema;
    const from = { entity, number: 0 };
    this.resource = { kind: 'row', path: { from, relations: [] }, relation: undefined };
  }

  /** Where an attribute of a row leads, if the row is there. */
  lookup(owner: Place, name: string): Place {
    if (owner.kind !== 'row') throw unknownAttribute(name, 'what is no row');
    const path = pathTo(owner);
    const entity = endOf(path);
    const relation = entity.relations.get(name);
    if (relation !== undefined)
      return { kind: relation.kind === 'one' ? 'row' : 'rows', path, relation } as Place;
    const field = entity.fields.get(name);
    if (field === undefined) throw unknownAttribute(name, entity.name);
    return { kind: 'field', path, field };
  }

  /** Whether a row is there: it is not where a reference is null, or leads to nothing. */
  exists(row: RowPlace): Condition {
    return this.#through(pathTo(row), () => always);
  }

  /**
   * One of the rows, whichever it is.
   *
   * @param number tells it from other rows of the same list
   */
  someOf(list: RowsPlace, number: number): { row: RowPlace; where: (condition: Condition) => Condition } {
    const { path, relation } = list;
    const from = this.#endOf(path);
    const to = this.#source(`${from.number}.${relation.name}.${number}`, relation.target);
    return {
      row: { kind: 'row', path: { from: to, relations: [] }, relation: undefined },
      // What does not depend on the row may be decided outside.
      where: condition => {
        const parts = condition.kind === 'and' ? condition.conditions : [condition];
        const inside = parts.filter(part => speaksOf(part, to));
        const outside = parts.filter(part => !speaksOf(part, to));
        return and([this.#through(path, () => exists(relation, from, to, and(inside))), ...outside]);
      },
    };
  }

  /** Tells lists of the same rows from others. */
  nameOf({ path, relation }: RowsPlace): string {
    return `${this.#endOf(path).number}.${relation.name}`;
  }

  /** Whether what is in a place is of a class. Refused where some rows may be, and some not. */
  isA(place: Place, tag: string): Condition {
    if (place.kind === 'rows') return tag === 'List' ? always : never;
    if (place.kind === 'field') throw unsupportedClass(tag);
    return this.#isA(place.relation?.target ?? endOf(place.path), tag) ? this.exists(place) : never;
  }

  /** Whether every row of an entity is of the class; refused where some may be, and some not. */
  #isA(entity: Entity, tag: string): boolean {
    const other = entityOf(this.#schema, tag)?.class;
    if (tag === entity.name) return true;
    if (other === undefined) throw unsupportedClass(tag);
    if (other === entity.class || inherits(entity.class, other)) return true;
    if (inherits(other, entity.class)) throw unsupportedClass(tag);
    return false;
  }

  /** Whether a place compares to a value, or to another place, as policies compare them. */
  compare(left: Place | Known, policyOperator: PolicyOperator, right: Place | Known): Condition {
    if (left.kind === 'value') {
      if (right.kind === 'value') throw new Error('Both values are known');
      return this.compare(right, FLIPPED[policyOperator], left);
    }
    const operator = policyOperator === '==' ? '=' : policyOperator;
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

  #endOf({ from, relations }: Path): Source {
    return relations.reduce(
      (source, relation) => this.#source(`${source.number}.${relation.name}`, relation.target),
      from,
    );
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

function exists(relation: EntityRelation, from: Source, to: Source, condition: Condition): Condition {
  const { deletedAt } = relation.target;
  const met =
    deletedAt === undefined ? condition : and([whereNull({ source: to, field: deletedAt }), condition]);
  return met.kind === 'never' ? never : { kind: 'exists', relation, from, to, condition: met };
}

function inherits(descendant: Class, ancestor: Class): boolean {
  return descendant.prototype instanceof ancestor;
}

function endOf({ from, relations }: Path): Entity {
  return relations.at(-1)?.target ?? from.entity;
}

/** The row at the end of a path, as the path to what it is related to. */
function pathTo({ path, relation }: RowPlace): Path {
  return relation === undefined ? path : { ...path, relations: [...path.relations, relation] };
}

function unsupportedClass(name: string): Unfilterable {
  return new Unfilterable({
    reason: `it asks of a row whether it is of the class \`${name}\`, which its table does not tell`,
    remedy: 'compare a field that tells',
  });
}

function unknownAttribute(name: string, of: string): Unfilterable {
  return new Unfilterable({
    reason: `\`${name}\` is no field and no relation of ${of} that the database knows`,
    remedy:
      'use what is in the database, or say of the relation to many which row is meant: item in resource.items',
  });
}

function throwMixed(field: Field): never {
  throw new Unfilterable({
    reason: `the field \`${field.name}\` is compared to a row`,
    remedy: 'compare it to a field of that row',
  });
}

export function unsupportedOperator(operator: string): Unfilterable {
  return new Unfilterable({
    reason: `it applies \`${operator}\` to what only the database knows`,
    remedy: 'compare fields of the resource, or of what it is related to, to values or to each other',
  });
}
