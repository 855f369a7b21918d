import 'reflect-metadata';
import { expect } from 'chai';
import { sql as drizzleSql } from 'drizzle-orm';
import { drizzle as drizzlePg } from 'drizzle-orm/node-postgres';
import * as pgCore from 'drizzle-orm/pg-core';
import { drizzle as drizzleSqlJs } from 'drizzle-orm/sql-js';
import * as sqliteCore from 'drizzle-orm/sqlite-core';
import { checkEntities as checkDrizzle } from 'koa-oso/drizzle';
import { checkEntities as checkKysely, type SchemaDescription } from 'koa-oso/kysely';
import { checkEntities as checkTypeorm } from 'koa-oso/typeorm';
import { Kysely, PostgresDialect, SqliteDialect, sql } from 'kysely';
import pg from 'pg';
import { Column, DataSource, Entity, ManyToOne, PrimaryColumn, type Relation } from 'typeorm';
import { forKysely, openSqlJs } from '../support/sql-js.js';
import { drizzleStores } from './support/drizzle-store.js';
import { entitiesOf } from './support/drizzle-tables.js';
import { kyselyStores } from './support/kysely-store.js';
import { description } from './support/world.js';

const SCHEMA = 'koa_oso_spec_check';
const url = process.env.DATABASE_URL;

class Author {}
class Post {}

/** What the tables below are, as they should be described. */
const good = {
  Author: {
    class: Author,
    table: 'authors',
    fields: { id: { type: 'integer', nullable: false }, name: { type: 'text', nullable: false } },
  },
  Post: {
    class: Post,
    table: 'posts',
    fields: {
      id: { type: 'integer', nullable: false },
      title: { type: 'text', nullable: false },
      released_by: 'text',
      author_id: 'integer',
      reader_id: 'integer',
    },
    relations: {
      author: { one: 'Author', on: { author_id: 'id' }, foreignKey: true },
      readers: { many: 'Author', through: { table: 'reads', from: { id: 'post' }, to: { id: 'author' } } },
    },
  },
} as const satisfies SchemaDescription;

const TABLES = [
  'create table authors (id integer primary key, name text not null)',
  'create table posts (id integer primary key, title text not null, released_by text, author_id integer references authors (id), reader_id integer)',
  'create table reads (post integer not null, author integer not null)',
];

/** Descriptions with one fault, and what is said of it. */
const FAULTS: Readonly<Record<string, readonly [change: object, difference: string]>> = {
  'a table that there is not': [
    { Post: { ...good.Post, table: 'articles' } },
    'Post: there is no table articles',
  ],
  'a column that there is not': [
    { Post: { ...good.Post, fields: { ...good.Post.fields, titel: 'text' } } },
    'Post.titel: there is no column titel',
  ],
  'a column that may be null': [
    {
      Post: { ...good.Post, fields: { ...good.Post.fields, released_by: { type: 'text', nullable: false } } },
    },
    'Post.released_by: the column released_by may be null, but counts as not null',
  ],
  'a column of another type': [
    { Post: { ...good.Post, fields: { ...good.Post.fields, reader_id: 'text' } } },
    'Post.reader_id: the column reader_id is of the type int',
  ],
  'a foreign key that there is not': [
    {
      Post: {
        ...good.Post,
        relations: { reader: { one: 'Author', on: { reader_id: 'id' }, foreignKey: true } },
      },
    },
    'Post.reader: there is no foreign key to authors',
  ],
  'a table between that there is not': [
    {
      Post: {
        ...good.Post,
        relations: {
          readers: { many: 'Author', through: { table: 'seen', from: { id: 'a' }, to: { id: 'b' } } },
        },
      },
    },
    'Post.readers: there is no table seen',
  ],
  'a column of a table between that there is not': [
    {
      Post: {
        ...good.Post,
        relations: {
          readers: { many: 'Author', through: { table: 'reads', from: { id: 'post' }, to: { id: 'b' } } },
        },
      },
    },
    'Post.readers: there is no column b in reads',
  ],
};

