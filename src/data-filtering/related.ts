import { Relation } from 'oso';
import { define, propertyOf } from '../own-properties.js';
import type { LoadedRelation } from '../polar/values/host.js';
import type { Entity, EntityRelation } from './schema.js';

/**
 * What a policy asks for by `expense.owner`: Oso hands it to the adapter as the value of a filter. The adapter takes what
 * is loaded, and loads what is not.
 */
export class RelationOf {
  readonly owner: object;
  readonly entity: Entity;
  readonly relation: EntityRelation;

  constructor(owner: object, entity: Entity, relation: EntityRelation) {
    this.owner = owner;
    this.entity = entity;
    this.relation = relation;
  }

  /** What the property holds; undefined where it is not loaded. It may be a promise, of a relation that is lazy. */
  get loaded(): unknown {
    return propertyOf(this.owner, this.relation.name);
  }
}

/**
 * A relation that Oso follows. Oso would read a foreign key from a property of the owner, which need not have one, and
 * ask the database each time, even for what is loaded. A getter by a symbol gives it the whole owner instead.
 */
export class FollowedRelation extends Relation implements LoadedRelation {
  readonly #entity: Entity;
  readonly #relation: EntityRelation;

  constructor(entity: Entity, relation: EntityRelation) {
    const getter = Symbol(`koa-oso: ${relation.name} of ${entity.name}`);
    define(entity.class.prototype, getter, {
      get(this: object) {
        return new RelationOf(this, entity, relation);
      },
    });
    super(relation.kind, relation.target.name, getter as unknown as string, relation.name);
    this.#entity = entity;
    this.#relation = relation;
  }

  /** What is loaded of it, for CompiledOso, which need not go by the adapter then. */
  loadedFrom(owner: object): unknown {
    return new RelationOf(owner, this.#entity, this.#relation).loaded;
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
