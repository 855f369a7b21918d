import { expect } from 'chai';
import { entityEquality, registerEntities } from '../../../src/data-filtering/array/index.js';
import { CompiledOso } from '../../../src/polar/index.js';
import { itLists } from '../support/acceptance.js';
import { itAgrees } from '../support/agreement.js';
import { ArrayStore } from '../support/array-store.js';

itLists(new ArrayStore());
itAgrees(new ArrayStore());

class Label {
  constructor(
    readonly docId: unknown,
    readonly audience: unknown,
  ) {}
}
class Doc {
  constructor(
    readonly id: unknown,
    readonly releasedBy?: unknown,
  ) {}
}

const DOCS = {
  Doc: {
    class: Doc,
    fields: { id: { type: 'integer', nullable: false }, releasedBy: 'text' },
    relations: { labels: { many: 'Label', on: { id: 'docId' } } },
  },
  Label: { class: Label, key: ['docId', 'audience'], fields: { docId: 'integer', audience: 'text' } },
} as const;

async function docs(rule: string, rows: Record<string, readonly object[]>): Promise<unknown> {
  const oso = new CompiledOso<unknown, unknown, object, unknown, unknown, object[]>({
    equalityFn: entityEquality(DOCS),
  });
  registerEntities(oso, rows, DOCS);
  await oso.loadStr(`allow(_, "read", doc: Doc) if ${rule};`);
  return oso.authorizedResources('ann', 'read', Doc).then(
    found => found.map(doc => (doc as Doc).id),
    ({ code, message }) => `${code}: ${message}`,
  );
}

describe('rows in arrays', () => {
  const labels = [new Label(1, 'public'), new Label(2, null)];
  const rows = [new Doc(1, 'ann'), new Doc(2, null), new Doc(3, null)];

  it('may hold null in a field of which nothing else is said', async () => {
    expect(
      await docs('forall(label in doc.labels, label.audience = "public")', { Doc: rows, Label: labels }),
    ).to.deep.equal([1, 3]);
    expect(await docs('doc.releasedBy != nil', { Doc: rows, Label: labels })).to.deep.equal([1]);
  });

  const wrong: Readonly<Record<string, readonly [Record<string, readonly object[]>, string]>> = {
    'have no value for a field': [{ Doc: [new Doc(1)], Label: [] }, '`releasedBy` of Doc is missing'],
    'hold null against the description': [{ Doc: [new Doc(null, 'ann')], Label: [] }, '`id` of Doc is null'],
    'hold a value of another type': [{ Doc: [new Doc('1', 'ann')], Label: [] }, 'not of the type integer'],
    'are related, and hold one': [
      { Doc: [rows[0] as Doc], Label: [new Label(1, 7)] },
      'not of the type text',
    ],
    'are of another class': [
      { Doc: [{ id: 1, releasedBy: 'ann' }], Label: [] },
      'not an instance of the class Doc',
    ],
  };
  for (const [what, [arrays, message]] of Object.entries(wrong)) {
    it(`are refused if they ${what}`, async () => {
      const refused = await docs(
        'doc.releasedBy != nil and not (label in doc.labels and label.audience = "x")',
        arrays,
      );
      expect(refused)
        .to.match(/^ERR_KOA_OSO_INVALID_ARGUMENT/)
        .and.to.include(message);
    });
  }
});

class Thing {
  constructor(
    readonly id: number,
    readonly left: unknown,
    readonly right: unknown,
  ) {}
}

describe('fields of arrays', () => {
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
      // Rows with values of another type are refused.
      const welltyped = rows.filter(({ left, right }) =>
        [left, right].every(
          value =>
            typeof value === KINDS[type] &&
            (type !== 'integer' || (Number.isInteger(value) && Number(value) < 2 ** 31)),
        ),
      );
      let listed = 0;
      for (const condition of conditions) {
        const oso = new CompiledOso({ equalityFn: entityEquality(described) });
        registerEntities(oso, { Thing: welltyped }, described);
        await oso.loadStr(`allow(_, "read", t: Thing) if ${condition};`);
        let list: Thing[];
        try {
          list = (await oso.authorizedQuery('ann', 'read', Thing)) as Thing[];
        } catch (error) {
          expect(error).to.have.property('code', 'ERR_KOA_OSO_UNFILTERABLE_POLICY');
          continue;
        }
        for (const row of welltyped) {
          const allowed = await oso.isAllowed('ann', 'read', row).catch(() => false);
          const isListed = list.includes(row);
          if (isListed) listed++;
          expect(isListed, `${condition} ${String(row.left)} ${String(row.right)}`).to.equal(allowed);
        }
      }
      expect(listed).to.be.above(10);
    });
  }
});

const KINDS = { number: 'number', integer: 'number', boolean: 'boolean' } as const;
