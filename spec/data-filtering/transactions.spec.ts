// Questions inside of a transaction: by its connection, of what it has changed.
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'chai';
import { eq } from 'drizzle-orm';
import type { NodePgDatabase } from 'drizzle-orm/node-postgres';
import * as pgCore from 'drizzle-orm/pg-core';
import { drizzle as drizzleSqlJs } from 'drizzle-orm/sql-js';
import * as sqliteCore from 'drizzle-orm/sqlite-core';
import { KoaOso, KoaOsoError } from 'koa-oso';
import * as arrays from 'koa-oso/array';
import * as ofDrizzle from 'koa-oso/drizzle';
import * as ofKysely from 'koa-oso/kysely';
import { CompiledOso } from 'koa-oso/polar';
import * as ofTypeorm from 'koa-oso/typeorm';
import { Kysely, type Transaction } from 'kysely';
import { Oso } from 'oso';
import { DataSource, type EntityManager, EntitySchema } from 'typeorm';
import { setUp } from '../support/app.js';
import {
  driver,
  hasPostgres,
  hasSqlite,
  type Database as Opened,
  openPostgres,
  openSqlite,
} from '../support/databases.js';
import { openSqlJs } from '../support/sql-js.js';
import { sqlite } from './support/typeorm-store.js';

const { DATABASE_URL } = process.env;
const SCHEMA = 'koa_oso_spec_transactions';

class Team {
  declare id: number;
  declare approver: string;
}

class Expense {
  declare id: number;
  declare teamId: number;
}

const POLICY = `
  allow(name: String, _, expense: Expense) if expense.team.approver = name;
  allow(team: Team, "take over", expense: Expense) if expense.team = team and team.approver = "bob";
`;

const TABLES = [
  'CREATE TABLE teams (id INTEGER NOT NULL PRIMARY KEY, approver VARCHAR NOT NULL)',
  'CREATE TABLE expenses (id INTEGER NOT NULL PRIMARY KEY, team_id INTEGER NOT NULL REFERENCES teams (id))',
  "INSERT INTO teams VALUES (1, 'ann'), (2, 'ann')",
  'INSERT INTO expenses VALUES (1, 1), (2, 2)',
];

/** A database with two expenses of two teams, by one of the ORMs. */
interface Place {
  readonly name: string;
  open(connections: number): Promise<void>;
  close(): Promise<void>;
  register(Engine: typeof Oso | typeof CompiledOso): Oso;
  transaction<Result>(work: (transaction: unknown) => Promise<Result>): Promise<Result>;
  /** Makes somebody the approver of the first team. */
  setApprover(transaction: unknown, name: string): Promise<unknown>;
  expense(transaction: unknown, id: number): Promise<object>;
  /** The keys of the expenses that a query of `authorizedQuery` finds in a transaction. */
  run(transaction: unknown, query: unknown): Promise<number[]>;
  /** What is none of its transactions. */
  readonly wrong: () => readonly unknown[];
}

async function openFilled(dialect: 'SQLite' | 'PostgreSQL', connections: number): Promise<Opened> {
  const database = await (dialect === 'SQLite' ? openSqlite() : openPostgres(SCHEMA, connections));
  for (const statement of TABLES) await database.run(statement);
  return database;
}

/** TypeORM knows no other drivers for PostgreSQL than pg. */
const isTypeormOnPostgres = driver === undefined && hasPostgres;

const TeamSchema = new EntitySchema<Team>({
  name: 'Team',
  target: Team,
  tableName: 'teams',
  columns: { id: { type: 'integer', primary: true }, approver: { type: 'varchar' } },
});
const ExpenseSchema = new EntitySchema<Expense & { team: Team }>({
  name: 'Expense',
  target: Expense as never,
  tableName: 'expenses',
  columns: { id: { type: 'integer', primary: true }, teamId: { type: 'integer', name: 'team_id' } },
  relations: { team: { type: 'many-to-one', target: 'Team', joinColumn: { name: 'team_id' } } },
});

