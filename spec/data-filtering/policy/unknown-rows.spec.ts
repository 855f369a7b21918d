import { expect } from 'chai';
import { entityEquality, registerEntities, type SchemaDescription } from 'koa-oso/array';
import { CompiledOso } from 'koa-oso/polar';
import { Oso } from 'oso';

class Team {
  constructor(
    readonly id: number,
    readonly parentId: number | null,
  ) {}
}
class Task {
  constructor(
    readonly id: number,
    readonly teamId: number,
    readonly owner: string | null,
    readonly done: boolean,
  ) {}
}
class Note {
  constructor(
    readonly taskId: number,
    readonly text: string,
  ) {}
}
class Chore extends Task {}
class Elsewhere {}

const description: SchemaDescription = {
  Team: {
    class: Team,
    fields: { id: 'integer', parentId: { type: 'integer', nullable: true } },
    relations: {
      parent: { one: 'Team', on: { parentId: 'id' } },
      children: { many: 'Team', on: { id: 'parentId' } },
    },
  },
  Task: {
    class: Task,
    fields: {
      id: 'integer',
      teamId: 'integer',
      owner: { type: 'text', nullable: true },
      done: 'boolean',
    },
    relations: {
      team: { one: 'Team', on: { teamId: 'id' }, foreignKey: true },
      notes: { many: 'Note', on: { id: 'taskId' } },
    },
  },
  Note: {
    class: Note,
    key: ['taskId', 'text'],
    fields: { taskId: 'integer', text: 'text' },
    relations: { task: { one: 'Task', on: { taskId: 'id' } } },
  },
};

const teams = [new Team(1, null), new Team(2, 1), new Team(3, null)];
const tasks = [1, 2, 3, 4, 5, 6].map(
  id => new Task(id, 1 + (id % 3), ['ann', 'bob', null][id % 3] as string | null, id > 3),
);
const notes = [new Note(1, 'x'), new Note(1, 'y'), new Note(2, 'y'), new Note(4, 'x')];
const ann = { name: 'ann', teams: [teams[0], teams[1]], ids: [1, 2], words: ['x'] };

async function load(oso: Oso | CompiledOso, policy: string) {
  registerEntities(oso, { Team: teams, Task: tasks, Note: notes }, description);
  oso.registerClass(Chore);
  oso.registerClass(Elsewhere);
  oso.registerConstant(3, 'LIMIT');
  await oso.loadStr(policy, 'policy.polar');
  return oso;
}

async function listed(oso: Oso | CompiledOso): Promise<unknown> {
  try {
    const found = (await oso.authorizedResources(ann, 'read', Task)) as Task[];
    return found.map(({ id }) => id);
  } catch (error) {
    return (error as Error).message;
  }
}

/** By what is asked of the task, which of them are allowed. */
const CONDITIONS: Record<string, number[]> = {
  'task.owner = user.name': [3, 6],
  'task.owner != user.name': [1, 2, 4, 5],
  'task.owner = nil': [2, 5],
  'not task.done': [1, 2, 3],
  'not (task.done or task.owner = "bob")': [2, 3],
  'task.id in user.ids': [1, 2],
  'not task.id in user.ids': [3, 4, 5, 6],
  'task.id > 2 and 5 > task.id': [3, 4],
  'team in user.teams and task.team = team': [1, 3, 4, 6],
  'task.team in user.teams': [1, 3, 4, 6],
  'task.team.parent.id = 1': [1, 4],
  'note in task.notes and note.text = "x"': [1, 4],
  'note in task.notes and note.text in user.words': [1, 4],
  'not (note in task.notes and note.text = "x")': [2, 3, 5, 6],
  'forall(note in task.notes, note.text = "y")': [2, 3, 5, 6],
  'a in task.notes and b in task.notes and a.text = "x" and b.text = "y"': [1],
  'note in task.notes and note.task = task': [1, 2, 4],
  'task matches {done: true, owner: "ann"}': [6],
  'task matches Task and not task matches Elsewhere': [1, 2, 3, 4, 5, 6],
  'has_note(task, "y")': [1, 2],
  'x = task.owner and x = "bob"': [1, 4],
  'x in [1, 2] and task.id = x': [1, 2],
  '[task.id, "ann"] = [3, user.name]': [3],
  'task.team.parent.id != 1 and task.team.parent != nil': [],
  'not task.team.parent.id = 1': [2, 3, 5, 6],
  'not task.team.parent.id != 1': [1, 4],
  'not (parent = task.team.parent and parent.id != nil)': [],
  'not (parent = task.team.parent and parent.id = nil)': [1, 2, 3, 4, 5, 6],
  '_id = task.team.parent.id': [1, 4],
  'not (_id = task.team.parent.id)': [],
  'task.team.parent.id = task.team.parent.id': [1, 4],
  'forall(_team in task.team.parent.children, 1 = 1)': [1, 4],
  'not (not (_team in task.team.parent.children and 1 = 2))': [],
  'task.id = LIMIT': [3],
  'task.id = 1 or task.id = 2 or task.id = 1': [1, 2],
  'task.done and false': [],
  'print(task.id) and task.id = 1': [1],
  'user.name = "ann" and task = task': [1, 2, 3, 4, 5, 6],
};

