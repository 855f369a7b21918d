import type { EntityManager } from 'typeorm';
import { Credential } from './entities/credential.js';
import { Expense } from './entities/expense.js';
import { Membership, type MembershipRole } from './entities/membership.js';
import { Organization } from './entities/organization.js';
import { Team } from './entities/team.js';
import { User } from './entities/user.js';
import { hashPassword } from './passwords.js';

interface Person {
  email: string;
  /** For everybody to see: the seeds are there to be tried out. */
  password: string;
  name: string;
  organization: 'Acme' | 'Open Fund';
  role: MembershipRole;
  approvalLimitInCents: number;
  /** The name of a person further up in the list. */
  manager?: string;
  about: string;
}

/** Who can log in. */
export const people: readonly Person[] = [
  {
    email: 'ada@acme.example',
    password: 'ada-demo-password',
    name: 'Ada',
    organization: 'Acme',
    role: 'admin',
    approvalLimitInCents: 0,
    about: 'admin of Acme',
  },
  {
    email: 'max@acme.example',
    password: 'max-demo-password',
    name: 'Max',
    organization: 'Acme',
    role: 'member',
    approvalLimitInCents: 500_00,
    manager: 'Ada',
    about: "Mia's manager at Acme, approves up to 500.00",
  },
  {
    email: 'mia@acme.example',
    password: 'mia-demo-password',
    name: 'Mia',
    organization: 'Acme',
    role: 'member',
    approvalLimitInCents: 0,
    manager: 'Max',
    about: 'member of Acme, owns expenses 1 and 2',
  },
  {
    email: 'tom@acme.example',
    password: 'tom-demo-password',
    name: 'Tom',
    organization: 'Acme',
    role: 'accountant',
    approvalLimitInCents: 0,
    manager: 'Ada',
    about: 'accountant of Acme, pays what is approved',
  },
  {
    email: 'ola@fund.example',
    password: 'ola-demo-password',
    name: 'Ola',
    organization: 'Open Fund',
    role: 'admin',
    approvalLimitInCents: 0,
    about: 'admin of Open Fund, which publishes what it has paid',
  },
  {
    email: 'eva@acme.example',
    password: 'eva-demo-password',
    name: 'Eva',
    organization: 'Acme',
    role: 'member',
    approvalLimitInCents: 0,
    about: 'leads Engineering at Acme, and so the team Platform in it',
  },
];

/** Fills the empty database. */
export async function seed(manager: EntityManager): Promise<void> {
  const acme = await manager.save(Organization, { name: 'Acme', publishesExpenses: false });
  const fund = await manager.save(Organization, { name: 'Open Fund', publishesExpenses: true });
  const organizations = { Acme: acme, 'Open Fund': fund };
  const hashes = await Promise.all(people.map(person => hashPassword(person.password)));

  const ids = new Map<string, number>();
  for (const [index, person] of people.entries()) {
    const { email, name, approvalLimitInCents, role } = person;
    const managerId = person.manager === undefined ? null : ids.get(person.manager);
    const { id } = await manager.save(User, { email, name, approvalLimitInCents, managerId });
    ids.set(name, id);
    await manager.insert(Credential, { userId: id, passwordHash: hashes[index] });
    await manager.insert(Membership, {
      userId: id,
      organizationId: organizations[person.organization].id,
      role,
    });
  }

  const inAcme = { organizationId: acme.id };
  const engineering = await manager.save(Team, { ...inAcme, name: 'Engineering', leadId: ids.get('Eva') });
  const parentId = engineering.id;
  const platform = await manager.save(Team, {
    ...inAcme,
    name: 'Platform',
    parentId,
    leadId: ids.get('Max'),
  });

  const ada = ids.get('Ada');
  const max = { ownerId: ids.get('Max'), organizationId: acme.id };
  const mia = { ownerId: ids.get('Mia'), organizationId: acme.id };
  const tom = { ownerId: ids.get('Tom'), organizationId: acme.id };
  const ola = { ownerId: ids.get('Ola'), organizationId: fund.id };
  await manager.insert(Expense, [
    { ...mia, description: 'Train to the customer', amountInCents: 120_00, status: 'submitted' },
    { ...mia, description: 'New laptop', amountInCents: 1_800_00, status: 'submitted', teamId: platform.id },
    { ...ola, description: 'Public lecture', amountInCents: 300_00, status: 'paid' },
    { ...ola, description: 'Room for the meeting', amountInCents: 80_00, status: 'submitted' },
    { ...max, description: 'Taxi to the airport', amountInCents: 45_50, status: 'paid', decidedById: ada },
    { ...max, description: 'Conference', amountInCents: 640_00, status: 'submitted' },
    { ...tom, description: 'Software', amountInCents: 99_00, status: 'approved', decidedById: ada },
    { ...ola, description: 'Leaflets', amountInCents: 60_00, status: 'paid' },
  ]);
}
