import { expect } from 'chai';
import { asc, desc, eq, gt, or, type SQL, sql } from 'drizzle-orm';
import { drizzle as drizzlePg, type NodePgDatabase } from 'drizzle-orm/node-postgres';
import * as pgCore from 'drizzle-orm/pg-core';
import { drizzle as drizzleSqlJs, type SQLJsDatabase } from 'drizzle-orm/sql-js';
import * as sqliteCore from 'drizzle-orm/sqlite-core';
import { expectTypeOf } from 'expect-type';
import Koa from 'koa';
import { KoaOso, KoaOsoError } from 'koa-oso';
import {
  type AuthorizedQuery,
  type DrizzleEntities,
  entityEquality,
  instancesOf,
  registerEntities,
} from 'koa-oso/drizzle';
import { CompiledOso } from 'koa-oso/polar';
import { Oso } from 'oso';
import pg from 'pg';
import request from 'supertest';
import { openSqlJs } from '../../support/sql-js.js';
import { itLists } from '../support/acceptance.js';
import { itAgrees } from '../support/agreement.js';
import { drizzleStores, SCHEMA } from '../support/drizzle-store.js';
import {
  entitiesOf,
  type pgExpenses,
  pgTables,
  type sqliteExpenses,
  sqliteTables,
} from '../support/drizzle-tables.js';
import { actor, HOSTILE, POLICY, smallWorld } from '../support/small-world.js';
import { Expense, Line, Tag } from '../support/world.js';

type Allowed = AuthorizedQuery<typeof pgExpenses>;

