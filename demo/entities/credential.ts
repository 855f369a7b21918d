import { Column, Entity, JoinColumn, OneToOne, PrimaryColumn, type Relation } from 'typeorm';
import { User } from './user.js';

/**
 * What a user logs in with. It is kept apart from User, so that the actor that policies, errors and responses see
 * holds no secret.
 */
@Entity()
export class Credential {
  @PrimaryColumn('integer')
  userId!: number;

  @OneToOne(() => User)
  @JoinColumn()
  user!: Relation<User>;

  @Column('varchar')
  passwordHash!: string;
}
