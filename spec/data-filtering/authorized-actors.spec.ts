import { expect } from 'chai';
import type { Context } from 'koa';
import { KoaOso } from 'koa-oso';
import { entityEquality, registerEntities } from 'koa-oso/array';
import { registerEntities as registerKysely } from 'koa-oso/kysely';
import { CompiledOso } from 'koa-oso/polar';
import { DummyDriver, Kysely, PostgresAdapter, PostgresIntrospector, PostgresQueryCompiler } from 'kysely';
import { Oso } from 'oso';
import request from 'supertest';
import { Koa } from '../support/koa.js';

class User {
  id = 0;
  teamId: number | null = null;
  admin = false;
}
class Team {
  id = 0;
  leadId = 0;
}
class Bill {
  id = 0;
  ownerId = 0;
  payerId: number | null = null;
  open = false;
}

const description = {
  User: {
    class: User,
    table: 'users',
    fields: { id: 'integer', teamId: { type: 'integer', nullable: true }, admin: 'boolean' },
    relations: {
      team: { one: 'Team', on: { teamId: 'id' }, foreignKey: true },
      bills: { many: 'Bill', on: { id: 'ownerId' } },
    },
  },
  Team: {
    class: Team,
    table: 'teams',
    fields: { id: 'integer', leadId: 'integer' },
    relations: {
      lead: { one: 'User', on: { leadId: 'id' }, foreignKey: true },
      users: { many: 'User', on: { id: 'teamId' } },
    },
  },
  Bill: {
    class: Bill,
    table: 'bills',
    fields: {
      id: { type: 'integer', nullable: false },
      ownerId: { type: 'integer', nullable: false },
      payerId: { type: 'integer', nullable: true },
      open: { type: 'boolean', nullable: false },
    },
    relations: {
      owner: { one: 'User', on: { ownerId: 'id' }, foreignKey: true },
      payer: { one: 'User', on: { payerId: 'id' }, foreignKey: true },
    },
  },
} as const;

const make = <Row extends object>(Class: new () => Row, ...rows: Partial<Row>[]): Row[] =>
  rows.map(row => Object.assign(new Class(), row));

const rows = {
  User: make(User, { id: 1, teamId: 7 }, { id: 2, teamId: 7 }, { id: 3, admin: true }, { id: 4 }),
  Team: make(Team, { id: 7, leadId: 2 }),
  Bill: make(Bill, { id: 10, ownerId: 1, payerId: 4 }, { id: 11, ownerId: 2, open: true }),
};
const [bill, openBill] = rows.Bill as [Bill, Bill];

const POLICY = `
  allow(user: User, "read", bill: Bill) if bill.ownerId = user.id;
  allow(user: User, "read", bill: Bill) if bill.payer.team = user.team;
  allow(user: User, "read", _: Bill) if user.admin;
  allow(user: User, "approve", bill: Bill) if bill.owner.team.lead = user;
  allow(_, "see", bill: Bill) if bill.open;
  allow(user: User, "manage", other: User) if other.team.lead = user;
  allow(user: User, "create", "a bill") if user.admin;
  allow(user: User, "GET", _: Bill) if user.id = 4;
  allow(user: User, "guess", _: Bill) if user.id * 2 = 4;
  allow(user: User, "unlike", bill: Bill) if bill.id != user.id;
`;

interface ActorsEngine {
  authorizedActors(actorClass: unknown, action: unknown, resource: unknown): Promise<User[]>;
}

async function load(Engine: typeof Oso, policy = POLICY): Promise<Oso> {
  const oso = new Engine({ equalityFn: entityEquality(description) });
  registerEntities(oso, rows, description);
  await oso.loadStr(policy, 'bills.polar');
  return oso;
}

