# Who may do what in the expense tracker. Money is counted in cents.

# A user may do what their roles permit. Who is not logged in is nil, has no roles, and so may do only what the
# rules under "Everybody" say.
allow(user: User, action, resource) if has_permission(user, action, resource);

actor User {}

resource Organization {
  permissions = ["read", "submit", "audit"];
  roles = ["member", "accountant", "admin"];

  "read" if "member";
  "submit" if "member";
  "audit" if "accountant";
  "audit" if "admin";

  "member" if "accountant";
  "member" if "admin";
}

resource Expense {
  permissions = ["read", "approve", "reject", "pay"];
  roles = ["owner", "manager"];
  relations = { organization: Organization };

  "read" if "owner";
  "read" if "manager";
  "read" if "accountant" on "organization";
  "read" if "admin" on "organization";
}

# Roles and relations, as the database has them.

has_role(user: User, role: String, organization: Organization) if
  membership in user.memberships and
  membership.role = role and
  membership.organizationId = organization.id;

has_relation(organization: Organization, "organization", expense: Expense) if
  expense.organization = organization;

has_role(user: User, "owner", expense: Expense) if
  expense.ownerId = user.id;

# Whoever manages the owner, and is in the organization that the expense is charged to.
has_role(user: User, "manager", expense: Expense) if
  expense.owner.managerId = user.id and
  has_role(user, "member", expense.organization);

# What depends on the expense itself: each step follows the one before it, and nobody takes one
# with an expense of their own.

has_permission(user: User, "approve", expense: Expense) if
  expense.status = "submitted" and
  expense.ownerId != user.id and
  may_approve_amount(user, expense);

# @reason approval_limit: You may approve up to your limit. Ask somebody with a higher one.
may_approve_amount(user: User, expense: Expense) if
  has_role(user, "manager", expense) and
  expense.amountInCents <= user.approvalLimitInCents;

may_approve_amount(user: User, expense: Expense) if
  has_role(user, "admin", expense.organization);

# Saying no costs nothing, so a manager needs no limit for it.
has_permission(user: User, "reject", expense: Expense) if
  expense.status = "submitted" and
  expense.ownerId != user.id and
  oversees(user, expense);

oversees(user: User, expense: Expense) if has_role(user, "manager", expense);
oversees(user: User, expense: Expense) if has_role(user, "admin", expense.organization);

# Four eyes: whoever approved an expense leaves paying it to another.
has_permission(user: User, "pay", expense: Expense) if
  expense.status = "approved" and
  expense.ownerId != user.id and
  expense.decidedById != user.id and
  has_role(user, "accountant", expense.organization);

# A reminder is there for whom it is addressed to, until somebody has decided.
allow(user: User, "read", reminder: Reminder) if
  reminder.userId = user.id and
  has_permission(user, "approve", reminder.expense);

# Requests. Any user may ask for the list of organizations; what is on it is up to the rules above.
allow(_user: User, method: String, _request: Request{path: "/organizations"}) if
  method in ["GET", "HEAD"];

# Everybody, logged in or not: some organizations publish what they paid for.
allow(_actor, "read", organization: Organization) if
  organization.publishesExpenses;

allow(_actor, "read", expense: Expense) if
  expense.status = "paid" and
  expense.organization.publishesExpenses;
