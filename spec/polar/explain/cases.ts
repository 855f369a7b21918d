// biome-ignore-all lint/suspicious/noAssignInExpressions: a case prepares its world and asks, in one expression
// biome-ignore-all lint/complexity/noCommaOperator: a case prepares its world and asks, in one expression
import { readFileSync } from 'node:fs';
import { CompiledOso } from '../../../src/polar/index.js';

export class Organization {
  publishesExpenses = false;
  constructor(readonly id: number) {}
}

export class Membership {
  constructor(
    public role: string,
    public organizationId: number,
  ) {}
}

export class User {
  approvalLimitInCents = 50_000;
  memberships: Membership[] = [];
  managerId: number | undefined;
  name = 'a secret name';
  age = 30;
  department = 'a secret department';
  constructor(readonly id: number) {}

  fails(): never {
    throw new Error('a secret of the host');
  }

  later<Value>(value: Value): Promise<Value> {
    return new Promise(resolve => setTimeout(resolve, 1, value));
  }
}

export class Expense {
  status = 'submitted';
  amountInCents = 180_000;
  decidedById: number | undefined;
  constructor(
    readonly id: number,
    public owner: User,
    public organization: Organization,
  ) {}

  get ownerId(): number {
    return this.owner.id;
  }
}

export class Reminder {
  constructor(
    readonly id: number,
    public expense: Expense,
  ) {}
}

export class Request {
  constructor(
    readonly method: string,
    readonly path: string,
  ) {}
}

export class Folder {
  readers: number[] = [];
  constructor(
    readonly id: number,
    public parent: Folder | null = null,
  ) {}
}

export class Tag {
  constructor(
    public label: string,
    public level: number,
  ) {}
}

export class Document {
  tags: Tag[] = [];
  ownerId = 3;
  isArchived = false;
  title = 'a secret title';
  folder = new Folder(0);
  constructor(readonly id: number) {}
}

/** A class that nobody registers. */
export class Stranger {
  id = 1;
}

/** What a case asks about: fresh for each, for cases change it. */
export class World {
  readonly acme = new Organization(1);
  readonly globex = new Organization(7);
  readonly owner = new User(3);
  readonly manager = new User(2);
  readonly admin = new User(4);
  readonly stranger = new User(9);
  readonly expense = new Expense(2, this.owner, this.acme);
  readonly document = new Document(5);
  readonly folders = [new Folder(1)];

  constructor() {
    this.owner.managerId = 2;
    this.owner.memberships = [new Membership('member', 1)];
    this.manager.memberships = [new Membership('member', 1), new Membership('accountant', 7)];
    this.admin.memberships = [new Membership('admin', 1)];
    this.document.tags = [new Tag('a secret label', 1), new Tag('another secret', 3)];
    for (let id = 2; id <= 4; id++) this.folders.push(new Folder(id, this.folders.at(-1)));
  }

  get deepest(): Folder {
    return this.folders.at(-1) as Folder;
  }
}

export interface Case {
  readonly title: string;
  readonly policy: string;
  readonly ask: (world: World) => readonly unknown[];
  /** Makes the condition that is named first hold, and nothing else. */
  readonly change?: (world: World) => unknown;
}

/** The demo's, with a reason. */
const DEMO = readFileSync(new URL('../../../../spec/polar/explain/expenses.polar', import.meta.url), 'utf8');

const ROLES = `actor User {}

resource Organization {
  permissions = ["read", "delete"];
  roles = ["guest", "member", "admin"];

  "read" if "guest";
  "delete" if "admin";
  "guest" if "member";
  "member" if "admin";
}

allow(user: User, action, resource) if
  has_permission(user, action, resource);

has_role(user: User, role: String, organization: Organization) if
  membership in user.memberships and
  membership matches Membership{role: role, organizationId: organization.id};
`;

const ABAC = `# @reason yours: Adults may open what is theirs, until it is archived.
allow(user: User, "open", document: Document) if
  user.age >= 18 and
  (document.ownerId = user.id or user.department = "audit") and
  not document.isArchived;

allow(user: User, "copy", document: Document) if
  user.age > 40 and document.ownerId = user.id;
allow(user: User, "copy", document: Document) if
  user.age > 20 and user.department = "audit" and document.isArchived;
`;

const FOLDERS = `allow(user: User, "read", folder: Folder) if
  user.id in folder.readers;
allow(user: User, "read", folder: Folder) if
  not folder.parent = nil and
  allow(user, "read", folder.parent);
`;