for (const Engine of [Oso, CompiledOso as unknown as typeof Oso]) {
  describe(`who may, by ${Engine.name}`, () => {
    async function ids(action: unknown, resource: unknown): Promise<number[]> {
      const oso = (await load(Engine)) as Oso & ActorsEngine;
      return (await oso.authorizedActors(User, action, resource)).map(({ id }) => id);
    }

    it('is asked of the fields and relations of both', async () => {
      expect(await ids('read', bill)).to.deep.equal([1, 3, 4]);
      expect(await ids('approve', bill)).to.deep.equal([2]);
    });

    it('takes nothing of an alternative that comes to a nil, and all of the others', async () => {
      expect(await ids('read', openBill)).to.deep.equal([2, 3]);
    });

    it('is everybody if the policy asks nothing of the actor, and nobody if no rule holds', async () => {
      expect(await ids('see', openBill)).to.deep.equal([1, 2, 3, 4]);
      expect(await ids('see', bill)).to.deep.equal([]);
      expect(await ids('sea', openBill)).to.deep.equal([]);
    });

    it('tells the two apart if they are of one class', async () => {
      expect(await ids('manage', rows.User[0])).to.deep.equal([2]);
      expect(await ids('manage', rows.User[2])).to.deep.equal([]);
    });

    it('may be asked of what is no row', async () => {
      expect(await ids('create', 'a bill')).to.deep.equal([3]);
      expect(await ids('create', 'a boat')).to.deep.equal([]);
      expect(await ids('create', null)).to.deep.equal([]);
    });

    it('goes by the database, and by the key alone of the row that is at hand', async () => {
      expect(await ids('see', Object.assign(new Bill(), { id: 11, open: false }))).to.have.length(4);
      expect(await ids('see', Object.assign(new Bill(), { id: 10, open: true }))).to.deep.equal([]);
      expect(await ids('see', Object.assign(new Bill(), { id: 99, open: true }))).to.deep.equal([]);
    });

    it('is nobody for a key that no row can have', async () => {
      for (const id of ['11', 1.5, Number.NaN, {}, true]) {
        const forged = Object.assign(new Bill(), { id: id as number });
        expect(await ids('see', forged)).to.deep.equal([]);
        expect(await ids('unlike', forged)).to.deep.equal([]);
        expect(await ids('read', forged)).to.deep.equal([]);
      }
    });
  });
}

class Member {
  id = 0;
  folderId = 0;
  userId = 0;
}
class Folder {
  id = 0;
  name = '';
  open = false;
  parentId: number | null = null;
}
class Person {
  id = 0;
  managerId: number | null = null;
}

const folderDescription = {
  Person: {
    class: Person,
    table: 'people',
    fields: { id: 'integer', managerId: { type: 'integer', nullable: true } },
    relations: {
      manager: { one: 'Person', on: { managerId: 'id' }, foreignKey: true },
      memberships: { many: 'Member', on: { id: 'userId' } },
    },
  },
  Folder: {
    class: Folder,
    table: 'folders',
    fields: {
      id: 'integer',
      name: 'text',
      open: 'boolean',
      parentId: { type: 'integer', nullable: true },
    },
    relations: {
      parent: { one: 'Folder', on: { parentId: 'id' }, foreignKey: true },
      members: { many: 'Member', on: { id: 'folderId' } },
    },
  },
  Member: {
    class: Member,
    table: 'members',
    fields: { id: 'integer', folderId: 'integer', userId: 'integer' },
    relations: { user: { one: 'Person', on: { userId: 'id' }, foreignKey: true } },
  },
} as const;

const inFolders = {
  Person: make(Person, { id: 1 }, { id: 2, managerId: 1 }, { id: 3, managerId: 2 }, { id: 4, managerId: 4 }),
  Folder: make(
    Folder,
    { id: 1, name: 'a', open: true },
    { id: 2, name: 'b', parentId: 1 },
    { id: 3, name: 'c', parentId: 2 },
    { id: 4, name: 'a' },
    { id: 5, name: 'b', parentId: 5 },
  ),
  Member: make(Member, { id: 1, folderId: 1, userId: 2 }, { id: 2, folderId: 3, userId: 3 }),
};

/** Of rules that call themselves for the folder that a folder is in, or for the manager of a person: who may read the folders 1 to 5. */
const RECURSIVE = {
  'of the resource alone': {
    policy: `
      allow(_: Person, "read", folder: Folder) if isOpen(folder);
      isOpen(folder: Folder) if folder.open;
      isOpen(folder: Folder) if isOpen(folder.parent);
    `,
    who: [[1, 2, 3, 4], [1, 2, 3, 4], [1, 2, 3, 4], [], []],
  },
  'of the resource': {
    policy: `
      allow(person: Person, "read", folder: Folder) if isOpen(folder) and person.id != 1;
      isOpen(folder: Folder) if folder.open;
      isOpen(folder: Folder) if isOpen(folder.parent);
    `,
    who: [[2, 3, 4], [2, 3, 4], [2, 3, 4], [], []],
  },
  'of what the resource is related to': {
    policy: `
      allow(_: Person, "read", folder: Folder) if isOpen(folder.parent);
      isOpen(folder: Folder) if folder.open;
      isOpen(folder: Folder) if isOpen(folder.parent);
    `,
    who: [[], [1, 2, 3, 4], [1, 2, 3, 4], [], []],
  },
  'of the actors': {
    policy: `
      allow(person: Person, "read", folder: Folder) if folder.open and isUnderTwo(person);
      isUnderTwo(person: Person) if person.id = 2;
      isUnderTwo(person: Person) if isUnderTwo(person.manager);
    `,
    who: [[2, 3], [], [], [], []],
  },
  'of both, each by itself': {
    policy: `
      allow(person: Person, "read", folder: Folder) if isOpen(folder) and isUnderTwo(person);
      allow(person: Person, "read", folder: Folder) if folder.id = 5 and isUnderTwo(person.manager);
      isOpen(folder: Folder) if folder.open;
      isOpen(folder: Folder) if isOpen(folder.parent);
      isUnderTwo(person: Person) if person.id = 2;
      isUnderTwo(person: Person) if isUnderTwo(person.manager);
    `,
    who: [[2, 3], [2, 3], [2, 3], [], [3]],
  },
} as const;

