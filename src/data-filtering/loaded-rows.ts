import type { Relation } from 'oso';
import { constructorOf } from '../guard/class-of.js';
import { define, propertyOf } from '../guard/own-properties.js';
import { isThenable } from '../polar/values/host.js';
import { type RelationSource, RowReference } from '../polar/values/relations.js';
import type { Lookup } from './lookup.js';
import { FollowedRelation, fieldsOf, isByKey, isExact, RelationOf } from './related.js';
import type { Entity, EntityRelation, Field } from './schema.js';

/** How an adapter follows relations. */
export interface RelationAccess {
  /** What a row holds of a relation already; undefined if it is not loaded. To ask must not load it. */
  readonly held: (related: RelationOf) => unknown;
  /** Loads what a relation of a row leads to: rows, or nothing, or a promise of them. */
  readonly load: (related: RelationOf) => Promise<readonly unknown[]>;
  /**
   * The same for several rows, in one statement: what each of them leads to, in their order; undefined if that cannot be
   * told, so that each has to be asked for.
   */
  readonly loadMany: (lookup: Lookup) => Promise<readonly (readonly unknown[])[] | undefined>;
  /** Whether a foreign key always leads to its row: arrays have none. */
  readonly hasForeignKeys: boolean;
}

/** Rows, or promises of them, by what identifies them. */
type Loaded = Map<unknown, unknown>;

/** Something to load, together with other things of its group if that is known. */
interface Request {
  readonly related: RelationOf;
  /** Requests of one group are loaded by one statement. */
  readonly group: object | undefined;
  readonly byKey: boolean;
  readonly fields: readonly Field[];
  readonly values: readonly unknown[];
  resolve(found: unknown): void;
  reject(error: unknown): void;
}

/** Databases take some 30,000 values in a statement, and a thousand conditions that are nested. */
const MAX_VALUES = 5_000;
const MAX_CONDITIONS = 200;
/** So many rows a relation is loaded for besides the one that is asked for it, lest too much is loaded. */
const MAX_SIBLINGS = 1000;

/**
 * The rows that one question loads, or several that are asked side by side. Each relation of each row is loaded once, and each
 * row once by its key, whatever path leads to it. Nothing is put on the rows themselves, for the application goes on with them.
 */
export class LoadedRows implements RelationSource {
  readonly #access: RelationAccess;
  /** What a relation leads to, by the values that it is found by. */
  readonly #byRelation = new Map<EntityRelation, Loaded>();
  /** Rows by their keys. */
  readonly #byKey = new Map<Entity, Loaded>();
  /** What was found for the relations of a row. A policy asks for the same again and again. */
  readonly #answers = new Map<object, Map<FollowedRelation, unknown>>();
  /** What foreign keys lead to, if it is not loaded, by its key. */
  readonly #references = new Map<Entity, Loaded>();
  /** Lists of rows that came together: what one is asked for, the others are taken to be asked for as well. */
  readonly #lists = new Set<Iterable<unknown>>();
  readonly #listOf = new Map<unknown, Iterable<unknown>>();
  /** The rows that the questions are about, by their classes. */
  readonly #askedAbout = new Map<unknown, Set<unknown>>();
  /** For how many rows of a list a relation was loaded, when it was asked for last. */
  readonly #asked = new Map<Iterable<unknown>, Map<EntityRelation, number>>();
  readonly #loading: RelationOf[] = [];
  /** What waits until it is loaded together, and who has asked; undefined if each is loaded at once. */
  #gathered:
    | { readonly requests: Request[]; readonly askers: RelationOf[]; readonly onAsked: () => void }
    | undefined;

  constructor(access: RelationAccess) {
    this.#access = access;
  }

