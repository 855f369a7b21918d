import { expect } from 'chai';
import { expectTypeOf } from 'expect-type';
import Koa from 'koa';
import { KoaOso, KoaOsoError, type RequestOso } from 'koa-oso';
import { type AuthorizedQuery, entityEquality, instancesOf, registerEntities } from 'koa-oso/kysely';
import { CompiledOso } from 'koa-oso/polar';
import {
  CamelCasePlugin,
  Kysely,
  MysqlDialect,
  PostgresDialect,
  type SelectQueryBuilder,
  SqliteDialect,
  sql,
} from 'kysely';
import { Oso } from 'oso';
import pg from 'pg';
import request from 'supertest';
import { forKysely, openSqlJs } from '../../support/sql-js.js';
import { itLists } from '../support/acceptance.js';
import { itAgrees } from '../support/agreement.js';
import { kyselyStores, SCHEMA, type WorldDatabase } from '../support/kysely-store.js';
import { actor, HOSTILE, LISTS, POLICY, smallWorld } from '../support/small-world.js';
import { description, Expense, Line, Tag, User } from '../support/world.js';

type Expenses = AuthorizedQuery<WorldDatabase, 'expenses'>;

const url = process.env.DATABASE_URL;

for (const store of kyselyStores()) {
  describe(store.name, () => {
    const isSqlite = store.name.endsWith('SQLite');
    let oso: Oso;

    before(async () => {
      await store.open();
      await store.fill(smallWorld);
      oso = store.oso(Oso);
      await oso.loadStr(POLICY);
    });

    after(() => store.close());

    const queryOf = async (action: string, user = actor()) =>
      (await oso.authorizedQuery(user, action, Expense)) as Expenses;

    describe('authorizedQuery', () => {
      it('is one statement, whose values are bound', async () => {
        const query = await queryOf('see');
        store.queries();
        expect((await query.execute()).map(({ id }) => id)).to.have.members([1, 2]);
        const exact = isSqlite
          ? '"t0"."owner_id" = ? and "t0"."owner_id" collate binary = ?'
          : '"t0"."owner_id" = $1 and coalesce("t0"."owner_id" collate "C" = $2, false)';
        expect(store.queries()).to.deep.equal([
          {
            sql:
              'select "expenses".* from (select "t0".* from "expenses" as "t0" where "t0"."deleted_at" is null ' +
              `and ${exact}) as "expenses"`,
            parameters: ['ann', 'ann'],
          },
        ]);
      });

      it('binds what tries to break out of the text', async () => {
        const query = await queryOf('read', actor(HOSTILE));
        expect(query.compile().sql).not.to.include('DROP');
        expect(new Set(query.compile().parameters)).to.deep.equal(new Set([HOSTILE]));
        expect((await query.execute()).map(({ id }) => id)).to.deep.equal([5]);
      });

      it('is empty where nothing is allowed', async () => {
        const query = await queryOf('delete');
        expect(query.compile().sql).to.include('where 1 = 0');
        expect(await query.execute()).to.be.empty;
      });

      it('has no condition where all is allowed', async () => {
        const query = (await oso.authorizedQuery(actor(), 'browse', Tag)) as AuthorizedQuery<
          WorldDatabase,
          'tags'
        >;
        expect(query.compile().sql).to.equal(
          'select "tags".* from (select "t0".* from "tags" as "t0") as "tags"',
        );
        expect(await query.execute()).to.have.length(2);
      });
    });

    describe('a query that is refined', () => {
      it('takes conditions, an order and a page, and counts', async () => {
        const query = await queryOf('browse');
        const submitted = query.where('expenses.status', '=', 'submitted');
        const page = await submitted.orderBy('expenses.id', 'desc').limit(2).offset(1).execute();
        expect(page.map(({ id }) => id)).to.deep.equal([4, 2]);
        const { total } = await submitted
          .clearSelect()
          .select(({ fn }) => fn.countAll<number | string>().as('total'))
          .executeTakeFirstOrThrow();
        expect(Number(total)).to.equal(4);
      });

      it('takes joins', async () => {
        const rows = await (await queryOf('public'))
          .innerJoin('users', 'users.id', 'expenses.owner_id')
          .clearSelect()
          .select(['expenses.id', 'users.full_name'])
          .orderBy('expenses.id')
          .execute();
        expect(rows).to.deep.equal([
          { id: 1, full_name: 'ann' },
          { id: 5, full_name: HOSTILE },
        ]);
      });

      it('is a subquery of others', async () => {
        const allowed = (await queryOf('read')).clearSelect().select('expenses.id');
        const lines = await store.db
          .selectFrom('lines')
          .where('expense_id', 'in', allowed)
          .selectAll()
          .execute();
        expect(lines).to.have.length(4);
      });

      type Loosened = (query: Expenses) => SelectQueryBuilder<WorldDatabase, 'expenses', { id: number }>;
      const attempts: Record<string, Loosened> = {
        clearWhere: query => query.clearWhere(),
        'clearWhere and another where': query => query.clearWhere().where('expenses.id', '>', 0),
        'or where': query => query.where(eb => eb.or([eb('expenses.id', '>', 0), eb.lit(true)])),
        'raw SQL in where': query => query.where(sql<boolean>`1 = 1 or 1 = 1`),
        'clearing all else': query =>
          query.clearSelect().clearLimit().clearOffset().clearOrderBy().clearGroupBy().selectAll('expenses'),
        'a join of the table to itself': query =>
          query
            .innerJoin('expenses as others', join => join.onTrue())
            .clearWhere()
            .distinct(),
        'a full outer join': query =>
          query.rightJoin('expenses as others', join => join.on(sql<boolean>`1 = 0`)),
        having: query =>
          query.clearSelect().select('expenses.id').groupBy('expenses.id').having(sql<boolean>`1 = 1`),
      };
      for (const [attempt, loosen] of Object.entries(attempts)) {
        it(`keeps its filter in spite of ${attempt}`, async () => {
          const rows = await loosen(await queryOf('read'))
            .clearSelect()
            .select('expenses.id')
            .execute();
          const ids = new Set(rows.map(({ id }) => id).filter(id => id !== null));
          expect([...ids].filter(id => id !== 1 && id !== 2)).to.be.empty;
        });
      }

      it('is not run by Oso, which would not know what to make of the rows', async () => {
        const query = (await queryOf('read')).where('expenses.id', '=', 1);
        const { adapter } = oso.getHost();
        await rejects(adapter.executeQuery(query), 'ERR_KOA_OSO_INVALID_ARGUMENT', 'refined');
      });
    });

    it('is refused to a policy that follows a relation of a row without the field that refers to it', async () => {
      const partial = Object.assign(Object.create(Expense.prototype), { id: 1 });
      let error: unknown;
      await oso.isAllowed(actor(), 'read', partial).catch(reason => {
        error = reason;
      });
      expect(error).to.be.instanceOf(Error).with.property('message').that.includes('not loaded');
    });

    it('is refined in a handler of Koa, where a promise hands it out', async () => {
      const koaOso = new KoaOso({ oso, getActor: () => actor() });
      const app = new Koa().use(koaOso.middleware()).use(koaOso.requireAuthorization());
      app.use(async ctx => {
        const query = await ctx.oso.authorizedQuery<Expenses>(Expense, { action: 'read' });
        ctx.body = await query.where('expenses.id', '>', 1).select('expenses.id').execute();
      });
      const response = await request(app.callback()).get('/').expect(200);
      expect(response.body).to.have.length(1);
      expect(response.body[0].id).to.equal(2);
    });

    describe('plugins', () => {
      it('are applied to the filter, such as CamelCasePlugin', async () => {
        class Membership {}
        const camel = {
          Membership: {
            class: Membership,
            table: 'memberships',
            key: ['userId', 'organizationId'],
            fields: { userId: 'text', organizationId: 'uuid', role: 'text' },
            relations: { user: { one: 'User', on: { userId: 'id' } } },
          },
          User: {
            class: User,
            table: 'users',
            fields: { id: 'text', managerId: { type: 'text', nullable: true } },
          },
        } as const;
        const db = store.db.withPlugin(new CamelCasePlugin()) as unknown as Kysely<{
          memberships: { userId: string; organizationId: string; role: string };
          users: { id: string; managerId: string | null };
        }>;
        const other = new Oso({ equalityFn: entityEquality(camel) });
        registerEntities(other, db, camel);
        await other.loadStr(
          'allow(name, "read", membership: Membership) if membership.user.managerId = name;',
        );
        const [found] = await other.authorizedResources('ann', 'read', Membership);
        expect(found).to.be.instanceOf(Membership).and.to.have.property('userId', 'bob');
      });

      if (!isSqlite && url !== undefined) {
        it('are applied to the filter, such as withSchema, wherever a table is named', async () => {
          const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 1 });
          const db = new Kysely<WorldDatabase>({ dialect: new PostgresDialect({ pool }) });
          try {
            const other = new Oso({ equalityFn: entityEquality(description) });
            registerEntities(other, db.withSchema(SCHEMA), description);
            await other.loadStr(POLICY);
            for (const action of ['approve', 'tagged', 'oversee']) {
              const query = (await other.authorizedQuery(actor(), action, Expense)) as Expenses;
              const rows = await query.where('expenses.id', '>', 0).orderBy('expenses.id').execute();
              expect(rows.map(({ id }) => id)).to.deep.equal(LISTS[action]);
            }
            const [first] = smallWorld.Expense;
            expect(await other.isAllowed(actor(), 'tagged', first)).to.equal(true);
          } finally {
            await db.destroy();
          }
        });
      }
    });
  });
}

