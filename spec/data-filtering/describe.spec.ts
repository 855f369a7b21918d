import { expect } from 'chai';
import { describedSchema, type SchemaDescription } from '../../src/data-filtering/describe.js';
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
      nullable: false,
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

  it('finds entities by class and by name', () => {
    expect(entityOf(schema, Expense)?.name).to.equal('Expense');
    expect(entityOf(schema, 'Tag')?.class).to.equal(Tag);
    expect(entityOf(schema, Note)).to.equal(undefined);
    expect(entityOf(schema, 'Note')).to.equal(undefined);
    expect(Object.keys(description)).to.include(entityOf(schema, User)?.name);
  });
});
