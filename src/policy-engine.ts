import type { Oso } from 'oso';
import type { Why } from './authorization-state.js';
import { type Engine, Seat } from './engine/seat.js';
import { EngineDeadError } from './engine/wasm.js';
import { errors, KoaOsoError } from './errors.js';
import { guardHost } from './guard/guarded-host.js';
import { RefusedValueError } from './guard/limits.js';
import { propertyOf } from './guard/own-properties.js';
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

/** What is asked of rows. */
export type Questions = Pick<
  PolicyEngine,
  'authorizedActions' | 'authorizedFields' | 'isAllowed' | 'queryRuleOnce'
>;

/** What answers many questions. */
export interface ManyQuestions {
  readonly questions: Questions;
  /** How many of them are asked side by side. */
  readonly atOnce: number;
}

/** As many as share their statements. More would keep the first ones waiting while the last ones begin. */
const AT_ONCE = 1000;

/**
 * What answers many questions: if the Oso can (`CompiledOso` can), side by side, and what they wait for is loaded for all of
 * them together; else one after the other.
 */
export function manyQuestions(oso: PolicyEngine): ManyQuestions {
  const batch = propertyOf(oso, 'batch');
  return typeof batch === 'function'
    ? { questions: batch.call(oso), atOnce: AT_ONCE }
    : { questions: oso, atOnce: 1 };
}

/**
 * Asks why a question is answered as it is, of an Oso that can tell.
 *
 * @throws {KoaOsoError} `ERR_KOA_OSO_INVALID_ARGUMENT` if it cannot
 */
export function explain(oso: PolicyEngine, rule: string, args: readonly unknown[]): Promise<Why> {
  const ask = propertyOf(oso, 'explain');
  if (typeof ask !== 'function') throw errors.cannotExplain();
  return ask.call(oso, rule, ...args);
}

/** A data filtering adapter that can ask inside of a transaction. */
export interface TransactionalAdapter {
  /**
   * What runs a question so that all it asks of the database is asked inside of a transaction.
   *
   * @throws {KoaOsoError} `ERR_KOA_OSO_INVALID_ARGUMENT` if it is not a transaction of the adapter's database
   */
  readonly within: (transaction: unknown) => RunWithin;
}

export type RunWithin = <Answer>(ask: () => Promise<Answer>) => Promise<Answer>;

/**
 * What runs a question of an Oso inside of a transaction.
 *
 * @throws {KoaOsoError} `ERR_KOA_OSO_INVALID_ARGUMENT` if it is not a transaction, or the Oso knows of no database
 */
export function runWithin(oso: PolicyEngine, transaction: unknown): RunWithin {
  const { within } = oso.getHost().adapter as Partial<TransactionalAdapter>;
  if (within === undefined) throw errors.noTransactions();
  return within(transaction);
}

const prepared = new WeakSet<PolicyEngine>();

/**
 * Makes an Oso ready for Koa: registers `Request`, guards its host against values that claim a class or are
 * too large, and lets loads fail that Oso itself only warns of.
 *
 * @throws {KoaOsoError} `ERR_KOA_OSO_INVALID_ARGUMENT` if it is no Oso, or has another class as `Request`
 */
export function prepare(oso: PolicyEngine): void {
  if (typeof oso?.getHost !== 'function') throw errors.invalidArgument('What was given as oso is no Oso.');
  if (prepared.has(oso)) return;
  guardHost(oso.getHost());
  const existing = oso.getHost().getType('Request');
  if (existing === undefined) oso.registerClass(HttpRequest, { name: 'Request' });
  else if (existing.cls !== HttpRequest) throw errors.requestClassTaken();
  readOwnOptionsOnly(oso);
  // A policy that names an unregistered class loads with a warning, and then fails or panics at the first query that gets
  // to the name.
  Seat.of(oso).refuseClasses = classes => errors.unregisteredClass(classes);
  prepared.add(oso);
}

/** Oso reads the options of a query with whatever is on Object.prototype: it would take conditions for results. */
function readOwnOptionsOnly(oso: PolicyEngine): void {
  const { query } = oso;
  // By `this`: a sibling of the Oso, with another policy, has the same method.
  oso.query = function (this: PolicyEngine, question, options = {}) {
    return query.call(this, question, given(options));
  };
}

/**
 * Translates what Oso threw into an error that may be seen: Oso's messages print the actor and the resource whole.
 *
 * @param rule the rule that was asked
 * @param engine that of Oso by which it was asked
 */
export function engineError(rule: string, error: unknown, engine: Engine): KoaOsoError {
  if (error instanceof KoaOsoError) return error;
  if (error instanceof EngineDeadError) return errors.engineDead(error);
  if (!(error instanceof Error)) return errors.policyFailed(error);
  if (error instanceof RefusedValueError) return errors.valueRefused(error);
  if (error.name === 'RuntimeError::QueryForUndefinedRule') {
    return errors.noRules(rule, error);
  }
  if (error.constructor.name === 'UnregisteredClassError') {
    const name = /^Unregistered class: ([\w:]+)\.$/.exec(error.message)?.[1];
    return errors.unregisteredClass(name === undefined ? [] : [name], error);
  }
  if (!isPanic(error)) return errors.policyFailed(error);
  return engine.isSound ? errors.unregisteredClass([], error) : errors.engineDead(error);
}

/**
 * An unregistered class can panic Oso's engine, and what is nested too deep overflows its stack; freeing the query then
 * fails in its place, and says so.
 */
function isPanic(error: Error): boolean {
  return error.name === 'RuntimeError' || error.message.startsWith('recursive use of an object');
}

/**
 * The policy of an Oso, as a request holds on to it: while another one takes over, the Oso of the application goes with
 * the new policy, and the old one is left to a sibling of it.
 */
export interface HeldPolicy {
  oso: PolicyEngine;
  seat: Seat;
}

const inForce = new WeakMap<PolicyEngine, HeldPolicy>();

/** The policy by which an Oso decides now. */
export function policyInForce(oso: PolicyEngine): HeldPolicy {
  let held = inForce.get(oso);
  if (held === undefined) {
    held = { oso, seat: Seat.of(oso) };
    inForce.set(oso, held);
  }
  return held;
}

/** Has the Oso decide by the policy of a sibling from now on. Who holds on to its policy of before keeps that. */
export function takeOver(oso: PolicyEngine, sibling: PolicyEngine): void {
  const before = policyInForce(oso);
  const seat = Seat.of(sibling);
  before.seat.exchangeWith(seat);
  before.oso = sibling;
  before.seat = seat;
  inForce.delete(oso);
}
