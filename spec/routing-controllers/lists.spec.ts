import 'reflect-metadata';
import { expect } from 'chai';
import { entityEquality, registerEntities, type SchemaDescription } from 'koa-oso/array';
import { AuthorizedQuery, AuthorizedResources } from 'koa-oso/routing-controllers';
import { Get, JsonController, QueryParam, useKoaServer } from 'routing-controllers';
import request from 'supertest';
import { setUp } from '../support/app.js';

class Bill {
  constructor(
    readonly id: number,
    readonly owner: string,
  ) {}
}

const bills = [new Bill(1, 'ann'), new Bill(2, 'bob'), new Bill(3, 'ann')];
const description: SchemaDescription = { Bill: { class: Bill, fields: { id: 'integer', owner: 'text' } } };

@JsonController('/bills')
class BillController {
  @Get('/query')
  query(
    @AuthorizedQuery(Bill, { action: 'read' }) allowed: Bill[],
    @QueryParam('after') after: number,
  ): number[] {
    return allowed.map(({ id }) => id).filter(id => id > after);
  }

  @Get('/')
  list(@AuthorizedResources(Bill, { action: 'read' }) allowed: Bill[]): Bill[] {
    return allowed;
  }

  @Get('/of-bob')
  ofBob(@AuthorizedResources(Bill, { action: 'read', actor: { name: 'bob' } }) allowed: Bill[]): number {
    return allowed.length;
  }

  @Get('/unfilterable')
  unfilterable(@AuthorizedQuery(Bill, { action: 'guess' }) allowed: Bill[]): Bill[] {
    return allowed;
  }
}

describe('lists in routing-controllers', () => {
  async function serve() {
    const set = await setUp({ policy: '', equalityFn: entityEquality(description) });
    registerEntities(set.oso, { Bill: bills }, description);
    await set.oso.loadStr(
      `allow(user, "read", bill: Bill) if bill.owner = user.name;
       allow(_user, "guess", bill: Bill) if bill.id * 2 = 4;`,
      'bills.polar',
    );
    const states: unknown[] = [];
    set.app.use(async (ctx, next) => {
      await next();
      const { authorized, decisions } = ctx.state.oso;
      states.push({ authorized, kinds: decisions.map(({ kind }) => kind) });
    });
    set.app.use(set.koaOso.requireAuthorization());
    const errors: (Error & { code?: string })[] = [];
    set.app.on('error', error => errors.push(error));
    useKoaServer(set.app, { controllers: [BillController], development: false });
    const send = (path: string, user: string) => request(set.app.callback()).get(path).set('x-user', user);
    return { send, states, errors };
  }

  it('@AuthorizedQuery injects the query of the adapter, which the method refines, and authorizes', async () => {
    const { send, states } = await serve();
    await send('/bills/query?after=0', 'ann').expect(200, [1, 3]);
    await send('/bills/query?after=1', 'ann').expect(200, [3]);
    await send('/bills/query?after=0', 'bob').expect(200, [2]);
    expect(states[0]).to.deep.equal({ authorized: true, kinds: ['authorizedQuery'] });
  });

  it('@AuthorizedResources injects what the query finds; nothing, where the actor may see nothing', async () => {
    const { send, states } = await serve();
    await send('/bills', 'ann').expect(200, [
      { id: 1, owner: 'ann' },
      { id: 3, owner: 'ann' },
    ]);
    await send('/bills', 'cid').expect(200, []);
    expect(states).to.deep.equal(
      Array.from({ length: 2 }, () => ({ authorized: true, kinds: ['authorizedResources'] })),
    );
  });

  it('asks for the actor that they are given', async () => {
    const { send } = await serve();
    await send('/bills/of-bob', 'ann').expect(200, '1');
  });

  it('a policy that is no query is a 500 that tells the client nothing, and the developer which rule', async () => {
    const { send, errors } = await serve();
    const { body } = await send('/bills/unfilterable', 'ann').expect(500);
    expect(JSON.stringify(body)).to.not.include('bill');
    const [error] = errors;
    expect(error?.code).to.equal('ERR_KOA_OSO_UNFILTERABLE_POLICY');
    expect(error?.message).to.include('rule `allow` at bills.polar:2:45');
  });

  for (const decorator of [AuthorizedQuery, AuthorizedResources]) {
    it(`@${decorator.name} without a class is an error when the controller is defined`, () => {
      expect(() => decorator(undefined as never))
        .to.throw('was given no class')
        .with.property('code', 'ERR_KOA_OSO_INVALID_ARGUMENT');
    });
  }
});