function typeormPlace(): Place {
  let dataSource: DataSource;
  const managerOf = (transaction: unknown) => transaction as EntityManager;
  return {
    name: `TypeORM on ${isTypeormOnPostgres ? 'PostgreSQL' : 'SQLite'}`,
    open: async poolSize => {
      if (isTypeormOnPostgres) await (await openFilled('PostgreSQL', 1)).close();
      dataSource = new DataSource({
        ...(isTypeormOnPostgres ? { type: 'postgres', url: DATABASE_URL, schema: SCHEMA, poolSize } : sqlite),
        entities: [TeamSchema, ExpenseSchema],
      });
      await dataSource.initialize();
      if (!isTypeormOnPostgres) for (const statement of TABLES) await dataSource.query(statement);
    },
    close: () => dataSource.destroy(),
    register: Engine => {
      const oso = new Engine({ equalityFn: ofTypeorm.entityEquality(dataSource) });
      ofTypeorm.registerEntities(oso, dataSource);
      return oso as Oso;
    },
    transaction: work => dataSource.transaction(work),
    setApprover: (transaction, approver) => managerOf(transaction).update(Team, 1, { approver }),
    expense: (transaction, id) => managerOf(transaction).findOneByOrFail(Expense, { id }),
    run: async (_transaction, query) => {
      const rows = await (query as { getMany(): Promise<Expense[]> }).getMany();
      return rows.map(({ id }) => id);
    },
    wrong: () => [dataSource, dataSource.manager, dataSource.createQueryRunner()],
  };
}

const description = {
  Team: { class: Team, table: 'teams', fields: { id: 'integer', approver: 'text' } },
  Expense: {
    class: Expense,
    table: 'expenses',
    fields: { id: 'integer', teamId: { type: 'integer', column: 'team_id' } },
    relations: { team: { one: 'Team', on: { teamId: 'id' } } },
  },
} as const;

interface Database {
  teams: { id: number; approver: string };
  expenses: { id: number; team_id: number };
}

function kyselyPlace(dialect: 'SQLite' | 'PostgreSQL'): Place {
  let database: Opened;
  let db: Kysely<Database>;
  const of = (transaction: unknown) => transaction as Transaction<Database>;
  return {
    name: `Kysely on ${dialect}`,
    open: async connections => {
      // SQLite has one connection: who asks past the transaction waits for its end.
      database = await openFilled(dialect, connections);
      db = new Kysely<Database>({ dialect: database.kysely() });
    },
    close: async () => {
      await db.destroy();
      await database.close();
    },
    register: Engine => {
      const oso = new Engine({ equalityFn: ofKysely.entityEquality(description) });
      ofKysely.registerEntities(oso, db, description);
      return oso as Oso;
    },
    transaction: work => db.transaction().execute(work),
    setApprover: (transaction, approver) =>
      of(transaction).updateTable('teams').set({ approver }).where('id', '=', 1).execute(),
    expense: async (transaction, id) => {
      const rows = await of(transaction).selectFrom('expenses').selectAll().where('id', '=', id).execute();
      return ofKysely.instancesOf(description, Expense, rows)[0] as Expense;
    },
    run: async (_transaction, query) => {
      const rows = await (query as { execute(): Promise<Expense[]> }).execute();
      return rows.map(({ id }) => id);
    },
    wrong: () => [db, db.transaction(), {}],
  };
}

const pgTables = (() => {
  const teams = pgCore.pgTable('teams', {
    id: pgCore.integer('id').primaryKey(),
    approver: pgCore.varchar('approver').notNull(),
  });
  const expenses = pgCore.pgTable('expenses', {
    id: pgCore.integer('id').primaryKey(),
    teamId: pgCore
      .integer('team_id')
      .notNull()
      .references(() => teams.id),
  });
  return { teams, expenses };
})();

