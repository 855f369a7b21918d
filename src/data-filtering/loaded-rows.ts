import type { Relation } from 'oso';
import { propertyOf } from '../own-properties.js';
import type { RelationSource } from '../polar/values/relations.js';
import { FollowedRelation, isByKey, type RelationOf } from './related.js';
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
  /** What a relation leads to, by the values that it is found by. */
  readonly #byRelation = new Map<EntityRelation, Loaded>();
  /** Rows by their keys. */
  readonly #byKey = new Map<Entity, Loaded>();
  readonly #loading: RelationOf[] = [];

  constructor(load: Load) {
    this.#load = load;
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
