import type { AuthorizationState } from './authorization-state.js';
import type { RequestOso } from './request-oso.js';

declare module 'koa' {
  interface ExtendableContext {
    /** The verbs of authorization for this request; there behind `koaOso.middleware()`. */
    oso: RequestOso;
  }

  interface DefaultState {
    /** What has been decided for this request; there behind `koaOso.middleware()`. */
    oso: AuthorizationState;
  }
}