interface Database {
  readonly name: string;
  open(): Promise<Kysely<unknown>>;
}

const databases: Database[] = [
  {
    name: 'SQLite',
    open: async () => {
      const database = await openSqlJs();
      for (const statement of ['pragma foreign_keys = on', ...TABLES]) database.run(statement);
      return new Kysely<unknown>({ dialect: new SqliteDialect({ database: forKysely(database) }) });
    },
  },
];
if (url !== undefined) {
  databases.push({
    name: 'PostgreSQL',
    open: async () => {
      const pool = new pg.Pool({ connectionString: url, options: `-c search_path=${SCHEMA}`, max: 1 });
      await pool.query(
        `drop schema if exists ${SCHEMA} cascade; create schema ${SCHEMA}; ${TABLES.join(';')}`,
      );
      return new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) });
    },
  });
}

async function refusal(check: Promise<void>): Promise<{ code: string; message: string }> {
  try {
    await check;
  } catch (error) {
    return error as { code: string; message: string };
  }
  throw new Error('It was accepted');
}

for (const { name, open } of databases) {
  describe(`checkEntities, for Kysely on ${name}`, () => {
    let db: Kysely<unknown>;
    before(async () => {
      db = await open();
    });
    after(() => db.destroy());

    it('accepts a description that is as the database is', async () => {
      await checkKysely(db, good);
    });

    for (const [what, [change, difference]] of Object.entries(FAULTS)) {
      it(`names ${what}`, async () => {
        const error = await refusal(checkKysely(db, { ...good, ...change }));
        expect(error).to.have.property('code', 'ERR_KOA_OSO_ENTITIES_DIFFER');
        expect(error.message).to.include(`\n- ${difference}`);
        expect(error.message.match(/^- /gm), error.message).to.have.length(1);
      });
    }

    it('names all at once', async () => {
      const fields = {
        ...good.Post.fields,
        titel: 'text',
        released_by: { type: 'text', nullable: false },
      } as const;
      const { message } = await refusal(
        checkKysely(db, {
          ...good,
          Author: { ...good.Author, table: 'writers' },
          Post: { ...good.Post, fields },
        }),
      );
      // The foreign key leads to another table, too.
      expect(message.match(/^- /gm)).to.have.length(4);
    });
  });
}

it('checkEntities knows that SQLite may not enforce foreign keys', async () => {
  const database = await openSqlJs();
  for (const statement of [...TABLES, 'pragma foreign_keys = off']) database.run(statement);
  const db = new Kysely<unknown>({ dialect: new SqliteDialect({ database: forKysely(database) }) });
  const { message } = await refusal(checkKysely(db, good));
  expect(message).to.include('Post.author: there is no foreign key to authors that is enforced');
  await db.destroy();
});

for (const store of kyselyStores()) {
  it(`checkEntities accepts the world of ${store.name}`, async () => {
    await store.open();
    if (store.name.endsWith('SQLite')) await sql`pragma foreign_keys = on`.execute(store.db);
    await checkKysely(store.db, description).finally(() => store.close());
  });
}

for (const store of drizzleStores()) {
  it(`checkEntities accepts the world of ${store.name}`, async () => {
    await store.open();
    await checkDrizzle(store.db as never, entitiesOf(store.tables)).finally(() => store.close());
  });
}

