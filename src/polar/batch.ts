import { Oso } from 'oso';
import type { Relations } from './values/relations.js';

/** What a batch asks with. */
export interface BatchEngine {
  /** Whether a rule succeeds. */
  once(name: string, args: readonly unknown[]): Promise<boolean>;
  /** The results of a rule. */
  results(name: string, args: readonly unknown[]): ReturnType<Oso['query']>;
}

/**
 * Questions that are asked side by side, all by the policy that was in force when the batch was made. What the relations lead
 * to that they follow is loaded for all of them: when none of them can go on without, one statement a relation is sent.
 *
 * Everything is loaded once for as long as the batch lives. So make one for what belongs together, and let go of it.
 *
 * @example
 * ```ts
 * const batch = oso.batch();
 * const allowed = await Promise.all(documents.map(document => batch.isAllowed(user, 'read', document)));
 * ```
 */
export class Batch<Actor = unknown, Action = unknown, Resource = unknown, Field = unknown> {
  readonly #engine: BatchEngine;
  readonly #relations: Relations;
  readonly #asOso: Oso<Actor, Action, Resource, Field>;

  /** @internal Made by `CompiledOso.batch()`. */
  constructor(engine: BatchEngine, relations: Relations) {
    this.#engine = engine;
    this.#relations = relations;
    // Oso's own methods need no more of it. They read the results to their end.
    const queryRule = (name: string, ...args: unknown[]) => this.#results(name, args);
    this.#asOso = { queryRule } as unknown as Oso<Actor, Action, Resource, Field>;
  }

  /** As `isAllowed` of Oso. */
  isAllowed(actor: Actor, action: Action, resource: Resource): Promise<boolean> {
    return this.queryRuleOnce('allow', actor, action, resource);
  }

  /** As `queryRuleOnce` of Oso. */
  async queryRuleOnce(name: string, ...args: unknown[]): Promise<boolean> {
    try {
      this.#relations.begin(args);
      return await this.#engine.once(name, args);
    } finally {
      this.#relations.end();
    }
  }

  /** As `authorizedActions` of Oso. */
  authorizedActions(
    actor: Actor,
    resource: Resource,
    options: { allowWildcard?: boolean } = {},
  ): Promise<Set<Action | '*'>> {
    return Oso.prototype.authorizedActions.call(this.#asOso, actor, resource, {
      __proto__: null,
      ...options,
    } as {
      allowWildcard?: boolean;
    }) as Promise<Set<Action | '*'>>;
  }

  /** As `authorizedFields` of Oso. */
  authorizedFields(
    actor: Actor,
    action: Action,
    resource: Resource,
    options: { allowWildcard?: boolean } = {},
  ): Promise<Set<Field | '*'>> {
    return Oso.prototype.authorizedFields.call(this.#asOso, actor, action, resource, {
      __proto__: null,
      ...options,
    } as { allowWildcard?: boolean }) as Promise<Set<Field | '*'>>;
  }

  async *#results(name: string, args: readonly unknown[]) {
    try {
      this.#relations.begin(args);
      yield* this.#engine.results(name, args);
    } finally {
      this.#relations.end();
    }
  }
}