/** Such that ask of both at once. */
const RECURSIVE_OF_BOTH = {
  'a role that is inherited': `
    allow(actor, action, resource) if has_permission(actor, action, resource);
    actor Person {}
    resource Folder {
      permissions = ["read"];
      roles = ["reader"];
      relations = { parent: Folder };
      "read" if "reader";
      "reader" if "reader" on "parent";
    }
    has_relation(parent: Folder, "parent", child: Folder) if child.parent = parent;
    has_role(person: Person, _: String, folder: Folder) if
      membership in person.memberships and membership.folderId = folder.id;
  `,
  'a rule with the actor in its head': `
    allow(person: Person, "read", folder: Folder) if reads(person, folder);
    reads(person: Person, folder: Folder) if member in folder.members and member.user = person;
    reads(person: Person, folder: Folder) if reads(person, folder.parent);
  `,
  'a rule with a field of the actor in its head': `
    allow(person: Person, "read", folder: Folder) if reads(person.id, folder);
    reads(id, folder: Folder) if member in folder.members and member.userId = id;
    reads(id, folder: Folder) if reads(id, folder.parent);
  `,
  'a rule that calls itself inside of a not': `
    allow(_: Person, "read", folder: Folder) if not isOpen(folder);
    isOpen(folder: Folder) if folder.open;
    isOpen(folder: Folder) if isOpen(folder.parent);
  `,
};

for (const Engine of [Oso, CompiledOso as unknown as typeof Oso]) {
  describe(`who may, by ${Engine.name} and rules that call themselves`, () => {
    async function inThese(policy: string): Promise<Oso & ActorsEngine> {
      const oso = new Engine({ equalityFn: entityEquality(folderDescription) });
      registerEntities(oso, inFolders, folderDescription);
      await oso.loadStr(policy, 'folders.polar');
      return oso as Oso & ActorsEngine;
    }
    const ask = async (oso: ActorsEngine, folder: Folder) =>
      (await oso.authorizedActors(Person, 'read', folder)).map(({ id }) => id);

    for (const [what, { policy, who }] of Object.entries(RECURSIVE)) {
      it(`is right if they ask ${what}`, async () => {
        const oso = await inThese(policy);
        const found: number[][] = [];
        for (const folder of inFolders.Folder) found.push(await ask(oso, folder));
        expect(found).to.deep.equal(who);
        expect(await ask(oso, Object.assign(new Folder(), { id: 99, open: true }))).to.deep.equal([]);
      });
    }

    for (const [what, policy] of Object.entries(RECURSIVE_OF_BOTH)) {
      it(`is refused, by name, for ${what}`, async () => {
        const oso = await inThese(policy);
        const refused = await ask(oso, inFolders.Folder[2] as Folder).catch(
          (error: Error & { code?: string }) => error,
        );
        expect(refused).to.have.property('code', 'ERR_KOA_OSO_UNFILTERABLE_POLICY');
        expect(refused)
          .to.have.property('message')
          .which.matches(/calls itself.* at folders\.polar:\d/);
      });
    }

    it('tells apart which values the two may have together', async () => {
      const oso = await inThese(`
        allow(person: Person, "read", folder: Folder) if person.id = 1 and folder.name = "a";
        allow(person: Person, "read", folder: Folder) if person.id = 2 and folder.name = "b";
        allow(person: Person, "read", folder: Folder) if person.id = 3 and folder.name = "c";
        allow(_: Person, "read", folder: Folder) if folder.id = 2 and folder.name = "c";
        allow(_: Person, "read", folder: Folder) if folder.id = 3 and folder.name = "b";
        allow(_: Person, "read", folder: Folder) if folder.id = 4 and folder.name = "a";
      `);
      const found: number[][] = [];
      for (const folder of inFolders.Folder) found.push(await ask(oso, folder));
      expect(found).to.deep.equal([[1], [2], [3], [1, 2, 3, 4], [2]]);
    });
  });
}

