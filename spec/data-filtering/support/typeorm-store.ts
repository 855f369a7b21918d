import type { Oso } from 'oso';
import {
  type ColumnType,
  DataSource,
  type DataSourceOptions,
  EntitySchema,
  type EntitySchemaColumnOptions,
  type EntitySchemaRelationOptions,
  type Logger,
} from 'typeorm';
import type { Entity, EntityRelation, Field } from '../../../src/data-filtering/schema.js';
import { entityEquality, registerEntities } from '../../../src/data-filtering/typeorm/index.js';
import { driver } from '../../support/databases.js';
import { schemaNamed } from '../../support/worker.js';
import type { Engine, Store } from './store.js';
import { CREATE_COLLATION, collationOf, storeInfinities } from './tables.js';
import { COLLATED, type Data, ENTITY_NAMES, type Rows, schema } from './world.js';

const { DATABASE_URL } = process.env;

/** SQLite in memory. */
export const sqlite: DataSourceOptions =
  driver === 'better-sqlite3' ? { type: 'better-sqlite3', database: ':memory:' } : { type: 'sqljs' };

/** Whether the specs run on PostgreSQL, and not on SQLite. */
export const isPostgres = Boolean(DATABASE_URL);

/** What the specs of TypeORM keep in PostgreSQL is in schemas of this name, with an ending. */
export const SCHEMA = schemaNamed('typeorm');

/** Notes the statements that are sent. */
export class Statements implements Logger {
  readonly sent: { sql: string; parameters: readonly unknown[] }[] = [];

  logQuery(sql: string, parameters: unknown[] = []): void {
    this.sent.push({ sql, parameters });
  }

  /** Those since this was asked last. */
  take(): readonly { sql: string; parameters: readonly unknown[] }[] {
    return this.sent.splice(0);
  }

  logQueryError(): void {}
  logQuerySlow(): void {}
  logSchemaBuild(): void {}
  logMigration(): void {}
  log(): void {}
}

/** Opens an empty database with the tables of these entities. */
export async function openDataSource(
  name: string,
  entities: DataSourceOptions['entities'],
  logger?: Logger,
): Promise<DataSource> {
  const namespace = `${SCHEMA}_${name}`;
  const connection: DataSourceOptions = DATABASE_URL
    ? { type: 'postgres', url: DATABASE_URL, schema: namespace }
    : sqlite;
  const dataSource = new DataSource({ ...connection, entities, logger, logging: logger && ['query'] });
  await dataSource.initialize();
  if (DATABASE_URL) {
    await dataSource.query(`DROP SCHEMA IF EXISTS ${namespace} CASCADE`);
    await dataSource.query(`CREATE SCHEMA ${namespace}`);
  }
  await dataSource.synchronize();
  return dataSource;
}

/** Takes back what {@link openDataSource} has made. */
export async function closeDataSource(dataSource: DataSource): Promise<void> {
  if (dataSource.options.type === 'postgres') {
    await dataSource.query(`DROP SCHEMA IF EXISTS ${dataSource.options.schema} CASCADE`);
  }
  await dataSource.destroy();
}

/** The world in TypeORM. */
export class TypeormStore implements Store {
  readonly name = `TypeORM on ${isPostgres ? 'PostgreSQL' : 'SQLite'}`;
  readonly #statements = new Statements();
  #dataSource: DataSource | undefined;

  async open(): Promise<void> {
    this.#dataSource = await openDataSource(
      'world',
      [...schema.values()].map(entitySchema),
      this.#statements,
    );
    if (!isPostgres) return;
    // With collations that TypeORM is not told.
    const { schema: namespace } = this.dataSource.options as { schema: string };
    await this.dataSource.query(CREATE_COLLATION.replace('no_case', `${namespace}.no_case`));
    for (const [table, columns] of Object.entries(COLLATED)) {
      for (const column of columns) {
        await this.dataSource.query(
          `ALTER TABLE ${namespace}.${table} ALTER COLUMN ${column} TYPE text COLLATE ${namespace}.no_case`,
        );
      }
    }
  }

  get dataSource(): DataSource {
    if (this.#dataSource === undefined) throw new Error('The store is not open.');
    return this.#dataSource;
  }

  async fill(data: Data): Promise<void> {
    await this.dataSource.transaction(async manager => {
      const tables = ['expense_tags', ...[...ENTITY_NAMES].reverse()];
      for (const name of tables) await manager.createQueryBuilder().delete().from(name).execute();
      for (const name of [...ENTITY_NAMES, 'expense_tags'] as const) {
        const rows = data[name] as readonly object[];
        if (rows.length > 0) {
          await manager
            .createQueryBuilder()
            .insert()
            .into(name)
            .values(isPostgres ? [...rows] : rows.map(withoutInfinities))
            .updateEntity(false)
            .execute();
        }
      }
      if (!isPostgres)
        await manager.query('UPDATE expenses SET amount = amount * 1e9 WHERE abs(amount) = 1e307');
      if (isPostgres) {
        const { schema: namespace } = this.dataSource.options as { schema: string };
        await manager.query(`SET LOCAL search_path TO ${namespace}`);
        for (const statement of storeInfinities()) await manager.query(statement);
      }
    });
  }

  oso(Engine: Engine): Oso {
    const oso = new Engine({ equalityFn: entityEquality(this.dataSource) });
    registerEntities(oso, this.dataSource);
    return oso;
  }

  async load(): Promise<Rows> {
    const rows: Record<string, readonly object[]> = {};
    for (const name of ENTITY_NAMES) rows[name] = await this.dataSource.getRepository(name).find();
    return rows as unknown as Rows;
  }

  statements(): readonly string[] {
    return this.#statements.take().map(({ sql }) => sql);
  }

  async close(): Promise<void> {
    await closeDataSource(this.dataSource);
  }
}