for (const store of drizzleStores()) {
  describe(store.name, () => {
    const isSqlite = store.name.endsWith('SQLite');
    // The tables of both databases have the same columns; the specs are typed by PostgreSQL's.
    const expenses = store.tables.Expense as typeof pgExpenses;
    const users = store.tables.User as (typeof pgTables)['User'];
    const tags = store.tables.Tag as (typeof pgTables)['Tag'];
    let oso: Oso;

    before(async () => {
      await store.open();
      await store.fill(smallWorld);
      oso = store.oso(Oso);
      await oso.loadStr(POLICY);
    });

    after(() => store.close());

    const allowedTo = async (action: string, user = actor()) =>
      (await oso.authorizedQuery(user, action, Expense)) as Allowed;
    const idsOf = async (action: string, user = actor()) => {
      const rows = await store.db
        .select()
        .from(await allowedTo(action, user))
        .orderBy(expenses.id);
      return rows.map(({ id }) => id as unknown);
    };

    describe('authorizedQuery', () => {
      it('is selected from by one statement, whose values are bound', async () => {
        const allowed = await allowedTo('see');
        store.queries();
        const rows = await store.db.select({ id: allowed.id }).from(allowed).orderBy(allowed.id);
        expect(rows).to.deep.equal([{ id: 1 }, { id: 2 }]);
        const [query, ...others] = store.queries();
        expect(others).to.be.empty;
        const exact = isSqlite
          ? '"t0"."owner_id" = ? and "t0"."owner_id" collate binary = ?'
          : '"t0"."owner_id" = $1 and coalesce("t0"."owner_id" collate "C" = $2, false)';
        const [, inner] =
          /^select "id" from \(select .+? from ("expenses" .+)\) "expenses" order by "expenses"."id"$/.exec(
            query?.sql ?? '',
          ) as RegExpExecArray;
        expect(inner).to.equal(`"expenses" "t0" where "t0"."deleted_at" is null and ${exact}`);
        expect(query?.parameters).to.deep.equal(['ann', 'ann']);
      });

      it('binds what tries to break out of the text', async () => {
        const { sql: text, params } = store.db
          .select()
          .from(await allowedTo('read', actor(HOSTILE)))
          .toSQL();
        expect(text).not.to.include('DROP');
        expect(new Set(params)).to.deep.equal(new Set([HOSTILE]));
        expect(await idsOf('read', actor(HOSTILE))).to.deep.equal([5]);
      });

      it('is empty where nothing is allowed', async () => {
        const query = store.db.select().from(await allowedTo('delete'));
        expect(query.toSQL().sql).to.include('where 1 = 0');
        expect(await query).to.be.empty;
      });

      it('has no condition where all is allowed', async () => {
        const allowed = (await oso.authorizedQuery(actor(), 'browse', Tag)) as object;
        const query = store.db.select().from(allowed);
        expect(query.toSQL().sql).to.equal(
          'select "id", "is_secret" from (select "id", "is_secret" from "tags" "t0") "tags"',
        );
        expect(await query.orderBy(tags.id)).to.deep.equal([
          { id: 'food', isSecret: true },
          { id: 'travel', isSecret: false },
        ]);
      });
    });

    describe('what is selected from it', () => {
      it("takes conditions by the table's own columns, an order and a page, and counts", async () => {
        const allowed = await allowedTo('browse');
        const page = await store.db
          .select()
          .from(allowed)
          .where(eq(expenses.status, 'submitted'))
          .orderBy(desc(expenses.id))
          .limit(2)
          .offset(1);
        expect(page.map(({ id }) => id)).to.deep.equal([4, 2]);
        expect(await store.db.$count(allowed)).to.equal(5);
        expect(await store.db.$count(allowed, eq(allowed.status, 'submitted'))).to.equal(4);
      });

      it('has the values that the columns have', async () => {
        const [row] = await store.db.select().from(await allowedTo('paid'));
        expect(row).to.deep.equal({ ...smallWorld.Expense[0] });
      });

      it('takes joins', async () => {
        const allowed = await allowedTo('public');
        const rows = await store.db
          .select({ id: allowed.id, owner: users.name })
          .from(allowed)
          .innerJoin(users, eq(users.id, expenses.ownerId))
          .orderBy(asc(expenses.id));
        expect(rows).to.deep.equal([
          { id: 1, owner: 'ann' },
          { id: 5, owner: HOSTILE },
        ]);
      });

      const attempts: Record<string, SQL | undefined> = {
        'no condition': undefined,
        'a condition that always holds': or(gt(expenses.id, 0), sql`true`),
        'raw SQL': sql`1 = 1 or 1 = 1`,
      };
      for (const [attempt, condition] of Object.entries(attempts)) {
        it(`is filtered in spite of ${attempt}`, async () => {
          const rows = await store.db
            .select()
            .from(await allowedTo('read'))
            .where(condition)
            .orderBy(expenses.id);
          expect(rows.map(({ id }) => id)).to.deep.equal([1, 2]);
        });
      }
    });

    it('is handed out by a promise in a handler of Koa', async () => {
      const koaOso = new KoaOso({ oso, getActor: () => actor() });
      const app = new Koa().use(koaOso.middleware()).use(koaOso.requireAuthorization());
      app.use(async ctx => {
        const allowed = await ctx.oso.authorizedQuery<Allowed>(Expense, { action: 'read' });
        ctx.body = await store.db.select({ id: allowed.id }).from(allowed).where(gt(allowed.id, 1));
      });
      await request(app.callback())
        .get('/')
        .expect(200, [{ id: 2 }]);
    });

    it('is not run by Oso if it is a subquery that the adapter did not make', async () => {
      const { adapter } = oso.getHost();
      await rejects(
        adapter.executeQuery({ ...((await allowedTo('read')) as object) }),
        'ERR_KOA_OSO_INVALID_ARGUMENT',
        'did not make',
      );
    });
  });
}

/** Answers with the ids of the rows for which the rule holds. */
async function idsOf(
  db: NodePgDatabase | SQLJsDatabase,
  entities: DrizzleEntities,
  rule: string,
  value: unknown,
): Promise<unknown[]> {
  const oso = new Oso({ equalityFn: entityEquality(entities) });
  registerEntities(oso, db, entities);
  await oso.loadStr(`allow(value, "read", note: Note) if ${rule};`);
  const rows = await oso.authorizedResources(value, 'read', entities.Note?.class as typeof Note);
  return rows.map(row => (row as Note).id).sort();
}

class Note {
  id!: number;
}

