import type { Expense } from './entities/expense.js';
import type { Organization } from './entities/organization.js';
import type { Reminder } from './entities/reminder.js';
import type { Team } from './entities/team.js';
import type { User } from './entities/user.js';

// What clients see of the entities: named one by one, so that a new column stays inside until somebody lets it out.

export function userView({ id, name, email }: User) {
  return { id, name, email };
}

export function organizationView({ id, name, publishesExpenses }: Organization) {
  return { id, name, publishesExpenses };
}

export function teamView({ id, name, organization, parent, lead }: Team) {
  return {
    id,
    name,
    organization: { id: organization.id, name: organization.name },
    parent: parent && { id: parent.id, name: parent.name },
    lead: { id: lead.id, name: lead.name },
  };
}

export function expenseView({ id, description, amountInCents, status, owner, organization, team }: Expense) {
  return {
    id,
    description,
    amountInCents,
    status,
    owner: { id: owner.id, name: owner.name },
    organization: { id: organization.id, name: organization.name },
    team: team && { id: team.id, name: team.name },
  };
}

export function reminderView({ expense: { id, description, amountInCents } }: Reminder) {
  return { expense: { id, description, amountInCents } };
}