describe('lists', () => {
  for (const [condition, ids] of Object.entries(CONDITIONS)) {
    it(`${condition}: with CompiledOso and with Oso`, async () => {
      const policy = `
        allow(user, "read", task: Task) if ${condition} and user.name = user.name;
        has_note(task, text) if note in task.notes and note.text = text;`;
      const compiled = (await load(
        new CompiledOso({ equalityFn: entityEquality(description) }),
        policy,
      )) as CompiledOso;
      expect(await listed(compiled)).to.deep.equal(ids);
      expect(compiled.fallbacks).to.deep.equal([]);
      const oso = await load(new Oso({ equalityFn: entityEquality(description) }), policy);
      expect(await listed(oso)).to.deep.equal(ids);
    });
  }

  it('are not refused for a rule that fails for other reasons', async () => {
    const policy = `
      allow(user, "read", task: Task) if task.secret = 1 and user.name = "bob";
      allow(user, "read", chore: Chore) if chore.id = 1 and user.name = "bob";
      allow(_, "read", task: Task) if item in task.owner and item = 1 and false;
      allow(_, "read", _: Elsewhere);
      allow(_, "read", task: Task) if task.id = 1;`;
    expect(await listed(await load(new CompiledOso(), policy))).to.deep.equal([1]);
  });

  for (const [condition, reason] of Object.entries({
    'task.secret = 1': '`secret` is no field and no relation of Task',
    'not task.secret = 1': '`secret` is no field and no relation of Task',
    'item in task.secret and item.id = 1': '`secret` is no field and no relation of Task',
    'item in task.owner and item = "a"': 'it looks with `in` into what is no relation to many',
    'task matches Chore': 'it asks of a row whether it is of the class `Chore`',
    'task.team': 'what is neither true nor false, in rule `allow` at policy.polar:1:33',
    'task.id + 1 = 2':
      'no database can be asked for "+" on an unknown value, in rule `allow` at policy.polar:1:33',
    'task.id = task.half()':
      'no database can be asked for a method of an unknown value, in rule `allow` at policy.polar:1:43',
    'not task.owner': 'what is neither true nor false',
    'user.owns(task)':
      'no database can be asked for JavaScript that is given an unknown value, in rule `allow` at policy.polar:1:36',
    'task = new Chore(task.id)':
      'no database can be asked for JavaScript that is given an unknown value, in rule `allow` at policy.polar:1:40',
    'task.owner.length = 3': 'it asks for `length` of what is no row, in rule `allow` at policy.polar:1:33',
  })) {
    it(`${condition} is refused`, async () => {
      const oso = await load(
        new CompiledOso(),
        `allow(${condition.includes('user') ? 'user' : '_'}, "read", task: Task) if ${condition};`,
      );
      expect(await listed(oso)).to.include(reason);
    });
  }

  it('are refused where a rule follows rows without end', async () => {
    const policy = `allow(_, "read", task: Task) if above(task.team, 0);
      above(team: Team, n) if n < 0 and team.id = 7;
      above(team: Team, n) if above(team.parent, n + 1);`;
    expect(await listed(await load(new CompiledOso(), policy))).to.include('more than 30 relations in a row');
  });

  it('take an Oso of any type arguments', () => {
    registerEntities(new Oso<{ name: string }, 'read', Task, string, object, Task[]>(), {}, description);
    registerEntities(
      new CompiledOso<{ name: string }, 'read', Task, string, object, Task[]>(),
      {},
      description,
    );
  });

  it('fail within the budget', async () => {
    const oso = await load(
      new CompiledOso({ budget: { steps: 10_000 } }),
      'allow(_, "read", task: Task) if task.id = 1 or more(task, 0); more(task, n) if more(task, n + 1);',
    );
    expect(await listed(oso)).to.include('budget');
  });
});
