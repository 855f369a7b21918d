import { expect } from 'chai';
import { Oso, Relation } from 'oso';
import { Predicate } from 'oso/dist/src/Predicate.js';
import { KoaOso } from '../../src/index.js';
import { CompiledOso } from '../../src/polar/index.js';
import { collect, quietly } from '../polar/support/engines.js';

class User {
  constructor(readonly name: string) {}
}
class Admin extends User {}
class Doc {
  constructor(readonly owner: string) {}
}
class PrivateDoc extends Doc {}
class PublicDoc extends Doc {}
class Team {
  constructor(readonly id: number) {}
}
class Player {
  constructor(readonly teamId: number) {}
}

const engines: [string, () => Oso][] = [
  ['an Oso that KoaOso was given', () => new Oso()],
  ['CompiledOso', () => new CompiledOso() as unknown as Oso],
];

/** An Oso with the classes of this spec and a policy. */
async function load(make: () => Oso, policy: string): Promise<Oso> {
  const oso = make();
  new KoaOso({ oso });
  for (const cls of [User, Admin, Doc, PrivateDoc, PublicDoc, Team]) oso.registerClass(cls);
  oso.registerClass(Player, { fields: { team: new Relation('one', 'Team', 'teamId', 'id') } });
  await quietly(() => oso.loadStr(policy));
  return oso;
}

/** Ways in which a value from outside can say that it is of a class. */
const impostors: [string, (claim: string, fields?: object) => object][] = [
  ['JSON', (claim, fields) => JSON.parse(JSON.stringify({ ...fields, constructor: claim }))],
  [
    'an object without prototype',
    (claim, fields) => Object.assign(Object.create(null), { ...fields, constructor: claim }),
  ],
  ['an object whose prototype is JSON', (claim, fields) => Object.create({ ...fields, constructor: claim })],
  [
    'an object that JSON with __proto__ was merged into',
    (claim, fields) =>
      Object.assign({}, JSON.parse(`{"__proto__": ${JSON.stringify({ ...fields, constructor: claim })}}`)),
  ],
  [
    'an object with a getter',
    (claim, fields) =>
      Object.defineProperty({ ...fields }, 'constructor', { get: () => claim, enumerable: true }),
  ],
];

