/**
 * All that koa-oso uses of the insides of the package `oso`, which its entry point does not export. `oso` promises nothing
 * about these paths; a spec fails if an upgrade takes one of them away.
 */

export { Expression } from 'oso/dist/src/Expression.js';
export {
  InlineQueryFailedError,
  InvalidIteratorError,
  KwargsError,
  PolarFileExtensionError,
  PolarFileNotFoundError,
  UnregisteredClassError,
} from 'oso/dist/src/errors.js';
export { Pattern } from 'oso/dist/src/Pattern.js';
export { Predicate } from 'oso/dist/src/Predicate.js';
export { Dict } from 'oso/dist/src/types.js';
