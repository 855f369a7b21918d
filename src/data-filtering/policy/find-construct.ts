import { type EngineOwner, type LoadedPolicy, Seat } from '../../engine/seat.js';
import { type Policy, readPolicy } from '../../polar/compile/policy.js';
import { formatPlace, type Place, PolicySource, placeOf } from '../../polar/syntax/source.js';
import type { Rule, Term } from '../../polar/syntax/tree.js';
import type { Construct } from '../unfilterable.js';

/** The text of the policy that an Oso has loaded. Oso's engine keeps it to itself, so it is noted on its way there. */
export class PolicyText {
  readonly #seat: Seat;
  #readOf: LoadedPolicy | undefined;
  #policy: Policy | undefined;
  #cut: string | undefined;

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

  /** The rules that were loaded; undefined where that was before the text was noted, or where it cannot be read. */
  get policy(): Policy | undefined {
    const { loaded } = this;
    if (loaded === undefined || loaded.texts.length === 0) return undefined;
    if (loaded === this.#readOf) return this.#policy;
    this.#readOf = loaded;
    this.#policy = undefined;
    const policy = readPolicy(loaded.texts.map(({ src, filename }) => new PolicySource(src, filename)));
    if ('reason' in policy) return undefined;
    this.#policy = policy;
    [this.#cut] = this.#find(term => term.kind === 'operation' && term.operator === 'cut');
    return policy;
  }

  /** Whether the text is known. */
  get isKnown(): boolean {
    return this.policy !== undefined;
  }

  /** Where `cut` may be met by who asks for `allow`: "rule `allow` at policy.polar:3:7". */
  get cut(): string | undefined {
    return this.isKnown ? this.#cut : undefined;
  }

  /** All names in the rules that may be those of variables, or of constants. */
  get names(): ReadonlySet<string> {
    const names = new Set<string>();
    for (const rules of this.policy?.rules.values() ?? []) {
      for (const rule of rules) {
        for (const term of termsOf(rule))
          if (term.kind === 'variable' && term.name !== '_') names.add(term.name);
      }
    }
    return names;
  }

  /** Where the policy says such a thing, of all that who asks for `allow` may meet. */
  find(construct: Construct): readonly string[] {
    return this.#find(term => isMeant(term, construct));
  }

  #find(isMeantBy: (term: Term) => boolean): readonly string[] {
    const found = new Set<string>();
    for (const rule of this.#reachable()) {
      for (const term of termsOf(rule)) {
        if (isMeantBy(term)) found.add(describeRule(rule.name, placeOf(term)));
      }
    }
    return [...found];
  }

  #reachable(): readonly Rule[] {
    const byName = this.policy?.rules;
    if (byName === undefined) return [];
    const names = new Set(['allow']);
    const rules: Rule[] = [];
    // A set that grows is walked to its new end.
    for (const name of names) {
      for (const rule of byName.get(name) ?? []) {
        rules.push(rule);
        for (const term of termsOf(rule)) if (term.kind === 'call') names.add(term.name);
      }
    }
    return rules;
  }
}

/** "rule `allow` at policy.polar:3:7" */
export function describeRule(rule: string | undefined, place: Place): string {
  return `rule \`${rule}\` at ${formatPlace(place)}`;
}

function isMeant(term: Term, construct: Construct): boolean {
  switch (construct.kind) {
    case 'attribute':
      return isAttribute(term, construct.name);
    case 'operator':
      return term.kind === 'operation' && term.operator === construct.operator;
    case 'class':
      return term.kind === 'pattern' && term.tag === construct.name;
  }
}

function isAttribute(term: Term, name: string): boolean {
  if (term.kind === 'pattern') return term.fields.has(name);
  if (term.kind !== 'operation' || term.operator !== '.') return false;
  const attribute = term.args[1];
  return attribute?.kind === 'string' && attribute.value === name;
}

function* termsOf(rule: Rule): Generator<Term> {
  const open: Term[] = [rule.body];
  for (const { term, specializer } of rule.parameters) {
    open.push(term);
    if (specializer !== undefined) open.push(specializer);
  }
  for (let term = open.pop(); term !== undefined; term = open.pop()) {
    yield term;
    if (term.kind === 'operation' || term.kind === 'call') open.push(...term.args);
    else if (term.kind === 'list') open.push(...term.items);
    else if (term.kind === 'dictionary' || term.kind === 'pattern') open.push(...term.fields.values());
  }
}