  follow(owner: object, followed: Relation): unknown {
    if (!(followed instanceof FollowedRelation)) return undefined;
    let answers = this.#answers.get(owner);
    const known = answers?.get(followed);
    if (known !== undefined) return known;
    const found = this.related(followed.of(owner));
    // What is being loaded is another thing once it is loaded.
    if (!isThenable(found) || found instanceof RowReference) {
      if (answers === undefined) {
        answers = new Map();
        this.#answers.set(owner, answers);
      }
      answers.set(followed, found);
    }
    return found;
  }

  /**
   * What a relation of a row leads to: what the row holds of it, or what is loaded: a row or `null`, or an array of rows. A
   * promise of it, if it has to be loaded; or a reference, of which only the key is known.
   */
  related(related: RelationOf): unknown {
    const { relation } = related;
    const held = this.#access.held(related);
    if (held !== undefined) {
      if (Array.isArray(held)) this.#cameTogether(held);
      return held;
    }
    const { values } = related;
    if (values?.includes(null)) return relation.kind === 'one' ? null : [];
    const known = this.#placeOf(related, values);
    const found = known.rows.get(known.id);
    if (found !== undefined) {
      // It is about to be loaded together with others: the siblings may come along.
      if (found instanceof Promise) this.#gathered?.askers.push(related);
      return found;
    }
    if (values !== undefined && related.isReference && this.#access.hasForeignKeys) {
      const reference = this.#referenceTo(related, values, known.id);
      if (reference !== undefined) return reference;
    }
    return this.#load(related);
  }

