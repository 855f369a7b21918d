import { define } from '../guard/own-properties.js';
import { formatPlace, type Place } from './syntax/source.js';

/** Where in a policy something happened. */
export interface PolicyPlace extends Place {
  /** The name of the rule; undefined in a query or outside of rules. */
  readonly rule: string | undefined;
}

/** The codes of the errors that are CompiledOso's own, and stable. */
export type PolarErrorCode =
  | 'ERR_KOA_OSO_POLICY'
  | 'ERR_KOA_OSO_POLICY_BUDGET'
  | 'ERR_KOA_OSO_UNREGISTERED_CLASS';

interface PolicyErrorOptions {
  readonly code: PolarErrorCode;
  readonly name: string;
  readonly place?: PolicyPlace | undefined;
  readonly cause?: unknown;
}

/**
 * An error in a policy or in evaluating one. Its `name` is the one Oso would give (`RuntimeError::TypeError` and the
 * like), its `message` says which rule, file, line and column, and never holds a value of the actor or the resource.
 *
 * @example
 * ```ts
 * try {
 *   await oso.isAllowed(actor, 'read', expense);
 * } catch (error) {
 *   if (error instanceof PolicyError) console.error(error.code, error.rule, error.line);
 * }
 * ```
 */
export class PolicyError extends Error {
  /** A stable code: `ERR_KOA_OSO_POLICY…` */
  readonly code: PolarErrorCode;
  readonly rule: string | undefined;
  readonly file: string | undefined;
  /** Starts at 1; undefined if no single place is to blame. */
  readonly line: number | undefined;
  /** Starts at 1; undefined if no single place is to blame. */
  readonly column: number | undefined;

  constructor(message: string, { code, name, place, cause }: PolicyErrorOptions) {
    super(place ? `${message} ${describePlace(place)}` : message);
    this.code = code;
    this.rule = place?.rule;
    this.file = place?.file;
    this.line = place?.line;
    this.column = place?.column;
    // Own but hidden, so that loggers and serializers print neither the class's name nor what the host threw.
    define(this, 'name', { value: name, enumerable: false, configurable: true });
    if (cause !== undefined) {
      // Node prints a cause even if it is hidden, but calls no getter for it; and Oso's messages hold values.
      define(this, 'cause', { get: () => cause, configurable: true });
    }
  }
}

/** A query used up its budget of steps or milliseconds. `code` is `ERR_KOA_OSO_POLICY_BUDGET`. */
export class PolicyBudgetError extends PolicyError {
  /** What ran out. */
  readonly exceeded: 'steps' | 'milliseconds';
  readonly limit: number;
  /** The relation that it waited for when its time was up, as "`owner` of Expense"; undefined if for none. */
  readonly awaited: string | undefined;

  constructor(exceeded: 'steps' | 'milliseconds', limit: number, awaited?: string) {
    const stopped = `The query was stopped: it exceeded its budget of ${limit} ${exceeded}`;
    super(
      awaited === undefined
        ? `${stopped}. Look for a rule without an end, or raise budget.${exceeded} of CompiledOso.`
        : `${stopped} while it waited for the database to load ${awaited}. Look whether the connection pool is used up, ` +
            `as by transactions that wait for this question; at the statement; or raise budget.${exceeded} of CompiledOso.`,
      { code: 'ERR_KOA_OSO_POLICY_BUDGET', name: 'PolicyBudgetError' },
    );
    this.exceeded = exceeded;
    this.limit = limit;
    this.awaited = awaited;
  }
}

/** A loaded policy names a class that is not registered. `code` is `ERR_KOA_OSO_UNREGISTERED_CLASS`. */
export class UnregisteredClassError extends PolicyError {
  readonly className: string;

  constructor(className: string, place: PolicyPlace) {
    super(
      `The policy names the class "${className}", which is not registered. ` +
        'Call registerClass() for it before the policy is loaded, or correct the name.',
      { code: 'ERR_KOA_OSO_UNREGISTERED_CLASS', name: 'UnregisteredClassError', place },
    );
    this.className = className;
  }
}

/** `(rule "allow" at policy.polar:3:7)` */
export function describePlace(place: PolicyPlace): string {
  const at = formatPlace(place);
  return place.rule === undefined ? `(at ${at})` : `(rule "${place.rule}" at ${at})`;
}

/** Which kinds of failure a policy can run into, each named as Oso names it. */
export type FailureKind =
  | 'Application'
  | 'ArithmeticError'
  | 'QueryForUndefinedRule'
  | 'TypeError'
  | 'Unsupported';

export function runtimeError(
  kind: FailureKind,
  message: string,
  place: PolicyPlace | undefined,
  cause?: unknown,
): PolicyError {
  return new PolicyError(message, {
    code: 'ERR_KOA_OSO_POLICY',
    name: `RuntimeError::${kind}`,
    place,
    cause,
  });
}

/**
 * Thrown inside the evaluator, and never further, if the compiled form does not cover what the policy does: the query
 * is then answered by Oso's engine.
 */
export class NotCovered {
  readonly construct: string;
  readonly place: PolicyPlace | undefined;
  /** What the query fails with, if a value and not the policy is the reason: no value may choose who answers. */
  readonly refusal: Error | undefined;
  constructor(construct: string, place: PolicyPlace | undefined, refusal?: Error) {
    this.construct = construct;
    this.place = place;
    this.refusal = refusal;
  }

  /** Does some work, and says where in the policy it was if it turns out not to be covered. */
  static at<Result>(placeOf: (() => PolicyPlace) | undefined, work: () => Result): Result {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof NotCovered) || error.place !== undefined) throw error;
      throw new NotCovered(error.construct, placeOf?.(), error.refusal);
    }
  }
}

/** A `cut` among unknown values: it decides by what was found before, which may depend on them. */
export class CutNotCovered extends NotCovered {
  constructor(place: PolicyPlace) {
    super('`cut`', place);
  }
}
