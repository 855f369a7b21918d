import type { Class, Oso } from 'oso';
import { constructorOf } from '../guard/class-of.js';
import { propertyOf } from '../guard/own-properties.js';
import { CompiledOso } from '../polar/compiled-oso.js';
import { CutNotCovered, NotCovered } from '../polar/errors.js';
import { LoadedRules } from '../polar/loaded-rules.js';
import { compareInHost, PlainOso, type QueriedOso } from '../polar/plain-oso.js';
import type { EntityAdapter } from './adapter.js';
import { type Condition, sizeOf } from './condition/condition.js';
import { askOfKnown, type KnownRow } from './condition/known-row.js';
import { comparedOtherwise, equalityOf, isOsosButForRows } from './equality.js';
import { errors } from './errors.js';
import { conditionOf, unknownRows } from './policy/unknown-rows.js';
import { FollowedRelation, isReference } from './related.js';
import { type Entity, entityOf, type FieldType, type Schema } from './schema.js';
import { COMPARE, Unfilterable } from './unfilterable.js';

/** What is needed of an Oso to filter lists. The class `Oso` of the package `oso` has it, whatever its type arguments are. */
export interface FilteringEngine
  extends QueriedOso,
    Pick<Oso, 'loadFiles' | 'loadStr' | 'registerClass' | 'registerConstant'> {
  authorizedQuery(actor: never, action: never, resourceClass: never): Promise<unknown>;
  setDataFilteringAdapter(adapter: never): void;
  getHost(): ReturnType<QueriedOso['getHost']> & { adapter: unknown };
}

const registered = new WeakSet<FilteringEngine>();

/**
 * Makes a data source known to an Oso: the classes of its entities, with fields and relations, under the names of the schema;
 * when instances are equal; and its adapter. From then on `oso.authorizedQuery` and `oso.authorizedResources` answer with queries that are exact, or refuse.
 *
 * Instances of the entities are equal from then on if their keys are, as they are in lists: CompiledOso is given that equality;
 * another Oso has to have it from its constructor, or else it rejects every policy that is loaded.
 *
 * To be called before the policy is loaded, once for an Oso. A class that is registered already is left as it is, if it is
 * by the same name; its relations are not followed then.
 *
 * @throws {KoaOsoError} `ERR_KOA_OSO_INVALID_ARGUMENT` if it is called twice for an Oso, or after a policy was loaded, or if a
 *   name is taken
 */
export function registerSchema<Query, Row>(
  oso: FilteringEngine,
  schema: Schema,
  adapter: EntityAdapter<Query, Row>,
): void {
  if (registered.has(oso)) {
    throw errors.invalidArgument(
      'Entities are registered with this Oso already. Call registerEntities once for it, with all of them.',
    );
  }
  const { text } = readerOf(oso);
  if (text.isLoaded) throw errors.registeredTooLate();
  registered.add(oso);
  const host = oso.getHost();
  for (const entity of schema.values()) {
    const existing = host.getType(entity.name);
    if (existing !== undefined && existing.cls !== entity.class) {
      throw errors.invalidArgument(
        `Another class is registered with Oso as '${entity.name}', which is the name of an entity.`,
      );
    }
    if (existing === undefined) {
      oso.registerClass(entity.class, { name: entity.name, fields: fieldsOf(schema, entity) });
    }
  }
  oso.setDataFilteringAdapter(adapter as never);
  if (oso instanceof CompiledOso) {
    oso.compareBy(present => equalityOf(() => schema, present), isOsosButForRows);
  } else refuseOtherEquality(oso, schema);
  // By `this`: a sibling of the Oso, with another policy, has the same method.
  oso.authorizedQuery = function (this: FilteringEngine, actor, action, resourceClass) {
    const { evaluator, text } = readerOf(this);
    return authorizedQuery(this, evaluator, schema, text, actor, action, resourceClass as Class | string);
  };
  Object.assign(oso, {
    authorizedActors(this: FilteringEngine, actorClass: unknown, action: unknown, resource: unknown) {
      return authorizedActors(this, schema, actorClass as Class, action, resource);
    },
  });
}

/** What reads the policy of an Oso. */
interface PolicyReader {
  readonly text: LoadedRules;
  readonly evaluator: Evaluator;
}

const readers = new WeakMap<FilteringEngine, PolicyReader>();

function readerOf(oso: FilteringEngine): PolicyReader {
  let reader = readers.get(oso);
  if (reader === undefined) {
    const text = new LoadedRules(oso);
    reader = { text, evaluator: oso instanceof CompiledOso ? oso : new PlainOso(oso, text) };
    readers.set(oso, reader);
  }
  return reader;
}

/**
 * Has a policy not load that would decide otherwise than its lists: Oso is told in its constructor how to compare, and never
 * again. It compares by promises only, so the loading is where to wait for an answer.
 */
function refuseOtherEquality(oso: FilteringEngine, schema: Schema): void {
  const { loadFiles, loadStr } = oso;
  let compared: Promise<string | undefined> | undefined;
  const checked = async (): Promise<void> => {
    compared ??= comparedOtherwise(schema, (left, right) => compareInHost(oso, 'Eq', left, right));
    const name = await compared;
    if (name !== undefined) throw errors.noEquality(name);
  };
  // By `this`: whoever has these methods of the Oso has its host.
  oso.loadFiles = async function (this: FilteringEngine, filenames) {
    await checked();
    await loadFiles.call(this as Oso, filenames);
  };
  oso.loadStr = async function (this: FilteringEngine, contents, filename) {
    await checked();
    await loadStr.call(this as Oso, contents, filename);
  };
}

