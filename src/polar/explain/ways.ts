/**
 * The ways in which a question could have been answered with yes, the nearest first.
 *
 * How near a way is, is found out by asking again: the same question, with the condition that is missing taken to hold. If the
 * answer is then yes, this condition alone stands in the way. Rows are not loaded again for that. The shape is that of a
 * what-if analysis; the steps of the policy stay what they are.
 */
import type { Term } from '../syntax/tree.js';
import { conditionsOfBody, type Evidence, type Node } from './evidence.js';

/** Of more ways, the first and those that went furthest are looked at. */
const MAX_FIRST = 16;
const MAX_LAST = 32;
/** So often, the question is asked again. */
const MAX_WEIGHED = 48;

/** A condition on a way. */
export interface Tested {
  readonly term: Term;
  readonly state: 'held' | 'failed' | 'not tested' | 'error';
  readonly node: Node | undefined;
}

/** One way to a yes: the conditions that are to hold together, and the one that is missing. */
export interface Way {
  readonly missing: Node;
  /** The rules that lead to it, the outermost first. */
  readonly rules: readonly Node[];
  readonly conditions: readonly Tested[];
  /** How many other values the same condition failed for. */
  readonly others: number;
  /** Nothing else is missing. */
  readonly isLast: boolean;
}

/** Whether the answer is yes if the attempts with these ids are taken to hold. */
export type AskAgain = (assumed: number) => Promise<boolean>;

export async function waysOf(evidence: Evidence, askAgain: AskAgain | undefined): Promise<Way[]> {
  const alike = new Map<string, Node[]>();
  for (const node of evidence.missing()) {
    // The same condition for each item of a list is one way.
    const key = `${node.parent?.id} ${node.term.offset}`;
    const known = alike.get(key);
    if (known === undefined) alike.set(key, [node]);
    else known.push(node);
  }
  const ways: Way[] = [];
  let asked = 0;
  const groups = [...alike.values()];
  const some =
    groups.length <= MAX_FIRST + MAX_LAST
      ? groups
      : [...groups.slice(0, MAX_FIRST), ...groups.slice(-MAX_LAST)];
  for (const nodes of some) {
    let last: Node | undefined;
    for (const node of nodes) {
      if (last !== undefined || askAgain === undefined || ++asked > MAX_WEIGHED) break;
      if (await askAgain(node.id)) last = node;
    }
    const missing = last ?? (nodes[0] as Node);
    ways.push({ ...pathTo(missing), missing, others: nodes.length - 1, isLast: last !== undefined });
  }
  return ways.sort(
    (a, b) => Number(b.isLast) - Number(a.isLast) || heldIn(b) - heldIn(a) || a.missing.id - b.missing.id,
  );
}

export function heldIn({ conditions }: Pick<Way, 'conditions'>): number {
  return conditions.filter(({ state }) => state === 'held').length;
}

/** From the question to a condition: the conditions before it, and beside it, of each rule on the path. */
export function pathTo(node: Node): Pick<Way, 'rules' | 'conditions'> {
  const path: Node[] = [];
  for (let each: Node | undefined = node; each !== undefined; each = each.parent) path.push(each);
  path.reverse();
  const rules: Node[] = [];
  const before: Tested[] = [];
  const after: Tested[] = [];
  for (const [at, rule] of path.entries()) {
    if (rule.kind !== 'rule') continue;
    rules.push(rule);
    const via = path[at + 1];
    if (via === undefined) continue;
    before.push(...heldBefore(rule, via));
    const rest: Tested[] = conditionsOfBody(rule.rule)
      .filter(({ offset }) => offset > via.term.offset)
      .map(term => ({ term, state: 'not tested', node: undefined }));
    after.unshift(...rest);
  }
  return {
    rules,
    conditions: [...before, { term: node.term, state: node.isMissing ? 'failed' : 'error', node }, ...after],
  };
}

/** The conditions of a rule that held before another one was tested: of each, the attempt that led there. */
export function heldBefore(rule: Node, via: Node | undefined): Tested[] {
  const latest = new Map<number, Node>();
  for (const part of rule.parts) {
    if (part.kind !== 'condition' || !part.hasHeld) continue;
    if (via !== undefined && (part.id >= via.id || part.term.offset === via.term.offset)) continue;
    latest.set(part.term.offset, part);
  }
  return [...latest.values()].map(node => ({ term: node.term, state: 'held', node }));
}

/** The conditions that made the answer a yes: of calls, those of the rules that held. */
export function proofOf(evidence: Evidence): { rules: Node[]; conditions: Tested[] } {
  const rules: Node[] = [];
  const conditions: Tested[] = [];
  const open: Node[] = evidence.roots.filter(({ state }) => state === 'held').slice(-1);
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    if (node.kind === 'rule') {
      rules.push(node);
      open.push(
        ...heldBefore(node, undefined)
          .map(each => each.node as Node)
          .reverse(),
      );
      continue;
    }
    const inner = node.parts.filter(part => part.kind !== 'lookup' && part.state === 'held').slice(-1);
    if (inner.length > 0 && isTransparent(node.term)) open.push(...inner);
    else conditions.push({ term: node.term, state: 'held', node });
  }
  return { rules, conditions };
}

function isTransparent(term: Term): boolean {
  return term.kind === 'call' || (term.kind === 'operation' && term.operator === 'or');
}
