// Compiled without emitDecoratorMetadata, as tsx and esbuild compile.
import 'reflect-metadata';
import { expect } from 'chai';
import { KoaOsoError } from 'koa-oso';
import { entityEquality, registerEntities } from 'koa-oso/array';
import {
  Authorize,
  AuthorizedQuery,
  AuthorizedResource,
  AuthorizedResources,
  CurrentActor,
} from 'koa-oso/routing-controllers';
import { Get, JsonController, useKoaServer } from 'routing-controllers';
import { Expense, setUp, User } from '../../support/app.js';

class Team {
  readonly name = 'team';
}

const rent = new Expense('1', 'ann', 1000);
const findTeam = () => new Team();
const findExpense = () => rent;

const POLICY = `
  allow(_: User, "read", _: Team);
  allow(user: User, "read", expense: Expense) if expense.owner = user.name;
`;

// biome-ignore lint/complexity/noBannedTypes: a class, of whatever constructor
async function serve(controller: Function) {
  const description = { Row: { class: Row, fields: { id: 'text', owner: 'text' } } } as const;
  const set = await setUp({ policy: '', equalityFn: entityEquality(description) });
  registerEntities(set.oso, { Row: [Object.assign(new Row(), { id: '1', owner: 'ann' })] }, description);
  set.oso.registerClass(Team);
  await set.oso.loadStr(`${POLICY} allow(user: User, "read", row: Row) if row.owner = user.name;`);
  useKoaServer(set.app, { controllers: [controller], development: false });
  return set;
}

class Row {
  declare readonly id: string;
  declare readonly owner: string;
}

describe('without decorator metadata', () => {
  it('there is none', () => {
    class Controller {
      @Authorize()
      show(@AuthorizedResource(Team) team: Team) {
        return team;
      }
    }
    expect(Reflect.getMetadata('design:paramtypes', Controller.prototype, 'show')).to.equal(undefined);
  });

  it('@AuthorizedResource(Class) injects the resource of the class', async () => {
    @JsonController('/named')
    class NamedController {
      @Get('/')
      @Authorize({ resource: findTeam, action: 'read' })
      @Authorize({ resource: findExpense, action: 'read' })
      show(@AuthorizedResource(Team) team: Team, @AuthorizedResource(Expense) expense: Expense) {
        return [team.name, expense.id];
      }
    }
    const { send } = await serve(NamedController);
    await send('/named', 'ann').expect(200, ['team', '1']);
    await send('/named', 'bob').expect(403);
  });

  it('@AuthorizedResource() injects the one resource that there is', async () => {
    @JsonController('/one')
    class OneController {
      @Get('/')
      @Authorize({ resource: findTeam, action: 'read' })
      show(@AuthorizedResource() team: Team) {
        return team.name;
      }
    }
    const { send } = await serve(OneController);
    await send('/one', 'ann').expect(200, 'team');
  });

  it('@AuthorizedResource() twice is refused when the controller is defined', () => {
    expect(() => {
      class TwiceController {
        @Authorize({ resource: findTeam, action: 'read' })
        @Authorize({ resource: findExpense, action: 'read' })
        show(@AuthorizedResource() team: Team, @AuthorizedResource() expense: Expense) {
          return [team, expense];
        }
      }
      return TwiceController;
    }).to.throw(KoaOsoError, 'TwiceController.show stands on several parameters');
  });

  it('@AuthorizedResource() is refused when the controller is registered, where two are loaded', async () => {
    @JsonController('/two')
    @Authorize({ resource: findTeam, action: 'read' })
    class TwoController {
      @Get('/')
      @Authorize({ resource: findExpense, action: 'read' })
      show(@AuthorizedResource() team: Team) {
        return team;
      }
    }
    const refusal = await serve(TwoController).catch((error: Error) => error);
    expect(refusal).to.be.instanceOf(KoaOsoError);
    expect((refusal as Error).message).to.contain('TwoController.show may get any of 2 resources');
  });

  it('@AuthorizedResource(Class) says by name what was loaded in its place', async () => {
    @JsonController('/other')
    class OtherController {
      @Get('/')
      @Authorize({ resource: findTeam, action: 'read' })
      show(@AuthorizedResource(Expense) expense: Expense) {
        return expense;
      }
    }
    const { send, errors } = await serve(OtherController);
    await send('/other', 'ann').expect(500);
    expect(errors[0]?.message).to.contain('wants an Expense, but a Team was loaded');
  });

  it('@AuthorizedQuery, @AuthorizedResources and @CurrentActor inject what they are for', async () => {
    @JsonController('/lists')
    class ListController {
      @Get('/')
      show(
        @AuthorizedQuery(Row, { action: 'read' }) query: unknown,
        @AuthorizedResources(Row, { action: 'read' }) rows: Row[],
        @CurrentActor() actor: User,
      ) {
        return [(query as Row[]).length, rows.map(({ id }) => id), actor.name, actor instanceof User];
      }
    }
    const { send } = await serve(ListController);
    await send('/lists', 'ann').expect(200, [1, ['1'], 'ann', true]);
    await send('/lists', 'bob').expect(200, [0, [], 'bob', true]);
  });
});
