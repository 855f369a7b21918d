import { type Oso, Variable } from 'oso';
import { Expression } from 'oso/dist/src/Expression.js';
import { Pattern } from 'oso/dist/src/Pattern.js';
import type { Class } from 'oso/dist/src/types.js';
import { CompiledOso } from '../polar/compiled-oso.js';
import type { PolicyEngine } from '../policy-engine.js';
import type { EntityAdapter } from './adapter.js';
import type { Condition } from './condition.js';
import { errors } from './errors.js';
import { conditionOf } from './partial-results.js';
import { PolicyText } from './policy-text.js';
import { FollowedRelation } from './related.js';
import { type Entity, entityOf, type FieldType, type Schema } from './schema.js';
import { Unfilterable } from './unfilterable.js';
import { UnknownRows } from './unknown-rows.js';

/** What is needed of an Oso to filter lists. The class `Oso` of the package `oso` has it, whatever its type arguments are. */
export type FilteringEngine = PolicyEngine & Pick<Oso, 'query' | 'queryRule'>;

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
    authorizedQuery(oso, schema, text, actor, action, resourceClass as Class | string);
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
  if (!text.isKnown) throw errors.policyTextUnknown();
  const { cut } = text;
  if (cut !== undefined) {
    throw errors.unfilterable(
      { reason: '`cut` decides by the order of rules', remedy: 'say `not` in the rules that are cut off' },
      [cut],
    );
  }
  try {
    return adapter.select(entity, await allowedRows(oso, text, actor, action, entity));
  } catch (error) {
    if (!(error instanceof Unfilterable)) throw error;
    const { construct } = error.obstacle;
    throw errors.unfilterable(error.obstacle, construct === undefined ? [] : text.find(construct));
  }
}

/** The condition for a row to be allowed. */
async function allowedRows(
  oso: FilteringEngine,
  text: PolicyText,
  actor: unknown,
  action: unknown,
  entity: Entity,
): Promise<Condition> {
  const classNamed = (name: string) => oso.getHost().getType(name)?.cls as Class | undefined;
  if (oso instanceof CompiledOso) {
    const rows = new UnknownRows(entity, classNamed);
    const results = await oso.constraintsOf(rows, 'allow', actor, action, rows.row);
    if (results !== undefined) return rows.conditionOf(results);
  }
  return conditionOf(entity, classNamed, await partialResults(oso, text, actor, action, entity));
}

/** What Oso's engine makes of the question when all it knows of the resource is its class. */
async function partialResults(
  oso: FilteringEngine,
  text: PolicyText,
  actor: unknown,
  action: unknown,
  entity: Entity,
): Promise<unknown[]> {
  const resource = new Variable('resource');
  const isEntity = new Expression('Isa', [resource, new Pattern({ tag: entity.name, fields: {} })]);
  const results: unknown[] = [];
  try {
    const options = {
      bindings: new Map([['resource', new Expression('And', [isEntity])]]),
      acceptExpression: true,
    };
    for await (const result of oso.queryRule(options, 'allow', actor, action, resource)) {
      results.push(result.get('resource'));
    }
  } catch (error) {
    throw refusedByOso(error, text);
  }
  return results;
}

/** Oso says where it met what it cannot evaluate without the resource; the rest of its message prints values. */
function refusedByOso(error: unknown, text: PolicyText): unknown {
  const { name, message } = describe(error);
  if (name !== 'RuntimeError::Unsupported') return error;
  const [, line, column, file] = / at line (\d+), column (\d+)(?: of file (.+?))?:?$/m.exec(message) ?? [];
  const place = line === undefined ? [] : [text.ruleAt(file, Number(line), Number(column))];
  return errors.unfilterable(
    {
      reason: 'it calls a method of the resource, or does with it what only JavaScript can',
      remedy: 'compare fields of the resource, or of what it is related to, to values or to each other',
    },
    place,
    error,
  );
}

/** CompiledOso keeps what Oso's engine said as the cause of an error of its own. */
function describe(error: unknown): { name: string; message: string } {
  if (!(error instanceof Error)) return { name: '', message: '' };
  const { cause } = error;
  return cause instanceof Error && cause.name === error.name ? cause : error;
}
