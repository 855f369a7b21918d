import { Entity, ManyToOne, PrimaryColumn, type Relation } from 'typeorm';
import { Expense } from './expense.js';
import { User } from './user.js';

/** That an expense waits for the decision of a user. */
@Entity()
export class Reminder {
  @PrimaryColumn('integer')
  userId!: number;

  @ManyToOne(() => User)
  user!: Relation<User>;

  @PrimaryColumn('integer')
  expenseId!: number;

  @ManyToOne(() => Expense)
  expense!: Relation<Expense>;
}
