/**
 * What an application authorizes with, for `ctx.oso` and the decorators. Empty, so that any actor and any action
 * pass; augment it to have a misspelt action be a compile error.
 *
 * @example
 * declare module 'koa-oso' {
 *   interface AuthorizationTypes {
 *     actor: User;
 *     action: 'read' | 'approve';
 *   }
 * }
 */
// biome-ignore lint/suspicious/noEmptyInterface: applications add to it
export interface AuthorizationTypes {}

/** The actor of {@link AuthorizationTypes}. */
export type DefaultActor = AuthorizationTypes extends { actor: infer Actor } ? Actor : unknown;

/** The action of {@link AuthorizationTypes}. */
export type DefaultAction = AuthorizationTypes extends { action: infer Action } ? Action : unknown;

/**
 * What `authorizedQuery` answers with, for a class of resources. Empty, until an adapter that is imported adds its own: of
 * `koa-oso/typeorm` it is `SelectQueryBuilder<Resource>`. Augment it for an adapter of yours.
 *
 * @example
 * declare module 'koa-oso' {
 *   interface QueryTypes<Resource> {
 *     mine: MyQuery<Resource>;
 *   }
 * }
 */
// biome-ignore lint/correctness/noUnusedVariables: for those who add to it
// biome-ignore lint/suspicious/noEmptyInterface: adapters add to it
export interface QueryTypes<Resource> {}

/** The query of {@link QueryTypes} for a class of resources; unknown if no adapter has said. */
export type ListQuery<Resource> = [keyof QueryTypes<Resource>] extends [never]
  ? unknown
  : QueryTypes<Resource>[keyof QueryTypes<Resource>];
