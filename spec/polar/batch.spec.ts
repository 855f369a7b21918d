import { expect } from 'chai';
import { CompiledOso } from 'koa-oso/polar';
import { entityAdapter } from '../../src/data-filtering/adapter.js';
import { describedSchema } from '../../src/data-filtering/describe.js';
import { registerSchema } from '../../src/data-filtering/register-entities.js';
import { held } from '../../src/data-filtering/related.js';

class Team {
  id!: number;
  lead!: string;
}

class Task {
  id!: number;
  teamId!: number;
  formerId = 9;
  leads(team: Team, name: string): boolean {
    return team.lead === name;
  }
  leadAll(teams: readonly Team[], name: string): boolean {
    return teams.every(team => team.lead === name);
  }
  /** Never settles. */
  stuck(): Promise<boolean> {
    return new Promise(() => {});
  }
  /** Settles after everything else that is under way. */
  async later(): Promise<boolean> {
    await new Promise(resolve => setTimeout(resolve, 20));
    return true;
  }
}

const description = {
  Task: {
    class: Task,
    fields: { id: 'integer', teamId: 'integer', formerId: 'integer' },
    relations: {
      team: { one: 'Team', on: { teamId: 'id' }, foreignKey: true },
      former: { one: 'Team', on: { formerId: 'id' }, foreignKey: true },
    },
  },
  Team: { class: Team, fields: { id: 'integer', lead: 'text' } },
} as const;

const task = (id: number, teamId = id) => Object.assign(new Task(), { id, teamId });

