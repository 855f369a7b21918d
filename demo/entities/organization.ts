import { Column, Entity, PrimaryGeneratedColumn } from 'typeorm';

@Entity()
export class Organization {
  @PrimaryGeneratedColumn('increment', { type: 'integer' })
  id!: number;

  @Column('varchar')
  name!: string;

  /** Whether everybody may read what it has paid. */
  @Column('boolean')
  publishesExpenses!: boolean;
}
