import type { Expense } from './entities/expense.js';
import type { Organization } from './entities/organization.js';
import type { Reminder } from './entities/reminder.js';
import type { User } from './entities/user.js';

// What clients see of the entities: named one by one, so that a new column stays inside until somebody lets it out.

export function userView({ id, name, email }: User) {
  return { id, name, email };
}

export function organizationView({ id, name, publishesExpenses }: Organization) {
  return { id, name, publishesExpenses };
}

export function expenseView({ id, description, amountInCents, status, owner, organization }: Expense) {
  return {
    id,
    description,
    amountInCents,
    status,
    owner: { id: owner.id, name: owner.name },
    organization: { id: organization.id, name: organization.name },
  };
}

export function reminderView({ expense: { id, description, amountInCents } }: Reminder) {
  return { expense: { id, description, amountInCents } };
}