describe('who may, in SQL', () => {
  const db = new Kysely<Record<string, Record<string, never>>>({
    dialect: {
      createAdapter: () => new PostgresAdapter(),
      createDriver: () => new DummyDriver(),
      createIntrospector: each => new PostgresIntrospector(each),
      createQueryCompiler: () => new PostgresQueryCompiler(),
    },
  });

  async function sql(
    action: string,
    policy = POLICY,
  ): Promise<{ sql: string; parameters: readonly unknown[] }> {
    const oso = new CompiledOso();
    registerKysely(oso, db, description as never);
    await oso.loadStr(policy, 'bills.polar');
    const query = await (oso as unknown as ActorsEngine).authorizedActors(User, action, bill);
    const { sql, parameters } = (
      query as unknown as { compile(): { sql: string; parameters: unknown[] } }
    ).compile();
    // That the numbers are such as JavaScript can tell apart.
    const shown = sql.replaceAll(/ and \("t\d"\."\w+" between -?\d+ and \d+\)/g, '');
    return { sql: /where (.*)\) as "users"/.exec(shown)?.[1] ?? sql, parameters };
  }

  it('is one statement, in which each alternative looks up the resource by its key', async () => {
    expect(await sql('see')).to.deep.equal({
      sql: 'exists (select 1 as "found" from "bills" as "t1" where "t1"."id" = $1 and "t1"."open" = $2)',
      parameters: [10, true],
    });
    expect((await sql('read')).sql).to.equal(
      '(exists (select 1 as "found" from "bills" as "t1" where "t1"."id" = $1 and "t1"."ownerId" = "t0"."id") or ' +
        'exists (select 1 as "found" from "users" as "t2" where ' +
        'exists (select 1 as "found" from "bills" as "t1" where "t1"."id" = $2 and "t2"."id" = "t1"."payerId") and ' +
        '("t2"."teamId" is null and "t0"."teamId" is null or "t2"."teamId" is not null and "t0"."teamId" is not null and "t2"."teamId" = "t0"."teamId")) and ' +
        'exists (select 1 as "found" from "bills" as "t1" where "t1"."id" = $3 and "t1"."payerId" is not null) or ' +
        '"t0"."admin" = $4)',
    );
  });

  it('does not look up a resource of which nothing but the key is asked', async () => {
    const policy = 'allow(user: User, "read", bill: Bill) if b in user.bills and b = bill;';
    expect((await sql('read', policy)).sql).to.equal(
      'exists (select 1 as "found" from "bills" as "t2" where "t2"."ownerId" = "t0"."id" and "t2"."id" = $1)',
    );
  });
});