  /** What a foreign key leads to, as long as only its key is known; one for all that refer to it. */
  #referenceTo(related: RelationOf, values: readonly unknown[], id: unknown): Reference | undefined {
    const { target } = related.relation;
    const references = loadedOf(this.#references, target);
    const known = references.get(id);
    if (known !== undefined) return known as Reference;
    if (!target.key.every(({ type }, at) => isExact(values[at], type))) return undefined;
    const reference = new Reference(target, values, () => this.#load(related));
    references.set(id, reference);
    return reference;
  }

  gather(onAsked: () => void): void {
    this.#gathered ??= { requests: [], askers: [], onAsked };
  }

  expect(value: unknown): void {
    if (typeof value !== 'object' || value === null) return;
    const cls = constructorOf(value);
    const rows = this.#askedAbout.get(cls) ?? new Set();
    this.#askedAbout.set(cls, rows.add(value));
    this.#listOf.set(value, rows);
  }

  flush(): void {
    if (this.#gathered === undefined) return;
    const { requests, askers } = this.#gathered;
    const expanded = new Map<EntityRelation, Set<unknown>>();
    for (const asker of askers.splice(0)) {
      const lists = expanded.get(asker.relation) ?? new Set();
      expanded.set(asker.relation, lists);
      const list = this.#listOf.get(asker.owner);
      if (!lists.has(list)) this.#start(this.#siblingsOf(asker));
      lists.add(list);
    }
    if (requests.length > 0) void this.#loadAll(requests.splice(0));
  }

  get loading(): string | undefined {
    const [first] = this.#loading;
    return first && `\`${first.relation.name}\` of ${first.entity.name}`;
  }

  /** Where it is kept what a relation of a row leads to. */
  #placeOf(related: RelationOf, values: readonly unknown[] | undefined): { rows: Loaded; id: unknown } {
    const { relation } = related;
    const id = values === undefined ? idOf(related.key, 'key') : idOf(values);
    // By the owner itself it is only this relation that is known: its others lead to other rows of the same entity.
    if (id === undefined) return { rows: loadedOf(this.#byRelation, relation), id: related.owner };
    const rows =
      values !== undefined && isByKey(relation)
        ? loadedOf(this.#byKey, relation.target)
        : loadedOf(this.#byRelation, relation);
    return { rows, id };
  }

  async #load(related: RelationOf): Promise<unknown> {
    // For what is gathered, the siblings come along later, when all of them are known.
    this.#gathered?.askers.push(related);
    const siblings = this.#gathered === undefined ? this.#siblingsOf(related) : [];
    const [found] = this.#start([related, ...siblings]);
    return found;
  }

  /** Loads what is not known yet, now or with all that is gathered; the answer is what is found, or promises of it. */
  #start(wanted: readonly RelationOf[]): readonly unknown[] {
    const started = wanted.map(each => this.#request(each));
    const requests = started.flatMap(({ request }) => request ?? []);
    if (this.#gathered === undefined) void this.#loadAll(requests);
    else if (requests.length > 0) {
      this.#gathered.requests.push(...requests);
      this.#gathered.onAsked();
    }
    return started.map(({ found }) => found);
  }

  /** A request that is yet to be loaded, and what will be found; no request, if it is known or on its way. */
  #request(related: RelationOf): { request: Request | undefined; found: unknown } {
    const { values } = related;
    const { rows, id } = this.#placeOf(related, values);
    const known = rows.get(id);
    if (known !== undefined) return { request: undefined, found: known };
    let request: Request | undefined;
    const found = new Promise<unknown>((resolve, reject) => {
      request = {
        related,
        ...lookedUpBy(related, values),
        resolve: result => {
          rows.set(id, result);
          resolve(result);
        },
        reject,
      };
    });
    // Nobody may be waiting for what is loaded beside something else.
    found.catch(() => {});
    rows.set(id, found);
    return { request, found };
  }

  /** The same relation of rows that came with this one, and will be asked for it next. */
  #siblingsOf({ owner, entity, relation, isReference }: RelationOf): RelationOf[] {
    const list = this.#listOf.get(owner);
    if (list === undefined) return [];
    const count = this.#howManyOf(list, relation);
    if (count === 0) return [];
    const siblings: RelationOf[] = [];
    for (const row of list) {
      if (row === owner) continue;
      const sibling = this.#siblingAt(row, entity, relation, isReference);
      if (sibling !== undefined && siblings.push(sibling) === count) return siblings;
    }
    // There are no more.
    this.#asked.get(list)?.set(relation, 0);
    return siblings;
  }

  /** The relation of a row that may come along with others; undefined if it is known, or cannot be loaded together. */
  #siblingAt(
    row: unknown,
    entity: Entity,
    relation: EntityRelation,
    isReference: boolean,
  ): RelationOf | undefined {
    try {
      if (constructorOf(row) !== entity.class) return undefined;
      const sibling = new RelationOf(row as object, entity, relation, isReference);
      const { values } = sibling;
      if (this.#access.held(sibling) !== undefined || values?.includes(null)) return undefined;
      const { rows, id } = this.#placeOf(sibling, values);
      const isKnown = rows.has(id) || lookedUpBy(sibling, values).group === undefined;
      return isKnown ? undefined : sibling;
    } catch {
      // A getter of it may throw. That is for the question that asks about this row, and not for those about others.
      return undefined;
    }
  }

  /**
   * How many of a list a relation is loaded for besides the one that asks. If it leads to many, and there is but one question,
   * to which the first may be enough: none at first, and then twice as many each time.
   */
  #howManyOf(list: Iterable<unknown>, relation: EntityRelation): number {
    if (this.#gathered !== undefined) return MAX_SIBLINGS;
    const asked = this.#asked.get(list) ?? new Map<EntityRelation, number>();
    this.#asked.set(list, asked);
    const last = asked.get(relation);
    const isTentative = relation.kind === 'many';
    if (last === undefined && isTentative) {
      asked.set(relation, 1);
      return 0;
    }
    const count = isTentative ? Math.min((last ?? 0) * 2, MAX_SIBLINGS) : last === 0 ? 0 : MAX_SIBLINGS;
    asked.set(relation, count);
    return count;
  }

  #cameTogether(rows: Iterable<unknown>): void {
    if (this.#lists.has(rows)) return;
    this.#lists.add(rows);
    for (const row of rows) if (!this.#listOf.has(row)) this.#listOf.set(row, rows);
  }

  /** Loads all that is requested: each group by one statement, one after the other, for there may be one connection. */
  async #loadAll(requests: readonly Request[]): Promise<void> {
    const groups = new Map<object, Request[]>();
    for (const request of requests) {
      const group = request.group ?? request;
      const known = groups.get(group);
      if (known === undefined) groups.set(group, [request]);
      else known.push(request);
    }
    for (const group of groups.values()) {
      const [first] = group;
      const size = first?.fields.length === 1 ? MAX_VALUES : MAX_CONDITIONS;
      for (let from = 0; from < group.length; from += size) {
        await this.#loadGroup(group.slice(from, from + size));
      }
    }
  }

  async #loadGroup(requests: readonly Request[]): Promise<void> {
    const [first] = requests as [Request];
    const { related, byKey, fields } = first;
    this.#loading.push(related);
    try {
      const { entity, relation } = related;
      const owners = requests.map(({ values }) => values);
      const found =
        requests.length > 1
          ? await this.#access.loadMany({ entity, relation, byKey, fields, owners })
          : undefined;
      const together = new Set<object>();
      for (const [at, request] of requests.entries()) {
        const rows = found?.[at] ?? (await this.#access.load(request.related));
        for (const row of this.#settle(request, rows)) together.add(row);
      }
      if (together.size > 1) this.#cameTogether(together);
    } catch (error) {
      for (const { reject } of requests) reject(error);
    } finally {
      this.#loading.splice(this.#loading.indexOf(related), 1);
    }
  }

  #settle(
    { related: { relation }, resolve, reject }: Request,
    loaded: readonly unknown[],
  ): readonly object[] {
    const rows = loaded.map(row => this.#once(relation.target, row as object));
    if (relation.kind !== 'one') resolve(rows);
    else if (rows.length > 1) reject(new Error(`Wrong number of parents: ${rows.length}`));
    else resolve(rows[0] ?? null);
    return rows;
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

/**
 * How rows are told apart in a statement that asks for what a relation of several leads to. They are in no group if they cannot
 * be, for a value is one that the database may give back as another.
 */
function lookedUpBy(
  related: RelationOf,
  values: readonly unknown[] | undefined,
): Pick<Request, 'group' | 'byKey' | 'fields' | 'values'> {
  const { entity, relation } = related;
  const byKey = values === undefined;
  const fields = byKey ? entity.key : fieldsOf(relation);
  const asked = byKey ? related.key : values;
  const isTold =
    fields.every((field, at) => field.toDatabase === undefined && isExact(asked[at], field.type)) &&
    new Set(fields).size === fields.length &&
    !(byKey && relation.joinTable !== undefined);
  return { group: isTold ? groupOf(relation, byKey) : undefined, byKey, fields, values: asked };
}

/** Of all relations that find a row by its key, one statement asks. */
function groupOf(relation: EntityRelation, byKey: boolean): object {
  if (byKey) return relation.join;
  const isSame = isByKey(relation) && relation.join.every(({ from, to }) => from.type.kind === to.type.kind);
  return isSame ? relation.target : relation;
}

/** The row that a foreign key leads to. */
class Reference extends RowReference {
  readonly #entity: Entity;
  readonly #load: () => Promise<unknown>;
  readonly key: object;

  constructor(entity: Entity, values: readonly unknown[], load: () => Promise<unknown>) {
    super();
    this.#entity = entity;
    this.#load = load;
    this.key = Object.create(entity.class.prototype);
    entity.key.forEach(({ name }, at) => {
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
function idOf(values: readonly unknown[], prefix = ''): string | number | undefined {
  const [only] = values;
  // Most keys are one number.
  if (prefix === '' && values.length === 1 && Number.isSafeInteger(only)) return only as number;
  return values.every(isIdentified) ? `${prefix}${JSON.stringify(values)}` : undefined;
}

function isIdentified(value: unknown): boolean {
  return typeof value === 'string' || typeof value === 'boolean' || Number.isSafeInteger(value);
}