describe('a batch of CompiledOso', () => {
  /** The ids of the teams that each statement loads. */
  let loaded: number[][];

  async function load(
    policy: string,
    {
      hasForeignKeys = false,
      ...options
    }: ConstructorParameters<typeof CompiledOso>[0] & { hasForeignKeys?: boolean } = {},
  ) {
    const oso = new CompiledOso({ onFallback: () => {}, ...options });
    loaded = [];
    const teamsOf = async (ids: readonly number[]) => {
      loaded.push([...ids]);
      if (ids.includes(666)) throw new Error('The database is gone');
      return ids.map(id => [Object.assign(new Team(), { id, lead: id % 2 === 1 ? 'ann' : 'bob' })]);
    };
    registerSchema(
      oso,
      describedSchema(description),
      entityAdapter(
        {
          select: () => [],
          execute: async () => [],
          hasForeignKeys,
          held,
          load: async ({ values }) => (await teamsOf(values as number[]))[0] ?? [],
          loadMany: ({ owners }) => teamsOf(owners.map(([id]) => id as number)),
        },
        () => expect.fail('no transactions'),
      ),
    );
    await oso.loadStr(policy);
    return oso;
  }

  const outcomes = (asked: readonly Promise<unknown>[]) =>
    Promise.all(asked.map(each => each.catch((error: Error) => error.message)));

  it('loads for all questions together, when each has come to wait', async () => {
    const oso = await load(
      'allow(name, "do", task: Task) if task.later() and task.team.lead = name; allow(name, "see", task: Task) if task.team.lead = name;',
    );
    const batch = oso.batch();
    const answers = await outcomes([
      batch.isAllowed('ann', 'see', task(1)),
      batch.isAllowed('ann', 'do', task(2)),
      batch.isAllowed('ann', 'do', task(3)),
    ]);
    expect(answers).to.deep.equal([true, false, true]);
    // The first that is asked for a relation has it loaded for all of the class.
    expect(loaded).to.deep.equal([[1, 2, 3]]);
    // It is kept for the batch, and no longer.
    expect(await batch.isAllowed('ann', 'see', task(9, 1))).to.equal(true);
    expect(loaded).to.have.length(1);
    expect(await oso.batch().isAllowed('ann', 'see', task(1))).to.equal(true);
    expect(loaded).to.have.length(2);
  });

  it('does not wait for a question that is stuck, which ends by its budget', async () => {
    const oso = await load(
      'allow(_, "do", task: Task) if task.stuck(); allow(name, "see", task: Task) if task.team.lead = name;',
      { budget: { milliseconds: 300 } },
    );
    const batch = oso.batch();
    const stuck = outcomes([batch.isAllowed('ann', 'do', task(2))]);
    const started = performance.now();
    expect(await outcomes([batch.isAllowed('ann', 'see', task(1))])).to.deep.equal([true]);
    expect(performance.now() - started).to.be.below(250);
    expect(String(await stuck)).to.match(/exceeded its budget of 300 milliseconds/);
  });

  it('fails for each question that waits for what cannot be loaded, and no other', async () => {
    const oso = await load('allow(name, _, task: Task) if task.id = 7 or task.team.lead = name;');
    const batch = oso.batch();
    const answers = await outcomes([
      batch.isAllowed('ann', 'see', task(1)),
      batch.isAllowed('ann', 'see', task(666)),
      batch.isAllowed('ann', 'see', task(7)),
    ]);
    expect(answers).to.deep.equal(['The database is gone', 'The database is gone', true]);
  });

  it('loads what is asked for while a question waits, from wherever it is asked', async () => {
    const rules = {
      'an argument': 'task.leads(task.team, "ann")',
      'in a list': 'task.leadAll([task.team], "ann")',
      'compared with another class': 'not task.team = task and task.team.lead = "ann"',
      'compared with each other': 'not task.team < task.former and task.team.lead = "ann"',
    };
    for (const [what, rule] of Object.entries(rules)) {
      const oso = await load(`allow(_, _, task: Task) if ${rule};`, {
        budget: { milliseconds: 1000 },
        hasForeignKeys: true,
      });
      const ask = () => {
        const batch = oso.batch();
        return outcomes([1, 2, 3].map(id => batch.isAllowed('ann', 'see', task(id))));
      };
      expect(await ask(), what).to.deep.equal([true, false, true]);
      // Node calls what is to be done next before promises there.
      const inTimer = new Promise(resolve => setTimeout(() => resolve(ask())));
      expect(await inTimer, what).to.deep.equal([true, false, true]);
    }
  });

  it('fails for the question about a row that cannot be read, and no other', async () => {
    const policy = 'allow(name, _, task: Task) if task.team.lead = name;';
    const unreadable = (name: string, target: object) =>
      Object.defineProperty(target, name, {
        get: () => {
          throw new Error('not to be read');
        },
      });
    const without = (name: string) => {
      const row = task(2);
      Reflect.deleteProperty(row, name);
      return row;
    };
    const rows = {
      'the foreign key': unreadable('teamId', without('teamId')),
      'the relation': unreadable('team', task(2)),
      'the key, without a foreign key': unreadable('id', Object.assign(new Task(), { later: 1 })),
    };
    for (const [what, row] of Object.entries(rows)) {
      const oso = await load(policy, { budget: { milliseconds: 1000 } });
      const batch = oso.batch();
      const answers = await outcomes([
        batch.isAllowed('ann', 'see', task(1)),
        batch.isAllowed('ann', 'see', row as Task),
        batch.isAllowed('ann', 'see', task(3)),
      ]);
      expect(answers, what).to.deep.equal([true, 'not to be read', true]);
      expect(loaded, what).to.deep.equal([[1, 3]]);
    }
  });

  it('keeps nobody waiting for a question that cannot begin', async () => {
    const oso = await load('allow(name, _, task: Task) if task.team.lead = name;', {
      budget: { milliseconds: 1000 },
    });
    const { proxy, revoke } = Proxy.revocable(task(2), {});
    revoke();
    const batch = oso.batch();
    const answers = await outcomes([
      batch.isAllowed('ann', 'see', task(1)),
      batch.isAllowed('ann', 'see', proxy),
      batch.authorizedActions('ann', proxy),
      batch.isAllowed('ann', 'see', task(3)),
    ]);
    for (const at of [1, 2]) expect(answers[at]).to.match(/revoked/);
    expect([answers[0], answers[3]]).to.deep.equal([true, true]);
  });

  it('answers also what falls back to the engine of Oso', async () => {
    const oso = await load(
      'allow(name, "see", task: Task) if task.team.lead = name; allow(_, "odd", _) if x = nan and y = nan and x = y;',
    );
    const batch = oso.batch();
    const asked = [
      batch.isAllowed('ann', 'odd', task(1)),
      batch.isAllowed('ann', 'see', task(3)),
      batch.isAllowed('ann', 'see', task(5)),
    ];
    const answers = await outcomes(asked);
    expect(answers.slice(1)).to.deep.equal([true, true]);
    expect(oso.fallbacks).to.have.length(1);
    expect(answers[0]).to.deep.equal((await outcomes([oso.isAllowed('ann', 'odd', task(1))]))[0]);
    expect(loaded.flat()).to.include.members([3, 5]);
  });

  it('collects actions and fields as Oso does', async () => {
    const oso = await load(`
      allow(name, action, task: Task) if action in ["see", "do"] and task.team.lead = name;
      allow("root", _, _: Task);
      allow_field(_, "read", _: Task, "id");
      allow_field("root", "read", _: Task, _);
    `);
    const batch = oso.batch();
    expect(await batch.authorizedActions('ann', task(1))).to.deep.equal(new Set(['see', 'do']));
    expect(await batch.authorizedActions('ann', task(2))).to.deep.equal(new Set());
    expect(await batch.authorizedActions('root', task(2), { allowWildcard: true })).to.deep.equal(
      new Set(['*']),
    );
    expect(await batch.authorizedFields('ann', 'read', task(2))).to.deep.equal(new Set(['id']));
    expect(await batch.authorizedFields('root', 'read', task(2), { allowWildcard: true })).to.deep.equal(
      new Set(['*']),
    );
    const [error] = await outcomes([batch.authorizedActions('root', task(2))]);
    expect(error).to.match(/allowWildcard/);
    // Those that ended early keep nobody waiting.
    expect(
      await outcomes([batch.isAllowed('ann', 'see', task(3)), batch.isAllowed('ann', 'see', task(4))]),
    ).to.deep.equal([true, false]);
  });

  it('goes by the policy that was in force when it was made', async () => {
    const oso = await load('allow(_, "see", _: Task);');
    const batch = oso.batch();
    oso.clearRules();
    await oso.loadStr('allow(_, "see", _: Task) if false;');
    expect(await oso.isAllowed('ann', 'see', task(1))).to.equal(false);
    expect(await oso.batch().isAllowed('ann', 'see', task(1))).to.equal(false);
    expect(await outcomes([batch.queryRuleOnce('allow', 'ann', 'see', task(1))])).to.deep.equal([false]);
  });
});