describe('ctx.oso.authorizedActors', () => {
  async function ask(question: (ctx: Context) => unknown, { oso }: { oso?: Oso } = {}) {
    const app = new Koa();
    const errors: (Error & { code?: string })[] = [];
    app.on('error', error => errors.push(error));
    const koaOso = new KoaOso({ oso: oso ?? (await load(CompiledOso as unknown as typeof Oso)) });
    app.use(koaOso.middleware());
    let state: unknown;
    app.use(async (ctx, next) => {
      await next();
      state = JSON.parse(JSON.stringify(ctx.state.oso));
    });
    app.use(async ctx => {
      ctx.body = await question(ctx);
    });
    const { status, body } = await request(app.callback()).get('/');
    return { status, body, code: errors[0]?.code, message: errors[0]?.message, state: state as never };
  }
  const idsOf = (found: unknown) => (found as User[]).map(({ id }) => id);

  it('answers with the query of the adapter', async () => {
    const { body } = await ask(async ctx =>
      idsOf(await ctx.oso.authorizedActors(User, { action: 'read', resource: bill })),
    );
    expect(body).to.deep.equal([1, 3, 4]);
  });

  it('asks for the method of the request by default', async () => {
    const { body } = await ask(async ctx => idsOf(await ctx.oso.authorizedActors(User, { resource: bill })));
    expect(body).to.deep.equal([4]);
  });

  it('is a question: it is recorded, and does not count as having authorized', async () => {
    const { state } = await ask(async ctx => {
      await ctx.oso.authorizedActors(User, { action: 'read', resource: bill });
      const [decision] = ctx.state.oso.decisions;
      expect(decision).to.include({ kind: 'authorizedActors', actor: User, action: 'read', allowed: true });
      expect(decision?.resource).to.equal(bill);
      return 'ok';
    });
    expect(state).to.include({ authorized: false, skipped: false });
  });

  it('ends the request if nobody looks at its answer', async () => {
    const { status, code } = await ask(ctx => {
      ctx.oso.authorizedActors(User, { action: 'read', resource: bill });
      return 'ok';
    });
    expect(status).to.equal(500);
    expect(code).to.equal('ERR_KOA_OSO_NOT_AWAITED');
  });

  it('is there outside of a request, where it names its action', async () => {
    const koaOso = new KoaOso({ oso: await load(Oso) });
    const oso = koaOso.for(null);
    expect(idsOf(await oso.authorizedActors(User, { action: 'approve', resource: bill }))).to.deep.equal([2]);
    const failed = await oso
      .authorizedActors(User, { resource: bill } as never)
      .catch((error: Error & { code: string }) => error.code);
    expect(failed).to.equal('ERR_KOA_OSO_INVALID_ARGUMENT');
  });

  it('keeps to the policy by which the request began', async () => {
    const oso = await load(CompiledOso as unknown as typeof Oso);
    const koaOso = new KoaOso({ oso });
    const { body } = await ask(
      async ctx => {
        const question = { action: 'approve', resource: bill };
        const before = idsOf(await ctx.oso.authorizedActors(User, question));
        await koaOso.reloadPolicy(each => each.loadStr('allow(_: User, "approve", _: Bill);'));
        const during = idsOf(await ctx.oso.authorizedActors(User, question));
        return [before, during, idsOf(await koaOso.for(null).authorizedActors(User, question))];
      },
      { oso },
    );
    expect(body).to.deep.equal([[2], [2], [1, 2, 3, 4]]);
  });

  const refused: Readonly<Record<string, readonly [unknown, unknown, string, string]>> = {
    'no resource': [User, { action: 'read' }, 'INVALID_ARGUMENT', 'The resource is undefined'],
    'no options': [User, undefined, 'INVALID_ARGUMENT', 'options are not an object'],
    'a promise': [
      User,
      { action: 'read', resource: Promise.resolve(bill) },
      'INVALID_ARGUMENT',
      'is a promise',
    ],
    'a name in place of the class': [
      'User',
      { action: 'read', resource: bill },
      'INVALID_ARGUMENT',
      'by a class',
    ],
    'a class that is no entity': [Date, { action: 'read', resource: bill }, 'UNREGISTERED_CLASS', 'Date'],
    'a list of actions': [User, { action: ['read'], resource: bill }, 'INVALID_ARGUMENT', 'is an array'],
    'a row without its key': [
      User,
      { action: 'read', resource: Object.assign(new Bill(), { id: null }) },
      'INVALID_ARGUMENT',
      'this Bill has no `id`',
    ],
    'what no database can tell': [
      User,
      { action: 'guess', resource: bill },
      'UNFILTERABLE_POLICY',
      'rule `allow` at bills.polar:10:',
    ],
  };
  for (const [what, [cls, options, code, message]] of Object.entries(refused)) {
    it(`refuses ${what}`, async () => {
      const failed = await ask(ctx => ctx.oso.authorizedActors(cls as typeof User, options as never));
      expect(failed.status).to.equal(500);
      expect(failed.code).to.equal(`ERR_KOA_OSO_${code}`);
      expect(failed.message).to.include(message);
    });
  }

  it('takes no options from a prototype that a client has written to', async () => {
    Object.assign(Object.prototype, { resource: bill, id: 10 });
    try {
      const failed = await ask(ctx => ctx.oso.authorizedActors(User, { action: 'read' } as never));
      expect(failed.message).to.include('The resource is undefined');
      const forged = Object.create(Bill.prototype);
      const unkeyed = await ask(ctx => ctx.oso.authorizedActors(User, { action: 'read', resource: forged }));
      expect(unkeyed.message).to.include('this Bill has no `id`');
    } finally {
      for (const name of ['resource', 'id']) Reflect.deleteProperty(Object.prototype, name);
    }
  });

  it('says so if no entities are registered', async () => {
    const oso = new Oso();
    oso.registerClass(User);
    await oso.loadStr('allow(_, _, _);');
    const failed = await ask(ctx => ctx.oso.authorizedActors(User, { action: 'read', resource: 1 }), { oso });
    expect(failed.code).to.equal('ERR_KOA_OSO_INVALID_ARGUMENT');
    expect(failed.message).to.include('registerEntities');
  });
});
