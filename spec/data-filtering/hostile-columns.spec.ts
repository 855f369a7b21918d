import { expect } from 'chai';
import { drizzle as drizzlePg } from 'drizzle-orm/node-postgres';
import * as pgCore from 'drizzle-orm/pg-core';
import { drizzle as drizzleSqlJs } from 'drizzle-orm/sql-js';
import * as sqliteCore from 'drizzle-orm/sqlite-core';
import * as drizzle from 'koa-oso/drizzle';
import * as kysely from 'koa-oso/kysely';
import { CompiledOso } from 'koa-oso/polar';
import * as typeorm from 'koa-oso/typeorm';
import { Kysely, PostgresDialect, SqliteDialect, sql } from 'kysely';
import pg from 'pg';
import { type ColumnType, DataSource, EntitySchema, type SelectQueryBuilder } from 'typeorm';
import { forKysely, openSqlJs } from '../support/sql-js.js';
import { CREATE_COLLATION } from './support/tables.js';

/** A row of a table whose columns hold what databases compare otherwise than JavaScript. */
class Thing {
  id!: number;
}

const SCHEMA = 'koa_oso_spec_hostile';
const { DATABASE_URL } = process.env;

interface HostileColumn {
  /** The type of the column, with its collation. */
  readonly sql: string;
  readonly typeorm: ColumnType | NumberConstructor;
  readonly kysely: 'text' | 'number' | 'integer' | 'date' | 'boolean' | 'uuid';
  readonly drizzle: (name: string) => unknown;
  /** As SQL. Those that are `mistyped` may be left out of lists, and may not be in one by mistake. */
  readonly held: readonly string[];
  readonly mistyped?: readonly string[];
  /** What policies compare it to, as Polar; `actor` has moments. */
  readonly asked: readonly string[];
  /** Kysely keeps it otherwise, or cannot be asked of what is in it. */
  readonly isNotForKysely?: true;
}

const TEXTS = ["'ann'", "'Ann'", "'ANN'", "'ann  '", "'bob'", "'é'", "'e\u0301'", "'😀'", "'\uFFFD'", 'NULL'];
const TEXTS_ASKED = ['"ann"', '"Ann"', '"ann  "', '"é"', '"e\u0301"', '"\uFFFD"', '"x"', 'actor.nul', 'nil'];
/** SQLite keeps it. */
const NUL = "cast(x'616e6e0062' AS text)";
const NUMBERS_ASKED = [
  '0',
  '1',
  '2',
  '-1',
  '1.5',
  '3000000000',
  '9007199254740991',
  'actor.infinite',
  'actor.nothing',
  'nil',
];
const MOMENTS_ASKED = ['actor.now', 'actor.first', 'actor.last', 'actor.ancient', 'actor.far'];
const toNumber = {
  to: (value: unknown) => value,
  from: (value: unknown) => (value === null ? null : Number(value)),
};

const ON_POSTGRES: Readonly<Record<string, HostileColumn>> = {
  nocase: {
    sql: 'text COLLATE no_case',
    typeorm: 'text',
    kysely: 'text',
    drizzle: name => pgCore.text(name),
    held: TEXTS,
    asked: TEXTS_ASKED,
  },
  language: {
    sql: 'varchar(20) COLLATE "en-x-icu"',
    typeorm: 'varchar',
    kysely: 'text',
    drizzle: name => pgCore.varchar(name),
    held: TEXTS,
    asked: TEXTS_ASKED,
  },
  double: {
    sql: 'double precision',
    typeorm: 'double precision',
    kysely: 'number',
    drizzle: name => pgCore.doublePrecision(name),
    held: [
      "'NaN'",
      "'Infinity'",
      "'-Infinity'",
      '1',
      '-0.0',
      '1.5',
      '9007199254740991',
      '9007199254740992',
      '-1e16',
      '1e300',
      'NULL',
    ],
    asked: NUMBERS_ASKED,
  },
  decimal: {
    sql: 'numeric(12, 2)',
    typeorm: 'decimal',
    kysely: 'number',
    drizzle: name => pgCore.numeric(name, { mode: 'number', precision: 12, scale: 2 }),
    held: ["'NaN'", '1', '1.5', '-7', 'NULL'],
    asked: NUMBERS_ASKED,
  },
  bigint: {
    sql: 'bigint',
    typeorm: 'bigint',
    kysely: 'integer',
    drizzle: name => pgCore.bigint(name, { mode: 'number' }),
    held: [
      '1',
      '2',
      '3000000000',
      '9007199254740991',
      '9007199254740992',
      '9007199254740993',
      '-9007199254740993',
      '9223372036854775807',
      'NULL',
    ],
    asked: NUMBERS_ASKED,
  },
  moment: {
    sql: 'timestamptz',
    typeorm: 'timestamptz',
    kysely: 'date',
    drizzle: name => pgCore.timestamp(name, { withTimezone: true }),
    held: [
      "'infinity'",
      "'-infinity'",
      "'2024-02-29 00:00:00.0004+00'",
      "'9999-12-31 23:59:59.999+00'",
      "'20000-01-01 00:00:00+00'",
      "'0044-03-15 00:00:00+00 BC'",
      'NULL',
    ],
    asked: MOMENTS_ASKED,
  },
};

