import { Relation } from 'oso';
import { define, propertyOf } from '../guard/own-properties.js';
import { hasNul } from './condition/comparison.js';
import type { Entity, EntityRelation, Field, FieldType, Schema } from './schema.js';

/**
 * What a policy asks for by `expense.owner`: Oso hands it to the adapter as the value of a filter. The adapter takes what
 * is loaded, and loads what is not.
 */
export class RelationOf {
  readonly owner: object;
  readonly entity: Entity;
  readonly relation: EntityRelation;
  /** See {@link isReference}. */
  readonly isReference: boolean;
  #values: { readonly read: readonly unknown[] | undefined } | undefined;
  #key: readonly unknown[] | undefined;

  constructor(owner: object, entity: Entity, relation: EntityRelation, isReference: boolean) {
    this.owner = owner;
    this.entity = entity;
    this.relation = relation;
    this.isReference = isReference;
  }

  /**
   * The values by which it is found, in the order of {@link fieldsOf}; undefined if the row does not hold all of them. There
   * may be no property of a foreign key, or it was not loaded.
   *
   * They are read once: by what it is looked up it is also kept, whatever a getter of the row says the next time.
   */
  get values(): readonly unknown[] | undefined {
    this.#values ??= { read: this.#readValues() };
    return this.#values.read;
  }

  #readValues(): readonly unknown[] | undefined {
    const values = fieldsOf(this.relation).map(field =>
      this.entity.fields.get(field.name) === field ? propertyOf(this.owner, field.name) : undefined,
    );
    return values.includes(undefined) ? undefined : values;
  }

  /** The key of the row. */
  get key(): readonly unknown[] {
    this.#key ??= this.entity.key.map(({ name }) => propertyOf(this.owner, name));
    return this.#key;
  }
}

/** What the property of a relation holds; undefined if it is not loaded. It may be a promise. */
export function held({ owner, relation }: RelationOf): unknown {
  return propertyOf(owner, relation.name);
}

const fields = new WeakMap<EntityRelation, readonly Field[]>();

/** The fields of a row by which a relation is found. If it is found by its key, they are in the order of the key. */
export function fieldsOf(relation: EntityRelation): readonly Field[] {
  let known = fields.get(relation);
  if (known === undefined) {
    known = foundBy(relation);
    fields.set(relation, known);
  }
  return known;
}

function foundBy(relation: EntityRelation): readonly Field[] {
  const { join, joinTable, target } = relation;
  if (joinTable !== undefined) return joinTable.source.map(({ field }) => field);
  const pairs = isByKey(relation) ? target.key.flatMap(key => join.filter(({ to }) => to === key)) : join;
  return pairs.map(({ from }) => from);
}

/** Whether a relation finds one row, by its key. */
export function isByKey({ kind, target: { key }, join }: EntityRelation): boolean {
  return (
    kind === 'one' && join.length === key.length && key.every(field => join.some(({ to }) => to === field))
  );
}

/**
 * A relation that Oso follows. Oso would read a foreign key from a property of the owner, which need not have one, and
 * ask the database each time, even for what is loaded. A getter by a symbol gives it the whole owner instead.
 */
export class FollowedRelation extends Relation {
  readonly #entity: Entity;
  readonly #relation: EntityRelation;
  readonly #isReference: boolean;

  constructor(entity: Entity, relation: EntityRelation, isReference: boolean) {
    const getter = Symbol(`koa-oso: ${relation.name} of ${entity.name}`);
    define(entity.class.prototype, getter, {
      get(this: object) {
        return new RelationOf(this, entity, relation, isReference);
      },
    });
    super(relation.kind, relation.target.name, getter as unknown as string, relation.name);
    this.#entity = entity;
    this.#relation = relation;
    this.#isReference = isReference;
  }

  /** The relation of one row. */
  of(owner: object): RelationOf {
    return new RelationOf(owner, this.#entity, this.#relation, this.#isReference);
  }

  /** What Oso's engine is told of it. It reads only the kind and the class. */
  override serialize(): ReturnType<Relation['serialize']> {
    return {
      Relation: {
        kind: this.kind,
        other_class_tag: this.otherType,
        my_field: this.otherField,
        other_field: this.otherField,
      },
    };
  }
}

/**
 * Whether the fields by which a relation is found tell all of the row but its other fields: its key, its class, and that it
 * is there.
 */
export function isReference(schema: Schema, relation: EntityRelation): boolean {
  const { guaranteed, target, join } = relation;
  return (
    guaranteed &&
    isByKey(relation) &&
    join.every(({ from, to }) => from.type.kind === to.type.kind && isPlain(from) && isPlain(to)) &&
    ![...schema.values()].some(entity => entity.class.prototype instanceof target.class)
  );
}

function isPlain({ toDatabase }: Field): boolean {
  return toDatabase === undefined;
}

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const WHOLE = /^(?:0|-?[1-9]\d*)$/;

/**
 * Whether a value is one that the database gives back for a key just as it is, so that rows are told apart by it in JavaScript
 * as they are in SQL. A whole number that is a text, say, is not.
 */
export function isExact(value: unknown, type: FieldType): boolean {
  const { kind } = type;
  if (kind === 'integer') {
    return Number.isSafeInteger(value) && (value as number) >= type.min && (value as number) <= type.max;
  }
  if (kind === 'number') return Number.isSafeInteger(value);
  if (typeof value !== 'string' || hasNul(value) || !value.isWellFormed()) return false;
  if (kind === 'uuid') return UUID.test(value);
  return kind === 'bigint' ? WHOLE.test(value) : kind === 'text' || kind === 'enum';
}
