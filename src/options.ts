import { errors } from './errors.js';
import { ownOf } from './guard/own-properties.js';

/**
 * The options that were given: those of the object itself. Whatever function takes options reads them by this one, so that
 * nothing is decided by what a client got onto `Object.prototype`.
 *
 * @throws {KoaOsoError} `ERR_KOA_OSO_INVALID_ARGUMENT` if it is not an object
 * @example
 * const { checkRead = false } = given(options);
 */
export function given<Options extends object>(options: Options): Options {
  if (typeof options === 'object' && options !== null) return ownOf(options);
  throw errors.invalidArgument('The options are not an object.');
}