describe('what Drizzle keeps in SQLite', () => {
  const notes = sqliteCore.sqliteTable('notes', {
    id: sqliteCore.integer().primaryKey(),
    at: sqliteCore.integer({ mode: 'timestamp' }),
    price: sqliteCore.numeric({ mode: 'number' }),
    text: sqliteCore.text(),
    json: sqliteCore.text({ mode: 'json' }),
    decimal: sqliteCore.numeric(),
    // biome-ignore lint/suspicious/noThenProperty: a column may be called that.
    then: sqliteCore.text(),
  });
  const entities = { Note: { class: Note, table: notes } };
  let db: SQLJsDatabase;

  before(async () => {
    const database = await openSqlJs();
    database.run(
      'create table notes (id integer primary key, at integer, price numeric, "text" text collate nocase, json text, decimal numeric, "then" text)',
    );
    db = drizzleSqlJs(database);
    await db.insert(notes).values([
      { id: 1, at: new Date('2026-01-01T00:00:00.000Z'), price: 10.25, text: 'ann' },
      { id: 2, at: new Date('2026-01-01T00:00:01.000Z'), price: 9, text: 'Ann' },
    ]);
  });

  it('compares moments to the millisecond, even where it keeps seconds', async () => {
    const at = new Date('2026-01-01T00:00:00.000Z');
    const later = new Date('2026-01-01T00:00:00.001Z');
    expect(await idsOf(db, entities, 'note.at = value', at)).to.deep.equal([1]);
    expect(await idsOf(db, entities, 'note.at != value', at)).to.deep.equal([2]);
    expect(await idsOf(db, entities, 'note.at = value', later)).to.be.empty;
    expect(await idsOf(db, entities, 'note.at < value', later)).to.deep.equal([1]);
    expect(await idsOf(db, entities, 'note.at > value', later)).to.deep.equal([2]);
  });

  it('compares numbers as numbers, and text as text', async () => {
    expect(await idsOf(db, entities, 'note.price > value', 9.5)).to.deep.equal([1]);
    expect(await idsOf(db, entities, 'note.price = value', 10.25)).to.deep.equal([1]);
    expect(await idsOf(db, entities, 'note.text = value', 'ann')).to.deep.equal([1]);
  });

  it('refuses what compares otherwise', async () => {
    for (const field of ['json', 'decimal']) {
      await rejects(
        idsOf(db, entities, `note.${field} = value`, '1'),
        'ERR_KOA_OSO_UNFILTERABLE_POLICY',
        `the field \`${field}\` is`,
      );
    }
  });

  it('is handed out by a promise even where a column is called `then`', async () => {
    const oso = new Oso({ equalityFn: entityEquality(entities) });
    registerEntities(oso, db, entities);
    await oso.loadStr('allow(_, "read", _: Note);');
    const allowed = (await oso.authorizedQuery('ann', 'read', Note)) as AuthorizedQuery<typeof notes>;
    expect(await db.$count(allowed)).to.equal(2);
  });
});

