import type { Located } from './source.js';
import type {
  CallTerm,
  Operation,
  PatternTerm,
  ResourceBlock,
  Rule,
  ShorthandRule,
  StringTerm,
  Term,
  VariableTerm,
} from './tree.js';

/** The two unions that blocks declare: `Actor` of all actor blocks, `Resource` of all blocks. */
export const ACTOR_UNION = 'Actor';
export const RESOURCE_UNION = 'Resource';

/** The classes that belong to a union, by the union's name. */
export type Unions = ReadonlyMap<string, readonly string[]>;

type DeclarationKind = 'role' | 'permission' | { readonly related: string };

export interface ExpandedBlocks {
  readonly rules: Rule[];
  readonly unions: Unions;
}

/**
 * Turns the shorthand rules of all blocks into ordinary rules. Oso has already refused blocks that do not add up, so a
 * name that is not declared here is left out rather than reported.
 */
export function expandBlocks(blocks: readonly ResourceBlock[]): ExpandedBlocks {
  const actors = new Set<string>();
  const resources = new Set<string>();
  const declared = new Map<string, Map<string, DeclarationKind>>();
  // A block may be reopened: its rules then follow the earlier ones of the same class.
  const shorthand = new Map<string, { block: ResourceBlock; rule: ShorthandRule }[]>();

  for (const block of blocks) {
    const { resource } = block;
    if (block.keyword === 'actor') actors.add(resource);
    resources.add(resource);
    const declarations = declared.get(resource) ?? new Map<string, DeclarationKind>();
    const rules = shorthand.get(resource) ?? [];
    declared.set(resource, declarations);
    shorthand.set(resource, rules);
    for (const production of block.productions) {
      if (production.kind === 'shorthand') rules.push({ block, rule: production });
      else declare(declarations, production.name, production.value);
    }
  }

  const rules: Rule[] = [];
  for (const [resource, list] of shorthand) {
    for (const { block, rule } of list) {
      const expanded = expandRule(rule, block, resource, declared);
      if (expanded) rules.push(expanded);
    }
  }
  return {
    rules,
    unions: new Map([
      [ACTOR_UNION, [...actors]],
      [RESOURCE_UNION, [...resources]],
    ]),
  };
}

function declare(declarations: Map<string, DeclarationKind>, name: string, value: Term): void {
  if (value.kind === 'list') {
    const kind = name === 'roles' ? 'role' : 'permission';
    for (const item of value.items) if (item.kind === 'string') declarations.set(item.value, kind);
  } else if (value.kind === 'dictionary') {
    for (const [relation, type] of value.fields) {
      if (type.kind === 'variable') declarations.set(relation, { related: type.name });
    }
  }
}

function expandRule(
  { head, implier, relation }: ShorthandRule,
  block: ResourceBlock,
  resource: string,
  declared: ReadonlyMap<string, ReadonlyMap<string, DeclarationKind>>,
): Rule | undefined {
  const declarations = declared.get(resource);
  const name = ruleName(declarations?.get(head.value));
  if (name === undefined) return undefined;
  const actor = variable('actor', implier);
  const resourceVariable = variable(instanceName(resource), implier);
  const conditions: CallTerm[] = [];
  if (relation) {
    const related = declarations?.get(relation.value);
    if (typeof related !== 'object') return undefined;
    const implierRule = ruleName(declared.get(related.related)?.get(implier.value));
    if (implierRule === undefined) return undefined;
    const relatedVariable = variable(`related_${instanceName(related.related)}`, relation);
    conditions.push(
      call('has_relation', [relatedVariable, relation, resourceVariable], relation),
      call(implierRule, [actor, implier, relatedVariable], implier),
    );
  } else {
    const implierRule = ruleName(declarations?.get(implier.value));
    if (implierRule === undefined) return undefined;
    conditions.push(call(implierRule, [actor, implier, resourceVariable], implier));
  }
  const { source, offset } = implier;
  const { end } = relation ?? implier;
  const body: Operation = { kind: 'operation', operator: 'and', args: conditions, source, offset, end };
  return {
    name,
    parameters: [
      { term: variable('actor', head), specializer: classPattern(ACTOR_UNION, head) },
      { term: head, specializer: undefined },
      { term: variable(instanceName(resource), head), specializer: classPattern(resource, block) },
    ],
    body,
    source: head.source,
    offset: head.offset,
    end,
  };
}

function ruleName(kind: DeclarationKind | undefined): string | undefined {
  if (kind === undefined) return undefined;
  return typeof kind === 'object' ? 'has_relation' : `has_${kind}`;
}

/** The variable that stands for an instance of a class: never the class's own name, which is a constant. */
function instanceName(resource: string): string {
  const lower = resource.toLowerCase();
  return lower === resource ? `${lower}_instance` : lower;
}

function variable(name: string, { source, offset, end }: StringTerm): VariableTerm {
  return { kind: 'variable', name, source, offset, end };
}

function classPattern(tag: string, { source, offset, end }: Located): PatternTerm {
  return { kind: 'pattern', tag, fields: new Map(), source, offset, end };
}

function call(name: string, args: readonly Term[], { source, offset, end }: StringTerm): CallTerm {
  return { kind: 'call', name, args, named: false, source, offset, end };
}
