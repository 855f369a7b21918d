import { expect } from 'chai';
import type { Oso } from 'oso';
import { arrayAdapter, entityEquality, registerEntities } from '../../../src/data-filtering/array/index.js';
import { CompiledOso } from '../../../src/polar/index.js';
import { itAgrees } from '../support/agreement.js';
import type { Engine, Store } from '../support/store.js';
import { type Data, description, type EntityName, isThere, type Rows } from '../support/world.js';

class ArrayStore implements Store {
  readonly name = 'arrays';
  readonly #arrays: Record<string, readonly object[]> = {};

  async open(): Promise<void> {}

  async fill(data: Data): Promise<void> {
    // The rows that are loaded are given relations, and these are not.
    for (const [name, rows] of Object.entries(data)) this.#arrays[name] = rows.map(copy);
  }

  oso(Engine: Engine): Oso {
    const oso = new Engine<object[], object>({ equalityFn: entityEquality(description) });
    registerEntities(oso as Oso, description);
    oso.setDataFilteringAdapter(arrayAdapter(description, this.#arrays));
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

itAgrees(new ArrayStore());

class Thing {
  constructor(
    readonly id: number,
    readonly left: unknown,
    readonly right: unknown,
  ) {}
}

describe('arrays that hold what they should not', () => {
  const values = ['', '5', 'abc', 0, 1, 5, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, true, false];
  const rows = values.flatMap((left, at) =>
    values.map((right, other) => new Thing(at * 100 + other, left, right)),
  );
  const conditions = ['=', '==', '!=', '<', '<=', '>', '>='].flatMap(operator => {
    const compared = ['t.right', '0', '1', '5', '"5"', '""', 'true'].map(to => `t.left ${operator} ${to}`);
    return [...compared, ...compared.map(condition => `not (${condition})`), 't.left in [0, 5]'];
  });

  for (const type of ['number', 'integer', 'boolean'] as const) {
    it(`are compared as isAllowed compares: ${type}`, async () => {
      const described = {
        Thing: { class: Thing, fields: { id: 'integer', left: type, right: type } },
      } as const;
      let listed = 0;
      for (const condition of conditions) {
        const oso = new CompiledOso({ equalityFn: entityEquality(described) });
        registerEntities(oso, described);
        oso.setDataFilteringAdapter(arrayAdapter(described, { Thing: rows }));
        await oso.loadStr(`allow(_, "read", t: Thing) if ${condition};`);
        let list: Thing[];
        try {
          list = (await oso.authorizedQuery('ann', 'read', Thing)) as Thing[];
        } catch (error) {
          expect(error).to.have.property('code', 'ERR_KOA_OSO_UNFILTERABLE_POLICY');
          continue;
        }
        const isMistyped = ({ left, right }: Thing) =>
          [left, right].some(
            value => typeof value !== KINDS[type] || (type === 'integer' && !Number.isSafeInteger(value)),
          );
        for (const row of rows) {
          const allowed = await oso.isAllowed('ann', 'read', row).catch(() => false);
          const isListed = list.includes(row);
          if (isListed) listed++;
          // What a field should not hold need not be listed.
          if (!isListed && isMistyped(row)) continue;
          expect(isListed, `${condition} ${String(row.left)} ${String(row.right)}`).to.equal(allowed);
        }
      }
      expect(listed).to.be.above(10);
    });
  }
});

const KINDS = { number: 'number', integer: 'number', boolean: 'boolean' } as const;