describe('registerEntities of Kysely', () => {
  it('knows the database by an adapter of another copy of Kysely, and one that inherits from it', () => {
    const another = { PostgresAdapter: class PostgresAdapter {}, SqliteAdapter: class SqliteAdapter {} };
    class OwnAdapter extends another.PostgresAdapter {}
    for (const Adapter of [another.PostgresAdapter, another.SqliteAdapter, OwnAdapter]) {
      const db = { getExecutor: () => ({ adapter: new Adapter() }) } as unknown as Kysely<WorldDatabase>;
      registerEntities(new CompiledOso(), db, description);
    }
    class OtherAdapter {}
    const other = {
      getExecutor: () => ({ adapter: new OtherAdapter() }),
    } as unknown as Kysely<WorldDatabase>;
    expect(() => registerEntities(new CompiledOso(), other, description)).to.throw(
      KoaOsoError,
      'PostgreSQL and SQLite only',
    );
  });

  it('refuses databases that compare text otherwise', () => {
    const db = new Kysely<WorldDatabase>({
      dialect: new MysqlDialect({ pool: async () => Promise.reject() }),
    });
    expect(() => registerEntities(new CompiledOso(), db, description))
      .to.throw(KoaOsoError, 'PostgreSQL and SQLite only')
      .with.property('code', 'ERR_KOA_OSO_INVALID_ARGUMENT');
  });
});