const url = process.env.DATABASE_URL;
if (url !== undefined) {
  describe('what Drizzle keeps in PostgreSQL', () => {
    const schema = pgCore.pgSchema('koa_oso_spec_drizzle_notes');
    const mood = schema.enum('mood', ['good', 'bad']);
    const notes = schema.table('Notes', {
      id: pgCore.integer().primaryKey(),
      writtenOn: pgCore.date({ mode: 'date' }).notNull(),
      writtenAt: pgCore.timestamp().notNull(),
      readAt: pgCore.timestamp({ withTimezone: true }).notNull(),
      mood: mood().notNull(),
      serial: pgCore.bigint({ mode: 'number' }).notNull(),
      small: pgCore.smallint().notNull(),
      code: pgCore.char({ length: 3 }),
      single: pgCore.real(),
      big: pgCore.bigint({ mode: 'bigint' }),
      replyTo: pgCore.integer(),
    });
    const entities = {
      Note: { class: Note, table: notes, relations: { parent: { one: 'Note', on: { replyTo: 'id' } } } },
    } as const;
    let pool: pg.Pool;
    let db: NodePgDatabase;

    before(async () => {
      pool = new pg.Pool({ connectionString: url, max: 1 });
      await pool.query(`
        drop schema if exists koa_oso_spec_drizzle_notes cascade;
        create schema koa_oso_spec_drizzle_notes;
        create type koa_oso_spec_drizzle_notes.mood as enum ('good', 'bad');
        create table koa_oso_spec_drizzle_notes."Notes" (id integer primary key, written_on date, written_at timestamp,
          read_at timestamptz, mood koa_oso_spec_drizzle_notes.mood, serial bigint, small smallint, code char(3),
          single real, big bigint, reply_to integer);
        insert into koa_oso_spec_drizzle_notes."Notes" values
          (1, '2026-01-01', '2026-01-01 00:00:00.0019', '2026-01-01 00:00:00.001999Z', 'good', 9007199254740991, 1, null, null, null, null),
          (2, '2026-01-02', '2026-01-01 00:00:00.002', '2026-01-01 00:00:00.002Z', 'bad', 5, 32767, null, null, null, 1)`);
      db = drizzlePg(pool, { casing: 'snake_case' });
    });

    after(() => pool.end());

    it('compares days as the moments at which they start', async () => {
      const day = new Date('2026-01-01T00:00:00.000Z');
      const later = new Date(day.getTime() + 1);
      expect(await idsOf(db, entities, 'note.writtenOn = value', day)).to.deep.equal([1]);
      expect(await idsOf(db, entities, 'note.writtenOn = value', later)).to.be.empty;
      expect(await idsOf(db, entities, 'note.writtenOn < value', later)).to.deep.equal([1]);
    });

    it('compares moments to the millisecond, as they are read', async () => {
      const at = new Date('2026-01-01T00:00:00.001Z');
      for (const field of ['writtenAt', 'readAt']) {
        expect(await idsOf(db, entities, `note.${field} = value`, at)).to.deep.equal([1]);
        expect(await idsOf(db, entities, `note.${field} > value`, at)).to.deep.equal([2]);
        expect(await idsOf(db, entities, `note.${field} <= value`, at)).to.deep.equal([1]);
      }
      const rows = await db.select().from(notes).where(eq(notes.id, 1));
      expect(rows[0]).to.deep.include({ writtenAt: at, readAt: at });
    });

    it('compares whole numbers and enums, and what they cannot hold', async () => {
      expect(await idsOf(db, entities, 'note.serial > value', 5)).to.deep.equal([1]);
      expect(await idsOf(db, entities, 'note.serial < value', 2 ** 40)).to.deep.equal([2]);
      expect(await idsOf(db, entities, 'note.small = value', 40000)).to.be.empty;
      expect(await idsOf(db, entities, 'note.small < value', 40000)).to.deep.equal([1, 2]);
      expect(await idsOf(db, entities, 'note.mood = value', 'good')).to.deep.equal([1]);
      expect(await idsOf(db, entities, 'note.mood = value', 'ugly')).to.be.empty;
    });

    it('finds what is in a schema, by columns whose names are made of those of the fields', async () => {
      expect(await idsOf(db, entities, 'note.parent.mood = value', 'good')).to.deep.equal([2]);
      const oso = new Oso({ equalityFn: entityEquality(entities) });
      registerEntities(oso, db, entities);
      await oso.loadStr('allow(_, "read", note: Note) if note.mood = "good";');
      const allowed = (await oso.authorizedQuery('ann', 'read', Note)) as AuthorizedQuery<typeof notes>;
      const rows = await db.select().from(allowed).where(gt(allowed.serial, 1));
      expect(rows.map(({ id }) => id)).to.deep.equal([1]);
    });

    it('refuses what compares otherwise', async () => {
      for (const field of ['code', 'single', 'big']) {
        await rejects(
          idsOf(db, entities, `note.${field} = value`, 1),
          'ERR_KOA_OSO_UNFILTERABLE_POLICY',
          `the field \`${field}\` is`,
        );
      }
    });

    it('plans a filtered query as it plans one without a subquery', async () => {
      const planOf = async (text: string) => JSON.stringify((await pool.query(`explain ${text}`)).rows);
      const tables = { Tag: { class: Tag, table: pgTables.Tag } };
      const oso = new Oso({ equalityFn: entityEquality(tables) });
      registerEntities(oso, db, tables);
      await oso.loadStr('allow(_, "read", _: Tag); allow(_, "none", tag: Tag) if tag.isSecret = true;');
      await pool.query(`set search_path = ${SCHEMA}`);
      const allowed = (await oso.authorizedQuery('ann', 'read', Tag)) as AuthorizedQuery<typeof pgTables.Tag>;
      const plan = await planOf(db.select().from(allowed).toSQL().sql);
      expect(plan.replace('tags t0', 'tags')).to.equal(await planOf('select id, is_secret from tags'));
    });
  });
}

