/**
 * All that koa-oso uses of the insides of the package `oso`, which its entry point does not export. `oso` promises nothing
 * about these paths; a spec fails if an upgrade takes one of them away.
 */

export { Expression } from 'oso/dist/src/Expression.js';
export {
  InvalidIteratorError,
  KwargsError,
  UnregisteredClassError,
} from 'oso/dist/src/errors.js';
export { Pattern } from 'oso/dist/src/Pattern.js';
export { Predicate } from 'oso/dist/src/Predicate.js';
export { default as wasmModule } from 'oso/dist/src/polar_wasm_api.js';
export { Dict } from 'oso/dist/src/types.js';

/** The file of Oso's WebAssembly module, to be evaluated once more. */
export const WASM_FILE = 'oso/dist/src/polar_wasm_api.js';