describe('instancesOf', () => {
  const row = { id: 'a', is_secret: 1, rank: 3 };

  it('makes instances of rows, without what is not described', () => {
    const [tag] = instancesOf(description, Tag, [row]);
    expect(tag).to.be.instanceOf(Tag);
    expect({ ...tag }).to.deep.equal({ id: 'a', isSecret: true });
  });

  it('refuses rows without a column that is described, or null where it is described as not nullable', () => {
    expect(() => instancesOf(description, Tag, [{ id: 'a' }])).to.throw(
      KoaOsoError,
      '`is_secret` of tags is missing',
    );
    expect(() => instancesOf(description, Tag, [{ ...row, id: null }])).to.throw(
      KoaOsoError,
      '`id` of tags is null',
    );
    expect(() => instancesOf(description, Tag, [{ isSecret: true, id: 'a' }])).to.throw(
      KoaOsoError,
      '`is_secret`',
    );
    expect(() => instancesOf(description, Tag, [Object.create(row)])).not.to.throw();
  });

  const wrong: readonly object[] = [
    { is_secret: 'yes' },
    { is_secret: 2 },
    { id: 5 },
    { id: Buffer.from('a') },
  ];
  for (const columns of wrong) {
    it(`refuses ${JSON.stringify(columns)}, and does not tell of it`, () => {
      expect(() => instancesOf(description, Tag, [{ ...row, ...columns }]))
        .to.throw(
          KoaOsoError,
          /holds a value that is not of the type (boolean|text), as which `\w+` is described\.$/,
        )
        .with.property('code', 'ERR_KOA_OSO_INVALID_ARGUMENT');
    });
  }

  it('refuses numbers and dates that are none', () => {
    const entities = {
      Note: {
        class: Note,
        fields: { cents: 'integer', at: 'date', kind: { enum: ['a'] }, ref: 'uuid' },
        key: ['cents'],
      },
    } as const;
    const whole = { cents: 1, at: null, kind: 'a', ref: null };
    const read = (columns: object) => () => instancesOf(entities, Note, [{ ...whole, ...columns }]);
    expect(read({})).not.to.throw();
    expect(read({ cents: '1e' })).to.throw(KoaOsoError, 'not of the type integer');
    expect(read({ cents: '' })).to.throw(KoaOsoError, 'not of the type integer');
    expect(read({ cents: true })).to.throw(KoaOsoError, 'not of the type integer');
    expect(read({ cents: 1.5 })).to.throw(KoaOsoError, 'not of the type integer');
    expect(read({ at: 'tomorrow' })).to.throw(KoaOsoError, 'not of the type date');
    expect(read({ at: 5 })).to.throw(KoaOsoError, 'not of the type date');
    expect(read({ kind: 'b' })).to.throw(KoaOsoError, 'not of the type enum');
    expect(read({ ref: 'A0B1C2D3-E4F5-4678-9ABC-DEF012345678' })).to.throw(
      KoaOsoError,
      'not of the type uuid',
    );
  });

  it('refuses classes that are not described', () => {
    expect(() => instancesOf(description, Koa, []))
      .to.throw(KoaOsoError)
      .with.property('code', 'ERR_KOA_OSO_UNREGISTERED_CLASS');
  });
});

