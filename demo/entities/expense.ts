import { Column, Entity, ManyToOne, PrimaryGeneratedColumn, type Relation } from 'typeorm';
import { Organization } from './organization.js';
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

  /** Who approved or rejected it. */
  @Column('integer', { nullable: true })
  decidedById!: number | null;

  @ManyToOne(() => User)
  decidedBy!: Relation<User> | null;
}
