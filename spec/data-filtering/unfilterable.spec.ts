import { expect } from 'chai';
import { Oso } from 'oso';
import { entityAdapter } from '../../src/data-filtering/adapter.js';
import { entityEquality, registerEntities } from '../../src/data-filtering/array/index.js';
import { registerSchema } from '../../src/data-filtering/register-entities.js';
import type { Entity, Field } from '../../src/data-filtering/schema.js';
import { KoaOsoError } from '../../src/index.js';
import { CompiledOso } from '../../src/polar/index.js';
import type { Engine } from './support/store.js';
import { description, Expense, schema, User } from './support/world.js';

class Travel extends Expense {}

/** What no message may hold. */
const SECRET = 'a secret of the actor';

const actor = Object.assign(new User(), {
  id: 'ann',
  secret: SECRET,
  secrets: [SECRET],
  nothing: null,
  huge: 2 ** 53,
  draft: Object.assign(new User(), { name: SECRET }),
  isBoss: () => true,
});

interface Unfilterable {
  readonly what: string;
  /** The condition in the second line of a rule; the error is to point at it. */
  readonly condition: string;
  readonly reason: string | RegExp;
  readonly remedy: string | RegExp;
  /** Where the error points at, in the third line; by default at the start of the condition. */
  readonly column?: number;
  /** No place is to blame: it is the actor. */
  readonly placeless?: true;
}

const unfilterable: readonly Unfilterable[] = [
  {
    what: 'arithmetic with fields',
    condition: 'resource.cents + 1 > 5',
    reason: 'no database can be asked for "+" on an unknown value',
    remedy: 'compare fields of the resource',
  },
  {
    what: 'a method of the resource',
    condition: 'resource.isOverdue()',
    reason: 'no database can be asked for a method of an unknown value',
    remedy: 'compare fields of the resource',
  },
  {
    what: 'a method of the actor that is given a field',
    condition: 'actor.isBoss(resource.ownerId)',
    reason: 'no database can be asked for JavaScript that is given an unknown value',
    remedy: 'compare fields of the resource',
  },
  {
    what: 'cut',
    condition: 'cut',
    reason: '`cut` decides by the order of rules',
    remedy: 'say with `not` in the other rules',
  },
  {
    what: 'a class that inherits from the entity',
    condition: 'resource matches Travel',
    reason: 'it asks of a row whether it is of the class `Travel`',
    remedy: 'compare a field that tells',
    column: 22,
  },
  {
    what: 'an attribute that is not in the database',
    condition: 'resource.color = "red"',
    reason: '`color` is no field and no relation of Expense',
    remedy: 'use what is in the database',
  },
  {
    what: 'an attribute of a relation to many',
    condition: 'resource.lines.cents = 1',
    reason: 'it asks for `cents` of what is no row',
    remedy: 'item in resource.items',
  },
  {
    what: 'a field that is of no use in SQL',
    condition: 'resource.photo = actor.secret',
    reason: 'the field `photo` is encrypted',
    remedy: 'decide by another field',
  },
  {
    what: 'a text within a text',
    condition: '"x" in resource.description',
    reason: 'it looks with `in` into what is no relation to many',
    remedy: 'ask for a row of a relation to many',
  },
  {
    what: 'an order of fields that may be null',
    condition: 'resource.note < resource.description',
    reason: 'the fields `note` and `description` are ordered, and may be null',
    remedy: 'order fields that are never null',
  },
  {
    what: 'an order against nil',
    condition: 'resource.cents < actor.nothing',
    reason: 'the field `cents` is ordered against nil',
    remedy: 'compare it to nil with = or != only',
  },
  {
    what: 'fields of different types',
    condition: 'resource.cents = resource.description',
    reason: 'the fields `cents` and `description` are of different types',
    remedy: 'compare fields of one type',
    column: 22,
  },
  {
    what: 'a value of another type, for which the policy fails',
    condition: 'resource.cents == actor.secret',
    reason: 'the field `cents` (integer) is compared to a value of another type',
    remedy: 'compare it to a value of its own type',
  },
  {
    what: 'an order against a value of another type',
    condition: 'resource.createdAt < actor.secret',
    reason: 'the field `createdAt` (date) is ordered against a value',
    remedy: 'compare it to a value of its own type',
  },
  {
    what: 'a field compared to a row',
    condition: 'resource.ownerId = resource.owner',
    reason: 'the field `ownerId` is compared to a row',
    remedy: 'compare it to a field of that row',
    column: 24,
  },
  {
    what: 'an entity that has no key yet',
    condition: 'resource.owner = actor.draft',
    reason: 'a row is compared to a User that has no key',
    remedy: 'see to it that what the policy reads of the actor is saved',
  },
  {
    what: 'a value of the actor that is not loaded',
    condition: 'resource.ownerId = actor.name',
    reason: 'the field `ownerId` is compared to a value that is undefined',
    remedy: 'see to it that what the policy reads of the actor is loaded',
  },
  {
    what: 'a variable that never gets a value',
    condition: 'amount.cents = 1 and amount != nil',
    reason: 'no database can be asked for a look-up on a variable without a value',
    remedy: 'compare fields',
  },
];