describe('registerEntities of Drizzle', () => {
  const register = (entities: DrizzleEntities) => () =>
    registerEntities(new Oso(), drizzlePg.mock(), entities);
  const { Expense: expense, User: user } = entitiesOf(pgTables);

  it('refuses relations of which the foreign keys do not say what is related', () => {
    const owned = (relations: DrizzleEntities[string]['relations']) =>
      register({
        Expense: { class: Expense, table: pgTables.Expense, relations },
        User: { ...user, relations: {} },
      } as DrizzleEntities);
    expect(owned({ owner: { one: 'User' } })).not.to.throw();
    expect(owned({ spenders: { many: 'User' } })).to.throw(KoaOsoError, 'there is none');
    expect(owned({ owner: { one: 'Nobody' } })).to.throw(KoaOsoError, 'leads to Nobody');
    expect(owned({ owner: { one: 'User', on: {} } })).to.throw(KoaOsoError, 'by no field');
    expect(owned({ owner: { one: 'User', on: { owner_id: 'id' } } })).to.throw(KoaOsoError, '`owner_id`');
    expect(owned({ owner: { one: 'User', on: { ownerId: 'ID' } } })).to.throw(KoaOsoError, '`ID`');
  });

  it('refuses two foreign keys to one table, unless it is told which one', () => {
    const people = pgCore.pgTable('people', { id: pgCore.text().primaryKey() });
    const letters = pgCore.pgTable('letters', {
      id: pgCore.text().primaryKey(),
      from: pgCore.text().references(() => people.id),
      to: pgCore.text().references(() => people.id),
    });
    class Person {}
    class Letter {}
    const entities = (on?: Record<string, string>) => ({
      Person: { class: Person, table: people },
      Letter: { class: Letter, table: letters, relations: { sender: { one: 'Person', on } } },
    });
    expect(register(entities())).to.throw(KoaOsoError, 'there are several');
    expect(register(entities({ from: 'id' }))).not.to.throw();
  });

  it('refuses tables without a key, of two databases, or none', () => {
    const keyless = pgCore.pgTable('keyless', { id: pgCore.text() });
    expect(register({ Tag: { class: Tag, table: keyless } })).to.throw(KoaOsoError, 'no primary key');
    const two = { Tag: { class: Tag, table: sqliteTables.Tag }, Line: { class: Line, table: pgTables.Line } };
    expect(register(two)).to.throw(KoaOsoError, 'one database');
    expect(register({})).to.throw(KoaOsoError, 'one database');
  });

  it('refuses to compare decimals that may have more digits than a number', async () => {
    for (const [price, isKnown] of [
      [pgCore.numeric({ mode: 'number' }), false],
      [pgCore.numeric({ mode: 'number', precision: 16, scale: 2 }), false],
      [pgCore.numeric({ mode: 'number', precision: 15, scale: 2 }), true],
    ] as const) {
      const table = pgCore.pgTable('notes', { id: pgCore.integer().primaryKey(), price });
      const entities = { Note: { class: Note, table } };
      const oso = new Oso({ equalityFn: entityEquality(entities) });
      registerEntities(oso, drizzlePg.mock(), entities);
      await oso.loadStr('allow(_, "read", note: Note) if note.price > 0.1;');
      const error = await oso.authorizedQuery('ann', 'read', Note).catch((reason: unknown) => reason);
      if (isKnown) expect(error).not.to.be.instanceOf(Error);
      else {
        expect(error).to.have.property('code', 'ERR_KOA_OSO_UNFILTERABLE_POLICY');
        expect((error as Error).message).to.include('a precision of 15 or less');
      }
    }
  });

  it('does not trust a foreign key of text to be spelt as what it refers to', async () => {
    const authors = pgCore.pgTable('authors', { id: pgCore.text().primaryKey() });
    const books = pgCore.pgTable('books', {
      id: pgCore.integer().primaryKey(),
      authorId: pgCore.text().references(() => authors.id),
    });
    class Author {}
    class Book {}
    const entities = {
      Author: { class: Author, table: authors },
      Book: { class: Book, table: books, relations: { author: { one: 'Author' } } },
    };
    const db = drizzlePg.mock();
    const oso = new Oso({ equalityFn: entityEquality(entities) });
    registerEntities(oso, db, entities);
    await oso.loadStr('allow(name, "read", book: Book) if book.author.id = name;');
    const allowed = (await oso.authorizedQuery('ann', 'read', Book)) as never;
    expect(db.select().from(allowed).toSQL().sql).to.include('exists (select 1 from "authors"');
  });

  it('refuses a field of deletion that is none', () => {
    const entities = { Expense: { ...expense, relations: {}, deletedAt: 'deleted_at' } } as DrizzleEntities;
    expect(register(entities)).to.throw(KoaOsoError, '`deleted_at`');
  });

  it('refuses a database of another kind, and registers nothing then', async () => {
    const db = drizzleSqlJs(await openSqlJs());
    const oso = new CompiledOso();
    expect(() => registerEntities(oso, db, entitiesOf(pgTables))).to.throw(KoaOsoError, 'of the kind');
    registerEntities(oso, db, entitiesOf(sqliteTables));
  });
});

