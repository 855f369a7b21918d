import 'reflect-metadata';
import { CompiledOso } from 'koa-oso/polar';
import { registerEntities } from 'koa-oso/typeorm';
import {
  Column,
  DataSource,
  Entity,
  Index,
  ManyToOne,
  OneToMany,
  PrimaryColumn,
  type Relation,
} from 'typeorm';

export const EXPENSES = Number(process.env.EXPENSES ?? 1_000_000);
const USERS = 10_000;
const ORGANIZATIONS = 1_000;
const SCHEMA = 'koa_oso_bench';

@Entity({ schema: SCHEMA })
export class Organization {
  @PrimaryColumn('integer')
  id!: number;

  @Column('varchar')
  name!: string;
}

@Entity({ schema: SCHEMA })
export class User {
  @PrimaryColumn('integer')
  id!: number;

  @OneToMany(
    () => Membership,
    membership => membership.user,
  )
  memberships!: Relation<Membership[]>;
}

@Entity({ schema: SCHEMA })
export class Membership {
  @PrimaryColumn('integer')
  userId!: number;

  @PrimaryColumn('integer')
  organizationId!: number;

  @Column('varchar')
  role!: string;

  @ManyToOne(
    () => User,
    user => user.memberships,
  )
  user!: Relation<User>;

  @ManyToOne(() => Organization)
  organization!: Relation<Organization>;
}

@Entity({ schema: SCHEMA })
@Index(['ownerId', 'id'])
@Index(['organizationId', 'id'])
export class Expense {
  @PrimaryColumn('integer')
  id!: number;

  @Column('varchar')
  status!: string;

  @Column('integer')
  amountInCents!: number;

  @Column('integer')
  ownerId!: number;

  @ManyToOne(() => User)
  owner!: Relation<User>;

  @Column('integer')
  organizationId!: number;

  @ManyToOne(() => Organization)
  organization!: Relation<Organization>;
}

/** Owners read what is theirs; accountants read all of their organization that is not a draft. */
const POLICY = `
  allow(user: User, action, resource) if has_permission(user, action, resource);

  actor User {}
  resource Organization {
    roles = ["member", "accountant"];
    "member" if "accountant";
  }
  resource Expense {
    permissions = ["read"];
    roles = ["owner"];
    relations = { organization: Organization };
    "read" if "owner";
  }
  has_permission(user: User, "read", expense: Expense) if
    has_role(user, "accountant", expense.organization) and expense.status != "draft";
  has_role(user: User, "owner", expense: Expense) if expense.ownerId = user.id;
  has_role(user: User, role: String, organization: Organization) if
    membership in user.memberships and
    membership.role = role and
    membership.organizationId = organization.id;
  has_relation(organization: Organization, "organization", expense: Expense) if
    expense.organization = organization;
`;

export async function openDatabase(): Promise<DataSource> {
  const database = new DataSource({
    type: 'postgres',
    url: process.env.DATABASE_URL ?? 'postgres://postgres@127.0.0.1:5432/test',
    entities: [Organization, User, Membership, Expense],
  });
  await database.initialize();
  return database;
}

/** Fills the tables, unless they are full from last time. */
export async function fill(database: DataSource): Promise<void> {
  if ((await countOf(database)) === EXPENSES) return;
  await database.query(`DROP SCHEMA IF EXISTS ${SCHEMA} CASCADE`);
  await database.query(`CREATE SCHEMA ${SCHEMA}`);
  await database.synchronize();
  const tableOf = (entity: new () => object) => database.getMetadata(entity).tablePath;
  await database.query(
    `INSERT INTO ${tableOf(Organization)} (id, name) SELECT n, 'organization ' || n FROM generate_series(1, ${ORGANIZATIONS}) n`,
  );
  await database.query(`INSERT INTO ${tableOf(User)} (id) SELECT n FROM generate_series(1, ${USERS}) n`);
  // Each user is in an organization; one in ten is its accountant. User 10 keeps the books of five.
  await database.query(
    `INSERT INTO ${tableOf(Membership)} ("userId", "organizationId", role)
     SELECT n, 1 + n % ${ORGANIZATIONS}, CASE WHEN n % 10 = 0 THEN 'accountant' ELSE 'member' END
     FROM generate_series(1, ${USERS}) n
     UNION ALL SELECT 10, 100 * k, 'accountant' FROM generate_series(1, 4) k`,
  );
  // Spread over organizations, owners and statuses as hashes are.
  const spread = (seed: number, over: number) => `(abs(hashint4(n + ${seed})::bigint) % ${over})`;
  await database.query(
    `INSERT INTO ${tableOf(Expense)} (id, status, "amountInCents", "ownerId", "organizationId")
     SELECT n, (ARRAY['draft', 'submitted', 'approved', 'paid'])[1 + ${spread(0, 4)}],
            ${spread(1e7, 100_000)}, 1 + ${spread(2e7, USERS)}, 1 + ${spread(3e7, ORGANIZATIONS)}
     FROM generate_series(1, ${EXPENSES}) n`,
  );
  await database.query(
    `ANALYZE ${tableOf(Expense)}, ${tableOf(Membership)}, ${tableOf(User)}, ${tableOf(Organization)}`,
  );
}

async function countOf(database: DataSource): Promise<number> {
  try {
    return await database.getRepository(Expense).count();
  } catch {
    return 0;
  }
}

export async function loadedOso(database: DataSource): Promise<CompiledOso> {
  const oso = new CompiledOso();
  registerEntities(oso, database);
  await oso.loadStr(POLICY);
  return oso;
}

export function actor(database: DataSource, id: number): Promise<User> {
  return database.getRepository(User).findOneOrFail({ where: { id }, relations: { memberships: true } });
}

/** The same user as an accountant of the first organizations, as many as that. */
export function accountantOf(user: User, organizations: number): User {
  const memberships = Array.from({ length: organizations }, (_, at) =>
    Object.assign(new Membership(), { userId: user.id, organizationId: at + 1, role: 'accountant' }),
  );
  return Object.assign(new User(), user, { memberships });
}