/** The world, with a field in it that cannot be compared. */
function withUnsupportedField(): Map<string, Entity> {
  const expense = schema.get('Expense') as Entity;
  const photo: Field = {
    name: 'photo',
    column: 'photo',
    nullable: true,
    type: { kind: 'unsupported', why: 'encrypted' },
  };
  return new Map(schema).set('Expense', {
    ...expense,
    fields: new Map(expense.fields).set('photo', photo),
  });
}

/** A data source that is asked nothing. */
const NO_ROWS = entityAdapter<object[], object>(
  {
    select: () => [],
    execute: async rows => rows,
    load: async () => [],
    hasForeignKeys: false,
    held: () => undefined,
    loadMany: async () => [],
  },
  () => expect.fail('no transactions'),
);

for (const engine of [Oso, CompiledOso] as (typeof Oso)[]) {
  describe(`a policy that no query can express, for ${engine.name}`, () => {
    for (const { what, condition, reason, remedy, column = 5, placeless } of unfilterable) {
      it(`is refused for ${what}`, async () => {
        const oso = new (engine as Engine)<object[], object>({ equalityFn: entityEquality(description) });
        registerSchema(oso as Oso, withUnsupportedField(), NO_ROWS);
        oso.registerClass(Travel);
        const policy = `allow(actor, "read", resource: Expense) if\n  actor = actor and resource = resource and\n    ${condition};`;
        const error = await loadAndFilter(oso as Oso, policy);

        expect(error).to.be.instanceOf(KoaOsoError);
        expect(error).to.have.property('code', 'ERR_KOA_OSO_UNFILTERABLE_POLICY');
        const { message } = error as Error;
        expect(message).to.include(reason);
        expect(message).to.match(/Instead, .+\.$/);
        expect(message.slice(message.indexOf('Instead, '))).to.include(remedy);
        if (placeless === undefined) {
          expect(message).to.include(`, in rule \`allow\` at expenses.polar:3:${column}. `);
        }
        expect(message).not.to.include(SECRET);
      });
    }

    it('is another thing than a value that cannot be decided about', async () => {
      const oso = new (engine as Engine)<object[], object>({ equalityFn: entityEquality(description) });
      registerSchema(oso as Oso, withUnsupportedField(), NO_ROWS);
      const policy = 'allow(actor, "read", resource: Expense) if resource.cents < actor.huge;';
      const error = await loadAndFilter(oso as Oso, policy);
      expect(error).to.have.property('code', 'ERR_KOA_OSO_VALUE_REFUSED');
    });
  });
}

