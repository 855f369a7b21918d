import { expect } from 'chai';
import type { Column, Condition, RowVariable } from '../../../src/data-filtering/condition/condition.js';
import { isOfFew, isUncorrelated } from '../../../src/data-filtering/condition/uncorrelated.js';
import type { Entity, EntityRelation, Field } from '../../../src/data-filtering/schema.js';
import { schema } from '../support/world.js';

const row = (name: string, number: number): RowVariable => ({ entity: schema.get(name) as Entity, number });
const [expense, organization, member] = [row('Expense', 0), row('Organization', 1), row('Membership', 2)];
const column = (of: RowVariable, name: string): Column => ({
  row: of,
  field: of.entity.fields.get(name) as Field,
});
const equals = (of: RowVariable, name: string, value: unknown): Condition => ({
  kind: 'compare',
  column: column(of, name),
  operator: '=',
  value,
});
const among = (of: RowVariable, name: string, values: unknown[]): Condition => ({
  kind: 'in',
  column: column(of, name),
  values,
});
const same = (left: Column, right: Column): Condition => ({
  kind: 'compareColumns',
  left,
  operator: '=',
  right,
});
const hasMember = (condition: Condition, from = organization): Condition => ({
  kind: 'exists',
  relation: organization.entity.relations.get('members') as EntityRelation,
  from,
  to: member,
  condition,
});
const all = (...conditions: Condition[]): Condition => ({ kind: 'and', conditions });
const any = (...conditions: Condition[]): Condition => ({ kind: 'or', conditions });
const isAcme = equals(organization, 'id', 'acme');

describe('a condition of related rows', () => {
  it('is uncorrelated if it speaks of them alone, and of what they are related to', () => {
    for (const condition of [
      isAcme,
      all(
        isAcme,
        any(among(organization, 'name', ['Acme']), { kind: 'isNull', column: column(organization, 'name') }),
      ),
      hasMember(same(column(member, 'organizationId'), column(organization, 'id'))),
    ]) {
      expect(isUncorrelated(condition, organization)).to.equal(true);
    }
  });

  it('is correlated if it compares them with the row outside', () => {
    const outside = same(column(organization, 'id'), column(expense, 'organizationId'));
    for (const condition of [
      outside,
      all(isAcme, outside),
      any(isAcme, equals(expense, 'status', 'paid')),
      hasMember(same(column(member, 'userId'), column(expense, 'ownerId'))),
      hasMember(isAcme, expense),
    ]) {
      expect(isUncorrelated(condition, organization)).to.equal(false);
    }
  });

  it('is thought to hold of few if each way asks for values that are known', () => {
    for (const condition of [
      isAcme,
      among(organization, 'id', ['acme', 'fund']),
      all(equals(organization, 'isPublic', true), isAcme),
      any(isAcme, hasMember(equals(member, 'userId', 'ann'))),
    ]) {
      expect(isOfFew(condition)).to.equal(true);
    }
  });

  it('is thought to hold of many if a way asks for yes or no, for what is not, or for what is in another column', () => {
    for (const condition of [
      equals(organization, 'isPublic', true),
      any(isAcme, equals(organization, 'isPublic', true)),
      { ...(isAcme as Extract<Condition, { kind: 'compare' }>), operator: '!=' } as Condition,
      { ...(isAcme as Extract<Condition, { kind: 'compare' }>), negated: true } as Condition,
      { kind: 'notIn', column: column(organization, 'id'), values: ['acme'] } as Condition,
      same(column(organization, 'id'), column(organization, 'parentId')),
      { kind: 'isNotNull', column: column(organization, 'name') } as Condition,
    ]) {
      expect(isOfFew(condition)).to.equal(false);
    }
  });
});
