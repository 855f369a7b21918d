import type { Oso } from 'oso';
import type { EqualityFn } from '../../../src/data-filtering/equality.js';
import type { Data, Rows } from './world.js';

/** The class `Oso`, or `CompiledOso`. */
export type Engine = new <Query = unknown, Row = unknown>(options: {
  equalityFn: EqualityFn;
}) => Oso<unknown, unknown, Row, unknown, unknown, Query>;

/**
 * A database that holds the world, behind one adapter. Each adapter's spec has one, and hands it to `itLists` and `itAgrees`.
 */
export interface Store {
  /** For the names of specs: "arrays", "TypeORM on SQLite". */
  readonly name: string;
  /** Connects, and creates the tables. */
  open(): Promise<void>;
  /** Replaces all rows by these. It is called often. */
  fill(data: Data): Promise<void>;
  /**
   * A new instance with `entityEquality`, `registerEntities` and the data filtering adapter of this store. It outlives
   * many a `fill`.
   */
  oso(Engine: Engine): Oso;
  /**
   * The rows of each entity that are not deleted, in any order: instances of the world's classes, as the ORM gives them,
   * without relations.
   */
  load(): Promise<Rows>;
  /** The texts of the SQL statements that were sent since this was asked last; undefined where there is no SQL. */
  statements(): readonly string[] | undefined;
  close(): Promise<void>;
}