for (const [engine, make] of engines) {
  describe(`The class of a value, for ${engine}`, () => {
    for (const [what, disguise] of impostors) {
      it(`is not what ${what} says of itself`, async () => {
        const oso = await load(
          make,
          'allow(_: Admin, _, _); is(x, "admin") if x matches Admin; named(x: User) if x.name = "ann";',
        );
        const impostor = disguise('Admin', { name: 'ann' });
        expect(await oso.isAllowed(impostor, 'read', 1)).to.equal(false);
        expect(await oso.queryRuleOnce('is', impostor, 'admin')).to.equal(false);
        expect(await oso.queryRuleOnce('named', impostor)).to.equal(false);
        expect(await oso.isAllowed(new Admin('root'), 'read', 1)).to.equal(true);
      });
    }

    it('is that of its prototype, whatever JSON was merged into it', async () => {
      const oso = await load(
        make,
        'allow(_, "read", _: PublicDoc); allow(u, "write", d: PrivateDoc) if d.owner = u.name;',
      );
      const merged = Object.assign(new PrivateDoc('ann'), JSON.parse('{"constructor":"PublicDoc"}'));
      expect(await oso.isAllowed(new User('eve'), 'read', merged)).to.equal(false);
      expect(await oso.isAllowed(new User('ann'), 'write', merged)).to.equal(true);
      const functions = Object.assign(new PrivateDoc('ann'), { constructor: PublicDoc });
      expect(await oso.isAllowed(new User('eve'), 'read', functions)).to.equal(false);
      expect(await oso.isAllowed(new User('ann'), 'write', functions)).to.equal(true);
    });

    it('is not named by a function that the value itself holds', async () => {
      const oso = await load(make, 'allow(_: Admin, _, _); is(x) if x matches Admin;');
      for (const impostor of [
        { constructor: Admin },
        Object.create(null, { constructor: { value: Admin } }),
      ]) {
        expect(await oso.isAllowed(impostor, 'read', 1)).to.equal(false);
        expect(await oso.queryRuleOnce('is', impostor)).to.equal(false);
      }
    });

    it('is not changed by a getter that answers otherwise each time', async () => {
      const oso = await load(make, 'allow(_: Admin, _, _) if 1 = 1; allow(_: User, _, _) if cut and 1 = 2;');
      let reads = 0;
      const flickering = Object.defineProperty({}, 'constructor', {
        get: () => (reads++ % 2 ? Admin : 'Admin'),
      });
      for (let time = 0; time < 4; time++) expect(await oso.isAllowed(flickering, 'read', 1)).to.equal(false);
      expect(await oso.isAllowed(new Admin('root'), 'read', 1)).to.equal(true);
    });

    it('does not get a value the relations of that class', async () => {
      const oso = await load(make, 'allow(_, _, p) if p.team.id = 1;');
      const asked: unknown[] = [];
      oso.setDataFilteringAdapter({
        buildQuery: filter => asked.push(filter),
        executeQuery: async () => [new Team(1)],
      });
      expect(await oso.isAllowed(1, 'read', new Player(1))).to.equal(true);
      expect(asked.length).to.equal(1);
      const impostor = { constructor: 'Player', teamId: 1, team: { id: 2 } };
      expect(await oso.isAllowed(1, 'read', impostor)).to.equal(false);
      expect(asked.length).to.equal(1);
    });

    it('stays right in the order of rules, whatever was asked before', async () => {
      const oso = await load(
        make,
        'allow(_u: User, "read", _d: Doc); allow(u: User, "read", d: PrivateDoc) if cut and d.owner = u.name;',
      );
      for (const [, disguise] of impostors) {
        await oso.isAllowed(new User('eve'), 'read', disguise('PrivateDoc', { owner: 'eve' }));
        await oso.isAllowed(
          disguise('User', { name: 'eve' }),
          'read',
          disguise('PrivateDoc', { owner: 'eve' }),
        );
      }
      expect(await oso.isAllowed(new User('eve'), 'read', new PrivateDoc('ann'))).to.equal(false);
      expect(await oso.isAllowed(new User('ann'), 'read', new PrivateDoc('ann'))).to.equal(true);
      expect(await oso.isAllowed(new User('eve'), 'read', new Doc('ann'))).to.equal(true);
    });

    it('is asked of a registered check as ever', async () => {
      const oso = make();
      new KoaOso({ oso });
      class Tagged {}
      oso.registerClass(Tagged, { isaCheck: (value: unknown) => (value as { tag?: string }).tag === 'yes' });
      await oso.loadStr('allow(_, _, _: Tagged);');
      expect(await oso.isAllowed(1, 'read', { tag: 'yes', constructor: 'Tagged' })).to.equal(true);
      expect(await oso.isAllowed(1, 'read', { tag: 'no', constructor: 'Tagged' })).to.equal(false);
    });

    it('is found for instances of subclasses, of primitives and of objects made of instances', async () => {
      const oso = await load(
        make,
        'is(_: User); text(x) if x matches String; number(_: Integer); list(_: List);',
      );
      class Guest extends User {}
      for (const user of [new User('a'), new Admin('a'), new Guest('a'), Object.create(new Admin('a'))]) {
        expect(await oso.queryRuleOnce('is', user)).to.equal(true);
      }
      expect(await oso.queryRuleOnce('text', 'a')).to.equal(true);
      expect(await oso.queryRuleOnce('number', 1)).to.equal(true);
      expect(await oso.queryRuleOnce('list', [1])).to.equal(true);
      expect(await oso.queryRuleOnce('is', undefined)).to.equal(false);
    });

    it('leaves the property to be read', async () => {
      const oso = await load(
        make,
        'allow(_, _, car) if car.constructor = "Ferrari" and car.("__proto__") = 1;',
      );
      const car = JSON.parse('{"constructor":"Ferrari","__proto__":1}');
      expect(await oso.isAllowed(1, 'read', car)).to.equal(true);
    });

    it('of a dictionary is Dictionary, whatever its names are', async () => {
      const oso = await load(
        make,
        `allow(_, _, d: Dictionary) if d.constructor = "Admin" and d.("__proto__") = {a: 1} and not d matches Admin;
         same(x, y) if x.echo(y) = y;`,
      );
      const Dictionary = oso.getHost().getType('Dictionary')?.cls as new () => object;
      const dictionary = Object.assign(new Dictionary(), { constructor: 'Admin' });
      const inner = Object.assign(new Dictionary(), { a: 1 });
      Object.defineProperty(dictionary, '__proto__', { value: inner, enumerable: true });
      expect(await oso.isAllowed(1, 'read', dictionary)).to.equal(true);
      const echo = { echo: (value: object) => value };
      expect(await oso.queryRuleOnce('same', echo, dictionary)).to.equal(true);
      for await (const result of oso.query('x = {constructor: "Admin", b: 1}')) {
        expect(Object.entries(result.get('x') as object)).to.deep.equal([
          ['b', 1],
          ['constructor', 'Admin'],
        ]);
      }
    });
  });
}

describe('The class of a value, for a query of CompiledOso that Oso answers', () => {
  it('is not what the value says of itself', async () => {
    const oso = new CompiledOso();
    oso.registerClass(User);
    oso.registerClass(Admin);
    await oso.loadStr('allow(_: Admin, _, _); is(x) if x matches Admin;');
    const ask = async (rule: string, ...args: unknown[]) =>
      (await collect(oso.query(new Predicate(rule, args), { acceptExpression: true }))).length;
    for (const [, disguise] of impostors) {
      expect(await ask('allow', disguise('Admin'), 'read', 1)).to.equal(0);
      expect(await ask('is', disguise('Admin'))).to.equal(0);
    }
    expect(await ask('allow', new Admin('root'), 'read', 1)).to.equal(1);
    expect(await ask('is', new Admin('root'))).to.equal(1);
    expect(oso.fallbacks).to.have.length(1);
  });
});

describe('An open list that a policy compares with an object', () => {
  it('is to a guarded Oso and to CompiledOso what it is to Oso', async () => {
    const policy = 'f(x) if [*x] <= x; g(x) if x < [1, *_y]; h(x) if not [[*x]] >= x;';
    const answersOf = async (oso: Oso) => {
      oso.registerClass(User);
      await quietly(() => oso.loadStr(policy));
      const answers = ['f', 'g', 'h'].map(rule => collect(oso.queryRule(rule, new User('ann'))));
      return (await Promise.all(answers)).map(({ length }) => length);
    };
    const answers = await answersOf(new Oso());
    expect(answers).to.deep.equal([1, 0, 0]);
    for (const [, make] of engines) {
      const oso = make();
      new KoaOso({ oso });
      expect(await answersOf(oso)).to.deep.equal(answers);
    }
  });
});
