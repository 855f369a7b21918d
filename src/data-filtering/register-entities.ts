import { type Oso, type Relation, Variable } from 'oso';
import type { Class } from 'oso/dist/src/types.js';
import { PolicyHost } from '../polar/host.js';
import type { Policy } from '../polar/policy.js';
import type { EntityAdapter } from './adapter.js';
import { type EqualityFn, equalityOf } from './equality.js';
import { errors } from './errors.js';
import { allowCondition, type PolicyWorld } from './policy-evaluation.js';
import { PolicyText } from './policy-text.js';
import { FollowedRelation } from './related.js';
import { type Entity, entityOf, type FieldType, type Schema } from './schema.js';
import { Unfilterable } from './unfilterable.js';

/** What is needed of an Oso to filter lists. The class `Oso` of the package `oso` has it, whatever its type arguments are. */
export interface FilteringEngine extends Pick<Oso, 'getFfi' | 'query' | 'registerClass'> {
  authorizedQuery(actor: never, action: never, resourceClass: never): Promise<unknown>;
  getHost(): Pick<ReturnType<Oso['getHost']>, 'getType' | 'types'> & { adapter: unknown };
}

const registered = new WeakSet<FilteringEngine>();

/**
 * Registers the entities of a schema with Oso: their classes, with fields and relations, under the names of the schema.
 * From then on `oso.authorizedQuery` and `oso.authorizedResources` answer with queries that are exact, or refuse.
 *
 * To be called before the policy is loaded, once for an Oso. A class that is registered already is left as it is, if it is
 * by the same name; its relations are not followed then.
 *
 * @throws {KoaOsoError} `ERR_KOA_OSO_INVALID_ARGUMENT` where it is called twice for an Oso, or a name is taken
 */
export function registerSchema(oso: FilteringEngine, schema: Schema): void {
  if (registered.has(oso)) {
    throw errors.invalidArgument(
      'Entities are registered with this Oso already. Call registerEntities once for it, with all of them.',
    );
  }
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
      oso.registerClass(entity.class, { name: entity.name, fields: fieldsOf(entity) });
    }
  }
  const text = new PolicyText(oso);
  oso.authorizedQuery = (actor, action, resourceClass) =>
    authorizedQuery(oso, schema, text, actor, action, resourceClass);
}

function fieldsOf(entity: Entity): Map<string, Class | FollowedRelation> {
  const fields = new Map<string, Class | FollowedRelation>();
  for (const [name, { type }] of entity.fields) fields.set(name, CLASSES[type.kind]);
  for (const [name, relation] of entity.relations) fields.set(name, new FollowedRelation(entity, relation));
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

async function authorizedQuery(
  oso: FilteringEngine,
  schema: Schema,
  text: PolicyText,
  actor: unknown,
  action: unknown,
  resourceClass: Class | string,
): Promise<unknown> {
  const entity = entityOf(schema, resourceClass);
  if (entity === undefined) {
    throw errors.unregisteredEntity(typeof resourceClass === 'string' ? resourceClass : resourceClass.name);
  }
  const adapter = oso.getHost().adapter as Partial<EntityAdapter<unknown, unknown>>;
  if (typeof adapter.select !== 'function') throw errors.noAdapter();
  const policy = text.policy;
  if (policy === undefined) throw errors.policyTextUnknown();
  const cut = text.findCut();
  if (cut !== undefined) {
    throw errors.unfilterable(
      { reason: '`cut` decides by the order of rules', remedy: 'say `not` in the rules that are cut off' },
      cut,
    );
  }
  const world = new OsoWorld(oso, schema, policy, text.constants);
  try {
    return adapter.select(entity, await allowCondition(world, schema, entity, actor, action));
  } catch (error) {
    if (!(error instanceof Unfilterable)) throw error;
    throw errors.unfilterable(error.obstacle, error.at, error);
  }
}

/** What an Oso knows, for the evaluation of its policy. */
class OsoWorld implements PolicyWorld {
  readonly rules: Policy['rules'];
  readonly unions: Policy['unions'];
  readonly equals: EqualityFn;
  readonly #oso: FilteringEngine;
  readonly #host: PolicyHost;
  /** What was loaded for the query: a policy may ask for it often. */
  readonly #related = new Map<object, Map<Relation, Promise<unknown>>>();
  readonly #constants: Map<string, Promise<{ readonly value: unknown } | undefined>>;

  constructor(
    oso: FilteringEngine,
    schema: Schema,
    policy: Policy,
    constants: Map<string, Promise<{ readonly value: unknown } | undefined>>,
  ) {
    this.rules = policy.rules;
    this.unions = policy.unions;
    this.equals = equalityOf(() => schema);
    this.#oso = oso;
    this.#host = new PolicyHost(oso as unknown as Oso, this.equals);
    this.#constants = constants;
  }

  async isInstance(value: unknown, tag: string): Promise<boolean> {
    const type = this.#host.requireClass(tag);
    const made = (value as { constructor?: unknown } | null | undefined)?.constructor;
    if (typeof value === 'object' && this.#oso.getHost().getType(made as Class) !== undefined) {
      return value instanceof type.cls;
    }
    return Boolean(await type.isaCheck(value));
  }

  /** Oso's engine keeps constants to itself; but it tells what a name stands for. */
  constant(name: string): Promise<{ readonly value: unknown } | undefined> {
    let known = this.#constants.get(name);
    if (known === undefined) {
      known = constantOf(this.#oso, name);
      this.#constants.set(name, known);
    }
    return known;
  }

  relationOf(value: object, name: string): Relation | undefined {
    return value.constructor === undefined ? undefined : this.#host.relation(value, name);
  }

  related(row: object, relation: Relation): Promise<unknown> {
    const ofRow = this.#related.get(row) ?? new Map<Relation, Promise<unknown>>();
    this.#related.set(row, ofRow);
    const known = ofRow.get(relation) ?? this.#host.related(row, relation);
    ofRow.set(relation, known);
    return known;
  }
}

async function constantOf(oso: FilteringEngine, name: string): Promise<{ value: unknown } | undefined> {
  for await (const result of oso.query(`constant = ${name}`)) {
    const value = result.get('constant');
    return value instanceof Variable ? undefined : { value };
  }
  return undefined;
}
