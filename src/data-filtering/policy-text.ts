import type { Oso } from 'oso';
import { type Policy, readPolicy } from '../polar/policy.js';
import { PolicySource } from '../polar/source.js';
import type { Rule, Term } from '../polar/syntax.js';
import type { PolicyPlace } from './unfilterable.js';

interface OsoSource {
  readonly src: string;
  readonly filename?: string;
}

/** The text of the policy that an Oso has loaded. Oso's engine keeps it to itself, so it is noted on its way there. */
export class PolicyText {
  #sources: readonly PolicySource[] = [];
  #policy: Policy | undefined;
  /** What names of the policy stand for, as far as it was asked. */
  readonly constants = new Map<string, Promise<{ readonly value: unknown } | undefined>>();

  constructor(oso: Pick<Oso, 'getFfi'>) {
    const ffi = oso.getFfi() as {
      load(sources: readonly OsoSource[]): void;
      registerConstant(name: string, value: unknown): void;
    };
    const load = ffi.load.bind(ffi);
    ffi.load = sources => {
      load(sources);
      this.#sources = sources.map(({ src, filename }) => new PolicySource(src, filename));
      this.#policy = undefined;
      this.constants.clear();
    };
    const registerConstant = ffi.registerConstant.bind(ffi);
    ffi.registerConstant = (name, value) => {
      registerConstant(name, value);
      this.constants.clear();
    };
  }

  /** What was loaded; undefined where that was before the text was noted, or where it cannot be read. */
  get policy(): Policy | undefined {
    if (this.#policy !== undefined) return this.#policy;
    if (this.#sources.length === 0) return undefined;
    const policy = readPolicy(this.#sources);
    if ('reason' in policy) return undefined;
    this.#policy = policy;
    return policy;
  }

  /** A `cut` that who asks for `allow` may meet. */
  findCut(): PolicyPlace | undefined {
    for (const rule of this.#reachable()) {
      for (const term of termsOf(rule)) {
        if (term.kind === 'operation' && term.operator === 'cut') return { rule: rule.name, term };
      }
    }
    return undefined;
  }

  #reachable(): readonly Rule[] {
    const names = new Set(['allow']);
    const rules: Rule[] = [];
    // A set that grows is walked to its new end.
    for (const name of names) {
      for (const rule of this.policy?.rules.get(name) ?? []) {
        rules.push(rule);
        for (const term of termsOf(rule)) if (term.kind === 'call') names.add(term.name);
      }
    }
    return rules;
  }
}

function* termsOf({ body }: Rule): Generator<Term> {
  const open: Term[] = [body];
  for (let term = open.pop(); term !== undefined; term = open.pop()) {
    yield term;
    if (term.kind === 'operation' || term.kind === 'call') open.push(...term.args);
  }
}
