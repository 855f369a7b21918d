import { Column, Entity, ManyToOne, PrimaryGeneratedColumn, type Relation } from 'typeorm';
import { Organization } from './organization.js';
import { Team } from './team.js';
import { User } from './user.js';

export const EXPENSE_STATUSES = ['submitted', 'approved', 'rejected', 'paid'] as const;
export type ExpenseStatus = (typeof EXPENSE_STATUSES)[number];

@Entity()
export class Expense {
  @PrimaryGeneratedColumn('increment', { type: 'integer' })
  id!: number;

  @Column('varchar')
  description!: string;

  @Column('integer')
  amountInCents!: number;

  @Column('varchar')
  status!: ExpenseStatus;

  @Column('integer')
  ownerId!: number;

  @ManyToOne(() => User)
  owner!: Relation<User>;

  @Column('integer')
  organizationId!: number;

  @ManyToOne(() => Organization)
  organization!: Relation<Organization>;

  /** The team that it is charged to, if it is not charged to the organization as a whole. */
  @Column('integer', { nullable: true })
  teamId!: number | null;

  @ManyToOne(() => Team)
  team!: Relation<Team> | null;

  /** Who approved or rejected it. */
  @Column('integer', { nullable: true })
  decidedById!: number | null;

  @ManyToOne(() => User)
  decidedBy!: Relation<User> | null;
}
