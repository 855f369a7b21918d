import type { SqlDialect } from './condition/sql-translation.js';
import { errors } from './errors.js';
import type { Entity, EntityRelation, Field, JoinTable, Schema } from './schema.js';

/** Runs one statement. PostgreSQL's parameters are `$1`, SQLite's `?`. */
export type Run = (
  statement: string,
  parameters: readonly unknown[],
) => Promise<readonly Readonly<Record<string, unknown>>[]>;

/** A database, as far as its catalogue is asked. */
export interface Catalogue {
  readonly dialect: SqlDialect;
  readonly run: Run;
  /** The name of the table in SQL, quoted and with its schema; by default each part of `entity.table` in quotes. */
  readonly pathOf?: (entity: Entity) => string;
  /** The name of a table between two others, and its columns; by default as the relation has them. */
  readonly linkOf?: (joinTable: JoinTable) => { readonly path: string; readonly columns: readonly string[] };
  /** Whether a column of days is read as text. */
  readonly readsDaysAsText?: (field: Field) => boolean;
}

interface CatalogueColumn {
  readonly nullable: boolean;
  /** PostgreSQL's name of the type, SQLite's affinity. */
  readonly type: string;
  /** Digits of a `numeric`; undefined if it may have any number of them. */
  readonly precision: number | undefined;
  /** The values of PostgreSQL's enums. */
  readonly labels: readonly string[] | undefined;
}

/**
 * Compares what is known of entities with the database's own catalogue: whether there are the tables and columns, their types,
 * whether a column that counts as not null is declared so, and whether there is the foreign key that a relation counts on.
 * Lists trust all of that, so a difference is a list that holds other rows than the policy allows.
 *
 * Nothing is read of the rows themselves.
 *
 * @throws {KoaOsoError} (rejects) `ERR_KOA_OSO_ENTITIES_DIFFER`, whose message names every difference
 */
export async function checkSchema(schema: Schema, catalogue: Catalogue): Promise<void> {
  const differences: string[] = [];
  for (const entity of schema.values()) {
    const columns = await columnsOf(catalogue, pathOf(catalogue, entity));
    if (columns.size === 0) {
      differences.push(`${entity.name}: there is no table ${entity.table}`);
      continue;
    }
    for (const field of entity.fields.values()) {
      const difference = differenceOf(catalogue, field, columns.get(field.column));
      if (difference !== undefined) differences.push(`${entity.name}.${field.name}: ${difference}`);
    }
    for (const relation of entity.relations.values()) {
      const difference = await relationDifference(catalogue, entity, relation);
      if (difference !== undefined) differences.push(`${entity.name}.${relation.name}: ${difference}`);
    }
  }
  if (differences.length > 0) throw errors.entitiesDiffer(differences);
}

function differenceOf(
  catalogue: Catalogue,
  field: Field,
  column: CatalogueColumn | undefined,
): string | undefined {
  const { column: name, type, nullable } = field;
  if (type.kind === 'unsupported') return undefined;
  if (column === undefined) return `there is no column ${name}`;
  if (!nullable && column.nullable) return `the column ${name} may be null, but counts as not null`;
  const fits =
    catalogue.dialect === 'sqlite' ? fitsSqlite(field, column) : fitsPostgres(catalogue, field, column);
  if (fits) return undefined;
  const digits = column.type === 'numeric' ? ` of ${column.precision ?? 'any number of'} digits` : '';
  const values = column.labels === undefined ? '' : ' with other values';
  return `the column ${name} is of the type ${column.type}${digits}${values}, but counts as ${type.kind}`;
}

/** Of so many digits a number of JavaScript tells all decimals apart. */
const EXACT_DIGITS = 15;

const INTEGERS: Readonly<Record<string, number>> = {
  int2: 2 ** 15 - 1,
  int4: 2 ** 31 - 1,
  int8: 2 ** 53 - 1,
};

