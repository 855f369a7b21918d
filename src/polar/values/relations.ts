import { inspect } from 'node:util';
import type { Oso, Relation } from 'oso';
import { UnregisteredClassError } from '../../engine/oso-internals.js';

/** Loads what relations lead to, for one question. A data filtering adapter that knows its rows makes one. */
export interface RelationSource {
  /** What a relation of an object leads to, or a promise of it; `undefined` if the relation is none of its own. */
  follow(owner: object, relation: Relation): unknown;
  /** What is being loaded, for who has waited too long: "`owner` of Expense". Undefined if nothing is. */
  readonly loading: string | undefined;
  /**
   * Loads nothing by itself from now on, but gathers what is asked for.
   *
   * @param onAsked called when there is something more to load
   */
  gather(onAsked: () => void): void;
  /** A value that a question is about: the relations of one are loaded for all of a class. */
  expect(value: unknown): void;
  /** Loads what was gathered, as few statements as that takes. */
  flush(): void;
}

/**
 * A row that another one refers to by its key, and that is known to be there. Its class and its key are known, so that it is
 * loaded only if more is asked of it: to `await` it is to load it.
 */
export abstract class RowReference implements PromiseLike<unknown> {
  #loading: Promise<unknown> | undefined;
  #loaded: { readonly row: unknown } | undefined;

  /** The row, once it is loaded. */
  get loaded(): { readonly row: unknown } | undefined {
    return this.#loaded;
  }

  /** An instance of the row's own class that holds nothing but the key. */
  abstract readonly key: object;

  /** Whether what the row has by a name is known from the key: a part of it, or a relation that is found by it. */
  abstract knows(name: string): boolean;

  protected abstract load(): Promise<unknown>;

  // biome-ignore lint/suspicious/noThenProperty: whoever needs the row waits for it, as for a promise of the host
  then<Value = unknown, Reason = never>(
    onFulfilled?: ((row: unknown) => Value | PromiseLike<Value>) | null,
    onRejected?: ((reason: unknown) => Reason | PromiseLike<Reason>) | null,
  ): Promise<Value | Reason> {
    this.#loading ??= this.load().then(row => {
      this.#loaded = { row };
      return row;
    });
    return this.#loading.then(onFulfilled, onRejected);
  }

  /** What `print` shows. */
  [inspect.custom](): object {
    return this.key;
  }
}

/** An adapter that makes a {@link RelationSource} for each question. */
export interface RelationAdapter {
  relations(): RelationSource;
}

/** What of an Oso's host is needed to follow relations. */
type Host = Pick<ReturnType<Oso['getHost']>, 'adapter' | 'getType' | 'types'>;

/**
 * The relations that one question follows, or several that are asked side by side. Each relation of each object is loaded once,
 * and what was loaded is forgotten with the question: by the next one, the data may be other.
 */
export class Relations {
  readonly #host: Host;
  readonly #source: RelationSource | undefined;
  /** How many questions are under way, and how many of them wait for something; undefined if there is but one. */
  #sideBySide: { underWay: number; waiting: number } | undefined;
  /** What was loaded through an adapter that knows of no questions. */
  readonly #loaded = new Map<object, Map<Relation, Promise<unknown>>>();
  #loading: string[] = [];

  constructor(host: Host, source: RelationSource | undefined = sourceOf(host)) {
    this.#host = host;
    this.#source = source;
  }

  /** Loads for several questions, each of which says when it begins, waits, goes on and ends. */
  gather(): void {
    this.#sideBySide ??= { underWay: 0, waiting: 0 };
    // A question may ask while it waits: what it hands to the host is awaited one after the other, and not at once.
    this.#source?.gather(() => this.#flushIfAllWait());
  }

  /** A question begins. */
  begin(args: readonly unknown[]): void {
    if (this.#sideBySide === undefined) return;
    this.#sideBySide.underWay++;
    for (const arg of args) this.#source?.expect(arg);
  }

  /** A question has ended. */
  end(): void {
    if (this.#sideBySide === undefined) return;
    this.#sideBySide.underWay--;
    this.#flushIfAllWait();
  }

  /** Waits for a promise on behalf of a question. */
  async wait<Result>(pending: PromiseLike<Result>): Promise<Result> {
    if (this.#sideBySide === undefined) return pending;
    this.#sideBySide.waiting++;
    this.#flushIfAllWait();
    try {
      return await pending;
    } finally {
      this.#sideBySide.waiting--;
    }
  }

  /** Once none of the questions can go on, all that they wait for is known. */
  #flushIfAllWait(): void {
    if (!this.#allWait()) return;
    // Of questions that are about to go on, the promises are settled: they do so before this.
    process.nextTick(() => {
      if (this.#allWait()) this.#source?.flush();
    });
  }

  #allWait(): boolean {
    return this.#sideBySide !== undefined && this.#sideBySide.waiting === this.#sideBySide.underWay;
  }

  /** What a relation of an object leads to, or a promise of it. */
  follow(owner: object, relation: Relation): unknown {
    const followed = this.#source?.follow(owner, relation);
    if (followed !== undefined) return followed;
    let loaded = this.#loaded.get(owner);
    if (loaded === undefined) {
      loaded = new Map();
      this.#loaded.set(owner, loaded);
    }
    let related = loaded.get(relation);
    if (related === undefined) {
      related = this.#load(owner, relation);
      loaded.set(relation, related);
    }
    return related;
  }

  /** What is being loaded: "`owner` of Expense". */
  get loading(): string | undefined {
    return this.#source?.loading ?? this.#loading[0];
  }

  /** As Oso does: by a filter that its adapter makes a query of. */
  async #load(owner: object, { otherType, otherField, myField, kind }: Relation): Promise<unknown> {
    const { adapter, types } = this.#host;
    if (this.#host.getType(otherType) === undefined) throw new UnregisteredClassError(otherType);
    const query = adapter.buildQuery({
      model: otherType,
      relations: [],
      conditions: [
        [
          {
            lhs: { typeName: otherType, fieldName: otherField },
            cmp: 'Eq',
            rhs: { value: (owner as Record<string, unknown>)[myField] },
          },
        ],
      ],
      types,
    });
    const name = `a relation to ${otherType}`;
    this.#loading.push(name);
    let results: unknown[];
    try {
      results = await adapter.executeQuery(query);
    } finally {
      this.#loading.splice(this.#loading.indexOf(name), 1);
    }
    if (kind !== 'one') return results;
    if (results.length !== 1) throw new Error(`Wrong number of parents: ${results.length}`);
    return results[0];
  }
}

function sourceOf({ adapter }: Host): RelationSource | undefined {
  const { relations } = adapter as Partial<RelationAdapter>;
  return typeof relations === 'function' ? relations.call(adapter) : undefined;
}
