import { errors as coreErrors, KoaOsoError } from '../errors.js';
import type { PolicyPlace } from '../polar/errors.js';
import { formatPlace } from '../polar/syntax/source.js';
import type { Obstacle } from './unfilterable.js';

/** The errors of data filtering, each with the message that says what to do. */
export const errors = {
  invalidArgument: coreErrors.invalidArgument,

  unfilterable({ reason, remedy }: Obstacle, place: PolicyPlace | undefined): KoaOsoError {
    const where = place === undefined ? '' : `, in ${describePlace(place)}`;
    return new KoaOsoError(
      'ERR_KOA_OSO_UNFILTERABLE_POLICY',
      `The policy cannot be turned into a query: ${reason}${where}. Instead, ${remedy}.`,
    );
  },

  entitiesDiffer(differences: readonly string[]): KoaOsoError {
    return new KoaOsoError(
      'ERR_KOA_OSO_ENTITIES_DIFFER',
      `The database is not as lists take it to be:\n${differences.map(each => `- ${each}\n`).join('')}` +
        'Describe the entities as the database is, or change it.',
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
      'Another data filtering adapter was given to this Oso than that of its entities. registerEntities(oso, …) sets it: do ' +
        'not call oso.setDataFilteringAdapter(…).',
    );
  },

  registeredTooLate(): KoaOsoError {
    return coreErrors.invalidArgument(
      'A policy is loaded already, which knows nothing of these entities. Call registerEntities(oso, …) before ' +
        'oso.loadFiles([…]) or oso.loadStr(…).',
    );
  },

  noEquality(entity: string): KoaOsoError {
    return coreErrors.invalidArgument(
      `This Oso does not compare instances of ${entity} by their keys, as lists do. Pass it the equality of the entities: ` +
        'new Oso({ equalityFn: entityEquality(…) }). A CompiledOso needs no such option.',
    );
  },

  /** @param hint what to pass, and where it is had from */
  notATransaction(hint: string): KoaOsoError {
    return coreErrors.invalidArgument(
      `What was given to using(…) is not a transaction of this database. ${hint}`,
    );
  },

  noKey(entity: string, field: string): KoaOsoError {
    return coreErrors.invalidArgument(
      `Who may is asked of a row in the database, and this ${entity} has no \`${field}\`, which is in its key. ` +
        'Save it first, or load it with its key.',
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

/** "rule `allow` at policy.polar:3:7" */
function describePlace({ rule, ...place }: PolicyPlace): string {
  return rule === undefined ? formatPlace(place) : `rule \`${rule}\` at ${formatPlace(place)}`;
}