const ON_SQLITE: Readonly<Record<string, HostileColumn>> = {
  nocase: {
    sql: 'text COLLATE NOCASE',
    typeorm: 'text',
    kysely: 'text',
    drizzle: name => sqliteCore.text(name),
    held: [...TEXTS, NUL],
    mistyped: ["x'616e6e'"],
    asked: TEXTS_ASKED,
  },
  rtrim: {
    sql: 'varchar(20) COLLATE RTRIM',
    typeorm: 'varchar',
    kysely: 'text',
    drizzle: name => sqliteCore.text(name),
    held: [...TEXTS, NUL],
    asked: TEXTS_ASKED,
  },
  number: {
    sql: 'numeric',
    typeorm: 'numeric',
    kysely: 'number',
    drizzle: name => sqliteCore.numeric(name, { mode: 'number' }),
    held: [
      '1',
      '1.5',
      '-1',
      '9e999',
      '-9e999',
      '9007199254740991',
      '9007199254740992',
      '9007199254740993',
      '1e300',
      'NULL',
    ],
    mistyped: ["'abc'", "''", "'0x10'", "x'31'"],
    asked: NUMBERS_ASKED,
  },
  integer: {
    sql: 'integer',
    typeorm: 'integer',
    kysely: 'integer',
    drizzle: name => sqliteCore.integer(name),
    held: ['1', '2', '-1', '3000000000', '9007199254740991', '9007199254740993', 'NULL'],
    mistyped: ["'abc'", '1.5', "''"],
    asked: NUMBERS_ASKED,
  },
  rounded: {
    sql: 'integer',
    typeorm: Number,
    kysely: 'integer',
    drizzle: name => sqliteCore.real(name),
    held: ['1', '2', 'NULL'],
    mistyped: ["'abc'", '1.5'],
    asked: NUMBERS_ASKED,
  },
  flag: {
    sql: 'boolean',
    typeorm: 'boolean',
    kysely: 'boolean',
    drizzle: name => sqliteCore.integer(name, { mode: 'boolean' }),
    // Of the others TypeORM and Drizzle make booleans, each in its way; these are no mistakes to them.
    held: ['0', '1', '2', '-1', 'NULL'],
    mistyped: ["'x'", "''", "'0x1'", "x'01'"],
    asked: ['true', 'false', 'nil'],
    isNotForKysely: true,
  },
  strict: {
    sql: 'boolean',
    typeorm: 'boolean',
    kysely: 'boolean',
    drizzle: name => sqliteCore.integer(name, { mode: 'boolean' }),
    held: ['0', '1', 'NULL'],
    mistyped: ["'0x1'", "x'01'"],
    asked: ['true', 'false', 'nil'],
  },
  moment: {
    sql: 'datetime',
    typeorm: 'datetime',
    kysely: 'date',
    drizzle: name => sqliteCore.integer(name, { mode: 'timestamp_ms' }),
    held: ['NULL'],
    mistyped: [
      "'2024-02-29 00:00:00'",
      "'2024-02-29T00:00:00.000Z'",
      "'2024-02-30 00:00:00'",
      "'never'",
      '5',
      '1709164800000',
      '9e18',
      '1.5',
    ],
    asked: MOMENTS_ASKED,
  },
};

const actor = {
  infinite: Number.POSITIVE_INFINITY,
  nothing: Number.NaN,
  nul: 'ann\0b',
  now: new Date('2024-02-29T00:00:00.000Z'),
  first: new Date('0001-01-01T00:00:00.000Z'),
  last: new Date('9999-12-31T23:59:59.999Z'),
  ancient: new Date(-8.64e15),
  far: new Date(8.64e15),
};

