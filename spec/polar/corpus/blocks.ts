import type { Question } from '../support/engines.js';
import { feature, policies } from './corpus.js';

const ROLES = `
  actor User {}
  resource Organization {
    roles = ["owner", "member"];
    permissions = ["invite", "read"];
    "read" if "member";
    "invite" if "owner";
    "member" if "owner";
  }
  resource Repository {
    roles = ["reader", "writer"];
    permissions = ["pull", "push"];
    relations = { parent: Organization };
    "pull" if "reader";
    "push" if "writer";
    "reader" if "writer";
    "reader" if "member" on "parent";
    "writer" if "owner" on "parent";
  }
  has_role(user: User, name: String, organization: Organization) if
    role in user.roles and role.name = name and role.resource = organization;
  has_relation(organization: Organization, "parent", repository: Repository) if
    organization = repository.organization;
  allow(actor, action, resource) if has_permission(actor, action, resource);
`;

const everyone: Question[] = ['alice', 'bob', 'carol', 'admin', 'guest', 'nil', '1'].flatMap(actor => [
  `allow(${actor}, "pull", engine)`,
  `allow(${actor}, "push", engine)`,
  `allow(${actor}, "push", secret)`,
  `allow(${actor}, "invite", acme)`,
  `allow(${actor}, "read", globex)`,
]);

