import './koa-types.js';

export type { ActorOso } from './actor-oso.js';
export type { AuthorizationState, Decision, DecisionKind, Denial, Why } from './authorization-state.js';
export { type ErrorCode, KoaOsoError, PolicyRefusedError } from './errors.js';
export { HttpRequest, type Lookup } from './http-request.js';
export { type AppLike, KoaOso, type KoaOsoOptions } from './koa-oso.js';
export type { PolicyEngine } from './policy-engine.js';
export type { PolicyWatcher, WatchOptions } from './policy-watcher.js';
export type { LoadPolicy, ReloadOptions, VerifyPolicy } from './reload-policy.js';
export type { RequestOso } from './request-oso.js';
export type { AppWithRouters } from './route-authorization.js';
export type { OfContext, RouteCheck } from './route-check.js';
export type { GetActor, UnauthorizedAction } from './settings.js';
export type { AuthorizationTypes, DefaultAction, DefaultActor, ListQuery, QueryTypes } from './types.js';
export type {
  ActionsOption,
  ActorOption,
  ActorsOptions,
  Asking,
  AskingWho,
  AuthorizeOptions,
  DecisionOptions,
  ResourceClass,
  Verbs,
  WildcardOption,
} from './verbs.js';