describe('instancesOf of Drizzle', () => {
  const entities = entitiesOf(pgTables);

  it('makes instances of rows, without what is no column', () => {
    const [tag] = instancesOf(entities, Tag, [{ id: 'a', isSecret: true, expenses: [] }]);
    expect(tag).to.be.instanceOf(Tag);
    expect({ ...tag }).to.deep.equal({ id: 'a', isSecret: true });
  });

  it('refuses classes that are not described', () => {
    expect(() => instancesOf(entities, Koa, []))
      .to.throw(KoaOsoError)
      .with.property('code', 'ERR_KOA_OSO_UNREGISTERED_CLASS');
  });
});

it("AuthorizedQuery has the types of the table's columns", () => {
  async (
    oso: Oso,
    onPg: NodePgDatabase,
    onSqlite: SQLJsDatabase,
    fromPg: AuthorizedQuery<typeof pgExpenses>,
    fromSqlite: AuthorizedQuery<typeof sqliteExpenses>,
  ) => {
    expectTypeOf(await onPg.select().from(fromPg)).toEqualTypeOf<(typeof pgExpenses.$inferSelect)[]>();
    expectTypeOf(await onSqlite.select().from(fromSqlite)).toEqualTypeOf<
      (typeof sqliteExpenses.$inferSelect)[]
    >();
    expectTypeOf(await onPg.$count(fromPg)).toEqualTypeOf<number>();
    // @ts-expect-error a misspelt column
    eq(fromPg.stat, 'draft');
    // @ts-expect-error no value of the column
    eq(fromPg.status, 'lost');
    registerEntities(oso, onPg, {});
    registerEntities(oso, onSqlite, {});
    // @ts-expect-error no database of Drizzle's
    registerEntities(oso, new pg.Pool(), {});
  };
});

async function rejects(promise: Promise<unknown>, code: string, text: string): Promise<void> {
  let error: unknown;
  await promise.catch(reason => {
    error = reason;
  });
  expect(error).to.be.instanceOf(KoaOsoError).with.property('code', code);
  expect((error as Error).message).to.include(text);
}

for (const store of drizzleStores()) {
  itLists(store);
  itAgrees(store);
}
