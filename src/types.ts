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
