import type { Class } from 'oso';
import type { DataSource, EntityMetadata } from 'typeorm';
import type { ColumnMetadata } from 'typeorm/metadata/ColumnMetadata.js';
import type { RelationMetadata } from 'typeorm/metadata/RelationMetadata.js';
import { errors } from '../errors.js';
import type { Entity, EntityRelation, Field, JoinColumns, JoinTable, Schema } from '../schema.js';
import { dialectOf, kindOf, type Rendering } from './columns.js';

/** A field that knows how its column is compared in SQL. */
export interface TypeormField extends Field {
  readonly rendering?: Rendering;
}

/** An entity while its relations are still to be found. */
interface Draft {
  readonly metadata: EntityMetadata;
  readonly entity: Entity;
  readonly relations: Map<string, EntityRelation>;
  /** Fields by the names of their columns: those without a property, too, which no policy can name. */
  readonly columns: ReadonlyMap<string, TypeormField>;
}

/**
 * Makes a schema of TypeORM's metadata.
 *
 * @param classes the entities that are wanted; undefined for all
 * @throws {KoaOsoError} `ERR_KOA_OSO_INVALID_ARGUMENT` if one of them cannot be filtered at all
 */
export function schemaOf(dataSource: DataSource, classes?: readonly Class[]): Schema {
  requireMetadata(dataSource);
  dialectOf(dataSource);
  const drafts = new Map<EntityMetadata, Draft>();
  const schema = new Map<string, Entity>();
  for (const metadata of wanted(dataSource, classes)) {
    const draft = draftOf(dataSource, metadata);
    const { name } = draft.entity;
    if (schema.has(name)) {
      throw errors.invalidArgument(
        `Two entities are called ${name}, which policies could not tell apart. Rename one of the classes.`,
      );
    }
    drafts.set(metadata, draft);
    schema.set(name, draft.entity);
  }
  for (const draft of drafts.values()) {
    for (const relation of draft.metadata.relations) {
      const found = relationOf(dataSource, drafts, draft, relation);
      if (found !== undefined) draft.relations.set(found.name, found);
    }
  }
  return schema;
}

/** The entities that can be told apart by their keys: all that {@link schemaOf} does not refuse. */
export function comparableSchema(dataSource: DataSource): Schema {
  requireMetadata(dataSource);
  const schema = new Map<string, Entity>();
  for (const metadata of dataSource.entityMetadatas) {
    if (isEntity(metadata) && obstacleTo(metadata) === undefined) {
      const { entity } = draftOf(dataSource, metadata);
      schema.set(`${entity.name} ${schema.size}`, entity);
    }
  }
  return schema;
}

function requireMetadata(dataSource: DataSource): void {
  if (dataSource.isInitialized || dataSource.entityMetadatas.length > 0) return;
  throw errors.invalidArgument(
    'The entities of the DataSource are not known yet. Call await dataSource.initialize() first.',
  );
}

/** Metadata alone is enough to decide about rows that are at hand; not to load others. */
export function requireConnection(dataSource: DataSource): void {
  if (dataSource.isInitialized) return;
  throw errors.invalidArgument(
    'The DataSource is not connected, so that nothing can be loaded from it. Call await dataSource.initialize(), or ' +
      'give the rows the relations that the policy follows.',
  );
}

/** What TypeORM knows of an entity. */
export function metadataOf(dataSource: DataSource, entity: Entity): EntityMetadata {
  if (dataSource.hasMetadata(entity.class)) return dataSource.getMetadata(entity.class);
  throw errors.invalidArgument(`${entity.name} is no entity of the DataSource any more.`);
}

/** The name of a row's table, or of a view, as SQL writes it. */
export function escapePath(dataSource: DataSource, path: string): string {
  return path
    .split('.')
    .map(part => dataSource.driver.escape(part))
    .join('.');
}

/** What tells the rows of a class from those of others in its table; undefined if the table is all its own. */
export function discriminatorOf(metadata: EntityMetadata): { column: string; values: string[] } | undefined {
  const { discriminatorColumn, parentEntityMetadata, childEntityMetadatas } = metadata;
  if (discriminatorColumn === undefined || parentEntityMetadata === undefined) return undefined;
  const values = [metadata, ...childEntityMetadatas].flatMap(({ discriminatorValue }) =>
    discriminatorValue === undefined ? [] : [discriminatorValue],
  );
  return { column: discriminatorColumn.databaseName, values };
}

