import { expect } from 'chai';
import { describedSchema } from '../../src/data-filtering/describe.js';
import type { SchemaDescription } from '../../src/data-filtering/description.js';
import { entityOf } from '../../src/data-filtering/schema.js';
import { description, Expense, schema, Tag, User } from './support/world.js';

class Note {}

function errorOf(described: SchemaDescription): { code: string; message: string } {
  try {
    describedSchema(described);
  } catch (error) {
    return error as { code: string; message: string };
  }
  throw new Error('It was accepted');
}

describe('a description of entities', () => {
  it('names tables, columns and keys; by default as the entity and its fields, and `id`', () => {
    const described = describedSchema({ Note: { class: Note, fields: { id: 'integer', text: 'text' } } });
    const note = described.get('Note');
    expect(note).to.include({ name: 'Note', class: Note, table: 'Note', deletedAt: undefined });
    expect(note?.key.map(({ name }) => name)).to.deep.equal(['id']);
    expect(note?.fields.get('text')).to.deep.include({
      name: 'text',
      column: 'text',
      nullable: true,
      type: { kind: 'text' },
    });
    const expense = schema.get('Expense');
    expect(expense?.table).to.equal('expenses');
    expect(expense?.fields.get('approverId')).to.include({ column: 'approver_id', nullable: true });
    expect(expense?.deletedAt?.column).to.equal('deleted_at');
    expect(schema.get('Membership')?.key.map(({ column }) => column)).to.deep.equal([
      'user_id',
      'organization_id',
    ]);
  });

  it('has integers that policies can read, and enums of their values', () => {
    expect(schema.get('Expense')?.fields.get('cents')?.type).to.deep.equal({
      kind: 'integer',
      min: Number.MIN_SAFE_INTEGER,
      max: Number.MAX_SAFE_INTEGER,
    });
    expect(schema.get('Expense')?.fields.get('status')?.type).to.deep.equal({
      kind: 'enum',
      values: ['draft', 'submitted', 'approved'],
    });
  });

  it('takes a reference for certain only by a foreign key, to rows that are not deleted softly', () => {
    const relations = schema.get('Expense')?.relations;
    expect(relations?.get('owner')?.guaranteed).to.equal(true);
    expect(relations?.get('approver')?.guaranteed).to.equal(false);
    expect(relations?.get('organization')?.guaranteed).to.equal(false);
    expect(relations?.get('lines')?.guaranteed).to.equal(false);
  });

  it('relates through tables between', () => {
    const tags = schema.get('Expense')?.relations.get('tags');
    expect(tags).to.include({ kind: 'many', target: schema.get('Tag') });
    expect(tags?.join).to.deep.equal([]);
    expect(tags?.joinTable?.source.map(({ column, field }) => [column, field.name])).to.deep.equal([
      ['expense_id', 'id'],
    ]);
    expect(tags?.joinTable?.target.map(({ column }) => column)).to.deep.equal(['tag_id']);
  });

  it('is refused where it names what it does not describe', () => {
    const entity = { class: Note, fields: { id: 'integer' } } as const;
    const cases: [SchemaDescription, string][] = [
      [{ Note: { ...entity, key: ['number'] } }, '`number`'],
      [{ Note: { ...entity, deletedAt: 'gone' } }, '`gone`'],
      [{ Note: { ...entity, relations: { author: { one: 'Author', on: { id: 'id' } } } } }, 'Author'],
      [{ Note: { ...entity, relations: { next: { one: 'Note', on: { nextId: 'id' } } } } }, '`nextId`'],
      [{ Note: { ...entity, relations: { next: { one: 'Note', on: { id: 'number' } } } } }, '`number`'],
      [{ Note: { ...entity, relations: { next: { many: 'Note', on: {} } } } }, '`next`'],
      [
        {
          Note: {
            ...entity,
            relations: { next: { many: 'Note', through: { table: 't', from: {}, to: {} } } },
          },
        },
        '`next`',
      ],
    ];
    for (const [described, named] of cases) {
      const error = errorOf(described);
      expect(error).to.have.property('code', 'ERR_KOA_OSO_INVALID_ARGUMENT');
      expect(error.message).to.include('Note').and.to.include(named);
    }
  });

  it('takes a field for nullable unless it is said not to be', () => {
    const note = describedSchema({
      Note: {
        class: Note,
        fields: {
          id: { type: 'integer', nullable: false },
          text: { type: 'text', column: 'body' },
          at: 'date',
        },
      },
    }).get('Note');
    const nullable = [...(note?.fields.values() ?? [])].map(field => field.nullable);
    expect(nullable).to.deep.equal([false, true, true]);
  });

  it('is refused by name where something in it is misspelt, of no such type, or left out', () => {
    const fields = { id: 'integer' } as const;
    const next = (relation: object) => ({ Note: { class: Note, fields, relations: { next: relation } } });
    const field = (described: unknown) => ({ Note: { class: Note, fields: { text: described } } });
    const cases: [described: unknown, named: RegExp][] = [
      [{}, /no entities/],
      [null, /no entities/],
      [{ Note: null }, /Note is not an object/],
      [{ Note: { fields } }, /Note has no `class`/],
      [{ Note: { class: 'Note', fields } }, /Note has no `class`/],
      [{ Note: { class: Note } }, /Note has no `fields`/],
      [{ Note: { class: Note, fields: {} } }, /Note has no `fields`/],
      [{ Note: { class: Note, fields, tabel: 'notes' } }, /Note has a key `tabel`/],
      [{ Note: { class: Note, fields, relation: {} } }, /Note has a key `relation`/],
      [{ Note: { class: Note, fields, table: 5 } }, /Note has a `table`/],
      [{ Note: { class: Note, fields, key: [] } }, /Note has a `key`/],
      [{ Note: { class: Note, fields, key: 'id' } }, /Note has a `key`/],
      [field('string'), /`text` of the entity Note has the type 'string' that there is not/],
      [field('toString'), /`text` of the entity Note has the type 'toString'/],
      [field(undefined), /`text` of the entity Note has a type that there is not/],
      [field({}), /`text` of the entity Note has a type that there is not/],
      [field({ type: 'varchar' }), /the type 'varchar'/],
      [field({ type: 'text', nulable: false }), /`text` of the entity Note has a key `nulable`/],
      [field({ type: 'text', nullable: 'no' }), /`nullable`/],
      [field({ type: 'text', column: '' }), /`column`/],
      [field({ enum: [] }), /`text` of the entity Note is an enum/],
      [field({ enum: ['a', 1] }), /`text` of the entity Note is an enum/],
      [field({ enum: ['a'], nullable: false }), /`text` of the entity Note has a key `nullable`/],
      [field({ type: { enum: 'a' } }), /`text` of the entity Note is an enum/],
      [next({}), /`next` of the entity Note leads neither/],
      [next({ one: 'Note', many: 'Note', on: { id: 'id' } }), /`next` of the entity Note leads neither/],
      [next({ one: 'Note' }), /`next` of the entity Note says what is related neither/],
      [
        next({ one: 'Note', on: { id: 'id' }, foriegnKey: true }),
        /`next` of the entity Note has a key `foriegnKey`/,
      ],
      [next({ one: 'Note', on: { id: 'id' }, foreignKey: 1 }), /`foreignKey`/],
      [
        next({ many: 'Note', through: { tabel: 't', from: {}, to: {} } }),
        /`next` of the entity Note has a key `tabel`/,
      ],
      [
        next({ many: 'Note', through: { table: 't', from: { id: 'a' } } }),
        /`next` of the entity Note is `through`/,
      ],
    ];
    for (const [described, named] of cases) {
      const error = errorOf(described as SchemaDescription);
      expect(error, String(named)).to.have.property('code', 'ERR_KOA_OSO_INVALID_ARGUMENT');
      expect(error.message).to.match(named);
    }
  });

  it('finds entities by class and by name', () => {
    expect(entityOf(schema, Expense)?.name).to.equal('Expense');
    expect(entityOf(schema, 'Tag')?.class).to.equal(Tag);
    expect(entityOf(schema, Note)).to.equal(undefined);
    expect(entityOf(schema, 'Note')).to.equal(undefined);
    expect(Object.keys(description)).to.include(entityOf(schema, User)?.name);
  });
});
