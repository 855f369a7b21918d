import { Column, Entity, ManyToOne, PrimaryColumn, type Relation } from 'typeorm';
import { Organization } from './organization.js';
import { User } from './user.js';

export type MembershipRole = 'member' | 'accountant' | 'admin';

/** The role that a user has in an organization. */
@Entity()
export class Membership {
  @PrimaryColumn('integer')
  userId!: number;

  @PrimaryColumn('integer')
  organizationId!: number;

  @Column('varchar')
  role!: MembershipRole;

  @ManyToOne(
    () => User,
    user => user.memberships,
  )
  user!: Relation<User>;

  @ManyToOne(() => Organization)
  organization!: Relation<Organization>;
}