function wanted(dataSource: DataSource, classes: readonly Class[] | undefined): Iterable<EntityMetadata> {
  if (classes === undefined) return dataSource.entityMetadatas.filter(isEntity);
  const found = new Set<EntityMetadata>();
  for (const each of classes) {
    if (!dataSource.hasMetadata(each)) {
      throw errors.invalidArgument(
        `${each.name} is no entity of the DataSource. Add it to its \`entities\`.`,
      );
    }
    const metadata = dataSource.getMetadata(each);
    found.add(metadata);
    // A query for a class gives instances of those that share its table, too.
    for (const child of metadata.childEntityMetadatas) {
      if (child.tableType === 'entity-child') found.add(child);
    }
  }
  return found;
}

/** Tables between others, which TypeORM makes by itself, are none. */
function isEntity({ tableType }: EntityMetadata): boolean {
  return tableType === 'regular' || tableType === 'entity-child' || tableType === 'view';
}

/** Why rows of an entity cannot be told apart, or policies cannot be told of them. */
function obstacleTo(metadata: EntityMetadata): string | undefined {
  if (!isEntity(metadata)) return 'it is a table that TypeORM keeps for itself';
  if (typeof metadata.target !== 'function') {
    return 'it has no class: give its EntitySchema a `target`';
  }
  if (metadata.primaryColumns.length === 0) {
    return 'it has no primary key: mark what tells its rows apart with @PrimaryColumn()';
  }
  if (!metadata.primaryColumns.every(isProperty)) {
    return 'its primary key is in an embedded object, or has no property of its own: give each of its columns one';
  }
  return undefined;
}

/** Whether a column is kept in a property of the entity itself. */
function isProperty(column: ColumnMetadata): boolean {
  return !column.isVirtual && column.embeddedMetadata === undefined;
}

function draftOf(dataSource: DataSource, metadata: EntityMetadata): Draft {
  const { name, target } = metadata;
  const obstacle = obstacleTo(metadata);
  if (obstacle !== undefined) {
    throw errors.invalidArgument(
      `The entity ${name} cannot be registered: ${obstacle}. Or call registerEntities with the entities that are wanted.`,
    );
  }
  const columns = new Map<string, TypeormField>();
  const fields = new Map<string, Field>();
  for (const column of metadata.columns) {
    if (isOfDescendant(metadata, column)) continue;
    const field = fieldOf(dataSource, metadata, column);
    columns.set(column.databaseName, field);
    if (isProperty(column)) fields.set(field.name, field);
  }
  for (const { propertyName } of metadata.embeddeds) {
    fields.set(propertyName, {
      name: propertyName,
      column: propertyName,
      nullable: true,
      type: { kind: 'unsupported', why: 'an embedded object' },
    });
  }
  const relations = new Map<string, EntityRelation>();
  const { deleteDateColumn } = metadata;
  return {
    metadata,
    relations,
    columns,
    entity: {
      name,
      class: target as Class,
      table: metadata.tablePath,
      key: metadata.primaryColumns.map(column => columns.get(column.databaseName) as Field),
      fields,
      relations,
      deletedAt:
        deleteDateColumn &&
        (columns.get(deleteDateColumn.databaseName) ?? fieldOf(dataSource, metadata, deleteDateColumn)),
    },
  };
}

/** A class knows all columns and relations of those that share its table; but its instances have only their own. */
function isOfDescendant(
  metadata: EntityMetadata,
  { target }: Pick<ColumnMetadata | RelationMetadata, 'target'>,
): boolean {
  return metadata.childEntityMetadatas.some(
    child => child.tableType === 'entity-child' && child.target === target,
  );
}

function fieldOf(dataSource: DataSource, metadata: EntityMetadata, column: ColumnMetadata): TypeormField {
  const { type, toDatabase, rendering, mayBeNaN, mayFail } = kindOf(dataSource, column);
  return {
    name: isProperty(column) ? column.propertyName : column.databaseName,
    column: column.databaseName,
    type,
    // Of a view TypeORM is not told what may be null.
    nullable: column.isNullable || metadata.tableType === 'view',
    toDatabase,
    rendering,
    mayBeNaN,
    mayFail,
  };
}