function fieldsOf(schema: Schema, entity: Entity): Map<string, Class | FollowedRelation> {
  const fields = new Map<string, Class | FollowedRelation>();
  for (const [name, { type }] of entity.fields) fields.set(name, CLASSES[type.kind]);
  for (const [name, relation] of entity.relations) {
    fields.set(name, new FollowedRelation(entity, relation, isReference(schema, relation)));
  }
  return fields;
}

const CLASSES = {
  text: String,
  uuid: String,
  enum: String,
  bigint: String,
  integer: Number,
  number: Number,
  boolean: Boolean,
  date: Date,
  unsupported: Object,
} as unknown as Record<FieldType['kind'], Class>;

/** Whatever evaluates policies with unknown values. */
type Evaluator = Pick<CompiledOso, 'constraintsOf'>;

async function authorizedQuery(
  oso: FilteringEngine,
  evaluator: Evaluator,
  schema: Schema,
  text: LoadedRules,
  actor: unknown,
  action: unknown,
  resourceClass: Class | string,
): Promise<unknown> {
  const entity = requireEntity(schema, resourceClass);
  const adapter = adapterOf(oso);
  if (!text.isKnown) throw errors.policyTextUnknown();
  const { unknown } = rowsFor(oso)(entity);
  try {
    const { results, pace } = await evaluator.constraintsOf('allow', actor, action, unknown);
    const condition = await conditionOf(results, pace);
    refuseTooLarge(condition);
    return adapter.select(entity, condition);
  } catch (error) {
    throw explained(error);
  }
}

/**
 * The query for the actors who may: the same policy, asked with an actor that is not known.
 *
 * A resource that is a row is not known either, but for its key: so all that is asked of it is asked in the same statement,
 * and what it lacks ends an alternative of the policy as in lists. If the policy read the resource itself, the first relation
 * to nothing would be an error of the whole question, and each relation to many would be loaded.
 */
async function authorizedActors(
  oso: FilteringEngine,
  schema: Schema,
  actorClass: Class | string,
  action: unknown,
  resource: unknown,
): Promise<unknown> {
  const entity = requireEntity(schema, actorClass);
  const adapter = adapterOf(oso);
  const { evaluator, text } = readerOf(oso);
  if (!text.isKnown) throw errors.policyTextUnknown();
  const rowOf = rowsFor(oso);
  const actor = rowOf(entity);
  const resourceEntity = entityOf(schema, constructorOf(resource));
  const row = resourceEntity && rowOf(resourceEntity);
  const known = row && { row: row.variable, key: keyOf(row.variable.entity, resource as object) };
  try {
    const asked = row === undefined ? resource : row.unknown;
    const { results, pace } = await evaluator.constraintsOf('allow', actor.unknown, action, asked);
    const allowed = await conditionOf(results, pace);
    const condition = known === undefined ? allowed : askOfKnown(allowed, known, actor.variable);
    refuseTooLarge(condition);
    return adapter.select(entity, condition);
  } catch (error) {
    throw explained(error);
  }
}

/** @throws {KoaOsoError} `ERR_KOA_OSO_INVALID_ARGUMENT` if a part of it is missing: the row is not saved yet, or not loaded as a whole */
function keyOf(entity: Entity, row: object): KnownRow['key'] {
  return entity.key.map(field => {
    const value = propertyOf(row, field.name);
    if (value === undefined || value === null) throw errors.noKey(entity.name, field.name);
    return { field, value };
  });
}

function requireEntity(schema: Schema, classOrName: Class | string): Entity {
  const entity = entityOf(schema, classOrName);
  if (entity !== undefined) return entity;
  throw errors.unregisteredEntity(typeof classOrName === 'string' ? classOrName : classOrName.name);
}

function adapterOf(oso: FilteringEngine): EntityAdapter<unknown, unknown> {
  const adapter = oso.getHost().adapter as Partial<EntityAdapter<unknown, unknown>>;
  if (typeof adapter.select !== 'function') throw errors.noAdapter();
  return adapter as EntityAdapter<unknown, unknown>;
}

function rowsFor(oso: FilteringEngine): ReturnType<typeof unknownRows> {
  return unknownRows(name => oso.getHost().getType(name)?.cls as Class | undefined);
}

/** SQLite takes 32,766 bound values in a statement; some are left for what the application asks for besides. */
const MAX_VALUES = 30_000;
/** As many as SQLite reads and plans in well under a second. */
const MAX_PARTS = 40_000;

/** What no database takes is said so, before one is asked: its own error would be another with each of them. */
function refuseTooLarge(condition: Condition): void {
  const { parts, values } = sizeOf(condition);
  const tooMany =
    values > MAX_VALUES ? `${MAX_VALUES} values` : parts > MAX_PARTS ? `${MAX_PARTS} conditions` : undefined;
  if (tooMany === undefined) return;
  throw new Unfilterable({
    reason: `for this actor it takes more than ${tooMany}, and databases take no more`,
    remedy: 'keep what the actor has so many of in the database, as a relation of the resource',
  });
}

function explained(error: unknown): unknown {
  if (error instanceof Unfilterable) return errors.unfilterable(error.obstacle, error.place);
  if (error instanceof CutNotCovered) {
    return errors.unfilterable(
      {
        reason: '`cut` decides by the order of rules',
        remedy: 'say with `not` in the other rules what they leave to the one that cuts',
      },
      error.place,
    );
  }
  if (error instanceof NotCovered) {
    const reason = `no database can be asked for ${error.construct}`;
    return errors.unfilterable({ reason, remedy: COMPARE }, error.place);
  }
  return error;
}