it('registerEntities knows from the types of Kysely which tables and columns there are', () => {
  (db: Kysely<WorldDatabase>, oso: Oso, koaOso: RequestOso) => {
    registerEntities(oso, db, description);
    registerEntities(oso, db, { tags: { class: Tag, fields: { id: 'text' } } });
    // @ts-expect-error a misspelt table
    registerEntities(oso, db, { Tag: { class: Tag, table: 'tagz', fields: { id: 'text' } } });
    // @ts-expect-error no table by the name of the entity
    registerEntities(oso, db, { Tag: { class: Tag, fields: { id: 'text' } } });
    // @ts-expect-error a field that is no column
    registerEntities(oso, db, { Tag: { class: Tag, table: 'tags', fields: { isSecret: 'boolean' } } });
    registerEntities(oso, db, {
      // @ts-expect-error nor is this one
      Tag: { class: Tag, table: 'tags', fields: { isSecret: { type: 'boolean' } } },
    });
    registerEntities(oso, db, {
      // @ts-expect-error a misspelt column
      Tag: { class: Tag, table: 'tags', fields: { isSecret: { type: 'boolean', column: 'is_secre' } } },
    });
    // @ts-expect-error a text for numbers
    registerEntities(oso, db, { Line: { class: Line, table: 'lines', fields: { cents: 'text' } } });
    // @ts-expect-error nor in its long form
    registerEntities(oso, db, { Line: { class: Line, table: 'lines', fields: { cents: { type: 'text' } } } });
    // @ts-expect-error numbers for a text
    registerEntities(oso, db, { Tag: { class: Tag, table: 'tags', fields: { id: 'integer' } } });
    // @ts-expect-error an enum for numbers
    registerEntities(oso, db, { Line: { class: Line, table: 'lines', fields: { cents: { enum: ['a'] } } } });
    registerEntities(oso, db, {
      Line: {
        class: Line,
        table: 'lines',
        // @ts-expect-error not null, for a column that may be null
        fields: { previous: { type: 'integer', column: 'previous_number', nullable: false } },
      },
    });
    registerEntities(oso, db, {
      Line: {
        class: Line,
        table: 'lines',
        fields: { number: 'integer', cents: { type: 'number', nullable: false }, previous_number: 'integer' },
      },
    });
    // @ts-expect-error a type that there is not
    registerEntities(oso, db, { Tag: { class: Tag, table: 'tags', fields: { id: 'string' } } });

    expectTypeOf(instancesOf(description, Tag, [])).toEqualTypeOf<Tag[]>();
    async () => {
      const query = await koaOso.authorizedQuery<AuthorizedQuery<WorldDatabase, 'tags'>>(Tag);
      expectTypeOf(await query.execute()).toEqualTypeOf<
        { id: string; is_secret: number | boolean | null }[]
      >();
      // @ts-expect-error a misspelt column
      query.where('is_secre', '=', true);
    };
  };
});

