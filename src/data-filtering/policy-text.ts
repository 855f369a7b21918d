import { type Policy, readPolicy } from '../polar/policy.js';
import { formatPlace, type Located, PolicySource, placeOf } from '../polar/source.js';
import type { Rule, Term } from '../polar/syntax.js';
import type { PolicyEngine } from '../policy-engine.js';
import type { Construct } from './unfilterable.js';

interface OsoSource {
  readonly src: string;
  readonly filename?: string;
}

/** The text of the policy that an Oso has loaded. Oso's engine keeps it to itself, so it is noted on its way there. */
export class PolicyText {
  #sources: readonly PolicySource[] = [];
  #policy: Policy | undefined;
  #cut: string | undefined;

  constructor(oso: PolicyEngine) {
    const ffi = oso.getFfi() as { load(sources: readonly OsoSource[]): void };
    const load = ffi.load.bind(ffi);
    ffi.load = sources => {
      load(sources);
      this.#sources = sources.map(({ src, filename }) => new PolicySource(src, filename));
      this.#policy = undefined;
    };
  }

  /** The rules that were loaded; undefined where that was before the text was noted, or where it cannot be read. */
  get #rules(): Policy | undefined {
    if (this.#policy !== undefined) return this.#policy;
    if (this.#sources.length === 0) return undefined;
    const policy = readPolicy(this.#sources);
    if ('reason' in policy) return undefined;
    this.#policy = policy;
    [this.#cut] = this.#find(term => term.kind === 'operation' && term.operator === 'cut');
    return policy;
  }

  /** Whether the text is known. */
  get isKnown(): boolean {
    return this.#rules !== undefined;
  }

  /** Where `cut` may be met by who asks for `allow`: "rule `allow` at policy.polar:3:7". */
  get cut(): string | undefined {
    return this.isKnown ? this.#cut : undefined;
  }

  /** Where the policy says such a thing, of all that who asks for `allow` may meet. */
  find(construct: Construct): readonly string[] {
    return this.#find(term => isMeant(term, construct));
  }

  /** The place that Oso names in an error of its own: line and column, starting at 1. */
  ruleAt(file: string | undefined, line: number, column: number): string {
    let nearest: { rule: string; line: number; column: number } | undefined;
    for (const rule of this.#reachable()) {
      const place = placeOf(rule);
      if (place.file !== file || isAfter(place, { line, column })) continue;
      if (nearest === undefined || isAfter(place, nearest)) nearest = { ...place, rule: rule.name };
    }
    const place = formatPlace({ file, line, column });
    return nearest === undefined ? place : `rule \`${nearest.rule}\` at ${place}`;
  }

  #find(isMeantBy: (term: Term) => boolean): readonly string[] {
    const found = new Set<string>();
    for (const rule of this.#reachable()) {
      for (const term of termsOf(rule)) {
        if (isMeantBy(term)) found.add(`rule \`${rule.name}\` at ${formatPlace(placeOf(term as Located))}`);
      }
    }
    return [...found];
  }

  #reachable(): readonly Rule[] {
    const byName = this.#rules?.rules;
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

function isAfter(left: { line: number; column: number }, right: { line: number; column: number }): boolean {
  return left.line > right.line || (left.line === right.line && left.column > right.column);
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