const TAGS = `allow(user: User, "read", document: Document) if
  forall(tag in document.tags, tag.level <= 2) and
  document.ownerId = user.id;
allow(_: User, "label", document: Document) if
  tag in document.tags and tag.level > 5;
`;

const NOT = `allow(user: User, "edit", document: Document) if
  not is_blocked(user) and
  not (document.isArchived and user.age < 99);

is_blocked(user: User) if user.id = 9;
is_blocked(user: User) if user.department = "suspended";

allow(user: User, "cut", document: Document) if
  user.age > 10 and cut and document.isArchived;
allow(_: User, "cut", _: Document) if true;
allow(_: User, "archive", _: Document{isArchivd: true});
`;

export const POLICIES: Readonly<Record<string, string>> = {
  demo: DEMO,
  roles: ROLES,
  abac: ABAC,
  folders: FOLDERS,
  tags: TAGS,
  not: NOT,
};

const MISTAKES = `allow(user: User, "misspelt", document: Document) if user.id = 3 and document.titel = "x";
allow(user: User, "host", _: Document) if user.id = 3 and user.fails();
allow(user: User, "kind", document: Document) if document.title < user.age;
allow(user: User, "later", _: Document) if user.later(user.age) > 50;
allow(user: User, "endless", document: Document) if allow(user, "endless", document);
allow(user: User, "open", _: Document) if user.id = 3 and x = y and not x = 2 and y = 2;
`;

