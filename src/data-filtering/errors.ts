import { errors as coreErrors, KoaOsoError } from '../errors.js';
import type { Obstacle } from './unfilterable.js';

/** How many places of a policy a message names. */
const MAX_PLACES = 3;

/** The errors of data filtering, each with the message that says what to do. */
export const errors = {
  invalidArgument: coreErrors.invalidArgument,

  unfilterable(
    { reason, remedy }: Pick<Obstacle, 'reason' | 'remedy'>,
    places: readonly string[],
    cause?: unknown,
  ): KoaOsoError {
    const named = places.slice(0, MAX_PLACES).join(', or ');
    const more = places.length > MAX_PLACES ? ` (and ${places.length - MAX_PLACES} other places)` : '';
    return new KoaOsoError(
      'ERR_KOA_OSO_UNFILTERABLE_POLICY',
      `The policy cannot be turned into a query: ${reason}${named === '' ? '' : `, in ${named}${more}`}. Instead, ${remedy}.`,
      cause,
    );
  },

  unregisteredEntity(name: string): KoaOsoError {
    return new KoaOsoError(
      'ERR_KOA_OSO_UNREGISTERED_CLASS',
      `Lists of ${name} cannot be filtered: it is no entity that is registered with Oso. ` +
        'Pass it to registerEntities(oso, …).',
    );
  },

  noAdapter(): KoaOsoError {
    return coreErrors.invalidArgument(
      'Oso has no data filtering adapter of koa-oso. ' +
        'Call oso.setDataFilteringAdapter(…) with the one whose registerEntities was called.',
    );
  },

  notRegistered(): KoaOsoError {
    return coreErrors.invalidArgument(
      'The adapter was asked for a list by an Oso that does not know its entities. ' +
        'Call registerEntities(oso, …) of the same module before the policy is loaded.',
    );
  },

  policyTextUnknown(): KoaOsoError {
    return coreErrors.invalidArgument(
      'Lists can be filtered only by a policy that is loaded after registerEntities(oso, …). Call that first.',
    );
  },
};