/** All that policies say of a column, alone and beside another one of its type. */
function conditionsOf({ asked, kysely: type }: HostileColumn): string[] {
  const isOrdered = type !== 'boolean';
  const columns = type === 'boolean' || type === 'text' || type === 'number' || type === 'integer';
  const compared = asked.flatMap(value => {
    const operators =
      value === 'nil' || value === 'actor.nul'
        ? ['=', '!=']
        : ['=', '==', '!=', ...(isOrdered ? ['<', '<=', '>', '>='] : [])];
    return operators.map(operator => `t.left ${operator} ${value}`);
  });
  const others = columns ? ['t.left = t.right', 't.left != t.right', '(t.id = 0 or t.left = t.right)'] : [];
  const ordered =
    columns && isOrdered ? ['t.sure < t.certain', 't.sure >= t.certain', 't.sure != t.certain'] : [];
  const lists = [`t.left in [${asked.slice(0, 2).join(', ')}]`];
  const positive = [...compared, ...others, ...ordered, ...lists];
  return [
    ...positive,
    ...positive.map(condition => `not (${condition})`),
    ...compared.map(condition => `not (${condition} and t.id < 3)`),
  ];
}

interface Store {
  /** Runs a statement; of TypeORM and Kysely, with its rows. */
  run(statement: string): Promise<unknown>;
  oso(): CompiledOso;
  /** As the ORM reads them, for policies; of what it refuses to read, undefined. */
  load(): Promise<readonly (Thing | undefined)[]>;
  /** The keys of the rows in a list. */
  listed(query: never): Promise<Thing[]>;
  /** How the database goes about a query. */
  planOf(query: unknown): Promise<string>;
  close(): Promise<void>;
}

const EXPLAIN = DATABASE_URL ? 'EXPLAIN' : 'EXPLAIN QUERY PLAN';
const COLUMNS = ['left', 'right', 'sure', 'certain'] as const;

async function kyselyStore(column: HostileColumn): Promise<Store> {
  const db = new Kysely<{ things: { id: number; left: never; right: never; sure: never; certain: never } }>({
    dialect: DATABASE_URL
      ? new PostgresDialect({
          pool: new pg.Pool({ connectionString: DATABASE_URL, options: `-c search_path=${SCHEMA}`, max: 1 }),
        })
      : new SqliteDialect({ database: forKysely(await openSqlJs()) }),
  });
  const type = { type: column.kysely, nullable: true } as const;
  const sure = { type: column.kysely, nullable: false } as const;
  const description = {
    Thing: {
      class: Thing,
      table: 'things',
      fields: { id: 'integer', left: type, right: type, sure, certain: sure },
    },
  } as const;
  return {
    run: statement => sql.raw(statement).execute(db),
    oso: () => {
      const oso = new CompiledOso({ equalityFn: kysely.entityEquality(description) });
      kysely.registerEntities(oso, db as never, description as never);
      return oso;
    },
    load: async () => {
      const { rows } = await sql<object>`select * from things`.execute(db);
      return rows.map(row => {
        try {
          return kysely.instancesOf<Thing>(description, Thing, [row])[0];
        } catch {
          return undefined;
        }
      });
    },
    listed: (query: { select(column: string): { execute(): Promise<Thing[]> } }) =>
      query.select('id').execute(),
    planOf: async query => {
      const { sql: text, parameters } = (
        query as { compile(): { sql: string; parameters: readonly unknown[] } }
      ).compile();
      const { rows } = await db.executeQuery({
        ...sql`${sql.raw(EXPLAIN)}`.compile(db),
        sql: `${EXPLAIN} ${text}`,
        parameters,
      });
      return JSON.stringify(rows);
    },
    close: () => db.destroy(),
  };
}

