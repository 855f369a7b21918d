import { Column, Entity, ManyToOne, OneToMany, PrimaryGeneratedColumn, type Relation } from 'typeorm';
import { Membership } from './membership.js';

/** Somebody who can log in: the actor of the policy. */
@Entity()
export class User {
  @PrimaryGeneratedColumn('increment', { type: 'integer' })
  id!: number;

  @Column('varchar', { unique: true })
  email!: string;

  @Column('varchar')
  name!: string;

  /** The largest expense of a report that this user may approve as a manager. */
  @Column('integer')
  approvalLimitInCents!: number;

  @Column('integer', { nullable: true })
  managerId!: number | null;

  @ManyToOne(() => User)
  manager!: Relation<User> | null;

  @OneToMany(
    () => Membership,
    membership => membership.user,
  )
  memberships!: Membership[];
}