/** An entity with one table of a test's own. */
class Note {
  id!: number;
}

const NOTES = {
  Note: {
    class: Note,
    table: 'notes',
    fields: {
      id: 'integer',
      author: { type: 'text', column: 'author' },
      at: { type: 'date', nullable: true },
      serial: { type: 'bigint', nullable: true },
    },
  },
} as const;

interface NotesDatabase {
  notes: { id: number; author: string; at: string | Date | null; serial: string | null };
}

async function notesOf(db: Kysely<NotesDatabase>, rule: string, value: unknown): Promise<number[]> {
  const oso = new Oso({ equalityFn: entityEquality(NOTES) });
  registerEntities(oso, db, NOTES);
  await oso.loadStr(`allow(value, "read", note: Note) if ${rule};`);
  const query = (await oso.authorizedQuery(value, 'read', Note)) as AuthorizedQuery<NotesDatabase, 'notes'>;
  return (await query.orderBy('id').execute()).map(({ id }) => id);
}

describe('what SQLite keeps', () => {
  let db: Kysely<NotesDatabase>;

  before(async () => {
    db = new Kysely({ dialect: new SqliteDialect({ database: forKysely(await openSqlJs()) }) });
    await sql`create table notes (id integer primary key, author text collate nocase, at text, serial bigint)`.execute(
      db,
    );
    await sql`insert into notes values
      (1, 'ann', '2026-01-01T00:00:00.000Z', 9007199254740993),
      (2, 'Ann', '2026-01-01 00:00:00', 1),
      (3, 'bob', 1767225600000, 1),
      (4, 'Bob', null, null)`.execute(db);
  });

  after(() => db.destroy());

  it('compares text that the column compares without case', async () => {
    expect(await notesOf(db, 'note.author = value', 'ann')).to.deep.equal([1]);
    expect(await notesOf(db, 'note.author in [value, "bob"]', 'ann')).to.deep.equal([1, 3]);
    expect(await notesOf(db, 'note.author != value', 'ann')).to.deep.equal([2, 3, 4]);
    expect(await notesOf(db, 'note.author > value', 'Bob')).to.deep.equal([1, 3]);
  });

  it('compares whole numbers beyond those of JavaScript', async () => {
    expect(await notesOf(db, 'note.serial = value', '9007199254740993')).to.deep.equal([1]);
    expect(await notesOf(db, 'note.serial = value', '9007199254740992')).to.be.empty;
  });

  it('has no comparison hold of dates that are kept otherwise than described, nor its contrary', async () => {
    const date = new Date('2026-01-01T00:00:00.000Z');
    expect(await notesOf(db, 'note.at = value', date)).to.deep.equal([1]);
    expect(await notesOf(db, 'note.at <= value', date)).to.deep.equal([1, 4]);
    expect(await notesOf(db, 'not note.at = value', date)).to.deep.equal([4]);
    expect(await notesOf(db, 'note.at > value', new Date(0))).to.deep.equal([1]);
  });
});

