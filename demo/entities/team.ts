import { Column, Entity, ManyToOne, PrimaryGeneratedColumn, type Relation } from 'typeorm';
import { Organization } from './organization.js';
import { User } from './user.js';

/** A part of an organization, which may be a part of another team. */
@Entity()
export class Team {
  @PrimaryGeneratedColumn('increment', { type: 'integer' })
  id!: number;

  @Column('varchar')
  name!: string;

  @Column('integer')
  organizationId!: number;

  @ManyToOne(() => Organization)
  organization!: Relation<Organization>;

  /** The team that this one is a part of. */
  @Column('integer', { nullable: true })
  parentId!: number | null;

  @ManyToOne(() => Team)
  parent!: Relation<Team> | null;

  @Column('integer')
  leadId!: number;

  @ManyToOne(() => User)
  lead!: Relation<User>;
}
