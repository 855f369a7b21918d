import 'reflect-metadata';
import { expect } from 'chai';
import type { Oso } from 'oso';
import { Brackets, DataSource, type ObjectLiteral, SelectQueryBuilder } from 'typeorm';
import { registerEntities } from '../../../src/data-filtering/typeorm/index.js';
import { KoaOsoError } from '../../../src/errors.js';
import { CompiledOso } from '../../../src/polar/index.js';
import { driver } from '../../support/databases.js';
import type { Engine } from '../support/store.js';
import { isPostgres, SCHEMA, TypeormStore } from '../support/typeorm-store.js';
import { Expense, Line, Membership, Organization, Tag, User } from '../support/world.js';

const ORGANIZATION = '0b9d7bd8-5f0c-4a58-9c1e-0a1b2c3d4e5f';
const CLOSED = 'a0b1c2d3-e4f5-4678-9abc-def012345678';
const DAY = new Date('2026-01-01T00:00:00.000Z');

const made = <Row extends object>(Class: new () => Row, fields: Partial<Row>): Row =>
  Object.assign(Object.create(Class.prototype), fields) as Row;

const expense = (fields: Partial<Expense>): Expense =>
  made(Expense, {
    description: 'lunch',
    note: null,
    amount: 10,
    cents: 1000,
    status: 'draft',
    paid: false,
    flagged: null,
    paidAt: null,
    createdAt: DAY,
    ownerId: 'ann',
    approverId: null,
    organizationId: ORGANIZATION,
    deletedAt: null,
    ...fields,
  });

const user = (id: string): User =>
  made(User, { id, name: id, limit: 100, isAdmin: false, managerId: null, organizationId: ORGANIZATION });

/** Expenses 1, 2, 5 (deleted) are ann's; 3 and 4 bob's. */
const DATA = {
  Organization: [
    made(Organization, { id: ORGANIZATION, name: 'Acme', isPublic: true, parentId: null, deletedAt: null }),
    made(Organization, { id: CLOSED, name: 'Closed', isPublic: true, parentId: null, deletedAt: DAY }),
  ],
  User: [user('ann'), user('bob')],
  Membership: [made(Membership, { userId: 'ann', organizationId: ORGANIZATION, role: 'owner' })],
  Expense: [
    expense({ id: 1 }),
    expense({ id: 2, organizationId: CLOSED, approverId: 'bob' }),
    expense({ id: 3, ownerId: 'bob', approverId: 'nobody' }),
    expense({ id: 4, ownerId: 'bob', status: 'approved' }),
    expense({ id: 5, deletedAt: DAY }),
    expense({ id: 6, ownerId: 'bob', deletedAt: DAY }),
  ],
  Line: [
    made(Line, { expenseId: 1, number: 1, cents: 1, previousNumber: null }),
    made(Line, { expenseId: 1, number: 2, cents: 2, previousNumber: 1 }),
    made(Line, { expenseId: 3, number: 1, cents: 3, previousNumber: null }),
  ],
  Tag: [made(Tag, { id: 'food', isSecret: false }), made(Tag, { id: 'travel', isSecret: true })],
  expense_tags: [
    { expense_id: 1, tag_id: 'food' },
    { expense_id: 2, tag_id: 'travel' },
    { expense_id: 3, tag_id: 'food' },
  ],
};

const POLICY = `
  allow(user: User, "own", expense: Expense) if expense.owner = user;
  allow(user: User, "owned by a manager", expense: Expense) if expense.owner.manager = user or expense.owner = user;
  allow(_: User, "tagged", expense: Expense) if tag in expense.tags and tag.isSecret = true;
  allow(_: User, "any", _: Expense);
  allow(user: User, "by reference", expense: Expense) if expense.owner.id = user.id;
  allow(_: User, "by references", expense: Expense) if expense.owner.id in ["ann", "bob"];
  allow(_: User, "seven", expense: Expense) if expense.cents = 7654321 or expense.cents < -7654321;
  allow(_: User, "of Acme", expense: Expense) if expense.organization.name = "Acme";
  allow(_: User, "of Closed", expense: Expense) if expense.organization.name = "Closed";
  allow(_: User, "of nobody", expense: Expense) if expense.organization = nil;
  allow(_: User, "of an owner", expense: Expense) if expense.ownerMembership.role = "owner";
  allow(user: User, "approved by", expense: Expense) if expense.approver = user;
  allow(_: User, "long", expense: Expense) if line in expense.lines and line.number = 2 and line.previous.cents = 1;
  allow(user: User, "know", other: User) if other = user;
  allow(_: User, "before", expense: Expense) if expense.description < "x";
  allow(user: User, "lead", _: Expense) if report in user.reports and report.id = "ann";
  allow(user: User, "belong to none", _: Expense) if user.organization = nil and user.manager = nil;
  allow(_: User, "foodish", tag: Tag) if expense in tag.expenses and expense.ownerId = "bob";
`;