if (url !== undefined) {
  describe('what PostgreSQL keeps', () => {
    let db: Kysely<NotesDatabase>;

    before(async () => {
      const pool = new pg.Pool({
        connectionString: url,
        options: '-c search_path=koa_oso_spec_kysely_notes',
        max: 1,
      });
      db = new Kysely({ dialect: new PostgresDialect({ pool }) });
      await sql`drop schema if exists koa_oso_spec_kysely_notes cascade`.execute(db);
      await sql`create schema koa_oso_spec_kysely_notes`.execute(db);
      await sql`create table notes (id integer primary key, author text, at date, serial bigint)`.execute(db);
      await sql`create index on notes (author)`.execute(db);
      await sql`insert into notes select id, 'author ' || id, date '2026-01-01' + id, 9007199254740992 + id
        from generate_series(1, 5000) id`.execute(db);
      await sql`analyze notes`.execute(db);
    });

    after(() => db.destroy());

    it('compares days as the moments at which they start, as they are read', async () => {
      const [{ at }] = (await db.selectFrom('notes').select('at').where('id', '=', 3).execute()) as [
        { at: Date },
      ];
      const later = new Date(at.getTime() + 1);
      expect(await notesOf(db, 'note.at = value', at)).to.deep.equal([3]);
      expect(await notesOf(db, 'note.at = value', later)).to.be.empty;
      expect(await notesOf(db, 'note.at < value', later)).to.deep.equal([1, 2, 3]);
      expect(await notesOf(db, 'note.at < value', at)).to.deep.equal([1, 2]);
    });

    it('compares whole numbers beyond those of JavaScript', async () => {
      expect(await notesOf(db, 'note.serial = value', '9007199254740993')).to.deep.equal([1]);
    });

    it('plans a filtered query as it plans one without a subquery, by the same index', async () => {
      const oso = new Oso({ equalityFn: entityEquality(NOTES) });
      registerEntities(oso, db, NOTES);
      await oso.loadStr('allow(value, "read", note: Note) if note.author = value; allow(_, "all", _: Note);');
      const planOf = async (query: { explain(): Promise<object[]> }) =>
        JSON.stringify(await query.explain())
          .replaceAll(/t0|notes_1/g, 'notes')
          .replaceAll('notes notes', 'notes')
          // That the bytes are the same, too, is asked of what the index finds.
          .replace(/\(COALESCE\(\(\(author\)::text = 'author 7'::text\), false\) AND (.*?)\)"/, '$1"')
          .replace(/8\.3\d/, '8.3');
      const by = (await oso.authorizedQuery('author 7', 'read', Note)) as AuthorizedQuery<
        NotesDatabase,
        'notes'
      >;
      const plan = await planOf(by.where('notes.id', '>', 3));
      expect(plan).to.include('Index Scan using notes_author_idx');
      const plain = db.selectFrom('notes').selectAll().where('author', '=', 'author 7');
      expect(plan).to.equal(await planOf(plain.where('id', '>', 3)));
      const all = (await oso.authorizedQuery('ann', 'all', Note)) as AuthorizedQuery<NotesDatabase, 'notes'>;
      expect(await planOf(all)).to.equal(await planOf(db.selectFrom('notes').selectAll()));
    });
  });
}

async function rejects(promise: Promise<unknown>, code: string, text: string): Promise<void> {
  let error: unknown;
  await promise.catch(reason => {
    error = reason;
  });
  expect(error).to.be.instanceOf(KoaOsoError).with.property('code', code);
  expect((error as Error).message).to.include(text);
}

for (const store of kyselyStores()) {
  itLists(store);
  itAgrees(store);
}
