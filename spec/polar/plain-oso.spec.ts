import { expect } from 'chai';
import { entityEquality, registerEntities } from 'koa-oso/array';
import { Oso } from 'oso';

class Note {
  constructor(readonly id: number) {}
}

const DESCRIPTION = { Note: { class: Note, fields: { id: 'integer' } } } as const;

describe('The lists of a plain Oso', () => {
  it('try again after the engine failed while the policy was read for the first of them', async () => {
    const oso = new Oso({ equalityFn: entityEquality(DESCRIPTION) });
    registerEntities(oso, { Note: [new Note(1), new Note(2)] }, DESCRIPTION);
    await oso.loadStr('allow(_, "read", note: Note) if note.id = 2;');
    const { query } = oso;
    oso.query = () => {
      throw new Error('the engine has died');
    };
    const failed = await oso.authorizedResources('ann', 'read', Note).catch((error: Error) => error.message);
    expect(failed).to.equal('the engine has died');
    oso.query = query;
    expect(await oso.authorizedResources('ann', 'read', Note)).to.deep.equal([new Note(2)]);
  });
});
