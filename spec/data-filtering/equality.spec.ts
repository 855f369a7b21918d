import { expect } from 'chai';
import { equalityOf } from '../../src/data-filtering/equality.js';
import { Expense, Membership, schema, User } from './support/world.js';

const equals = equalityOf(() => schema);
const user = (fields: Partial<User>) => Object.assign(new User(), fields);
const membership = (userId: string, organizationId: string, role: string) =>
  Object.assign(new Membership(), { userId, organizationId, role });

describe('entities', () => {
  it('are equal where their keys are, whatever else is loaded of them', () => {
    expect(equals(user({ id: 'ann', name: 'Ann' }), user({ id: 'ann' }))).to.equal(true);
    expect(equals(user({ id: 'ann', name: 'Ann' }), user({ id: 'bob', name: 'Ann' }))).to.equal(false);
    expect(equals(membership('ann', 'acme', 'owner'), membership('ann', 'acme', 'guest'))).to.equal(true);
    expect(equals(membership('ann', 'acme', 'owner'), membership('ann', 'initech', 'owner'))).to.equal(false);
  });

  it('are equal to no other entity', () => {
    const expense = Object.assign(new Expense(), { id: 'ann' });
    expect(equals(user({ id: 'ann' }), expense)).to.equal(false);
    expect(equals(user({ id: 'ann' }), null)).to.equal(false);
    expect(equals(user({ id: 'ann' }), 'ann')).to.equal(false);
  });

  it('are told by their class, not by what a value says of itself', () => {
    const json = (claim: unknown) => Object.assign({ id: 'ann', name: 'Eve' }, { constructor: claim });
    expect(equals(json('User'), Object.assign(json('User'), { name: 'Ann' }))).to.equal(false);
    expect(equals(user({ id: 'ann' }), json(User))).to.equal(false);
    const merged = Object.assign(user({ id: 'ann' }), JSON.parse('{"constructor":"Expense"}'));
    expect(equals(merged, json('Expense'))).to.equal(false);
    expect(equals(merged, user({ id: 'ann' }))).to.equal(true);
  });

  it('are equal to nothing but themselves while they have no key', () => {
    const unsaved = user({ name: 'Ann' });
    expect(equals(unsaved, user({ name: 'Ann' }))).to.equal(false);
    expect(equals(unsaved, unsaved)).to.equal(true);
    expect(equals(user({ id: null as unknown as string }), user({ id: null as unknown as string }))).to.equal(
      false,
    );
  });
});

describe('other values', () => {
  it('are equal as Oso has it', () => {
    expect(equals(new Date(5), new Date(5))).to.equal(true);
    expect(equals({ a: [1] }, { a: [1] })).to.equal(true);
    expect(equals({ a: [1] }, { a: [2] })).to.equal(false);
    expect(equals('a', 'a')).to.equal(true);
    expect(equals(null, null)).to.equal(true);
    expect(equals(null, undefined)).to.equal(false);
  });
});
