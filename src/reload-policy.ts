import { siblingOf } from './engine/seat.js';
import { errors, type PolicyRefusedError } from './errors.js';
import { type PolicyEngine, policyInForce, takeOver } from './policy-engine.js';

/**
 * Loads a policy into the Oso that it is given, by its `loadFiles` or `loadStr`.
 *
 * @param candidate an Oso with the classes and constants of the one in use, in which nothing is loaded
 */
export type LoadPolicy = (candidate: PolicyEngine) => unknown;

/**
 * Tries a policy before it takes over: it throws, or gives `false`, if the policy must not. What it gives otherwise is
 * nothing, or `true`.
 *
 * @param candidate an Oso that has loaded the new policy
 */
export type VerifyPolicy =
  | ((candidate: PolicyEngine) => boolean | Promise<boolean>)
  | ((candidate: PolicyEngine) => void | Promise<void>);

export interface ReloadOptions {
  /** Tries the policy before it takes over. Default: it takes over if it loads. */
  verify?: VerifyPolicy;
}

const lastReload = new WeakMap<PolicyEngine, Promise<unknown>>();

/** Replaces the policy of an Oso, after the reloads of it that were begun before. See `KoaOso.reloadPolicy`. */
export function reloadPolicy(oso: PolicyEngine, load: LoadPolicy, options: ReloadOptions): Promise<string> {
  const previous = lastReload.get(oso) ?? Promise.resolve();
  const reload = previous.then(() => replacePolicy(oso, load, options));
  lastReload.set(
    oso,
    reload.catch(() => {}),
  );
  return reload;
}

async function replacePolicy(
  oso: PolicyEngine,
  load: LoadPolicy,
  { verify }: ReloadOptions,
): Promise<string> {
  const refused = (cause: unknown): PolicyRefusedError => errors.policyRefused(cause);
  let candidate: PolicyEngine;
  try {
    candidate = siblingOf(oso);
    await load(candidate);
  } catch (error) {
    throw refused(error);
  }
  const { seat } = policyInForce(candidate);
  const loaded = seat.engine.policy;
  if (loaded?.version === undefined) throw refused(errors.invalidArgument('The load function loaded none'));
  await verified(candidate, verify);
  if (seat.engine.policy !== loaded) {
    throw refused(errors.invalidArgument('verify has loaded another one'));
  }
  try {
    takeOver(oso, candidate);
  } catch (error) {
    throw refused(error);
  }
  return loaded.version;
}

async function verified(candidate: PolicyEngine, verify: VerifyPolicy | undefined): Promise<void> {
  if (verify === undefined) return;
  let verdict: unknown;
  try {
    verdict = await verify(candidate);
  } catch (error) {
    throw errors.policyRefused(error, 'verify threw an error, which is the cause of this one');
  }
  // Anything else is most likely a mistake, and the old policy is the safe choice.
  if (verdict !== undefined && verdict !== true) throw errors.policyRefused(undefined, 'verify said no');
}
