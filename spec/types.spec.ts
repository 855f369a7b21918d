// Checked by the compiler: each line below @ts-expect-error must fail to compile, or the build fails.
// The modules that are types alone, so that coverage counts them like the others.
import '../src/authorization-state.js';
import '../src/types.js';
import type Router from '@koa/router';
import { expect } from 'chai';
import { expectTypeOf } from 'expect-type';
import type Koa from 'koa';
import {
  type ActorOso,
  type AuthorizationState,
  type Decision,
  type Denial,
  type ErrorCode,
  KoaOso,
  KoaOsoError,
  type ListQuery,
  type PolicyRefusedError,
  type PolicyWatcher,
  type RequestOso,
  type Verbs,
} from 'koa-oso';
import { Authorize, AuthorizedResource, CurrentActor, SkipAuthorization } from 'koa-oso/routing-controllers';
import { Oso } from 'oso';
import { Expense, User } from './support/app.js';

type Action = 'read' | 'approve';

describe('types', () => {
  it('reloadPolicy hands out an Oso, and says the version', () => {
    (koaOso: KoaOso) => {
      expectTypeOf(koaOso.reloadPolicy(oso => oso.loadFiles(['policy.polar']))).toEqualTypeOf<
        Promise<string>
      >();
      koaOso.reloadPolicy(oso => oso.loadStr('f(1);'), { verify: oso => oso.isAllowed(1, 2, 3) });
      koaOso.reloadPolicy(oso => oso.loadStr('f(1);'), { verify: () => {} });
      // @ts-expect-error a verdict that is not yes or no
      koaOso.reloadPolicy(oso => oso.loadStr('f(1);'), { verify: () => 'fine' });
      // @ts-expect-error no function
      koaOso.reloadPolicy('policy.polar');
      expectTypeOf(koaOso.watchPolicy({ files: ['policy.polar'] })).toEqualTypeOf<PolicyWatcher>();
      expectTypeOf(koaOso.policyVersion).toEqualTypeOf<string | undefined>();
      expectTypeOf<Decision['policyVersion']>().toEqualTypeOf<string | undefined>();
      expectTypeOf<PolicyRefusedError['line']>().toEqualTypeOf<number | undefined>();
      expectTypeOf<PolicyRefusedError>().toExtend<KoaOsoError>();
    };
  });

  it('KoaOso<Actor, Action> narrows actor and action', () => {
    const narrow = new KoaOso<User, Action>({ getActor: () => new User('ann') });
    narrow.setGetActor(async () => null);
    narrow.authorize({ resource: (ctx: Koa.Context) => ctx.params, action: 'read', actor: new User('ann') });
    // @ts-expect-error a misspelt action
    narrow.authorize({ action: 'raed' });
    // @ts-expect-error no actor of this kind
    narrow.authorize({ actor: 'ann' });
    // @ts-expect-error nor from getActor
    narrow.setGetActor(() => 'ann');
    // @ts-expect-error nor in the constructor
    new KoaOso<User, Action>({ getActor: () => 'ann' });
    expectTypeOf(narrow.authorize).returns.toEqualTypeOf<Koa.Middleware>();

    (oso: RequestOso<User, Action>) => {
      expectTypeOf(oso.currentActor).toEqualTypeOf<Promise<User | null>>();
      expectTypeOf(oso.authorizedActions('resource')).toEqualTypeOf<Promise<Set<Action | '*'>>>();
      expectTypeOf(oso.authorizedResources(Expense)).toEqualTypeOf<Promise<Expense[]>>();
      expectTypeOf(oso.authorizedQuery<string>(Expense)).toEqualTypeOf<Promise<string>>();
      expectTypeOf(oso.isAllowed(1, { action: 'approve' })).toEqualTypeOf<Promise<boolean>>();
      expectTypeOf(oso.authorize(1, { action: 'read', actor: null })).toEqualTypeOf<Promise<void>>();
      expectTypeOf(oso.notFound()).toEqualTypeOf<Promise<never>>();
      expectTypeOf(async (found: Expense | null) => found ?? (await oso.notFound())).returns.toEqualTypeOf<
        Promise<Expense>
      >();
      // @ts-expect-error a misspelt action
      oso.isAllowed(1, { action: 'aprove' });
      // @ts-expect-error an option that there is not
      oso.authorize(1, { acton: 'read' });
      // @ts-expect-error a list of fields
      oso.authorizeField(1, ['salary']);
      // @ts-expect-error the name of a class
      oso.authorizedQuery('Expense');
      // @ts-expect-error a list of actions
      oso.authorize(1, { action: ['read'] });
      // @ts-expect-error the settings are not for handlers
      oso.settings;
    };
    expectTypeOf<KoaOso<User, Action>['current']>().toEqualTypeOf<RequestOso<User, Action>>();
  });

  it('koaOso.for(actor) asks for an action, and goes where ctx.oso goes', () => {
    (koaOso: KoaOso<User, Action>, ofRequest: RequestOso<User, Action>) => {
      const oso = koaOso.for(new User('ann'));
      expectTypeOf(oso).toEqualTypeOf<ActorOso<User, Action>>();
      koaOso.for(null);
      // @ts-expect-error a look-up that found nothing
      koaOso.for(undefined);
      expectTypeOf(oso.authorize(1, { action: 'read' })).toEqualTypeOf<Promise<void>>();
      expectTypeOf(oso.check(1, { action: 'read', checkRead: true })).toEqualTypeOf<Promise<void>>();
      expectTypeOf(oso.isAllowed(1, { action: 'approve' })).toEqualTypeOf<Promise<boolean>>();
      expectTypeOf(oso.authorizedActions(1)).toEqualTypeOf<Promise<Set<Action | '*'>>>();
      expectTypeOf(oso.authorizedResources(Expense, { action: 'read' })).toEqualTypeOf<Promise<Expense[]>>();
      // @ts-expect-error no action, and no method
      oso.authorize(1);
      // @ts-expect-error no action, and no method
      oso.isAllowed(1, {});
      // @ts-expect-error a misspelt action
      oso.check(1, { action: 'raed' });
      // @ts-expect-error there is no request
      oso.authorizeRequest();
      ofRequest.check(1);
      const pay = (verbs: Verbs<User, Action>) => verbs.authorize(1, { action: 'approve' });
      pay(oso);
      pay(ofRequest);
    };
  });

  it('every Koa context has ctx.oso and ctx.state.oso', () => {
    (ctx: Koa.Context) => {
      expectTypeOf(ctx.oso).toEqualTypeOf<RequestOso>();
      expectTypeOf(ctx.state.oso).toEqualTypeOf<AuthorizationState>();
      // @ts-expect-error state is to be read
      ctx.state.oso.authorized = true;
      // @ts-expect-error and so are the decisions
      ctx.state.oso.decisions.push({});
    };
    expectTypeOf<Denial>().toExtend<Decision>();
    expectTypeOf<Denial<User, Action>['actor']>().toEqualTypeOf<User | null>();
    new KoaOso<User, Action>().setUnauthorizedAction((ctx, { actor }) => ctx.throw(403, actor?.name ?? ''));
    expectTypeOf<Denial['status']>().toEqualTypeOf<403>();
    expectTypeOf<KoaOsoError['code']>().toEqualTypeOf<ErrorCode>();
    expectTypeOf<KoaOsoError['status']>().toEqualTypeOf<500>();
  });

  it('an app with a state and a context of its own will do, and so will its routers', () => {
    const koaOso = new KoaOso();
    (
      app: Koa<{ theme: string }, { log: string[] }>,
      router: Router<{ theme: string }, { log: string[] }>,
    ) => {
      koaOso.initApp(app);
      new KoaOso({ app });
      app.use(koaOso.middleware()).use(koaOso.performRouteAuthorization(app));
      router.get('/:id', koaOso.authorize({ resource: ctx => ctx.params.id }), async ctx => {
        await ctx.oso.authorize(ctx.state.theme);
        expectTypeOf(ctx.log).toEqualTypeOf<string[]>();
      });
      // @ts-expect-error no app
      koaOso.initApp({});
    };
  });

  it('any Oso will do, and nothing else', () => {
    new KoaOso({ oso: new Oso<User, Action, Expense>() });
    new KoaOso({ oso: new Oso() });
    // @ts-expect-error not an Oso
    expect(() => new KoaOso({ oso: {} })).to.throw(KoaOsoError, 'no Oso');
    // @ts-expect-error an option that there is not
    new KoaOso({ getUser: () => 'ann' });
  });

  it('a decorator with a wrong option is a compile error', () => {
    class Controller {
      @Authorize({
        resource: async ctx => new Expense(ctx.params.id, ctx.query.owner as string),
        action: 'read',
      })
      show(@AuthorizedResource() expense: Expense, @CurrentActor() actor: User | null) {
        return [expense, actor];
      }

      @Authorize({ resource: Expense, action: 'create', checkRead: true })
      create() {}

      @SkipAuthorization('public')
      open() {}
    }
    expectTypeOf(Controller).toBeConstructibleWith();
    // @ts-expect-error an option that there is not
    Authorize({ ressource: 1 });
    // @ts-expect-error checkRead is yes or no
    Authorize({ checkRead: 'yes' });
    // @ts-expect-error the reason is a text
    SkipAuthorization(1);
    // @ts-expect-error the class, not its name
    expect(() => AuthorizedResource('Expense')).to.throw(KoaOsoError, 'no class');
    expectTypeOf(AuthorizedResource).toBeCallableWith(Expense);
    // @ts-expect-error no parameter decorator
    (controller: Controller) => AuthorizedResource()(controller);
  });

  it('authorizedActors names the class of the actors, and the resource', () => {
    (oso: RequestOso<User, Action>, ofActor: ActorOso<User, Action>) => {
      const resource = new Expense('1', 'ann');
      expectTypeOf(oso.authorizedActors<string>(User, { resource })).toEqualTypeOf<Promise<string>>();
      expectTypeOf(oso.authorizedActors(User, { resource, action: 'read' })).toEqualTypeOf<
        Promise<ListQuery<User>>
      >();
      expectTypeOf(ofActor.authorizedActors(User, { resource, action: 'approve' })).toEqualTypeOf<
        Promise<ListQuery<User>>
      >();
      // @ts-expect-error no resource
      oso.authorizedActors(User, { action: 'read' });
      // @ts-expect-error no options
      oso.authorizedActors(User);
      // @ts-expect-error a misspelt action
      oso.authorizedActors(User, { resource, action: 'raed' });
      // @ts-expect-error the name of a class
      oso.authorizedActors('User', { resource });
      // @ts-expect-error who may is what is asked
      oso.authorizedActors(User, { resource, actor: new User('ann') });
      // @ts-expect-error outside of a request there is no method to be the action
      ofActor.authorizedActors(User, { resource });
    };
    expectTypeOf<Decision['kind']>().extract<'authorizedActors'>().not.toBeNever();
  });

  it('rows that are asked about together keep their class', () => {
    async (koaOso: KoaOso<User, Action>, oso: RequestOso<User, Action>, expenses: readonly Expense[]) => {
      expectTypeOf(await oso.allowed(expenses, { actions: ['approve'] })).toEqualTypeOf<
        Map<Expense, Set<'approve'>>
      >();
      expectTypeOf(await oso.allowed(expenses)).toEqualTypeOf<Map<Expense, Set<Action | '*'>>>();
      expectTypeOf(await oso.allowedFields(expenses)).toEqualTypeOf<Map<Expense, Set<string>>>();
      expectTypeOf(oso.authorizeAll(expenses, { action: 'read' })).toEqualTypeOf<Promise<void>>();
      // @ts-expect-error a misspelt action
      oso.allowed(expenses, { actions: ['aprove'] });
      // @ts-expect-error one row
      oso.allowed(new Expense('1', 'ann'), { actions: ['approve'] });
      // @ts-expect-error outside of a request there is no method to be the action
      koaOso.for(new User('ann')).authorizeAll(expenses);
    };
  });
});
