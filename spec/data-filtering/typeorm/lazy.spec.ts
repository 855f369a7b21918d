import { expect } from 'chai';
import { CompiledOso } from 'koa-oso/polar';
import { registerEntities } from 'koa-oso/typeorm';
import { Oso } from 'oso';
import { type DataSource, EntitySchema } from 'typeorm';
import { entityEquality } from '../../../src/data-filtering/typeorm/index.js';
import { closeDataSource, openDataSource, Statements } from '../support/typeorm-store.js';

class Team {
  id!: number;
  lead!: string;
  tasks!: Promise<Task[]>;
}

class Task {
  id!: number;
  title!: string;
  team!: Promise<Team | null>;
}

const TeamSchema = new EntitySchema<Team>({
  name: 'Team',
  target: Team,
  columns: { id: { type: 'integer', primary: true }, lead: { type: 'text' } },
  relations: { tasks: { type: 'one-to-many', target: 'Task', inverseSide: 'team', lazy: true } },
});
const TaskSchema = new EntitySchema<Task>({
  name: 'Task',
  target: Task,
  columns: { id: { type: 'integer', primary: true }, title: { type: 'text' } },
  // The foreign key has no property.
  relations: { team: { type: 'many-to-one', target: 'Team', inverseSide: 'tasks', lazy: true } },
});

const POLICY = `
  allow(name, "read", task: Task) if task.team.lead = name;
  allow(_, "share", task: Task) if other in task.team.tasks and other.title = "tidy up";
`;

describe('lazy relations of TypeORM', () => {
  const statements = new Statements();
  let dataSource: DataSource;

  before(async () => {
    dataSource = await openDataSource('lazy', [TeamSchema, TaskSchema], statements);
    await dataSource.getRepository(Team).insert([
      { id: 1, lead: 'ann' },
      { id: 2, lead: 'bob' },
    ]);
    const task = (id: number, title: string, team: number | undefined) =>
      dataSource
        .createQueryBuilder()
        .insert()
        .into(Task)
        .values({ id, title, team: team === undefined ? null : ({ id: team } as never) } as never)
        .execute();
    await task(1, 'wash up', 1);
    await task(2, 'tidy up', 1);
    await task(3, 'sleep', 2);
  });
  after(() => closeDataSource(dataSource));

  const tasks = (): Promise<Task[]> => dataSource.getRepository(Task).find({ order: { id: 'ASC' } });

  for (const Engine of [Oso, CompiledOso] as (typeof Oso)[]) {
    it(`are followed, and not left on the rows, with ${Engine.name}`, async () => {
      const oso = new Engine({ equalityFn: entityEquality(dataSource) });
      registerEntities(oso, dataSource);
      await oso.loadStr(POLICY);
      const rows = await tasks();
      const before = JSON.stringify(rows);
      const answers: boolean[] = [];
      for (const row of rows) {
        answers.push(await oso.isAllowed('ann', 'read', row), await oso.isAllowed('ann', 'share', row));
      }
      expect(answers).to.deep.equal([true, true, true, true, false, false]);
      expect(JSON.stringify(rows)).to.equal(before);
      // As it would be if the getter had been read.
      await rows[0]?.team;
      expect(JSON.stringify(rows)).not.to.equal(before);
    });

    it(`are taken as the row holds them, with ${Engine.name}`, async () => {
      const oso = new Engine({ equalityFn: entityEquality(dataSource) });
      registerEntities(oso, dataSource);
      await oso.loadStr(POLICY);
      const [loaded] = await dataSource
        .getRepository(Task)
        .find({ where: { id: 3 }, relations: { team: true } });
      const [assigned, none] = await tasks();
      (assigned as Task).team = Promise.resolve(Object.assign(new Team(), { id: 9, lead: 'cid' }));
      (none as Task).team = Promise.resolve(null);
      statements.take();
      expect(await oso.isAllowed('bob', 'read', loaded)).to.equal(true);
      expect(await oso.isAllowed('cid', 'read', assigned)).to.equal(true);
      expect(await oso.isAllowed('ann', 'read', none).catch(() => 'nil has no lead')).to.equal(
        'nil has no lead',
      );
      expect(statements.take()).to.have.length(0);
    });
  }

  it('are loaded by one statement for a batch', async () => {
    const oso = new CompiledOso();
    registerEntities(oso, dataSource);
    await oso.loadStr(POLICY);
    const rows = await tasks();
    statements.take();
    const batch = oso.batch();
    expect(await Promise.all(rows.map(row => batch.isAllowed('ann', 'share', row)))).to.deep.equal([
      true,
      true,
      false,
    ]);
    expect(statements.take()).to.have.length(2);
  });
});