/** Policies with one place that stops them, among much that looks like it. */
const places: Readonly<Record<string, readonly [policy: string, place: string]>> = {
  'of several conditions with one operator': [
    `allow(actor, "read", resource: Expense) if actor = actor and resource.cents = 1 and 1 = 1;
allow(actor, "read", resource: Expense) if resource.ownerId = actor.id and resource.ownerId = resource.owner;`,
    'rule `allow` at expenses.polar:2:95',
  ],
  'of several rules with one attribute': [
    `allow(_, "write", resource: Expense) if resource.photo = "x";
allow(_, "read", resource: Expense) if is_open(resource);
is_open(resource: Expense) if resource.status = "draft";
is_open(resource: Expense) if 1 = 1 and
  resource.photo = "x";
never_asked(resource) if resource.photo = "x";`,
    'rule `is_open` at expenses.polar:5:3',
  ],
  'inside of a `not`': [
    `allow(_, "read", resource: Expense) if not resource.cents = 1 and not (resource.cents = 2 or resource.color = 3);`,
    'rule `allow` at expenses.polar:1:94',
  ],
  'in the head of a rule': [
    `allow(_, "read", resource: Expense) if open(resource.note, resource) or open(resource.cents, resource);
open(nil, _);
open(_: {nosuch: x}, x);`,
    'rule `open` at expenses.polar:3:',
  ],
  'of a relation that is followed without end': [
    `allow(_, "read", resource: Expense) if top(resource.organization, 0);
top(organization: Organization, n) if n < 0 and organization.name = "a";
top(organization: Organization, n) if top(organization.parent, n + 1);`,
    'rule `top` at expenses.polar:3:43',
  ],
  'of a rule that calls itself for a relation to many': [
    `allow(_, "read", resource: Expense) if below(resource.organization);
below(organization: Organization) if organization.name = "a";
below(organization: Organization) if child in organization.children and
  below(child);`,
    'rule `below` at expenses.polar:3:',
  ],
  'of a cut, if it is met': [
    `allow(_, "write", _: Expense) if cut;
allow(_, "read", _: User) if cut;
allow(_, "read", resource: Expense) if open(resource);
open(resource) if resource.cents = 1 and
  cut;`,
    'rule `open` at expenses.polar:5:3',
  ],
};

for (const engine of [Oso, CompiledOso] as (typeof Oso)[]) {
  describe(`the place that the error names, for ${engine.name}`, () => {
    for (const [what, [policy, place]] of Object.entries(places)) {
      it(`is the one that stopped the query: ${what}`, async () => {
        const oso = new (engine as Engine)<object[], object>({ equalityFn: entityEquality(description) });
        registerSchema(oso as Oso, withUnsupportedField(), NO_ROWS);
        const error = (await loadAndFilter(oso as Oso, policy)) as Error;
        expect(error).to.have.property('code', 'ERR_KOA_OSO_UNFILTERABLE_POLICY');
        expect(error.message).to.include(`, in ${place}`);
        expect(error.message.match(/expenses\.polar/g), error.message).to.have.length(1);
        expect(error.message).not.to.include('other places');
      });
    }

    it('is none for a cut that a list does not meet', async () => {
      const oso = new (engine as Engine)<object[], object>({ equalityFn: entityEquality(description) });
      registerEntities(oso as Oso, { Expense: [] }, description);
      const policy = `allow(_, "write", _: Expense) if cut;
        allow(_, "read", _: User) if cut;
        allow(_, "read", resource: Expense) if resource.cents = 1;`;
      expect(await loadAndFilter(oso as Oso, policy)).to.equal(undefined);
    });
  });
}

async function loadAndFilter(oso: Oso, policy: string): Promise<unknown> {
  await oso.loadStr(policy, 'expenses.polar');
  try {
    await oso.authorizedQuery(actor, 'read', Expense);
    return undefined;
  } catch (error) {
    return error;
  }
}

describe('lists', () => {
  it('are refused for a class that is no entity', async () => {
    const oso = new (Oso as Engine)<object[], object>({ equalityFn: entityEquality(description) });
    registerEntities(oso as Oso, {}, description);
    await oso.loadStr('allow(_, _, _);');
    const error = await oso.authorizedQuery(actor, 'read', Travel).then(undefined, each => each);
    expect(error).to.have.property('code', 'ERR_KOA_OSO_UNREGISTERED_CLASS');
    expect(error.message).to.include('Travel').and.to.include('registerEntities');
  });
});
