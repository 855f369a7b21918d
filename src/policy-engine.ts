import type { Oso } from 'oso';
import { errors, KoaOsoError } from './errors.js';
import { guardHost } from './guard/guarded-host.js';
import { RefusedValueError } from './guard/limits.js';
import { HttpRequest } from './http-request.js';
import { given } from './options.js';

/** What koa-oso needs of an Oso. The class `Oso` of the package `oso` has it, whatever its type arguments are. */
export type PolicyEngine = Pick<
  Oso,
  | 'authorizedActions'
  | 'authorizedFields'
  | 'authorizedQuery'
  | 'authorizedResources'
  | 'clearRules'
  | 'getFfi'
  | 'getHost'
  | 'isAllowed'
  | 'loadFiles'
  | 'loadStr'
  | 'query'
  | 'queryRuleOnce'
  | 'registerClass'
>;

const prepared = new WeakSet<PolicyEngine>();

/**
 * Makes an Oso ready for Koa: registers `Request`, guards its host against values that claim a class or are
 * too large, and lets loads fail that Oso itself only warns of.
 *
 * @throws {KoaOsoError} `ERR_KOA_OSO_INVALID_ARGUMENT` where it is no Oso, or has another class as `Request`
 */
export function prepare(oso: PolicyEngine): void {
  if (typeof oso?.getHost !== 'function') throw errors.invalidArgument('What was given as oso is no Oso.');
  if (prepared.has(oso)) return;
  guardHost(oso.getHost());
  const existing = oso.getHost().getType('Request');
  if (existing === undefined) oso.registerClass(HttpRequest, { name: 'Request' });
  else if (existing.cls !== HttpRequest) throw errors.requestClassTaken();
  readOwnOptionsOnly(oso);
  failLoadsWithUnregisteredClasses(oso);
  prepared.add(oso);
}

/** Oso reads the options of a query with whatever is on Object.prototype: it would take conditions for results. */
function readOwnOptionsOnly(oso: PolicyEngine): void {
  const query = oso.query.bind(oso);
  oso.query = (question, options = {}) => query(question, given(options));
}

/**
 * A policy that names an unregistered class loads with a warning, and then fails or panics at the first query that
 * gets to the name. The warning is the only trace of it, and Oso hands it out once: on its way to the console.
 */
function failLoadsWithUnregisteredClasses(oso: PolicyEngine): void {
  const ffi = oso.getFfi();
  const nextMessage = ffi.nextMessage.bind(ffi);
  let unknown: string[] = [];
  ffi.nextMessage = () => {
    const message: unknown = nextMessage();
    const name = unknownSpecializer(message);
    if (name === undefined) return message;
    unknown.push(name);
    return { kind: 'Warning', msg: '' };
  };

  const failing =
    <Args extends unknown[]>(load: (...args: Args) => Promise<void>) =>
    async (...args: Args): Promise<void> => {
      unknown = [];
      await load.apply(oso, args);
      if (unknown.length === 0) return;
      oso.clearRules();
      throw errors.unregisteredClass(unknown);
    };
  oso.loadFiles = failing(oso.loadFiles);
  oso.loadStr = failing(oso.loadStr);
}

function unknownSpecializer(message: unknown): string | undefined {
  if (typeof message !== 'object' || message === null || !('msg' in message)) return undefined;
  return /^Unknown specializer (.+? at line \d+, column \d+(?: of file .+?)?):?$/m.exec(
    String(message.msg),
  )?.[1];
}

/**
 * Translates what Oso threw into an error that may be seen: Oso's messages print the actor and the resource whole.
 *
 * @param rule the rule that was asked
 */
export function engineError(rule: string, error: unknown): KoaOsoError {
  if (error instanceof KoaOsoError) return error;
  if (!(error instanceof Error)) return errors.policyFailed(error);
  if (error instanceof RefusedValueError) return errors.valueRefused(error);
  if (error.name === 'RuntimeError::QueryForUndefinedRule') {
    return errors.noRules(rule, error);
  }
  if (error.constructor.name === 'UnregisteredClassError') {
    const name = /^Unregistered class: ([\w:]+)\.$/.exec(error.message)?.[1];
    return errors.unregisteredClass(name === undefined ? [] : [name], error);
  }
  return isPanic(error) ? errors.unregisteredClass([], error) : errors.policyFailed(error);
}

/** An unregistered class can panic Oso's engine; freeing the query then fails in its place, and says so. */
function isPanic(error: Error): boolean {
  return error.name === 'RuntimeError' || error.message.startsWith('recursive use of an object');
}
