import { type EngineOwner, type LoadedPolicy, Seat } from '../engine/seat.js';
import { type Policy, readPolicy } from './compile/policy.js';
import { PolicySource } from './syntax/source.js';
import { partsOf, termsOf } from './syntax/tree.js';

/** The rules that an Oso has loaded. Oso's engine keeps them to itself, so their text is noted on its way there. */
export class LoadedRules {
  readonly #seat: Seat;
  #readOf: LoadedPolicy | undefined;
  #policy: Policy | undefined;

  constructor(oso: EngineOwner) {
    this.#seat = Seat.of(oso);
  }

  /** What is loaded; another object after each load. */
  get loaded(): LoadedPolicy | undefined {
    return this.#seat.engine.policy;
  }

  /** Changes whenever a constant or a class is registered. */
  get revision(): number {
    return this.#seat.revision;
  }

  /** The rules by name; undefined if they were loaded before their text was noted, or cannot be read. */
  get policy(): Policy | undefined {
    const { loaded } = this;
    if (loaded === undefined || loaded.texts.length === 0) return undefined;
    if (loaded === this.#readOf) return this.#policy;
    this.#readOf = loaded;
    this.#policy = undefined;
    const policy = readPolicy(loaded.texts.map(({ src, filename }) => new PolicySource(src, filename)));
    if ('reason' in policy) return undefined;
    this.#policy = policy;
    return policy;
  }

  /** Whether a policy is loaded, be its text known or not. */
  get isLoaded(): boolean {
    return this.#seat.isLoaded;
  }

  /** Whether the text is known. */
  get isKnown(): boolean {
    return this.policy !== undefined;
  }

  /** All names in the rules that may be those of variables, or of constants. */
  get names(): ReadonlySet<string> {
    const names = new Set<string>();
    for (const rules of this.policy?.rules.values() ?? []) {
      for (const rule of rules) {
        for (const term of termsOf(partsOf(rule))) {
          if (term.kind === 'variable' && term.name !== '_') names.add(term.name);
        }
      }
    }
    return names;
  }
}