/** TypeORM writes numbers into SQLite's SQL, which has no words for some. SQLite makes null of NaN. */
function withoutInfinities(row: object): object {
  return Object.fromEntries(
    Object.entries(row).map(([name, value]) => {
      if (Number.isNaN(value)) return [name, null];
      return [name, Math.abs(value) === Number.POSITIVE_INFINITY ? Math.sign(value) * 1e307 : value];
    }),
  );
}

/** References that may find nothing. */
const WITHOUT_FOREIGN_KEY = new Set(['approver', 'ownerMembership']);

function entitySchema(entity: Entity): EntitySchema {
  const columns: Record<string, EntitySchemaColumnOptions> = {};
  for (const field of entity.fields.values()) columns[field.name] = columnOptions(entity, field);
  const relations: Record<string, EntitySchemaRelationOptions> = {};
  for (const relation of entity.relations.values())
    relations[relation.name] = relationOptions(entity, relation);
  return new EntitySchema({
    name: entity.name,
    target: entity.class as never,
    tableName: entity.table,
    columns,
    relations,
  });
}

function columnOptions(entity: Entity, field: Field): EntitySchemaColumnOptions {
  const { column, nullable, type } = field;
  return {
    name: column,
    nullable,
    type: columnType(column, type.kind),
    ...(!isPostgres && { collation: collationOf(entity.table, column, 'sqlite') }),
    primary: entity.key.includes(field),
    deleteDate: entity.deletedAt === field,
    ...(type.kind === 'enum' && { enum: [...type.values], enumName: `${entity.table}_${column}` }),
    ...(type.kind === 'number' && column !== 'amount' && { precision: 12, scale: 2, transformer: AS_NUMBER }),
    ...(column === 'points' && { transformer: AS_NUMBER }),
  };
}

function columnType(column: string, kind: Field['type']['kind']): ColumnType {
  if (column === 'amount') return 'double precision';
  return (
    column === 'points' ? 'bigint' : COLUMN_TYPES[isPostgres ? 'postgres' : 'sqlite'][kind]
  ) as ColumnType;
}

const AS_NUMBER = {
  to: (value: unknown) => value,
  from: (value: unknown) => (value === null ? null : Number(value)),
};

const COLUMN_TYPES: Record<'sqlite' | 'postgres', Record<string, ColumnType>> = {
  sqlite: {
    text: 'text',
    uuid: 'uuid',
    enum: 'simple-enum',
    integer: 'integer',
    number: 'decimal',
    boolean: 'boolean',
    date: 'datetime',
  },
  postgres: {
    text: 'text',
    uuid: 'uuid',
    enum: 'enum',
    integer: 'integer',
    number: 'decimal',
    boolean: 'boolean',
    date: 'timestamptz',
  },
};

function relationOptions(entity: Entity, relation: EntityRelation): EntitySchemaRelationOptions {
  const { name, kind, target, join, joinTable } = relation;
  if (joinTable !== undefined) {
    const isOwner = entity.name === 'Expense';
    return {
      type: 'many-to-many',
      target: target.name,
      inverseSide: isOwner ? 'expenses' : 'tags',
      ...(isOwner && {
        joinTable: {
          name: joinTable.table,
          joinColumn: { name: joinTable.source[0]?.column },
          inverseJoinColumn: { name: joinTable.target[0]?.column },
        },
      }),
    };
  }
  if (kind === 'many') return { type: 'one-to-many', target: target.name, inverseSide: inverseOf(relation) };
  return {
    type: 'many-to-one',
    target: target.name,
    nullable: join.some(({ from }) => from.nullable),
    createForeignKeyConstraints: !WITHOUT_FOREIGN_KEY.has(name),
    joinColumn: join.map(({ from, to }) => ({ name: from.column, referencedColumnName: to.name })),
  };
}

/** The relation to one by which the target refers back. */
function inverseOf({ target, join }: EntityRelation): string {
  const inverse = [...target.relations.values()].find(
    back =>
      back.kind === 'one' &&
      back.join.length === join.length &&
      back.join.every(({ from, to }, at) => from === join[at]?.to && to === join[at]?.from),
  );
  if (inverse === undefined) throw new Error(`${target.name} refers back to nothing.`);
  return inverse.name;
}