describe('checkEntities, for Drizzle', () => {
  it('names what tables say otherwise than SQLite', async () => {
    const database = await openSqlJs();
    for (const statement of TABLES) database.run(statement);
    const { integer, sqliteTable, text } = sqliteCore;
    const posts = sqliteTable('posts', {
      id: integer().primaryKey(),
      by: text('released_by').notNull(),
      titel: text(),
      authorId: text('author_id'),
    });
    const { code, message } = await refusal(
      checkDrizzle(drizzleSqlJs(database), { Post: { class: Post, table: posts } }),
    );
    expect(code).to.equal('ERR_KOA_OSO_ENTITIES_DIFFER');
    expect(message).to.include('Post.by: the column released_by may be null');
    expect(message).to.include('Post.titel: there is no column titel');
    expect(message).to.include('Post.authorId: the column author_id is of the type integer');
    expect(message.match(/^- /gm)).to.have.length(3);
    database.close();
  });

  it('names what tables say otherwise than PostgreSQL', async function () {
    if (url === undefined) this.skip();
    const pool = new pg.Pool({ connectionString: url, max: 1 });
    const db = drizzlePg(pool);
    const name = `${SCHEMA}_drizzle`;
    await db.execute(drizzleSql.raw(`drop schema if exists ${name} cascade; create schema ${name}`));
    await db.execute(drizzleSql.raw(`create type ${name}.state as enum ('draft', 'paid', 'void')`));
    await db.execute(
      drizzleSql.raw(
        `create table ${name}.posts (id integer primary key, released_by text, author_id bigint, amount numeric(20, 2), state ${name}.state)`,
      ),
    );
    const { integer, numeric, pgSchema, text } = pgCore;
    const schema = pgSchema(name);
    const authors = schema.table('authors', { id: integer().primaryKey() });
    const posts = schema.table('posts', {
      id: integer().primaryKey(),
      by: text('released_by').notNull(),
      authorId: integer('author_id').references(() => authors.id),
      amount: numeric({ mode: 'number', precision: 10, scale: 2 }),
      state: schema.enum('state', ['draft', 'paid'])(),
    });
    const entities = {
      Author: { class: Author, table: authors },
      Post: { class: Post, table: posts, relations: { author: { one: 'Author' } } },
    } as const;
    const { message } = await refusal(checkDrizzle(db, entities)).finally(() => pool.end());
    expect(message).to.include('Author: there is no table authors');
    expect(message).to.include('Post.by: the column released_by may be null');
    expect(message).to.include(
      'Post.authorId: the column author_id is of the type int8, but counts as integer',
    );
    expect(message).to.include('Post.amount: the column amount is of the type numeric of 20 digits');
    expect(message).to.include('Post.state: the column state is of the type state with other values');
    expect(message).to.include('Post.author: there is no foreign key to authors');
    expect(message.match(/^- /gm)).to.have.length(6);
  });
});

@Entity('authors')
class Writer {
  @PrimaryColumn('integer') id!: number;
  @Column('varchar') name!: string;
}

@Entity('posts')
class Article {
  @PrimaryColumn('integer') id!: number;
  @Column('varchar') title!: string;
  @Column('integer') amount!: number;
  @Column('date', { nullable: true }) day!: string | null;
  @ManyToOne(() => Writer, { nullable: true }) author!: Relation<Writer> | null;
}

describe('checkEntities, for TypeORM', () => {
  const sources = [() => new DataSource({ type: 'sqljs', entities: [Writer, Article], synchronize: true })];
  if (url !== undefined) {
    const schema = `${SCHEMA}_typeorm`;
    sources.push(
      () => new DataSource({ type: 'postgres', url, schema, entities: [Writer, Article], synchronize: true }),
    );
  }
  for (const make of sources) {
    it(`accepts what TypeORM has made, and names what was changed since, on ${make().options.type}`, async () => {
      if (make().options.type === 'postgres') {
        const pool = new pg.Pool({ connectionString: url, max: 1 });
        await pool.query(`drop schema if exists ${SCHEMA}_typeorm cascade; create schema ${SCHEMA}_typeorm`);
        await pool.end();
      }
      const dataSource = await make().initialize();
      try {
        await checkTypeorm(dataSource);
        const table = dataSource.getMetadata(Article).tablePath;
        await dataSource.query(`alter table ${table} drop column amount`);
        await dataSource.query(`alter table ${table} add column amount integer`);
        const { code, message } = await refusal(checkTypeorm(dataSource));
        expect(code).to.equal('ERR_KOA_OSO_ENTITIES_DIFFER');
        expect(message).to.include('Article.amount: the column amount may be null, but counts as not null');
        expect(message.match(/^- /gm)).to.have.length(1);
      } finally {
        await dataSource.destroy();
      }
    });
  }
});