describe('registerEntities of TypeORM', () => {
  const store = new TypeormStore();
  let oso: Oso;

  before(async () => {
    await store.open();
    await store.fill(DATA);
    oso = store.oso(CompiledOso as unknown as Engine);
    await oso.loadStr(POLICY);
  });
  after(() => store.close());
  beforeEach(() => {
    store.statements();
  });

  const query = async <Row extends ObjectLiteral = Expense>(
    action: string,
    actor = 'ann',
    Class: new () => Row = Expense as never,
  ) => (await oso.authorizedQuery(user(actor), action, Class)) as SelectQueryBuilder<Row>;

  const idsOf = (rows: readonly { id: unknown }[]) => rows.map(({ id }) => id).sort();

  /** What a statement selects from, and what it asks besides. */
  const fromOf = (sql: string) => sql.slice(sql.indexOf(' FROM ') + ' FROM '.length).replace(/\$\d+/g, '?');

  const expenses = isPostgres ? `"${SCHEMA}_world"."expenses"` : '"expenses"';
  const allowedFrom = (condition: string) =>
    `(SELECT * FROM ${expenses} "t0" WHERE ${condition}) "Expense" WHERE "Expense"."deleted_at" IS NULL`;
  const isExactly = (column: string, rest: string) =>
    isPostgres
      ? `"t0"."${column}" ${rest} and coalesce("t0"."${column}" collate "C" ${rest}, false)`
      : `"t0"."${column}" ${rest} and "t0"."${column}" collate binary ${rest}`;

  const errorOf = async (run: () => unknown): Promise<unknown> => {
    try {
      await run();
    } catch (error) {
      return error;
    }
    return undefined;
  };

  it('answers with a query builder whose alias is the name of the entity', async () => {
    const built = await query('own');
    expect(built).to.be.instanceOf(SelectQueryBuilder);
    expect(built.alias).to.equal('Expense');
    expect(idsOf(await built.getMany())).to.deep.equal([1, 2]);
    expect(await built.getOne()).to.be.instanceOf(Expense);
  });

  it('lists by one statement', async () => {
    expect(idsOf((await oso.authorizedResources(user('ann'), 'tagged', Expense)) as Expense[])).to.deep.equal(
      [2],
    );
    expect(store.statements()).to.have.length(1);
  });

  it('asks a foreign key for what it refers to, without a join', async () => {
    const expected = allowedFrom(isExactly('owner_id', '= ?'));
    expect(fromOf((await query('by reference')).getSql())).to.equal(expected);
    expect(fromOf((await query('own')).getSql())).to.equal(expected);
    expect((await query('own')).getQueryAndParameters()[1]).to.deep.equal(['ann', 'ann']);
  });

  it('asks for several by one parameter', async () => {
    const [sql, parameters] = (await query('by references')).getQueryAndParameters();
    const isOneOf = isPostgres
      ? isExactly('owner_id', '= any(?)')
      : '"t0"."owner_id" collate binary in (select value from json_each(?))';
    expect(fromOf(sql)).to.equal(allowedFrom(isOneOf));
    expect(new Set(parameters)).to.deep.equal(new Set([isPostgres ? '{"ann","bob"}' : '["ann","bob"]']));
  });

  it('binds all values, also the numbers that TypeORM writes into SQL for SQLite', async () => {
    const [sql, parameters] = (await query('seven')).getQueryAndParameters();
    expect(sql).to.not.include('7654321');
    expect(parameters).to.deep.equal([7654321, -7654321]);
  });

  it('orders text by its bytes, whatever the collation of the database is', async () => {
    expect((await query('before')).getSql().replace('$1', '?')).to.include(
      `"t0"."description" collate ${isPostgres ? '"C"' : 'binary'} < ?`,
    );
  });

  it('sends the same statement for the same question, so that databases and caches know it again', async () => {
    for (const action of ['own', 'tagged', 'long']) {
      const [first, second] = [await query(action), await query(action)];
      expect(first.getQueryAndParameters()).to.deep.equal(second.getQueryAndParameters());
    }
  });

  it('adds no condition where all is allowed', async () => {
    expect(fromOf((await query('any')).getSql())).to.equal(
      `(SELECT * FROM ${expenses} "t0") "Expense" WHERE "Expense"."deleted_at" IS NULL`,
    );
    expect(idsOf(await (await query('any')).getMany())).to.deep.equal([1, 2, 3, 4]);
  });

  it('finds nothing where nothing is allowed', async () => {
    const denied = await query('unheard of');
    expect(fromOf(denied.getSql())).to.equal(allowedFrom('1 = 0'));
    expect(await denied.getMany()).to.deep.equal([]);
    expect(await denied.getManyAndCount()).to.deep.equal([[], 0]);
    expect(await denied.getCount()).to.equal(0);
    expect(await denied.getExists()).to.equal(false);
    expect(
      await (await query('unheard of')).leftJoinAndSelect('Expense.lines', 'line').take(1).getMany(),
    ).to.deep.equal([]);
  });

  describe('gives a query that keeps its condition', () => {
    const all = '1 = 1';
    /** Closes the brackets that TypeORM puts around it, and opens others. */
    const closing = '1 = 1) OR (1 = 1';
    /** Such text takes TypeORM's own condition off, that rows are not deleted, as `withDeleted()` does: 5 is ann's. */
    const live = async (built: SelectQueryBuilder<Expense>) =>
      (await built.getMany()).filter(({ id }) => id !== 5);
    const ways: Record<string, (built: SelectQueryBuilder<Expense>) => Promise<readonly { id: unknown }[]>> =
      {
        'after where': built => built.where(all).getMany(),
        'after orWhere': built => built.orWhere(all).getMany(),
        'after where and orWhere': built => built.where('Expense.id = 1').orWhere(all).getMany(),
        'after orWhere of brackets': built =>
          built.orWhere(new Brackets(inner => inner.where(all).orWhere(all))).getMany(),
        'after orWhere of objects': built =>
          built
            .where([{ id: 1 }, { id: 2 }, { id: 3 }])
            .orWhere({ ownerId: 'bob' })
            .getMany(),
        'after orWhereInIds': built => built.whereInIds([1, 2]).orWhereInIds([3, 4]).getMany(),
        'after setFindOptions': built =>
          built
            .setFindOptions({ where: [{ id: 1 }, { id: 2 }, { ownerId: 'bob' }], relations: { lines: true } })
            .getMany(),
        'in a clone': built => built.clone().where(all).getMany(),
        'in a clone of a clone': built => built.clone().clone().orWhere(all).getMany(),
        'in a query builder that is made of it': built =>
          new SelectQueryBuilder<Expense>(built).orWhere(all).getMany(),
        'in raw rows': async built =>
          (await built.select('Expense.id', 'id').orWhere(all).getRawMany<{ id: number }>()) ?? [],
        'when paged': built => built.orWhere(all).orderBy('Expense.id', 'DESC').skip(0).take(10).getMany(),
        'when paged with joins': built =>
          built
            .leftJoinAndSelect('Expense.lines', 'line')
            .orWhere(all)
            .orderBy('line.cents')
            .take(10)
            .getMany(),
        'when paged with joins in a clone': built =>
          built.clone().leftJoinAndSelect('Expense.tags', 'tag').orWhere(all).take(10).getMany(),
        'when joined': built => built.innerJoinAndSelect('Expense.owner', 'owner').orWhere(all).getMany(),
        'when its relations are loaded by statements of their own': built =>
          built
            .setFindOptions({ relations: { lines: true }, relationLoadStrategy: 'query' })
            .orWhere(all)
            .getMany(),
        'when deleted rows are asked for': async built =>
          (await built.orWhere(all).withDeleted().getMany()).filter(({ id }) => id !== 5),
        'when the place for conditions is emptied': built => {
          built.expressionMap.extraAppendedAndWhereCondition = '';
          return built.where(all).getMany();
        },
        'after where of text that closes brackets': built => live(built.where(closing)),
        'after orWhere of such text': built => live(built.where('1 = 0').orWhere(closing)),
        'after andWhere of such text': built => live(built.andWhere(closing)),
        'after brackets of such text': built =>
          live(built.andWhere(new Brackets(inner => inner.where('1 = 1)) OR ((1 = 1')))),
        'after text that makes a comment of the rest': built => live(built.where('1 = 1) --')),
        'after text that closes brackets, in a clone': built => live(built.clone().where(closing)),
        'after such text, when paged with joins': built =>
          live(
            built.leftJoinAndSelect('Expense.lines', 'line').where(closing).orderBy('Expense.id').take(10),
          ),
        'joined on text that holds': built =>
          live(built.innerJoinAndSelect('Expense.owner', 'owner', '1 = 1 OR 1 = 1').where(closing)),
        'grouped, having text that holds': async built =>
          (
            await built
              .select('Expense.id', 'id')
              .where(closing)
              .groupBy('Expense.id')
              .having('1 = 1 OR 1 = 1')
              .getRawMany<{ id: number }>()
          ).filter(({ id }) => id !== 5),
        'when its parameters are given again': built =>
          built
            .where(all)
            .orWhere('Expense.id = :id', { id: 3 })
            .setParameters({ id: 4, koa_oso: 'bob' })
            .getMany(),
      };
    for (const [way, rowsOf] of Object.entries(ways)) {
      it(way, async () => {
        expect(new Set(idsOf(await rowsOf(await query('own'))))).to.deep.equal(new Set([1, 2]));
        expect(await rowsOf(await query('unheard of'))).to.deep.equal([]);
      });
    }

    it('when counted', async () => {
      const closed = (await query('own'))
        .where('Expense.id < 5')
        .andWhere('Expense.id < 5) OR (Expense.id < 5');
      expect(await closed.getCount()).to.equal(2);
      expect((await closed.take(1).getManyAndCount())[1]).to.equal(2);
      expect(await (await query('own')).orWhere(all).getCount()).to.equal(2);
      expect((await (await query('own')).orWhere(all).take(1).getManyAndCount())[1]).to.equal(2);
      const joined = (await query('own')).leftJoinAndSelect('Expense.lines', 'line').orWhere(all).take(1);
      const [rows, count] = await joined.getManyAndCount();
      expect([rows.length, count]).to.deep.equal([1, 2]);
    });

    it('when asked whether there is a row', async () => {
      expect(await (await query('own')).where('Expense.id = 3').getExists()).to.equal(false);
      expect(await (await query('own')).where('Expense.id = 1').getExists()).to.equal(true);
    });

    it('in each of the statements by which it is paged', async () => {
      const paged = (await query('own')).leftJoinAndSelect('Expense.lines', 'line').take(10);
      await paged.getManyAndCount();
      const statements = store.statements() ?? [];
      expect(statements).to.have.length(2);
      for (const statement of statements)
        expect(statement).to.match(/FROM \(SELECT \* FROM .*"owner_id" = (\$1|\?)/);
    });

    it('as a part of another query', async () => {
      const { dataSource } = store;
      const own = (await query('own')).select('Expense.id').orWhere(all);
      const within = dataSource
        .getRepository(Expense)
        .createQueryBuilder('other')
        .where(`other.id IN (${own.getQuery()})`)
        .setParameters(own.getParameters());
      expect(idsOf(await within.getMany())).to.deep.equal([1, 2]);
      const common = dataSource
        .createQueryBuilder()
        .addCommonTableExpression(own, 'own')
        .select('COUNT(*)', 'count')
        .from('own', 'own');
      expect(Number((await common.getRawOne<{ count: unknown }>())?.count)).to.equal(2);
      const existing = dataSource
        .getRepository(User)
        .createQueryBuilder('User')
        .whereExists((await query('own')).andWhere('Expense.owner_id = User.id'));
      expect(idsOf(await existing.getMany())).to.deep.equal(['ann']);
    });

    it('beside those of other queries in one statement', async () => {
      const ann = await query('owned by a manager', 'ann');
      const bob = (await query('owned by a manager', 'bob')).select('Expense.id');
      const known = (await query('know', 'bob', User)).select('User.id');
      ann
        .where(`Expense.id NOT IN (${bob.getQuery()})`)
        .orWhere(`Expense.owner_id IN (${known.getQuery()})`)
        .setParameters({ ...bob.getParameters(), ...known.getParameters() });
      expect(idsOf(await ann.getMany())).to.deep.equal([1, 2]);
    });

    it('whatever names its parameters are given from outside', async () => {
      const own = await query('own');
      const names = Object.keys(own.getParameters());
      expect(names).not.to.be.empty;
      // 72 random bits.
      for (const name of names) expect(name).to.match(/^koa_oso_[0-9a-f]{18}_\d+_\d+$/);
      expect(Object.keys((await query('own')).getParameters())).to.not.have.members(names);
    });

    for (const [kind, become] of Object.entries<(built: SelectQueryBuilder<Expense>) => unknown>({
      delete: built => built.delete(),
      update: built => built.update({ cents: 0 }),
      'update of another': built => built.update(User, { name: '' }),
      'soft-delete': built => built.softDelete(),
      restore: built => built.restore(),
      insert: built => built.insert(),
      relation: built => built.relation('tags'),
      'delete of a clone': built => built.clone().delete(),
      'list of another class': built => built.from(User, 'User'),
      'list under another alias': built => built.clone().from(Expense, 'other'),
      'list in a cache that does not know whose it is': built => built.cache('expenses', 1000),
      'list in such a cache, by options': built =>
        built.clone().setFindOptions({ cache: { id: 'expenses', milliseconds: 1000 } }),
    })) {
      it(`and does not become another: ${kind}`, async () => {
        // It must not depend on the actor whether this is found out.
        for (const action of ['own', 'any', 'unheard of']) {
          const built = await query(action);
          const error = await errorOf(() => become(built));
          expect(error, action)
            .to.be.instanceOf(KoaOsoError)
            .with.property('code', 'ERR_KOA_OSO_INVALID_ARGUMENT');
          expect((error as Error).message).to.include('An authorized query cannot');
        }
      });
    }
  });

  it('leaves out rows that are soft-deleted, unless the query brings them back', async () => {
    expect(idsOf(await (await query('own')).getMany())).to.deep.equal([1, 2]);
    expect(idsOf(await (await query('own')).withDeleted().getMany())).to.deep.equal([1, 2, 5]);
  });

  it('takes related rows that are soft-deleted for none, even where the query brings deleted rows back', async () => {
    expect(idsOf(await (await query('of Acme')).getMany())).to.deep.equal([1, 3, 4]);
    expect(await (await query('of Closed')).withDeleted().getMany()).to.deep.equal([]);
    expect(idsOf(await (await query('of nobody')).getMany())).to.deep.equal([2]);
  });

  it('does not trust references that have no foreign key', async () => {
    expect((await query('approved by', 'nobody')).getSql()).to.include('exists (');
    expect(await (await query('approved by', 'nobody')).getMany()).to.deep.equal([]);
    expect(idsOf(await (await query('approved by', 'bob')).getMany())).to.deep.equal([2]);
  });

  it('joins by composite keys, and through tables from both ends', async () => {
    expect(idsOf(await (await query('of an owner')).getMany())).to.deep.equal([1]);
    expect(idsOf(await (await query('long')).getMany())).to.deep.equal([1]);
    expect(idsOf(await (await query('foodish', 'ann', Tag)).getMany())).to.deep.equal(['food']);
  });

  it('reads in a transaction whose runner the query is given', async () => {
    const { dataSource } = store;
    const runner = dataSource.createQueryRunner();
    await runner.startTransaction();
    try {
      await runner.manager.update(Expense, { id: 3 }, { ownerId: 'ann' });
      expect(idsOf(await (await query('own')).setQueryRunner(runner).getMany())).to.deep.equal([1, 2, 3]);
    } finally {
      await runner.rollbackTransaction();
      await runner.release();
    }
    expect(idsOf(await (await query('own')).getMany())).to.deep.equal([1, 2]);
  });

  it('loads what a policy follows from a row that has it not loaded', async () => {
    const [one, two, three, four] = await store.dataSource
      .getRepository(Expense)
      .find({ order: { id: 'ASC' } });
    const allowed = async (action: string, rows: readonly (Expense | undefined)[]) => {
      const answers: boolean[] = [];
      for (const row of rows) answers.push(await oso.isAllowed(user('ann'), action, row));
      return answers;
    };
    expect(await allowed('own', [one, two, three])).to.deep.equal([true, true, false]);
    expect(await allowed('tagged', [one, two, four])).to.deep.equal([false, true, false]);
    expect(await allowed('of nobody', [one, two])).to.deep.equal([false, true]);
    expect(await allowed('of an owner', [one])).to.deep.equal([true]);
    expect(await allowed('long', [one, four])).to.deep.equal([true, false]);
    const tags = await store.dataSource.getRepository(Tag).find({ order: { id: 'ASC' } });
    expect(await oso.isAllowed(user('ann'), 'foodish', tags[0])).to.equal(true);
    expect(await oso.isAllowed(user('ann'), 'foodish', tags[1])).to.equal(false);
  });

  it('does not load what is loaded', async () => {
    const loaded = expense({ id: 3, ownerId: 'bob', owner: user('ann') });
    expect(await oso.isAllowed(user('ann'), 'own', loaded)).to.equal(true);
    expect(store.statements()).to.deep.equal([]);
  });

  it('follows what a row holds, though it is not saved, and has keys that no database could hold', async () => {
    const unsaved = expense({ id: 99, ownerId: 'bob' });
    expect(await oso.isAllowed(user('bob'), 'own', unsaved)).to.equal(true);
    expect(await oso.isAllowed(user('ann'), 'own', unsaved)).to.equal(false);
    const hostile = Object.assign(user('a\0b'), { managerId: 'a\0b', organizationId: 'no uuid' });
    expect(await oso.isAllowed(hostile, 'lead', expense({ id: 1 }))).to.equal(false);
    expect(await oso.isAllowed(hostile, 'belong to none', expense({ id: 1 }))).to.equal(true);
  });

  it('refuses to load for a row that has no key', async () => {
    const error = (await errorOf(() => oso.isAllowed(user('ann'), 'tagged', expense({})))) as Error;
    expect(String(error.cause ?? error)).to.include('an instance of Expense that has no key');
  });

  it('refuses drivers that compare otherwise than policies', () => {
    const mysql = { options: { type: 'mysql' }, isInitialized: true } as unknown as DataSource;
    expect(() => registerEntities(new CompiledOso(), mysql))
      .to.throw(KoaOsoError, "the TypeORM driver 'mysql'")
      .with.property('code', 'ERR_KOA_OSO_INVALID_ARGUMENT');
  });

  it('refuses a DataSource that is not initialized', () => {
    const closed = new DataSource({ type: 'sqljs' });
    expect(() => registerEntities(new CompiledOso(), closed))
      .to.throw(KoaOsoError, 'initialize()')
      .with.property('code', 'ERR_KOA_OSO_INVALID_ARGUMENT');
  });

  it('needs no connection to decide about rows that are at hand, and says where it does', async () => {
    const unconnected = new DataSource(store.dataSource.options);
    // biome-ignore lint/complexity/useLiteralKeys: it is protected
    await unconnected['buildMetadatas']();
    const oso = new CompiledOso();
    registerEntities(oso, unconnected);
    await oso.loadStr('allow(user: User, _, e: Expense) if e.owner.manager = user;');
    const bob = Object.assign(new User(), { id: 'bob', managerId: 'ann', manager: user('ann') });
    expect(await oso.isAllowed(user('ann'), 'read', expense({ id: 1, ownerId: 'bob', owner: bob }))).to.equal(
      true,
    );
    expect(await oso.isAllowed(user('bob'), 'read', expense({ id: 1, ownerId: 'bob', owner: bob }))).to.equal(
      false,
    );
    const built = (await oso.authorizedQuery(user('ann'), 'read', Expense)) as SelectQueryBuilder<Expense>;
    expect(built.getQuery()).to.contain('FROM (SELECT');
    for (const ask of [
      () => oso.isAllowed(user('ann'), 'read', expense({ id: 1, ownerId: 'bob' })),
      () => oso.authorizedResources(user('ann'), 'read', Expense),
    ]) {
      const error = (await errorOf(ask)) as Error;
      expect(error).to.be.instanceOf(KoaOsoError);
      expect(error.message).to.contain('initialize()').and.to.contain('give the rows the relations');
    }
  });

  it('registers only the entities that it is given', async () => {
    const few = new CompiledOso();
    registerEntities(few, store.dataSource, [Expense, User]);
    await few.loadStr(
      'allow(_, "own", e: Expense) if e.owner.name = "ann"; allow(_, "tag", e: Expense) if t in e.tags and t.isSecret = true;',
    );
    const built = (await few.authorizedQuery('ann', 'own', Expense)) as SelectQueryBuilder<Expense>;
    expect(idsOf(await built.getMany())).to.deep.equal([1, 2]);
    for (const ask of [
      () => few.authorizedQuery('ann', 'tag', Expense),
      () => few.authorizedQuery('ann', 'own', Tag),
    ]) {
      expect(await errorOf(ask)).to.be.instanceOf(KoaOsoError);
    }
  });

  it(`runs on ${isPostgres ? 'PostgreSQL' : 'SQLite'}`, () => {
    expect(store.dataSource.options.type).to.equal(isPostgres ? 'postgres' : (driver ?? 'sqljs'));
  });
});