async function drizzleStore(column: HostileColumn): Promise<Store> {
  const columns = Object.fromEntries(COLUMNS.map(name => [name, column.drizzle(name)]));
  for (const name of ['sure', 'certain']) columns[name] = (columns[name] as { notNull(): unknown }).notNull();
  const pool = new pg.Pool({ connectionString: DATABASE_URL, options: `-c search_path=${SCHEMA}`, max: 1 });
  const database = await openSqlJs();
  const table = DATABASE_URL
    ? pgCore.pgTable('things', { id: pgCore.integer().primaryKey(), ...(columns as object) })
    : sqliteCore.sqliteTable('things', { id: sqliteCore.integer().primaryKey(), ...(columns as object) });
  const db = DATABASE_URL ? drizzlePg(pool) : drizzleSqlJs(database);
  const entities = { Thing: { class: Thing, table } };
  return {
    run: async statement => (DATABASE_URL ? pool.query(statement) : database.run(statement)),
    oso: () => {
      const oso = new CompiledOso({ equalityFn: drizzle.entityEquality(entities) });
      drizzle.registerEntities(oso, db as never, entities);
      return oso;
    },
    load: async () => {
      const rows = await (db as { select(): { from(of: object): Promise<object[]> } }).select().from(table);
      return rows.map(row => {
        try {
          return drizzle.instancesOf<Thing>(entities, Thing, [row])[0];
        } catch {
          // It holds what its column should not.
          return undefined;
        }
      });
    },
    listed: async (query: { id: unknown }) =>
      (db as unknown as { select(of: object): { from(of: unknown): Promise<Thing[]> } })
        .select({ id: query.id })
        .from(query),
    planOf: async query => {
      const select = (
        db as { select(): { from(of: unknown): { toSQL(): { sql: string; params: unknown[] } } } }
      )
        .select()
        .from(query)
        .toSQL();
      const text = `${EXPLAIN} ${select.sql}`;
      const plan = DATABASE_URL
        ? (await pool.query(text, select.params)).rows
        : database.exec(text, select.params as never);
      return JSON.stringify(plan);
    },
    close: async () => {
      database.close();
      await pool.end();
    },
  };
}

async function typeormStore(column: HostileColumn): Promise<Store> {
  const isDecimal = column.sql.startsWith('numeric(') || column.sql === 'bigint';
  const options = (nullable: boolean) => ({
    type: column.typeorm as ColumnType,
    nullable,
    ...(isDecimal && { transformer: toNumber, ...(column.sql !== 'bigint' && { precision: 12, scale: 2 }) }),
  });
  const schema = new EntitySchema<Thing>({
    name: 'Thing',
    target: Thing,
    tableName: 'things',
    columns: {
      id: { type: 'integer', primary: true },
      left: options(true),
      right: options(true),
      sure: options(false),
      certain: options(false),
    } as never,
  });
  // Its tables are made by others, as migrations do, with collations that TypeORM is not told of.
  const dataSource = await new DataSource({
    ...(DATABASE_URL ? { type: 'postgres', url: DATABASE_URL, schema: SCHEMA } : { type: 'sqljs' }),
    entities: [schema],
  } as never).initialize();
  return {
    run: async statement => {
      if (DATABASE_URL) await dataSource.query(`SET search_path TO ${SCHEMA}`);
      return dataSource.query(statement);
    },
    oso: () => {
      const oso = new CompiledOso({ equalityFn: typeorm.entityEquality(dataSource) });
      typeorm.registerEntities(oso, dataSource);
      return oso;
    },
    load: () => dataSource.getRepository(Thing).find(),
    listed: (query: SelectQueryBuilder<Thing>) => query.select('Thing.id', 'id').getRawMany<Thing>(),
    planOf: async query => {
      const [text, parameters] = (
        query as { getQueryAndParameters(): [string, unknown[]] }
      ).getQueryAndParameters();
      return JSON.stringify(await dataSource.query(`${EXPLAIN} ${text}`, parameters));
    },
    close: () => dataSource.destroy(),
  };
}

/** Each value beside itself, beside two others and beside null. */
function insertInto({ held, mistyped = [] }: HostileColumn): {
  statement: string;
  mistyped: ReadonlySet<number>;
} {
  const values = [...held, ...mistyped];
  const wrong = new Set<number>();
  const sure = values.filter(value => value !== 'NULL');
  const nth = (of: readonly string[], at: number) => of[at % of.length] ?? '0';
  const rows = values.flatMap((left, at) =>
    [left, nth(values, at + 1), nth(values, at + 3), 'NULL'].map((right, other) => {
      const id = at * 10 + other;
      const [one, two] = [nth(sure, at), nth(sure, at + other)];
      if ([left, right, one, two].some(value => mistyped.includes(value))) wrong.add(id);
      return `(${id}, ${left}, ${right}, ${one}, ${two})`;
    }),
  );
  return { statement: `INSERT INTO things VALUES ${rows.join(', ')}`, mistyped: wrong };
}