/** A relation; undefined if it leads to what is not registered, or is not a property of the entity itself. */
function relationOf(
  dataSource: DataSource,
  drafts: ReadonlyMap<EntityMetadata, Draft>,
  source: Draft,
  relation: RelationMetadata,
): EntityRelation | undefined {
  if (relation.embeddedMetadata !== undefined || isOfDescendant(source.metadata, relation)) return undefined;
  const target = drafts.get(relation.inverseEntityMetadata);
  if (target === undefined) return undefined;
  const name = relation.propertyName;
  const kind = relation.isManyToOne || relation.isOneToOne ? 'one' : 'many';
  const found = { name, kind, target: target.entity } as const;
  if (relation.isManyToMany) {
    const joinTable = joinTableOf(source, target, relation);
    return joinTable && { ...found, join: [], joinTable, guaranteed: false };
  }
  const isOwner = relation.isManyToOne || relation.isOneToOneOwner;
  const references = (isOwner ? relation : relation.inverseRelation)?.joinColumns ?? [];
  const join = references.flatMap(reference =>
    joined(
      isOwner
        ? [source, reference.databaseName, target, reference.referencedColumn?.databaseName]
        : [source, reference.referencedColumn?.databaseName, target, reference.databaseName],
    ),
  );
  if (join.length === 0 || join.length !== references.length) return undefined;
  return { ...found, join, guaranteed: isOwner && isGuaranteed(dataSource, source, target, relation, join) };
}

function joined([source, from, target, to]: readonly [
  Draft,
  string | undefined,
  Draft,
  string | undefined,
]): JoinColumns[] {
  const fromField = source.columns.get(from ?? '');
  const toField = target.columns.get(to ?? '');
  return fromField === undefined || toField === undefined ? [] : [{ from: fromField, to: toField }];
}

function joinTableOf(source: Draft, target: Draft, relation: RelationMetadata): JoinTable | undefined {
  const owner = relation.isManyToManyOwner ? relation : relation.inverseRelation;
  const junction = owner?.junctionEntityMetadata;
  if (owner === undefined || junction === undefined) return undefined;
  const { joinColumns, inverseJoinColumns } = owner;
  const [ofSource, ofTarget] = relation.isManyToManyOwner
    ? [joinColumns, inverseJoinColumns]
    : [inverseJoinColumns, joinColumns];
  const sourceSide = sideOf(source, ofSource);
  const targetSide = sideOf(target, ofTarget);
  if (sourceSide === undefined || targetSide === undefined) return undefined;
  return { table: junction.tablePath, source: sourceSide, target: targetSide };
}

function sideOf({ columns }: Draft, joinColumns: readonly ColumnMetadata[]): JoinTable['source'] | undefined {
  const side = joinColumns.flatMap(({ databaseName, referencedColumn }) => {
    const field = columns.get(referencedColumn?.databaseName ?? '');
    return field === undefined ? [] : [{ column: databaseName, field }];
  });
  return side.length > 0 && side.length === joinColumns.length ? side : undefined;
}

/**
 * Whether a foreign key guarantees that every reference that is not null has a row, and is the same as its key: it is of a
 * table to a table whose rows are all of the class and never count as deleted, where equal means identical.
 */
function isGuaranteed(
  dataSource: DataSource,
  source: Draft,
  target: Draft,
  relation: RelationMetadata,
  join: readonly JoinColumns[],
): boolean {
  return (
    relation.foreignKeys.length > 0 &&
    source.metadata.tableType !== 'view' &&
    target.metadata.tableType === 'regular' &&
    target.metadata.deleteDateColumn === undefined &&
    join.every(({ from, to }) => isIdentical(from, to)) &&
    relation.joinColumns.every(
      column =>
        column.referencedColumn !== undefined &&
        dataSource.driver.normalizeType(column) === dataSource.driver.normalizeType(column.referencedColumn),
    )
  );
}

function isIdentical(from: TypeormField, to: TypeormField): boolean {
  return (
    from.type.kind === to.type.kind &&
    from.type.kind !== 'unsupported' &&
    from.rendering !== 'collated' &&
    to.rendering !== 'collated'
  );
}