export const blocks = [
  feature(
    'resource blocks',
    [ROLES, ...everyone],
    [ROLES, 'allow(alice, action, engine)', 'allow(bob, action, acme)', 'allow(carol, action, engine)'],
    [ROLES, 'has_role(alice, role, acme)', 'has_role(bob, role, globex)', 'has_permission(alice, p, engine)'],
    [
      ROLES,
      'has_relation(x, "parent", engine)',
      'has_relation(acme, r, engine)',
      'has_relation(x, y, engine)',
    ],
    [
      ROLES,
      'allow(alice, "nonsense", engine)',
      'allow(alice, "pull", 1)',
      'allow(alice, "pull", nil)',
      'allow(alice, alice, engine)',
    ],
    [
      ROLES,
      (oso, { alice, engine }) => oso.isAllowed(alice, 'push', engine),
      (oso, { bob, engine }) => oso.isAllowed(bob, 'push', engine),
      (oso, { alice, engine }) => oso.authorize(alice, 'push', engine),
      (oso, { bob, engine }) => oso.authorize(bob, 'push', engine),
      (oso, { bob, acme }) => oso.authorize(bob, 'invite', acme),
      (oso, { carol, acme }) => oso.authorize(carol, 'invite', acme),
      (oso, { carol, acme }) => oso.authorize(carol, 'read', acme),
      (oso, { carol, acme }) => oso.authorize(carol, 'read', acme, { checkRead: false }),
      (oso, { alice, engine }) => oso.authorizedActions(alice, engine),
      (oso, { bob, engine }) => oso.authorizedActions(bob, engine),
      (oso, { carol, engine }) => oso.authorizedActions(carol, engine),
    ],
    [
      `${ROLES} has_role(_: User, "reader", repository: Repository) if repository.isPublic = true;`,
      'allow(carol, "pull", site)',
      'allow(carol, "pull", engine)',
      'allow(carol, action, site)',
    ],
    [
      `actor User { permissions = ["sing"]; roles = ["star"]; "sing" if "star"; }
       has_role(user: User, "star", other: User) if user = other;
       allow(a, b, c) if has_permission(a, b, c);`,
      'allow(alice, "sing", alice)',
      'allow(alice, "sing", bob)',
      'allow(alice, x, alice)',
    ],
    [
      `actor User {} actor Admin {}
       resource Organization { roles = ["owner"]; permissions = ["read"]; "read" if "owner"; }
       has_role(_: User, "owner", _: Organization);
       allow(a, b, c) if has_permission(a, b, c);`,
      'allow(alice, x, acme)',
      'allow(admin, x, acme)',
      'allow(superAdmin, x, acme)',
      'allow(guest, x, acme)',
    ],
    [
      `actor User {}
       resource Folder { permissions = ["read"]; relations = { folder: Folder, repository: Repository };
         "read" if "read" on "folder"; "read" if "pull" on "repository"; }
       resource Repository { permissions = ["pull"]; roles = ["reader"]; "pull" if "reader"; }
       has_relation(parent: Folder, "folder", folder: Folder) if parent = folder.parent;
       has_relation(repository: Repository, "repository", folder: Folder) if repository = folder.parent;
       has_role(user: User, "reader", _: Repository) if user.name = "alice";
       allow(a, b, c) if has_permission(a, b, c);`,
      'allow(alice, "read", top)',
      'allow(alice, "read", inner)',
      'allow(bob, "read", inner)',
      'allow(alice, x, inner)',
    ],
    [
      `actor User {}
       resource Issue { permissions = ["close"]; roles = ["creator"]; relations = { creator: User, repository: Repository };
         "close" if "creator"; "close" if "owner" on "repository"; }
       resource Repository { roles = ["owner"]; relations = { organization: Organization }; "owner" if "owner" on "organization"; }
       resource Organization { roles = ["owner"]; }
       has_relation(user: User, "creator", issue: Issue) if issue.creator = user;
       has_relation(repository: Repository, "repository", issue: Issue) if issue.repository = repository;
       has_relation(organization: Organization, "organization", repository: Repository) if repository.organization = organization;
       has_role(user: User, role: String, organization: Organization) if r in user.roles and r.name = role and r.resource = organization;
       allow(a, b, c) if has_permission(a, b, c);`,
      'allow(carol, "close", issue)',
      'allow(alice, "close", issue)',
      'allow(bob, "close", issue)',
      'allow(carol, x, issue)',
    ],
    [
      `actor User {}
       resource Organization { roles = ["a"]; permissions = ["p"]; "p" if "a"; }
       resource Organization { roles = ["b"]; permissions = ["q"]; "q" if "b"; "a" if "b"; }
       has_role(_: User, "b", _: Organization);
       allow(a, b, c) if has_permission(a, b, c);`,
      'allow(alice, x, acme)',
      'allow(alice, "p", acme)',
    ],
    [
      `actor User {}
       resource Organization { roles = ["a", "b", "c", "d"]; permissions = ["p"];
         "p" if "a"; "a" if "b"; "b" if "c"; "c" if "d"; }
       has_role(user: User, "d", _: Organization) if user.age > 30;
       allow(a, b, c) if has_permission(a, b, c);`,
      'allow(alice, "p", acme)',
      'allow(bob, "p", acme)',
      'has_role(alice, x, acme)',
    ],
  ),
  policies(
    'unions',
    [
      'f(alice)',
      'f(admin)',
      'f(guest)',
      'f(engine)',
      'f(acme)',
      'f(issue)',
      'f(1)',
      'f("a")',
      'f(nil)',
      'f(plain)',
      'f(User)',
    ],
    'actor User {} resource Repository {} f(_: Actor);',
    'actor User {} resource Repository {} f(_: Resource);',
    'actor User {} actor Admin {} resource Repository {} f(_: Resource);',
    'actor User {} resource Repository {} f(x: Actor) if x.name = "alice"; f(_: Resource);',
    'actor User {} resource Repository {} f(x) if x matches Actor; f(x) if x matches Resource;',
    'actor User {} resource Repository {} f(x) if not x matches Actor;',
    'f(_: Actor);',
    'actor User {} f(_: Actor) if cut; f(_);',
    'actor User {} f(_: User); f(_: Actor); f(_);',
    'actor User {} f(_); f(_: Actor); f(_: User); f(_: Resource);',
  ),
  feature(
    'the methods of Oso',
    [
      `allow(_: User, "read", _: Repository); allow(user: User, "write", repository: Repository) if user.name = repository.name;
       allow_request(_: User, request) if request.method = "GET";
       allow_field(_: User, "read", _: Repository, field) if field in ["name", "tags"];
       allow_field(user: User, "write", _: Repository, "name") if user.age > 30;`,
      (oso, { alice, engine }) => oso.isAllowed(alice, 'read', engine),
      (oso, { alice, engine }) => oso.isAllowed(alice, 'write', engine),
      (oso, { engine }) => oso.isAllowed(null, 'read', engine),
      (oso, { engine }) => oso.isAllowed(undefined, 'read', engine),
      (oso, { engine }) => oso.isAllowed('alice', 'read', engine),
      (oso, { alice, engine }) => oso.authorize(alice, 'read', engine),
      (oso, { alice, engine }) => oso.authorize(alice, 'write', engine),
      (oso, { alice, engine }) => oso.authorizedActions(alice, engine),
      (oso, { alice }) => oso.authorizeRequest(alice, { method: 'GET' }),
      (oso, { alice }) => oso.authorizeRequest(alice, { method: 'PUT' }),
      (oso, { alice }) => oso.authorizeRequest(alice, {}),
      (oso, { alice, engine }) => oso.authorizeField(alice, 'read', engine, 'name'),
      (oso, { alice, engine }) => oso.authorizeField(alice, 'read', engine, 'secret'),
      (oso, { alice, engine }) => oso.authorizedFields(alice, 'read', engine),
      (oso, { alice, engine }) => oso.authorizedFields(alice, 'write', engine),
      (oso, { bob, engine }) => oso.authorizedFields(bob, 'write', engine),
    ],
    [
      'allow(_, _, _); allow_field(_, _, _, _);',
      (oso, { alice, engine }) => oso.authorizedActions(alice, engine),
      (oso, { alice, engine }) => oso.authorizedActions(alice, engine, { allowWildcard: true }),
      (oso, { alice, engine }) => oso.authorizedFields(alice, 'read', engine),
      (oso, { alice, engine }) => oso.authorizedFields(alice, 'read', engine, { allowWildcard: true }),
    ],
    [
      'allow(_, "a", _); allow(_, "b", _) if cut; allow(_, "c", _);',
      (oso, { alice, engine }) => oso.authorizedActions(alice, engine),
      (oso, { alice, engine }) => oso.isAllowed(alice, 'c', engine),
    ],
    [
      'f(1);',
      (oso, { alice, engine }) => oso.isAllowed(alice, 'read', engine),
      (oso, { alice, engine }) => oso.authorizedActions(alice, engine),
    ],
    [
      'f(1);',
      async oso => {
        await oso.loadStr('f(2);');
      },
      'f(x)',
      async oso => {
        oso.clearRules();
        await oso.loadStr('f(3);');
      },
      'f(x)',
    ],
    [
      'f(x) if x.name = "alice" and x.missing = 1; f(x) if x.name = "bob";',
      (oso, { alice }) => oso.queryRuleOnce('f', alice),
      (oso, { bob }) => oso.queryRuleOnce('f', bob),
    ],
  ),
];
