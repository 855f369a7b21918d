import type { Context } from 'koa';
import type { Denial } from './authorization-state.js';
import type { PolicyEngine } from './policy-engine.js';
import type { DefaultAction, DefaultActor } from './types.js';

/** Tells who sent a request; `null` or `undefined` for nobody. */
export type GetActor<Actor> = (ctx: Context) => Actor | null | undefined | Promise<Actor | null | undefined>;

/**
 * Answers a denied request by throwing the HTTP error that the application wants. Where it returns instead, koa-oso
 * throws its own, 403. It is not asked about a resource that `checkRead` hides.
 */
export type UnauthorizedAction<Actor = DefaultActor, Action = DefaultAction> = (
  ctx: Context,
  denial: Denial<Actor, Action>,
) => void | Promise<void>;

/** What one KoaOso decides by; requests read it when they ask, so that a setter takes effect at once. */
export interface Settings {
  oso: PolicyEngine | undefined;
  getActor: GetActor<unknown>;
  unauthorizedAction: UnauthorizedAction<never, never>;
  readonly checkRead: boolean;
  readonly readAction: unknown;
  /** The errors of denials say why. */
  readonly explains: boolean;
}
