// What the benchmarks ask: policies, and whom and what they are asked about.
import { Oso } from 'oso';

export class Organization {
  constructor(readonly id: string) {}
}
export class Role {
  constructor(
    readonly name: string,
    readonly organization: Organization,
  ) {}
}
export class User {
  constructor(
    readonly id: string,
    readonly role: string,
    readonly roles: Role[],
  ) {}
  get rolesLater(): Promise<Role[]> {
    return Promise.resolve(this.roles);
  }
}
export class Expense {
  constructor(readonly amount: number) {}
}
export class Repository {
  constructor(
    readonly id: string,
    readonly organization: Organization,
  ) {}
}
export class Folder {
  constructor(
    readonly id: string,
    readonly parent: Folder | undefined,
    readonly repository: Repository | undefined,
  ) {}
}

const acme = new Organization('acme');
const globex = new Organization('globex');
export const alice = new User('alice', 'manager', [new Role('owner', acme)]);
export const bob = new User('bob', 'clerk', [new Role('owner', globex)]);
export const repository = new Repository('engine', acme);
export const expense = new Expense(50);
export let deepest = new Folder('folder0', undefined, repository);
for (let depth = 1; depth < 10; depth++) deepest = new Folder(`folder${depth}`, deepest, undefined);

/** Two attribute tests, as an ordinary rule has them. */
export const ATTRIBUTE_POLICY =
  'allow(user: User, "approve", expense: Expense) if user.role = "manager" and expense.amount < 100;';

/** Roles in an organization, which reach the repositories of it. `roles` is the field of User that lists them. */
export const rolePolicy = (roles: string): string => `
  actor User {}
  resource Organization { roles = ["owner", "member"]; "member" if "owner"; }
  resource Repository {
    roles = ["reader", "writer"];
    permissions = ["pull", "push"];
    relations = { organization: Organization };
    "pull" if "reader"; "push" if "writer"; "reader" if "writer";
    "reader" if "member" on "organization"; "writer" if "owner" on "organization";
  }
  has_relation(organization: Organization, "organization", repository: Repository) if
    organization = repository.organization;
  has_role(user: User, name: String, organization: Organization) if
    role in user.${roles} and role.name = name and role.organization = organization;
  allow(actor, action, resource) if has_permission(actor, action, resource);`;

export const ROLE_POLICY = rolePolicy('roles');

export const FOLDER_POLICY = `
  actor User {}
  resource Repository { roles = ["reader"]; }
  resource Folder {
    roles = ["reader"];
    permissions = ["read"];
    relations = { parent: Folder, repository: Repository };
    "read" if "reader"; "reader" if "reader" on "parent"; "reader" if "reader" on "repository";
  }
  has_relation(parent: Folder, "parent", folder: Folder) if parent = folder.parent;
  has_relation(repository: Repository, "repository", folder: Folder) if
    repository = folder.repository;
  has_role(user: User, "reader", repository: Repository) if
    role in user.roles and role.name = "owner" and role.organization = repository.organization;
  allow(actor, action, resource) if has_permission(actor, action, resource);`;

/** Registers the classes above, and loads a policy. */
export async function load<Engine extends Oso>(oso: Engine, policy: string): Promise<Engine> {
  for (const type of [Organization, Role, User, Expense, Repository, Folder]) oso.registerClass(type);
  await oso.loadStr(policy);
  return oso;
}

/** Answers at once: what remains is the cost of koa-oso. */
export class InstantOso extends Oso {
  override async isAllowed(): Promise<boolean> {
    return true;
  }
}