const sqliteTables = (() => {
  const teams = sqliteCore.sqliteTable('teams', {
    id: sqliteCore.integer('id').primaryKey(),
    approver: sqliteCore.text('approver').notNull(),
  });
  const expenses = sqliteCore.sqliteTable('expenses', {
    id: sqliteCore.integer('id').primaryKey(),
    teamId: sqliteCore
      .integer('team_id')
      .notNull()
      .references(() => teams.id),
  });
  return { teams, expenses };
})();

const entitiesOf = ({ teams, expenses }: typeof pgTables | typeof sqliteTables) => ({
  Team: { class: Team, table: teams },
  Expense: { class: Expense, table: expenses, relations: { team: { one: 'Team' } } },
});

/** Only on PostgreSQL: a transaction on sql.js ends with the first `await`. */
function drizzlePlace(): Place {
  const { teams, expenses } = pgTables;
  const entities = entitiesOf(pgTables);
  let database: Opened;
  let db: NodePgDatabase;
  const of = (transaction: unknown) => transaction as typeof db;
  return {
    name: 'Drizzle on PostgreSQL',
    open: async connections => {
      database = await openFilled('PostgreSQL', connections);
      db = database.drizzle() as NodePgDatabase;
    },
    close: () => database.close(),
    register: Engine => {
      const oso = new Engine({ equalityFn: ofDrizzle.entityEquality(entities) });
      ofDrizzle.registerEntities(oso, db, entities);
      return oso as Oso;
    },
    transaction: work => db.transaction(work),
    setApprover: (transaction, approver) =>
      of(transaction).update(teams).set({ approver }).where(eq(teams.id, 1)),
    expense: async (transaction, id) => {
      const rows = await of(transaction).select().from(expenses).where(eq(expenses.id, id));
      return ofDrizzle.instancesOf(entities, Expense, rows)[0] as Expense;
    },
    run: async (transaction, query) => {
      const rows = await of(transaction)
        .select()
        .from(query as typeof expenses);
      return rows.map(({ id }) => id);
    },
    wrong: () => [db, database],
  };
}

const places = [
  ...(driver === undefined || hasSqlite ? [typeormPlace()] : []),
  ...(hasSqlite ? [kyselyPlace('SQLite')] : []),
  ...(hasPostgres ? [kyselyPlace('PostgreSQL'), drizzlePlace()] : []),
];

