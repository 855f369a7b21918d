/**
 * Why a question was answered as it was: the policy's own lines, with what each condition came to. The form is that of the
 * messages of compilers: the line, carets below the condition, then what belongs to it.
 */
import type { PolicyRange } from '../observe.js';
import type { Reason } from './source-lines.js';

/** A condition, or a rule, and what became of it. */
export interface WhyNode {
  readonly kind: 'rule' | 'condition';
  readonly state: 'held' | 'failed' | 'not tested' | 'error';
  /** As the policy has it. */
  readonly text: string;
  readonly place: PolicyRange;
  /** What it came to: `180000 <= 50000`. */
  readonly values?: string;
  readonly parts?: readonly WhyNode[];
}

/** One way to a yes that was not to be had. */
export interface WhyWay {
  /** The condition that is missing. */
  readonly missing: WhyNode;
  readonly reason?: Reason;
  /** The condition that calls the rule in which it stands. */
  readonly calledBy?: WhyNode;
  /** For how many other items of a list it failed, too. */
  readonly others: number;
  /** Every other condition of the way holds, and so this one alone stands in the way. */
  readonly isLast: boolean;
  readonly conditions: readonly WhyNode[];
}

/** What {@link Explanation} is made of. */
export interface Findings {
  readonly allowed: boolean;
  /** `allow(User 2, "approve", Expense 2)` */
  readonly question: string;
  readonly ways: readonly WhyWay[];
  /** For a yes: the conditions that made it. */
  readonly by: readonly WhyNode[];
  readonly tree: readonly WhyNode[];
  /** What else there is to say, a line each: that no rule was tried, that a name is misspelt. */
  readonly remarks: readonly string[];
  readonly notTried: string | undefined;
  /** Where and how the question failed, or why Oso's engine answered it. */
  readonly error: string | undefined;
  readonly text: string;
}

/**
 * Why a question was answered as it was. By default it holds no text of the actor or the resource; it is for developers all the
 * same, and {@link Explanation.message} alone is for users.
 */
export class Explanation {
  readonly #findings: Findings;

  /** @internal Made by `explain`. */
  constructor(findings: Findings) {
    this.#findings = findings;
  }

  get allowed(): boolean {
    return this.#findings.allowed;
  }

  /** The question, as it is shown: `allow(User 2, "approve", Expense 2)`. */
  get question(): string {
    return this.#findings.question;
  }

  /** For a no: the ways to a yes, the nearest first. */
  get ways(): readonly WhyWay[] {
    return this.#findings.ways;
  }

  /** What the policy says by `# @reason` of the rules that refuse, the nearest first. */
  get reasons(): readonly Reason[] {
    const reasons = new Map<string, Reason>();
    for (const { reason } of this.ways)
      if (reason && !reasons.has(reason.code)) reasons.set(reason.code, reason);
    return [...reasons.values()];
  }

  /** The text of the nearest `# @reason`, and nothing else: it may be shown to the user. */
  get message(): string | undefined {
    return this.ways[0]?.reason?.message;
  }

  /** All that was tried: rules, their conditions, and the rules that these have called. */
  get tree(): readonly WhyNode[] {
    return this.#findings.tree;
  }

  /** Why the question failed, or could not be explained. */
  get error(): string | undefined {
    return this.#findings.error;
  }

  toString(): string {
    return this.#findings.text;
  }

  toJSON(): object {
    const { allowed, question, ways, by, remarks, notTried, error } = this.#findings;
    return { allowed, question, reasons: this.reasons, ways, by, remarks, notTried, error };
  }
}
