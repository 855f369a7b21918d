import type { Oso } from 'oso';
import { Variable } from 'oso';
import type { LoadedPolicy } from '../engine/seat.js';
import { CompiledPolicy } from './compile/policy.js';
import { DEFAULT_BUDGET } from './compiled-oso.js';
import { NotCovered } from './errors.js';
import type { LoadedRules } from './loaded-rules.js';
import { type Alternatives, Query } from './query.js';
import { PolicyHost } from './values/host.js';

type Host = ReturnType<Oso['getHost']>;

/** What is needed of an Oso to evaluate its policies. The class `Oso` of the package `oso` has it. */
export interface QueriedOso extends Pick<Oso, 'getFfi' | 'query'> {
  getHost(): Pick<Host, 'externalOp' | 'getType' | 'registerMros' | 'toPolar' | 'types'>;
}

/**
 * Evaluates the policies of an Oso that is not a CompiledOso with unknown values, as CompiledOso does.
 *
 * Oso's own partial evaluation is not made use of. What it leaves open of `not` is another thing if a value is nil, it
 * names the columns of related rows by their class alone, it forgets which class a row has to be of, and there are
 * policies at which it panics.
 */
export class PlainOso {
  readonly #oso: QueriedOso;
  readonly #text: LoadedRules;
  #compiled: Promise<CompiledPolicy> | undefined;
  #compiledOf: LoadedPolicy | undefined;
  #revision: number | undefined;

  constructor(oso: QueriedOso, text: LoadedRules) {
    this.#oso = oso;
    this.#text = text;
  }

  /** As {@link CompiledOso.constraintsOf}. */
  async constraintsOf(name: string, ...args: unknown[]): Promise<Alternatives> {
    const { loaded, revision } = this.#text;
    if (loaded !== this.#compiledOf || revision !== this.#revision) this.#compiled = undefined;
    this.#compiledOf = loaded;
    this.#revision = revision;
    this.#compiled ??= this.#compile();
    const policy = await this.#compiled.catch(error => {
      // The next list is to try again: Oso's engine may have died of something else, and be another one by then.
      this.#compiled = undefined;
      throw error;
    });
    return Query.alternatives(policy, name, args, {
      budget: DEFAULT_BUDGET,
      given: undefined,
      hasUnknowns: true,
      relations: undefined,
      trace: undefined,
    });
  }

  async #compile(): Promise<CompiledPolicy> {
    const { policy } = this.#text;
    if (policy === undefined) throw new NotCovered('the policy text', undefined);
    const host = new PolicyHost(
      this.#oso as unknown as Oso,
      (left, right) => compareInHost(this.#oso, 'Eq', left, right),
      (left, right) => compareInHost(this.#oso, 'Neq', left, right),
    );
    host.classesChanged();
    for (const name of this.#text.names) {
      const constant = await this.#constant(name);
      if (constant !== undefined) host.setConstant(name, constant.value);
    }
    return new CompiledPolicy(policy, host);
  }

  /** What a name stands for; undefined if it is an ordinary variable. Only Oso's engine knows the constants. */
  async #constant(name: string): Promise<{ value: unknown } | undefined> {
    for await (const result of this.#oso.query(`koa_oso_constant = ${name}`)) {
      const value = result.get('koa_oso_constant');
      return value === undefined || value instanceof Variable ? undefined : { value };
    }
    return undefined;
  }
}

/** Compares two values as an Oso does: it keeps its `equalityFn` to itself, and answers by it. */
export function compareInHost(
  oso: QueriedOso,
  operator: 'Eq' | 'Neq',
  left: unknown,
  right: unknown,
): Promise<boolean> {
  const host = oso.getHost();
  const { clone } = host.constructor as unknown as { clone(of: typeof host, options: object): typeof host };
  const own = clone(host, {});
  return own.externalOp(operator, own.toPolar(left), own.toPolar(right));
}