function fitsPostgres(
  catalogue: Catalogue,
  field: Field,
  { type, precision, labels }: CatalogueColumn,
): boolean {
  const described = field.type;
  switch (described.kind) {
    case 'text':
      return (
        type === 'text' ||
        type === 'varchar' ||
        (type === 'date' && catalogue.readsDaysAsText?.(field) === true)
      );
    case 'uuid':
      return type === 'uuid';
    case 'enum':
      // Of text it is not known which values there are.
      if (labels === undefined) return type === 'text' || type === 'varchar';
      return labels.every(label => described.values.includes(label));
    case 'integer': {
      const max = INTEGERS[type];
      return max !== undefined && max <= described.max;
    }
    case 'bigint':
      return type === 'int8';
    case 'number':
      if (type === 'numeric') return precision !== undefined && precision <= EXACT_DIGITS;
      return type === 'float8' || type === 'int2' || type === 'int4';
    case 'boolean':
      return type === 'bool';
    case 'date':
      return type === 'timestamptz' || type === 'timestamp' || type === 'date';
    case 'unsupported':
      return true;
  }
}

/** SQLite keeps in any column what it is given, unless the table is strict: the affinity is what its author has meant. */
function fitsSqlite({ type: { kind } }: Field, { type }: CatalogueColumn): boolean {
  switch (kind) {
    case 'text':
    case 'uuid':
    case 'enum':
      return type === 'text' || type === 'numeric';
    case 'integer':
      return type === 'integer' || type === 'numeric';
    case 'bigint':
      return type === 'integer' || type === 'text';
    case 'number':
      return type === 'integer' || type === 'real' || type === 'numeric';
    case 'boolean':
      return type === 'integer' || type === 'numeric';
    case 'date':
      return type === 'text' || type === 'integer' || type === 'numeric';
    case 'unsupported':
      return true;
  }
}

async function relationDifference(
  catalogue: Catalogue,
  entity: Entity,
  { target, join, joinTable, guaranteed }: EntityRelation,
): Promise<string | undefined> {
  if (joinTable !== undefined) {
    const link = catalogue.linkOf?.(joinTable) ?? {
      path: quoted(joinTable.table),
      columns: [...joinTable.source, ...joinTable.target].map(({ column }) => column),
    };
    const columns = await columnsOf(catalogue, link.path);
    if (columns.size === 0) return `there is no table ${joinTable.table}`;
    const missing = link.columns.find(column => !columns.has(column));
    return missing && `there is no column ${missing} in ${joinTable.table}`;
  }
  if (!guaranteed) return undefined;
  const wanted = join.map(({ from, to }) => `${from.column} ${to.column}`).sort();
  const keys = await foreignKeysOf(catalogue, pathOf(catalogue, entity), pathOf(catalogue, target), target);
  const isThere = keys.some(pairs => JSON.stringify([...pairs].sort()) === JSON.stringify(wanted));
  if (isThere) return undefined;
  return `there is no foreign key to ${target.table} that is enforced, but the relation counts on one`;
}

function pathOf({ pathOf: given }: Catalogue, entity: Entity): string {
  return given?.(entity) ?? quoted(entity.table);
}

/** `"accounting"."expenses"` for `accounting.expenses` */
export function quoted(table: string): string {
  return table
    .split('.')
    .map(part => `"${part.replaceAll('"', '""')}"`)
    .join('.');
}

async function columnsOf(catalogue: Catalogue, path: string): Promise<ReadonlyMap<string, CatalogueColumn>> {
  return catalogue.dialect === 'sqlite' ? sqliteColumns(catalogue, path) : postgresColumns(catalogue, path);
}

async function postgresColumns({ run }: Catalogue, path: string): Promise<Map<string, CatalogueColumn>> {
  const rows = await run(
    `select a.attname as name, t.typname as type,
        case when a.attnotnull or d.typnotnull then 0 else 1 end as nullable,
        case when t.typname = 'numeric' and coalesce(nullif(a.atttypmod, -1), d.typtypmod) > 0
          then ((coalesce(nullif(a.atttypmod, -1), d.typtypmod) - 4) >> 16) & 65535 end as precision,
        (select json_agg(e.enumlabel)::text from pg_catalog.pg_enum e where e.enumtypid = t.oid) as labels
      from pg_catalog.pg_attribute a
        join pg_catalog.pg_type d on d.oid = a.atttypid
        join pg_catalog.pg_type t on t.oid = case when d.typtype = 'd' then d.typbasetype else d.oid end
      where a.attrelid = pg_catalog.to_regclass($1::text) and a.attnum > 0 and not a.attisdropped`,
    [path],
  );
  return new Map(
    rows.map(({ name, type, nullable, precision, labels }) => [
      String(name),
      {
        type: String(type),
        nullable: Number(nullable) === 1,
        precision: precision === null ? undefined : Number(precision),
        labels: labels === null ? undefined : (JSON.parse(String(labels)) as string[]),
      },
    ]),
  );
}

