import { UnregisteredClassError } from '../errors.js';
import { cuts } from '../syntax/analysis.js';
import { hoistRule } from '../syntax/hoist.js';
import { UnreadablePolicyError } from '../syntax/lexer.js';
import { isOperation, parsePolicy } from '../syntax/parser.js';
import { expandBlocks, type Unions } from '../syntax/resource-blocks.js';
import { type PolicySource, placeOf } from '../syntax/source.js';
import { isLiteralFact, partsOf, type ResourceBlock, type Rule, type Term, termsOf } from '../syntax/tree.js';
import type { PolicyHost } from '../values/host.js';
import { Predicate } from './predicate.js';
import type { Program } from './program.js';
import { CompiledRule } from './rule.js';

/** A policy that was read: its rules by name, the shorthand rules of blocks written out. */
export interface Policy {
  readonly rules: ReadonlyMap<string, readonly Rule[]>;
  readonly unions: Unions;
  readonly cuts: boolean;
}

/** A policy that Oso accepted and this front end cannot read; why, and where. */
export interface UnreadPolicy {
  readonly reason: string;
  readonly source: PolicySource;
  readonly offset: number;
}

export function readPolicy(sources: readonly PolicySource[]): Policy | UnreadPolicy {
  const rules: Rule[] = [];
  const blocks: ResourceBlock[] = [];
  for (const source of sources) {
    try {
      const text = parsePolicy(source);
      for (const rule of text.rules) rules.push(rule);
      for (const block of text.blocks) blocks.push(block);
    } catch (error) {
      if (!(error instanceof UnreadablePolicyError)) throw error;
      return { reason: error.message, source, offset: error.offset };
    }
  }
  const expanded = expandBlocks(blocks);
  const byName = new Map<string, Rule[]>();
  for (const list of [rules, expanded.rules]) {
    for (const rule of list) {
      const named = byName.get(rule.name);
      if (named === undefined) byName.set(rule.name, [rule]);
      else named.push(rule);
    }
  }
  return {
    rules: byName,
    unions: expanded.unions,
    cuts: rules.some(rule => !isLiteralFact(rule) && cuts(rule.body)),
  };
}

/** Throws if a parameter's pattern or `matches` names a class that is not registered. */
export function checkClasses({ rules, unions }: Policy, host: PolicyHost): void {
  for (const list of rules.values()) {
    for (const rule of list) {
      if (isLiteralFact(rule)) continue;
      for (const term of termsOf(partsOf(rule))) {
        if (term.kind !== 'pattern') continue;
        const { tag } = term;
        if (tag === undefined || unions.has(tag) || host.classNamed(tag) !== undefined) continue;
        throw new UnregisteredClassError(tag, { rule: rule.name, ...placeOf(term) });
      }
    }
  }
}

/** The texts that a rule speaks of. The names of attributes are none. */
function* textsIn(rule: Rule): Generator<string> {
  const terms = termsOf(partsOf(rule));
  const names = new Set<Term>();
  for (const term of terms) if (isOperation(term, '.') && term.args[1] !== undefined) names.add(term.args[1]);
  for (const term of terms) if (term.kind === 'string' && !names.has(term)) yield term.value;
}

/** A policy as it is run: each rule is compiled when it is first called. */
export class CompiledPolicy implements Program {
  /** Rules that call themselves for what a relation of an unknown row leads to, as far as that has turned out. */
  readonly recursive = new Set<string>();
  readonly host: PolicyHost;
  readonly observed: boolean;
  readonly #policy: Policy;
  readonly #predicates = new Map<string, Predicate>();

  #twin: CompiledPolicy | undefined;
  #texts: Set<string> | undefined;

  constructor(policy: Policy, host: PolicyHost, observed = false) {
    this.#policy = policy;
    this.host = host;
    this.observed = observed;
  }

  /** The same policy, of which the steps tell what they do. It is made when it is first needed. */
  get twin(): CompiledPolicy {
    this.#twin ??= new CompiledPolicy(this.#policy, this.host, true);
    return this.#twin;
  }

  /** The texts that the policy holds. */
  get texts(): ReadonlySet<string> {
    if (this.#texts === undefined) {
      this.#texts = new Set();
      for (const rules of this.#policy.rules.values()) {
        for (const rule of rules) for (const text of textsIn(rule)) this.#texts.add(text);
      }
    }
    return this.#texts;
  }

  rulesOf(name: string): readonly Rule[] {
    return this.#policy.rules.get(name) ?? [];
  }

  get cuts(): boolean {
    return this.#policy.cuts;
  }

  members = (tag: string): readonly string[] | undefined => this.#policy.unions.get(tag);

  predicate(name: string): Predicate | undefined {
    const known = this.#predicates.get(name);
    if (known !== undefined) return known;
    const rules = this.#policy.rules.get(name);
    if (rules === undefined) return undefined;
    const predicate = new Predicate(name, this.host);
    for (const rule of rules) {
      predicate.add(new CompiledRule(hoistRule(rule), this.host, this.members, this));
    }
    this.#predicates.set(name, predicate);
    return predicate;
  }
}