for (const place of places) {
  describe(`using(transaction), with ${place.name}`, () => {
    before(() => place.open(5));
    after(() => place.close());

    for (const Engine of [CompiledOso, Oso]) {
      describe(`and ${Engine.name}`, () => {
        let koaOso: KoaOso;

        before(async () => {
          const oso = place.register(Engine);
          koaOso = new KoaOso({ oso });
          await oso.loadStr(POLICY);
        });

        it('decides and lists by what the transaction has changed, and by its connection', async () => {
          const found = place.transaction(async transaction => {
            await place.setApprover(transaction, 'bob');
            const oso = koaOso.for('bob').using(transaction);
            const expense = await place.expense(transaction, 1);
            await oso.authorize(expense, { action: 'approve' });
            const query = await oso.authorizedQuery<unknown>(Expense, { action: 'approve' });
            const listed = await oso.authorizedResources(Expense, { action: 'approve' });
            expect(listed).to.have.length(1);
            expect(listed[0]).to.be.instanceOf(Expense).and.include({ id: 1, teamId: 1 });
            expect(
              await koaOso.for('ann').using(transaction).isAllowed(expense, { action: 'approve' }),
            ).to.equal(false);
            expect(await place.run(transaction, query)).to.deep.equal([1]);
            const rows = [expense, await place.expense(transaction, 2)];
            const may = await oso.allowed(rows, { actions: ['approve'] });
            expect(rows.map(row => may.get(row)?.has('approve'))).to.deep.equal([true, false]);
            throw new Error('roll it back');
          });
          await found.then(
            () => expect.fail('it was not rolled back'),
            error => expect(error.message).to.equal('roll it back'),
          );
          const expense = await place.transaction(transaction => place.expense(transaction, 1));
          expect(await koaOso.for('bob').isAllowed(expense, { action: 'approve' })).to.equal(false);
          expect(await koaOso.for('ann').isAllowed(expense, { action: 'approve' })).to.equal(true);
        });

        it('finds who may by what the transaction has changed, and by its connection', async () => {
          const ask = (transaction: unknown, resource: object) =>
            koaOso
              .for(null)
              .using(transaction)
              .authorizedActors<unknown>(Team, { action: 'take over', resource });
          const [before, after] = await place.transaction(async transaction => {
            const expense = await place.expense(transaction, 1);
            const before = await place.run(transaction, await ask(transaction, expense));
            await place.setApprover(transaction, 'bob');
            const after = await place.run(transaction, await ask(transaction, expense));
            await place.setApprover(transaction, 'ann');
            return [before, after];
          });
          expect(before).to.deep.equal([]);
          expect(after).to.deep.equal([1]);
        });

        // On SQLite, and on PGlite, there is one connection, and so one transaction at a time.
        if (place.name.endsWith('SQLite') || driver === 'pglite') return;
        it('keeps the questions of two transactions apart, and those outside', async () => {
          const asked = (name: string) =>
            place.transaction(async transaction => {
              if (name !== 'ann') await place.setApprover(transaction, name);
              const expense = await place.expense(transaction, 1);
              await sleep(20);
              const oso = koaOso.for(name);
              const answers = await Promise.all([
                oso.using(transaction).isAllowed(expense, { action: 'approve' }),
                oso.isAllowed(expense, { action: 'approve' }),
              ]);
              if (name !== 'ann') await place.setApprover(transaction, 'ann');
              return answers;
            });
          expect(await Promise.all([asked('bob'), asked('ann')])).to.deep.equal([
            [true, false],
            [true, true],
          ]);
        });
      });
    }

    it('refuses what is not a transaction of it, and says what to give', async () => {
      const oso = place.register(CompiledOso);
      const koaOso = new KoaOso({ oso });
      await oso.loadStr(POLICY);
      const wrong = [undefined, null, 'trx', {}, () => {}, ...place.wrong()];
      for (const each of wrong) {
        expect(() => koaOso.for('ann').using(each))
          .to.throw(
            KoaOsoError,
            /What was given to using\(…\) is not a transaction of this database\. Pass the /,
          )
          .with.property('code', 'ERR_KOA_OSO_INVALID_ARGUMENT');
      }
    });
  });
}

