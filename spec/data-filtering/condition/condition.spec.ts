import { expect } from 'chai';
import {
  always,
  type Column,
  type Condition,
  never,
  type RowVariable,
  whereNotNull,
  whereNull,
  whereUnreadable,
} from '../../../src/data-filtering/condition/condition.js';
import { and, negate, or } from '../../../src/data-filtering/condition/simplify.js';
import type { Entity, EntityRelation, Field } from '../../../src/data-filtering/schema.js';
import { schema } from '../support/world.js';

const expense = schema.get('Expense') as Entity;
const resource: RowVariable = { entity: expense, number: 0 };
const column = (name: string, row = resource): Column => ({
  row,
  field: row.entity.fields.get(name) as Field,
});
const related = (name: string, number: number): { relation: EntityRelation; to: RowVariable } => {
  const relation = expense.relations.get(name) as EntityRelation;
  return { relation, to: { entity: relation.target, number } };
};
const equal = (name: string, value: unknown): Condition => ({
  kind: 'compare',
  column: column(name),
  operator: '=',
  value,
});
const exists = (name: string, number: number, condition: Condition): Condition => ({
  kind: 'exists',
  from: resource,
  ...related(name, number),
  condition,
});
const isSecret: Condition = {
  kind: 'compare',
  column: column('isSecret', related('tags', 1).to),
  operator: '=',
  value: true,
};
const isTravel: Condition = {
  kind: 'compare',
  column: column('id', related('tags', 1).to),
  operator: '=',
  value: 'travel',
};

describe('conditions put together', () => {
  it('leave out what changes nothing', () => {
    const paid = equal('paid', true);
    expect(and([])).to.equal(always);
    expect(or([])).to.equal(never);
    expect(and([always, paid])).to.equal(paid);
    expect(or([never, paid])).to.equal(paid);
    expect(and([never, paid])).to.equal(never);
    expect(or([paid, always])).to.equal(always);
    expect(and([paid, equal('paid', true)])).to.equal(paid);
  });

  it('are flat', () => {
    const [a, b, c] = [equal('id', 1), equal('cents', 2), equal('status', 'draft')];
    expect(and([and([a, b]), c])).to.deep.equal({ kind: 'and', conditions: [a, b, c] });
    expect(or([or([a, b]), c])).to.deep.equal({ kind: 'or', conditions: [a, b, c] });
  });

  it('make one list of alternative values of a field', () => {
    expect(or([equal('id', 1), equal('id', 2), or([equal('id', 1), equal('id', 3)])])).to.deep.equal({
      kind: 'in',
      column: column('id'),
      values: [1, 2, 3],
    });
    expect(or([equal('id', 1), equal('id', 1)])).to.deep.equal(equal('id', 1));
    const both = or([equal('id', 1), equal('cents', 1)]);
    expect(both.kind).to.equal('or');
  });

  it('ask once for the row of a relation to one, but for each row of a relation to many', () => {
    const [isAdmin, isNamed] = (['isAdmin', 'name'] as const).map(
      (name): Condition => ({
        kind: 'compare',
        column: column(name, related('owner', 1).to),
        operator: '=',
        value: true,
      }),
    ) as [Condition, Condition];
    expect(and([exists('owner', 1, isAdmin), exists('owner', 1, isNamed)])).to.deep.equal(
      exists('owner', 1, { kind: 'and', conditions: [isAdmin, isNamed] }),
    );
    expect(and([exists('tags', 1, isSecret), exists('tags', 1, isTravel)]).kind).to.equal('and');
    expect(or([exists('tags', 1, isSecret), exists('tags', 1, isTravel)])).to.deep.equal(
      exists('tags', 1, { kind: 'or', conditions: [isSecret, isTravel] }),
    );
    expect(or([exists('tags', 1, isSecret), exists('tags', 2, isTravel)]).kind).to.equal('or');
  });
});

describe('the negation of a condition', () => {
  it('holds where the field is null, if it may be', () => {
    expect(negate(equal('id', 1))).to.deep.equal({ ...equal('id', 1), operator: '!=' });
    expect(negate(equal('note', 'x'))).to.deep.equal({
      kind: 'or',
      conditions: [
        { ...equal('note', 'x'), operator: '!=' },
        { kind: 'isNull', column: column('note') },
      ],
    });
  });

  it('of a list of values is that it is none of them', () => {
    const condition: Condition = { kind: 'in', column: column('id'), values: [1, 2] };
    const none: Condition = { kind: 'notIn', column: column('id'), values: [1, 2] };
    expect(negate(condition)).to.deep.equal(none);
    expect(negate(none)).to.deep.equal(condition);
    expect(and([negate(equal('id', 1)), negate(equal('id', 2))])).to.deep.equal(none);
  });

  it('of a comparison of fields holds where one of them is null', () => {
    const condition: Condition = {
      kind: 'compareColumns',
      left: column('amount'),
      operator: '<',
      right: column('cents'),
    };
    // Where one is NaN, `>=` does not hold either.
    expect(negate(condition)).to.deep.equal({
      kind: 'or',
      conditions: [
        { ...condition, negated: true },
        { kind: 'isNull', column: column('amount') },
      ],
    });
    const text = { ...condition, left: column('note'), right: column('ownerId') } as const;
    expect(negate(text)).to.deep.equal({
      kind: 'or',
      conditions: [
        { ...text, operator: '>=' },
        { kind: 'isNull', column: column('note') },
      ],
    });
  });

  it('is, negated again, the condition', () => {
    const conditions: Condition[] = [
      always,
      never,
      { kind: 'isNull', column: column('note') },
      { kind: 'isNotNull', column: column('note') },
      { kind: 'isReadable', column: column('amount') },
      { kind: 'compare', column: column('cents'), operator: '<', value: 1 },
      exists('tags', 1, isSecret),
      {
        kind: 'reaches',
        key: [column('id')],
        row: related('owner', 1).to,
        relation: related('owner', 1).to.entity.relations.get('manager') as EntityRelation,
        base: isSecret,
        step: always,
      },
      and([equal('id', 1), equal('cents', 2)]),
      or([equal('id', 1), equal('cents', 2)]),
    ];
    for (const condition of conditions) {
      expect(negate(negate(condition))).to.deep.equal(condition);
      expect(negate(condition)).not.to.deep.equal(condition);
    }
  });

  it('knows of fields that are never null', () => {
    expect(whereNull(column('id'))).to.equal(never);
    const sure = { row: resource, field: { ...column('id').field, mayFail: false } };
    expect(whereNotNull(sure)).to.equal(always);
    expect(whereUnreadable(sure)).to.equal(never);
    // Policies that read what is there may fail all the same.
    expect(whereNotNull(column('id')).kind).to.equal('isNotNull');
    expect(whereUnreadable(column('id')).kind).to.equal('isUnreadable');
    expect(whereNull(column('note')).kind).to.equal('isNull');
    expect(whereNotNull(column('note')).kind).to.equal('isNotNull');
  });
});
