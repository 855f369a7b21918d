/**
 * What was observed of one question, as a tree: calls, the rules that they try, the conditions of these. It is made of the
 * observations of a policy's twin, and knows nothing of how an explanation looks.
 */
import type { Attempt, Event } from '../evaluate/trace.js';
import type { Rule, Term } from '../syntax/tree.js';
import type { Value } from '../values/values.js';

/** More than this is not kept of a question: nobody reads it, and it takes memory. */
const MAX_NODES = 100_000;

/** An attempt at a rule, a condition or a look-up, and what became of it. */
export class Node {
  readonly attempt: Attempt;
  readonly kind: 'rule' | 'condition' | 'lookup';
  readonly parent: Node | undefined;
  readonly parts: Node[] = [];
  /** The rules that a call did not try. */
  readonly skipped: Attempt[] = [];
  state: 'open' | 'held' | 'failed' | 'error' = 'open';
  hasHeld = false;
  values: readonly Value[] = [];

  constructor(attempt: Attempt, kind: Node['kind'], parent: Node | undefined) {
    this.attempt = attempt;
    this.kind = kind;
    this.parent = parent;
  }

  get rule(): Rule {
    return this.attempt.written as Rule;
  }

  get term(): Term {
    return this.attempt.written as Term;
  }

  get id(): number {
    return this.attempt.id;
  }

  /** It never held. */
  get isMissing(): boolean {
    return this.kind === 'condition' && this.state === 'failed' && !this.hasHeld;
  }
}

export class Evidence {
  readonly #nodes = new Map<number, Node>();
  /** The rules that the question itself tried. */
  readonly roots: Node[] = [];
  readonly skipped: Attempt[] = [];
  failedAt: Node | undefined;
  hasResult = false;
  /** There was more than is kept. */
  isCut = false;

  get nodes(): Iterable<Node> {
    return this.#nodes.values();
  }

  readonly note = ({ kind, attempt, values }: Event): void => {
    if (attempt === undefined) {
      this.hasResult = true;
      return;
    }
    const parent = attempt.parent && this.#nodes.get(attempt.parent.id);
    if (kind === 'skipped') (parent?.skipped ?? this.skipped).push(attempt);
    else if (kind === 'rule' || kind === 'condition') this.#add(attempt, kind, parent);
    else {
      const node = this.#nodes.get(attempt.id);
      if (node === undefined) return;
      node.state = kind === 'result' ? 'held' : kind;
      if (kind === 'held') node.hasHeld = true;
      if (kind === 'held' || !node.hasHeld) node.values = values;
      if (kind === 'error') this.failedAt = node;
    }
  };

  #add(attempt: Attempt, kind: 'rule' | 'condition', parent: Node | undefined): void {
    if (this.#nodes.size >= MAX_NODES) {
      this.isCut = true;
      return;
    }
    const node = new Node(attempt, attempt.lookup ? 'lookup' : kind, parent);
    this.#nodes.set(attempt.id, node);
    (parent?.parts ?? this.roots).push(node);
  }

  /**
   * The conditions that have failed and have no failed ones within: what is missing for a yes, one for each way. What stands
   * in a `not` or `forall` is not missing, but too much.
   */
  missing(): Node[] {
    const nodes = [...this.#nodes.values()];
    const relevant = new Set<Node>();
    for (const node of nodes) {
      if (node.kind === 'lookup') continue;
      const { parent } = node;
      if (parent === undefined || (relevant.has(parent) && (parent.kind === 'rule' || isOpen(parent))))
        relevant.add(node);
    }
    const hasMissing = new Set<Node>();
    const found: Node[] = [];
    for (const node of nodes.reverse()) {
      if (!relevant.has(node)) continue;
      const within = hasMissing.has(node);
      if (node.isMissing && !within) found.push(node);
      if ((node.isMissing || within) && node.parent !== undefined) hasMissing.add(node.parent);
    }
    return found.reverse();
  }

  /** Rules that were tried by nobody, each once. */
  notTried(): Rule[] {
    const tried = new Set<number>();
    const skipped = new Map<number, Rule>();
    const note = (attempt: Attempt): void => {
      skipped.set(attempt.written.offset, attempt.written as Rule);
    };
    for (const attempt of this.skipped) note(attempt);
    for (const node of this.#nodes.values()) {
      for (const attempt of node.skipped) note(attempt);
      if (node.kind === 'rule') tried.add(node.rule.offset);
    }
    return [...skipped.values()].filter(({ offset }) => !tried.has(offset));
  }
}

/** What is missing in it is missing for it. */
function isOpen(node: Node): boolean {
  if (!node.isMissing) return false;
  const { term } = node;
  return term.kind !== 'operation' || (term.operator !== 'not' && term.operator !== 'forall');
}

/** The conditions of a rule that stand beside each other, as they were written. */
export function conditionsOfBody(rule: Rule): Term[] {
  const conditions: Term[] = [];
  const open: Term[] = [rule.body];
  for (let term = open.shift(); term !== undefined; term = open.shift()) {
    if (term.kind !== 'operation' || term.operator !== 'and') conditions.push(term);
    else if (term.parted !== undefined) conditions.push(term.parted.written);
    else open.unshift(...term.args);
  }
  return conditions;
}
