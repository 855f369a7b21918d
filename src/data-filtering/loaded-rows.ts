import type { Relation } from 'oso';
import { define, propertyOf } from '../guard/own-properties.js';
import { type RelationSource, RowReference } from '../polar/values/relations.js';
import { FollowedRelation, fieldsOf, isByKey, isExact, type RelationOf } from './related.js';
import type { Entity, EntityRelation } from './schema.js';

/** Loads what a relation of a row leads to: rows, or none. */
type Load = (related: RelationOf) => Promise<readonly unknown[]>;

/** Rows, or promises of them, by what identifies them. */
type Loaded = Map<unknown, unknown>;

/**
 * The rows that one question loads. Each relation of each row is loaded once, and each row once by its key, whatever path leads
 * to it. Nothing is put on the rows themselves, for the application goes on with them.
 */
export class LoadedRows implements RelationSource {
  readonly #load: Load;
  readonly #hasForeignKeys: boolean;
  /** What a relation leads to, by the values that it is found by. */
  readonly #byRelation = new Map<EntityRelation, Loaded>();
  /** Rows by their keys. */
  readonly #byKey = new Map<Entity, Loaded>();
  readonly #loading: RelationOf[] = [];

  /** @param hasForeignKeys whether the rows are kept where a foreign key always leads to its row */
  constructor(load: Load, hasForeignKeys: boolean) {
    this.#load = load;
    this.#hasForeignKeys = hasForeignKeys;
  }

  follow(owner: object, followed: Relation): unknown {
    return followed instanceof FollowedRelation ? this.related(followed.of(owner)) : undefined;
  }

  /** What a relation of a row leads to: what the row holds of it, or what is loaded: a row or `null`, or an array of rows. */
  related(related: RelationOf): unknown {
    const { loaded } = related;
    if (loaded !== undefined) return loaded;
    const { relation } = related;
    const { values } = related;
    if (values?.some(value => value === null)) return relation.kind === 'one' ? null : [];
    const rows =
      values !== undefined && isByKey(relation)
        ? loadedOf(this.#byKey, relation.target)
        : loadedOf(this.#byRelation, relation);
    const id = (values === undefined ? idOf(related.key, 'key') : idOf(values)) ?? related.owner;
    const known = rows.get(id);
    if (known !== undefined) return known;
    if (values !== undefined && this.#isReference(related, values)) {
      return new Reference(related, values, () => this.#loadInto(rows, id, related));
    }
    return this.#loadInto(rows, id, related);
  }

  #isReference({ isReference, relation: { target } }: RelationOf, values: readonly unknown[]): boolean {
    return (
      isReference && this.#hasForeignKeys && target.key.every(({ type }, at) => isExact(values[at], type))
    );
  }

  #loadInto(rows: Loaded, id: unknown, related: RelationOf): Promise<unknown> {
    const known = rows.get(id);
    if (known !== undefined) return Promise.resolve(known);
    const found = this.#find(related).then(result => {
      rows.set(id, result);
      return result;
    });
    rows.set(id, found);
    return found;
  }

  get loading(): string | undefined {
    const [first] = this.#loading;
    return first && `\`${first.relation.name}\` of ${first.entity.name}`;
  }

  async #find(related: RelationOf): Promise<unknown> {
    const { kind, target } = related.relation;
    this.#loading.push(related);
    try {
      const rows = (await this.#load(related)).map(row => this.#once(target, row as object));
      if (kind !== 'one') return rows;
      if (rows.length > 1) throw new Error(`Wrong number of parents: ${rows.length}`);
      return rows[0] ?? null;
    } finally {
      this.#loading.splice(this.#loading.indexOf(related), 1);
    }
  }

  /** A row that was loaded, or the same row if it was loaded before. */
  #once(entity: Entity, row: object): object {
    const id = idOf(entity.key.map(({ name }) => propertyOf(row, name)));
    if (id === undefined) return row;
    const rows = loadedOf(this.#byKey, entity);
    const known = rows.get(id);
    if (typeof known === 'object' && known !== null && !(known instanceof Promise)) return known;
    rows.set(id, row);
    return row;
  }
}

/** The row that a foreign key leads to. */
class Reference extends RowReference {
  readonly #entity: Entity;
  readonly #load: () => Promise<unknown>;
  readonly key: object;

  constructor(
    { relation: { target } }: RelationOf,
    values: readonly unknown[],
    load: () => Promise<unknown>,
  ) {
    super();
    this.#entity = target;
    this.#load = load;
    this.key = Object.create(target.class.prototype);
    target.key.forEach(({ name }, at) => {
      define(this.key, name, { value: values[at], enumerable: true });
    });
  }

  knows(name: string): boolean {
    const { key, relations } = this.#entity;
    if (key.some(field => field.name === name)) return true;
    const relation = relations.get(name);
    return relation !== undefined && fieldsOf(relation).every(field => key.includes(field));
  }

  protected load(): Promise<unknown> {
    return this.#load();
  }
}

function loadedOf<Key>(all: Map<Key, Loaded>, key: Key): Loaded {
  let loaded = all.get(key);
  if (loaded === undefined) {
    loaded = new Map();
    all.set(key, loaded);
  }
  return loaded;
}

/** Identifies values: texts, numbers and booleans. Undefined of others: two dates, say, may be kept as one. */
function idOf(values: readonly unknown[], prefix = ''): string | undefined {
  return values.every(isIdentified) ? `${prefix}${JSON.stringify(values)}` : undefined;
}

function isIdentified(value: unknown): boolean {
  return typeof value === 'string' || typeof value === 'boolean' || Number.isSafeInteger(value);
}
