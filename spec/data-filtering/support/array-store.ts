import type { Oso } from 'oso';
import { entityEquality, registerEntities } from '../../../src/data-filtering/array/index.js';
import type { Engine, Store } from './store.js';
import { type Data, description, type EntityName, isThere, type Rows } from './world.js';

/** The world in arrays. */
export class ArrayStore implements Store {
  readonly name = 'arrays';
  readonly #arrays: Record<string, readonly object[]> = {};

  async open(): Promise<void> {}

  async fill(data: Data): Promise<void> {
    // The rows that are loaded are given relations, and these are not.
    for (const [name, rows] of Object.entries(data)) this.#arrays[name] = rows.map(copy);
  }

  oso(Engine: Engine): Oso {
    const oso = new Engine<object[], object>({ equalityFn: entityEquality(description) });
    registerEntities(oso as Oso, this.#arrays, description);
    return oso as Oso;
  }

  async load(): Promise<Rows> {
    const rows = Object.entries(this.#arrays).map(([name, each]) => [
      name,
      name in description ? each.filter(row => isThere(name as EntityName, row)).map(copy) : each,
    ]);
    return Object.fromEntries(rows) as Rows;
  }

  statements(): undefined {}

  async close(): Promise<void> {}
}

function copy<Row extends object>(row: Row): Row {
  return Object.assign(Object.create(Object.getPrototypeOf(row)), row);
}
