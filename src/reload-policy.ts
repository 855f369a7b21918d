import { siblingOf } from './engine/seat.js';
import { errors, type PolicyRefusedError } from './errors.js';
import { define } from './guard/own-properties.js';
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
  /**
   * How many milliseconds loading and trying may take. Later reloads wait for this one, and one that never ended would keep
   * the old policy in force for good. Default: 60,000; `Infinity` for no limit.
   */
  timeout?: number;
}

const DEFAULT_TIMEOUT = 60_000;
/** More than that Node takes for one millisecond. */
const LONGEST_TIMEOUT = 2 ** 31 - 1;

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
  { verify, timeout = DEFAULT_TIMEOUT }: ReloadOptions,
): Promise<string> {
  if (typeof timeout !== 'number' || !(timeout > 0)) {
    throw errors.invalidArgument('The timeout of a reload is not a number of milliseconds above 0.');
  }
  const { candidate, loaded } = await within(timeout, tryPolicy(oso, load, verify));
  const { seat } = policyInForce(candidate);
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

async function tryPolicy(oso: PolicyEngine, load: LoadPolicy, verify: VerifyPolicy | undefined) {
  let candidate: PolicyEngine;
  try {
    candidate = siblingOf(oso);
    const lastLoad = notedLoads(candidate);
    await load(candidate);
    await lastLoad();
  } catch (error) {
    throw refused(error);
  }
  const loaded = policyInForce(candidate).seat.engine.policy;
  const version = loaded?.version;
  if (version === undefined) throw refused(errors.invalidArgument('The load function loaded none'));
  await verified(candidate, verify);
  return { candidate, loaded: loaded as typeof loaded & { version: string } };
}

/** Notes what is loaded into a candidate, for a load function that does not wait for it. The last one has to go well. */
function notedLoads(candidate: PolicyEngine): () => Promise<void> | undefined {
  let last: Promise<void> | undefined;
  const noted = (loading: Promise<void>): Promise<void> => {
    last = loading;
    // If nobody waits for it, its error is that of the reload.
    loading.catch(() => {});
    return loading;
  };
  const { loadFiles, loadStr } = candidate;
  const methods: Pick<PolicyEngine, 'loadFiles' | 'loadStr'> = {
    loadFiles: filenames => noted(loadFiles.call(candidate, filenames)),
    loadStr: (contents, filename) => noted(loadStr.call(candidate, contents, filename)),
  };
  for (const [name, value] of Object.entries(methods)) define(candidate, name, { value, configurable: true });
  return () => last;
}

/** What a trial gives, or a refusal if it takes too long. Whatever it gives after that is of no account. */
function within<Result>(milliseconds: number, trial: Promise<Result>): Promise<Result> {
  if (milliseconds > LONGEST_TIMEOUT) return trial;
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      reject(errors.policyRefused(undefined, `load and verify took more than ${milliseconds} milliseconds`));
    }, milliseconds).unref();
    trial.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

function refused(cause: unknown): PolicyRefusedError {
  return errors.policyRefused(cause);
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