async function createThings(store: Store, column: HostileColumn): Promise<void> {
  if (DATABASE_URL) {
    await store.run(`DROP SCHEMA IF EXISTS ${SCHEMA} CASCADE`);
    await store.run(`CREATE SCHEMA ${SCHEMA}`);
    await store.run(CREATE_COLLATION);
  }
  const types = COLUMNS.map(each => `"${each}" ${column.sql}`);
  await store.run(`CREATE TABLE things (id integer PRIMARY KEY, ${types.join(', ')})`);
}

async function allowedBy(oso: CompiledOso, row: Thing): Promise<boolean> {
  try {
    return await oso.isAllowed(actor, 'read', row);
  } catch {
    return false;
  }
}

const stores = { TypeORM: typeormStore, Kysely: kyselyStore, Drizzle: drizzleStore };

for (const [orm, open] of Object.entries(stores)) {
  describe(`a list by ${orm} on ${DATABASE_URL ? 'PostgreSQL' : 'SQLite'}`, () => {
    for (const [name, column] of Object.entries(DATABASE_URL ? ON_POSTGRES : ON_SQLITE)) {
      if (orm === 'Kysely' && column.isNotForKysely) continue;
      it(`holds the rows that isAllowed allows, of a column ${name}: ${column.sql}`, async function () {
        this.timeout(60_000);
        const store = await open(column);
        try {
          await createThings(store, column);
          const { statement, mistyped } = insertInto(column);
          await store.run(statement);
          const rows = await store.load();
          const oso = store.oso();
          let compared = 0;
          for (const condition of conditionsOf(column)) {
            oso.clearRules();
            await oso.loadStr(`allow(actor, "read", t: Thing) if ${condition} and actor = actor;`);
            let list: Thing[];
            try {
              // Rows that the ORM cannot read are asked for by their keys.
              list = await store.listed((await oso.authorizedQuery(actor, 'read', Thing)) as never);
            } catch (error) {
              if ((error as { code?: string }).code === 'ERR_KOA_OSO_UNFILTERABLE_POLICY') continue;
              throw new Error(condition, { cause: error });
            }
            const listed = new Set(list.map(({ id }) => id));
            for (const row of rows) {
              if (row === undefined) continue;
              compared++;
              const allowed = await allowedBy(oso, row);
              // What a column should not hold need not be listed.
              if (mistyped.has(row.id) && !listed.has(row.id)) continue;
              expect(listed.has(row.id), `${condition} ${JSON.stringify(row)}`).to.equal(allowed);
            }
          }
          expect(compared).to.be.above(100);
        } finally {
          await store.close();
        }
      });
    }
  });

  describe(`text whose collation ignores case, by ${orm}`, () => {
    it('is looked up by its index', async () => {
      const column = (DATABASE_URL ? ON_POSTGRES : ON_SQLITE).nocase as HostileColumn;
      const store = await open(column);
      try {
        await createThings(store, column);
        const numbers = DATABASE_URL
          ? 'SELECT number FROM generate_series(1, 3000) AS number'
          : 'WITH RECURSIVE numbers(number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < 3000) SELECT number FROM numbers';
        await store.run(
          `INSERT INTO things SELECT number, 'user ' || number, 'x', 'x', 'x' FROM (${numbers}) AS numbers`,
        );
        await store.run(`INSERT INTO things VALUES (0, 'USER 7', 'x', 'x', 'x')`);
        await store.run('CREATE INDEX things_left ON things ("left")');
        await store.run('ANALYZE things');
        const oso = store.oso();
        await oso.loadStr(
          'allow(_, "read", t: Thing) if t.left = "user 7"; allow(_, "any", t: Thing) if t.left in ["user 7", "user 8"];',
        );
        for (const [action, ids] of [
          ['read', [7]],
          ['any', [7, 8]],
        ] as const) {
          const found = (await oso.authorizedResources(actor, action, Thing)) as Thing[];
          expect(found.map(({ id }) => id).sort()).to.deep.equal(ids);
          if (action === 'any' && !DATABASE_URL) continue;
          const plan = await store.planOf(await oso.authorizedQuery(actor, action, Thing));
          expect(plan).to.match(/things_left/);
        }
      } finally {
        await store.close();
      }
    });
  });
}