export const CASES: readonly Case[] = [
  {
    title: 'demo: above the limit',
    policy: DEMO,
    ask: w => [w.manager, 'approve', w.expense],
    change: w => (w.expense.amountInCents = 50_000),
  },
  {
    title: 'demo: one of her own',
    policy: DEMO,
    ask: w => ((w.owner.managerId = 3), [w.owner, 'approve', w.expense]),
  },
  {
    title: 'demo: a draft',
    policy: DEMO,
    ask: w => ((w.expense.status = 'a secret'), [w.admin, 'approve', w.expense]),
    change: w => (w.expense.status = 'submitted'),
  },
  {
    title: 'demo: no role in the organization',
    policy: DEMO,
    ask: w => [w.stranger, 'submit', w.acme],
    change: w => w.stranger.memberships.push(new Membership('member', 1)),
  },
  {
    title: 'demo: a role in another organization',
    policy: DEMO,
    ask: w => [w.manager, 'audit', w.acme],
    change: w => ((w.manager.memberships[1] as Membership).organizationId = 1),
  },
  { title: 'demo: a misspelt action', policy: DEMO, ask: w => [w.manager, 'aprove', w.expense] },
  { title: 'demo: an action of another class', policy: DEMO, ask: w => [w.manager, 'approve', w.acme] },
  {
    title: 'demo: not logged in',
    policy: DEMO,
    ask: w => [null, 'read', w.acme],
    change: w => (w.acme.publishesExpenses = true),
  },
  { title: 'demo: not logged in, and may not approve', policy: DEMO, ask: w => [null, 'approve', w.expense] },
  {
    title: 'demo: who approved does not pay',
    policy: DEMO,
    ask: w => (
      Object.assign(w.expense, { status: 'approved', decidedById: 4 }),
      w.admin.memberships.push(new Membership('accountant', 1)),
      [w.admin, 'pay', w.expense]
    ),
    change: w => (w.expense.decidedById = 2),
  },
  { title: 'demo: reads as a stranger', policy: DEMO, ask: w => [w.stranger, 'read', w.expense] },
  {
    title: 'demo: rejects without being the manager',
    policy: DEMO,
    ask: w => [w.stranger, 'reject', w.expense],
  },
  {
    title: 'demo: a request',
    policy: DEMO,
    ask: w => [w.owner, 'POST', new Request('POST', '/organizations')],
  },
  { title: 'demo: the manager reads', policy: DEMO, ask: w => [w.manager, 'read', w.expense] },
  { title: 'demo: the owner reads', policy: DEMO, ask: w => [w.owner, 'read', w.expense] },
  { title: 'demo: an admin approves', policy: DEMO, ask: w => [w.admin, 'approve', w.expense] },
  {
    title: 'demo: a request is allowed',
    policy: DEMO,
    ask: w => [w.owner, 'GET', new Request('GET', '/organizations')],
  },
  {
    title: 'demo: an organization that publishes',
    policy: DEMO,
    ask: w => ((w.acme.publishesExpenses = true), [null, 'read', w.acme]),
  },
  {
    title: 'roles: none',
    policy: ROLES,
    ask: w => [w.stranger, 'read', w.acme],
    change: w => w.stranger.memberships.push(new Membership('guest', 1)),
  },
  {
    title: 'roles: a lower one',
    policy: ROLES,
    ask: w => [w.owner, 'delete', w.acme],
    change: w => ((w.owner.memberships[0] as Membership).role = 'admin'),
  },
  { title: 'roles: one by another', policy: ROLES, ask: w => [w.admin, 'read', w.acme] },
  {
    title: 'abac: too young',
    policy: ABAC,
    ask: w => (Object.assign(w.owner, { age: 17 }), [w.owner, 'open', w.document]),
    change: w => (w.owner.age = 18),
  },
  {
    title: 'abac: neither of two',
    policy: ABAC,
    ask: w => [w.manager, 'open', w.document],
    change: w => (w.document.ownerId = 2),
  },
  {
    title: 'abac: archived',
    policy: ABAC,
    ask: w => ((w.document.isArchived = true), [w.owner, 'open', w.document]),
    change: w => (w.document.isArchived = false),
  },
  {
    title: 'abac: the nearer of two ways',
    policy: ABAC,
    ask: w => [w.owner, 'copy', w.document],
    change: w => (w.owner.age = 41),
  },
  { title: 'abac: allowed', policy: ABAC, ask: w => [w.owner, 'open', w.document] },
  {
    title: 'folders: not shared',
    policy: FOLDERS,
    ask: w => [w.owner, 'read', w.deepest],
    change: w => w.folders[0]?.readers.push(3),
  },
  {
    title: 'folders: shared further up',
    policy: FOLDERS,
    ask: w => (w.folders[0]?.readers.push(3), [w.owner, 'read', w.deepest]),
  },
  {
    title: 'tags: one too high',
    policy: TAGS,
    ask: w => [w.owner, 'read', w.document],
    change: w => ((w.document.tags[1] as Tag).level = 2),
  },
  {
    title: 'tags: not the owner',
    policy: TAGS,
    ask: w => (w.document.tags.pop(), [w.manager, 'read', w.document]),
    change: w => (w.document.ownerId = 2),
  },
  {
    title: 'tags: none of several',
    policy: TAGS,
    ask: w => [w.owner, 'label', w.document],
    change: w => ((w.document.tags[0] as Tag).level = 6),
  },
  { title: 'tags: allowed', policy: TAGS, ask: w => ((w.document.tags = []), [w.owner, 'read', w.document]) },
  { title: 'not: blocked', policy: NOT, ask: w => [w.stranger, 'edit', w.document] },
  {
    title: 'not: archived',
    policy: NOT,
    ask: w => ((w.document.isArchived = true), [w.owner, 'edit', w.document]),
    change: w => (w.document.isArchived = false),
  },
  { title: 'not: allowed', policy: NOT, ask: w => [w.owner, 'edit', w.document] },
  {
    title: 'not: a cut leaves no other way',
    policy: NOT,
    ask: w => [w.owner, 'cut', w.document],
    change: w => (w.document.isArchived = true),
  },
  { title: 'not: a pattern with a misspelt key', policy: NOT, ask: w => [w.owner, 'archive', w.document] },
  { title: 'mistakes: an attribute', policy: MISTAKES, ask: w => [w.owner, 'misspelt', w.document] },
  { title: 'mistakes: the host fails', policy: MISTAKES, ask: w => [w.owner, 'host', w.document] },
  { title: 'mistakes: values of different kinds', policy: MISTAKES, ask: w => [w.owner, 'kind', w.document] },
  {
    title: 'mistakes: a promise',
    policy: MISTAKES,
    ask: w => [w.owner, 'later', w.document],
    change: w => (w.owner.age = 51),
  },
  { title: 'mistakes: no end', policy: MISTAKES, ask: w => [w.owner, 'endless', w.document] },
  { title: 'mistakes: what Oso answers', policy: MISTAKES, ask: w => [w.owner, 'open', w.document] },
  {
    title: 'mistakes: a class that is not registered',
    policy: MISTAKES,
    ask: w => [w.owner, 'read', new Stranger()],
  },
];

export async function load(policy: string): Promise<CompiledOso> {
  const oso = new CompiledOso({ budget: { steps: 20_000 } });
  for (const cls of [Organization, Membership, User, Expense, Reminder, Request, Folder, Tag, Document])
    oso.registerClass(cls);
  await oso.loadStr(policy, 'policy.polar');
  return oso;
}