async function sqliteColumns({ run }: Catalogue, path: string): Promise<Map<string, CatalogueColumn>> {
  const rows = await run('select name, type, "notnull" as is_not_null, pk from pragma_table_xinfo(?)', [
    unquoted(path),
  ]);
  const keys = rows.filter(({ pk }) => Number(pk) > 0);
  return new Map(
    rows.map(({ name, type, is_not_null, pk }) => {
      // The one integer of a primary key is the number of the row, and never null. Other keys may be, in SQLite.
      const isRowId = keys.length === 1 && Number(pk) === 1 && String(type).toUpperCase() === 'INTEGER';
      return [
        String(name),
        {
          type: affinityOf(String(type)),
          nullable: Number(is_not_null) === 0 && !isRowId,
          precision: undefined,
          labels: undefined,
        },
      ];
    }),
  );
}

/** As https://sqlite.org/datatype3.html#determination_of_column_affinity has it. */
function affinityOf(declared: string): string {
  const type = declared.toUpperCase();
  if (type.includes('INT')) return 'integer';
  if (/CHAR|CLOB|TEXT/.test(type)) return 'text';
  if (type === '' || type.includes('BLOB')) return 'blob';
  return /REAL|FLOA|DOUB/.test(type) ? 'real' : 'numeric';
}

/** The foreign keys between two tables, each as pairs of columns. */
async function foreignKeysOf(
  { dialect, run }: Catalogue,
  from: string,
  to: string,
  target: Entity,
): Promise<readonly (readonly string[])[]> {
  if (dialect === 'sqlite') return sqliteForeignKeys(run, from, to, target);
  const rows = await run(
    `select c.conname as key, f.attname as source, t.attname as target
      from pg_catalog.pg_constraint c
        cross join lateral unnest(c.conkey, c.confkey) as k (source, target)
        join pg_catalog.pg_attribute f on f.attrelid = c.conrelid and f.attnum = k.source
        join pg_catalog.pg_attribute t on t.attrelid = c.confrelid and t.attnum = k.target
      where c.contype = 'f' and c.convalidated
        and c.conrelid = pg_catalog.to_regclass($1::text) and c.confrelid = pg_catalog.to_regclass($2::text)`,
    [from, to],
  );
  return grouped(rows);
}

async function sqliteForeignKeys(
  run: Run,
  from: string,
  to: string,
  target: Entity,
): Promise<readonly (readonly string[])[]> {
  const [enforced] = await run('select foreign_keys as enforced from pragma_foreign_keys', []);
  if (Number(enforced?.enforced) !== 1) return [];
  const rows = await run(
    'select id as key, "from" as source, "to" as target, seq from pragma_foreign_key_list(?) where "table" = ? collate nocase',
    [unquoted(from), unquoted(to)],
  );
  // Without columns a key refers to the primary key.
  return grouped(rows.map(row => ({ ...row, target: row.target ?? target.key[Number(row.seq)]?.column })));
}

function grouped(rows: readonly Readonly<Record<string, unknown>>[]): readonly (readonly string[])[] {
  const keys = new Map<unknown, string[]>();
  for (const { key, source, target } of rows) {
    const pairs = keys.get(key) ?? [];
    keys.set(key, pairs);
    pairs.push(`${source} ${target}`);
  }
  return [...keys.values()];
}

/** The name of a table of SQLite, without the schema. */
function unquoted(path: string): string {
  return /"((?:[^"]|"")*)"$/.exec(path)?.[1]?.replaceAll('""', '"') ?? path;
}