describe('using(transaction)', () => {
  it('asks TypeORM by the manager that it is given', async () => {
    const place = typeormPlace();
    await place.open(5);
    try {
      const oso = place.register(CompiledOso);
      const koaOso = new KoaOso({ oso });
      await oso.loadStr(POLICY);
      await place.transaction(async transaction => {
        const expense = await place.expense(transaction, 1);
        const manager = transaction as EntityManager;
        const { getRepository } = manager;
        let asked = 0;
        manager.getRepository = (...args) => {
          asked++;
          return getRepository.apply(manager, args) as never;
        };
        await koaOso.for('ann').isAllowed(expense, { action: 'approve' });
        expect(asked).to.equal(0);
        await koaOso.for('ann').using(manager).isAllowed(expense, { action: 'approve' });
        await koaOso.for('ann').using(manager).authorizedResources(Expense, { action: 'approve' });
        expect(asked).to.equal(2);
      });
    } finally {
      await place.close();
    }
  });

  it('asks Drizzle by the transaction that it is given', async () => {
    const database = await openSqlJs();
    for (const statement of TABLES) database.run(statement);
    const db = drizzleSqlJs(database);
    const entities = entitiesOf(sqliteTables);
    const oso = new CompiledOso();
    ofDrizzle.registerEntities(oso, db, entities);
    const koaOso = new KoaOso({ oso });
    await oso.loadStr(POLICY);
    const rows = await db.select().from(sqliteTables.expenses).where(eq(sqliteTables.expenses.id, 1));
    const [expense] = ofDrizzle.instancesOf(entities, Expense, rows);
    // On sql.js it ends at once, but goes on to be one in which is asked.
    const tx = db.transaction(each => each);
    let asked = 0;
    const { select } = tx as unknown as { select(...fields: unknown[]): unknown };
    Object.assign(tx, {
      select: (...fields: unknown[]) => {
        asked++;
        return select.apply(tx, fields);
      },
    });
    const anns = koaOso.for('ann');
    expect(await anns.isAllowed(expense, { action: 'approve' })).to.equal(true);
    expect(asked).to.equal(0);
    expect(await anns.using(tx).isAllowed(expense, { action: 'approve' })).to.equal(true);
    expect(asked).to.equal(1);
    expect(() => anns.using(db)).to.throw(KoaOsoError, 'Pass the tx');
  });

  it('counts in a request as ctx.oso itself: records, denials, and what was not awaited', async () => {
    const place = kyselyPlace('SQLite');
    await place.open(1);
    try {
      const oso = place.register(CompiledOso);
      const { app, koaOso, router, send } = await setUp({
        getActor: ctx => ctx.get('x-user'),
        checkRead: true,
      });
      koaOso.setOso(oso as never);
      await oso.loadStr(POLICY);
      app.use(koaOso.requireAuthorization());
      router.get('/:how', async ctx => {
        ctx.body = await place.transaction(async transaction => {
          const expense = await place.expense(transaction, 1);
          const check = ctx.oso.using(transaction).using(transaction).authorize(expense, { action: 'pay' });
          if (ctx.params.how === 'awaited') await check;
          else await sleep(30);
          return ctx.state.oso.decisions.map(({ kind, allowed }) => ({ kind, allowed }));
        });
      });
      const allowed = [{ kind: 'authorize', allowed: true }];
      await send('/awaited', 'ann').expect(200, allowed);
      await send('/forgotten', 'ann').expect(200, allowed);
      await send('/awaited', 'bob').expect(404, 'Not Found');
      await send('/forgotten', 'bob').expect(404, 'Not Found');
    } finally {
      await place.close();
    }
  });

  it('says that arrays have no transactions, and what to call if no database is known', async () => {
    const oso = new CompiledOso();
    expect(() => new KoaOso().for(1).using({})).to.throw(KoaOsoError, 'KoaOso has no Oso');
    expect(() => new KoaOso({ oso }).for(1).using({})).to.throw(KoaOsoError, 'Call registerEntities');
    arrays.registerEntities(oso, { Team: [], Expense: [] }, description);
    expect(() => new KoaOso({ oso }).for(1).using({})).to.throw(KoaOsoError, 'arrays have no transactions');
  });
});

if (hasPostgres) {
  describe('50 transactions on a pool of 5 connections, each of which authorizes inside', () => {
    for (const place of places.filter(({ name }) => name.endsWith('PostgreSQL'))) {
      it(`do not wait for each other, with ${place.name}`, async () => {
        await place.open(5);
        try {
          const oso = place.register(CompiledOso);
          const koaOso = new KoaOso({ oso });
          await oso.loadStr(POLICY);
          const start = performance.now();
          const ask = () =>
            place.transaction(async transaction => {
              const expense = await place.expense(transaction, 1);
              await sleep(5);
              const verbs = koaOso.for('ann').using(transaction);
              await verbs.authorize(expense, { action: 'approve' });
              return (await verbs.authorizedResources(Expense, { action: 'approve' })).length;
            });
          const answers = await Promise.all(Array.from({ length: 50 }, ask));
          expect(answers).to.deep.equal(Array.from({ length: 50 }, () => 2));
          // One that is blocked fails when the budget of its question is used up: after five seconds.
          expect(performance.now() - start).to.be.below(5000);
        } finally {
          await place.close();
        }
      });
    }
  });
}
