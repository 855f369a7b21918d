import { expectTypeOf } from 'expect-type';
import type { Context } from 'koa';
import type { DefaultAction, DefaultActor, KoaOso } from 'koa-oso';
import { Authorize } from 'koa-oso/routing-controllers';
import '../../demo/authorization.js';
import type { Organization } from '../../demo/entities/organization.js';
import type { User } from '../../demo/entities/user.js';

// These are questions to the compiler: what it would no longer refuse turns its directive into an error.
describe('the types of the expense tracker', () => {
  it('are the actor and the actions of its policy', () => {
    expectTypeOf<DefaultActor>().toEqualTypeOf<User>();
    expectTypeOf<DefaultAction>().toEqualTypeOf<'read' | 'submit' | 'audit' | 'approve' | 'reject' | 'pay'>();
  });

  it('refuse a misspelt action on ctx.oso', () => {
    expectTypeOf((ctx: Context, organization: Organization) => [
      ctx.oso.authorize(organization, { action: 'read' }),
      // @ts-expect-error
      ctx.oso.authorize(organization, { action: 'raed' }),
      // @ts-expect-error
      ctx.oso.isAllowed(organization, { action: 'Read' }),
      // @ts-expect-error
      ctx.oso.authorize(organization, { actor: organization }),
    ]).toBeFunction();
  });

  it('refuse a misspelt action or option in a route check', () => {
    expectTypeOf((koaOso: KoaOso, organization: Organization) => [
      Authorize({ resource: () => organization, action: 'approve' }),
      // @ts-expect-error
      Authorize({ resource: () => organization, action: 'aprove' }),
      // @ts-expect-error
      Authorize({ resource: () => organization, acton: 'approve' }),
      // @ts-expect-error
      koaOso.authorize({ action: 'approved' }),
    ]).toBeFunction();
  });
});
