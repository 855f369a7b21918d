/** Explains one question: asks it of the policy's twin, and puts into words what was observed. */
import type { CompiledPolicy } from '../compile/policy.js';
import { describePlace, NotCovered, PolicyBudgetError, PolicyError } from '../errors.js';
import { rangeOf, Trace } from '../evaluate/trace.js';
import { Query, type QuerySettings } from '../query.js';
import type { Located } from '../syntax/source.js';
import type { Rule, Term } from '../syntax/tree.js';
import { Instance, LogicVariable, type Value } from '../values/values.js';
import { Evidence, type Node } from './evidence.js';
import { Explanation, type Findings, type WhyNode, type WhyWay } from './explanation.js';
import { remarkOn } from './remarks.js';
import { closest, namesOf, Show, type ShownValues } from './show.js';
import { annotated, lineOf, reasonOf, textOf } from './source-lines.js';
import { render } from './text.js';
import { pathTo, proofOf, type Tested, type Way, waysOf } from './ways.js';

/** A question for a rule. */
export interface Asked {
  readonly rule: string;
  readonly args: readonly unknown[];
}

/** A twin takes more steps for the same. */
const STEPS_OF_TWIN = 4;
const MAX_TREE_DEPTH = 60;
const MAX_TREE_NODES = 2000;

/**
 * @param answer asks Oso's engine, for what the compiled form does not cover
 */
export async function explain(
  asked: Asked,
  policy: CompiledPolicy,
  settings: QuerySettings,
  values: ShownValues,
  answer: (error: NotCovered) => Promise<boolean>,
): Promise<Explanation> {
  return new Explanation(await new Explainer(asked, policy, settings, values).explain(answer));
}

/** Why a question cannot be explained that only Oso's engine answers. */
export function unexplained(asked: Asked, allowed: boolean, { construct, place }: NotCovered): Explanation {
  const at = place === undefined ? '' : ` ${describePlace(place)}`;
  const error = `Oso's engine answered this question, because of ${construct}${at}. It cannot be asked why.`;
  const question = `${asked.rule}(…)`;
  const text = `${allowed ? 'ALLOWED' : 'DENIED'}  ${question}\n\n  ${error}\n`;
  return new Explanation({
    allowed,
    question,
    ways: [],
    by: [],
    tree: [],
    remarks: [],
    notTried: undefined,
    error,
    text,
  });
}

class Explainer {
  readonly #asked: Asked;
  readonly #policy: CompiledPolicy;
  readonly #settings: QuerySettings;
  readonly #show: Show;
  /** Where what is shown was written. */
  readonly #written = new WeakMap<WhyNode, Located>();

  constructor(asked: Asked, policy: CompiledPolicy, settings: QuerySettings, values: ShownValues) {
    this.#asked = asked;
    this.#policy = policy;
    const { budget } = settings;
    // What is loaded for the question is loaded once, however often it is asked here.
    const relations = settings.relations ?? policy.host.relations();
    this.#settings = { ...settings, relations, budget: { ...budget, steps: budget.steps * STEPS_OF_TWIN } };
    // The action and the field are names, and what was asked for; and what the policy says is no secret.
    const names = asked.args.filter(
      (arg, at): arg is string => typeof arg === 'string' && (at === 1 || at === 3),
    );
    this.#show = new Show(values, policy.host, [...names, ...policy.texts]);
  }

  async explain(answer: (error: NotCovered) => Promise<boolean>): Promise<Findings> {
    const evidence = new Evidence();
    let allowed = false;
    let error: unknown;
    let trace: Trace | undefined;
    try {
      trace = this.#trace(evidence);
      allowed = await this.#run(trace);
    } catch (thrown) {
      error = thrown;
    }
    if (error instanceof NotCovered) allowed = await answer(error);
    const canAskAgain = error === undefined && trace?.isRepeatable === true && !evidence.isCut;
    const askAgain = async (assumed: number): Promise<boolean> => {
      try {
        return await this.#run(this.#trace(undefined, assumed));
      } catch {
        return false;
      }
    };
    const ways =
      allowed || error !== undefined ? [] : await waysOf(evidence, canAskAgain ? askAgain : undefined);
    return this.#findings(evidence, allowed, ways, error);
  }

  #trace(evidence: Evidence | undefined, ...assumed: number[]): Trace {
    const question = { rule: this.#asked.rule, isList: false };
    const observer = evidence === undefined ? () => {} : evidence.note;
    return new Trace(observer as (event: object) => void, question, this.#policy.host, {
      assumed,
      isQuiet: true,
    });
  }

  async #run(trace: Trace): Promise<boolean> {
    const { rule, args } = this.#asked;
    const query = Query.forRule(this.#policy.twin, rule, args, { ...this.#settings, trace });
    return query.settle(query.begin());
  }

  #findings(evidence: Evidence, allowed: boolean, ways: readonly Way[], thrown: unknown): Findings {
    const { host } = this.#policy;
    const { rule, args } = this.#asked;
    const values = args.map(arg => host.toValue(arg, new Map()));
    const question = `${rule}(${values.map(value => this.#show.value(value)).join(', ')})`;
    const remarks: string[] = [];
    if (!allowed && thrown === undefined && evidence.roots.length === 0) {
      remarks.push(
        remarkOn(
          { name: rule, args: values, terms: undefined, rules: this.#rulesOf(rule) },
          this.#show,
          host,
        ),
      );
    }
    const error = thrown === undefined ? undefined : this.#describeError(thrown, evidence);
    const failedAt = evidence.failedAt;
    const shownWays: WhyWay[] = ways.map(way => this.#way(way));
    const by =
      allowed && thrown === undefined ? proofOf(evidence).conditions.map(each => this.#tested(each)) : [];
    const findings = {
      allowed,
      question,
      ways: shownWays,
      by,
      remarks,
      notTried: describeNotTried(evidence.notTried()),
      error,
    };
    const onError = failedAt && thrown !== undefined ? conditionOf(failedAt) : undefined;
    const errorPath = onError && pathTo(onError).conditions.map(each => this.#tested(each));
    const quote = (node: WhyNode) => {
      const written = this.#written.get(node);
      return written && annotated(written);
    };
    const text = render(findings, quote, onError && this.#node(onError), errorPath);
    const show = this;
    return {
      ...findings,
      text,
      get tree() {
        return show.#tree(evidence.roots);
      },
    };
  }

  #way({ missing, rules, conditions, isLast, others }: Way): WhyWay {
    const reason = [...rules]
      .reverse()
      .map(({ rule }) => reasonOf(rule))
      .find(each => each !== undefined);
    const node = this.#node(missing);
    const caller = callerOf(missing);
    return {
      missing: node,
      ...(reason && { reason }),
      ...(caller && { calledBy: this.#node(caller) }),
      others,
      isLast,
      conditions: conditions.map(each => (each.node === missing ? node : this.#tested(each))),
    };
  }

  #tested({ term, state, node }: Tested): WhyNode {
    if (node !== undefined) return this.#node(node, state);
    return { kind: 'condition', state, text: textOf(term), place: rangeOf(term, undefined) };
  }

  #node(node: Node, state?: WhyNode['state']): WhyNode {
    const { attempt, kind } = node;
    const values = kind === 'rule' ? undefined : this.#values(node);
    const shown: WhyNode = {
      kind: kind === 'rule' ? 'rule' : 'condition',
      state: state ?? (node.state === 'open' ? 'not tested' : node.state),
      text: kind === 'rule' ? textOf(attempt.written, 60) : textOf(attempt.written),
      place: rangeOf(attempt.written, attempt.rule),
      ...(values !== undefined && { values }),
    };
    this.#written.set(shown, attempt.written);
    return shown;
  }

  #tree(roots: readonly Node[]): WhyNode[] {
    let left = MAX_TREE_NODES;
    const convert = (nodes: readonly Node[], depth: number): WhyNode[] => {
      const shown: WhyNode[] = [];
      for (const node of nodes) {
        if (node.kind === 'lookup') continue;
        if (--left < 0 || depth > MAX_TREE_DEPTH) return shown;
        const parts = convert(node.parts, depth + 1);
        shown.push({ ...this.#node(node), ...(parts.length > 0 && { parts }) });
      }
      return shown;
    };
    return convert(roots, 0);
  }

  /** What a condition came to. */
  #values(node: Node): string | undefined {
    const { term, values } = node;
    if (term.kind === 'call') return this.#ofCall(node, term.args, term.name);
    if (term.kind === 'variable')
      return values.length === 0 ? undefined : this.#show.value(values[0] as Value);
    if (term.kind !== 'operation') return undefined;
    const { operator, args } = term;
    const operand = (at: number): string => {
      const written = args[at];
      if (written && LITERALS.has(written.kind)) return textOf(written);
      const value = values[at];
      return value === undefined ? '_' : this.#show.value(value);
    };
    switch (operator) {
      case '.':
        return values.length === 0 ? undefined : this.#show.value(values[0] as Value);
      case 'in':
        if (values[0] instanceof LogicVariable || values[0] === undefined) return `nothing in ${operand(1)}`;
        return `${operand(0)} in ${operand(1)}`;
      case 'matches':
        return `${operand(0)}${this.#fieldsFor(args[1], values[0])}`;
      case 'not':
      case 'forall':
        return node.state === 'failed' ? this.#ofNegation(node) : undefined;
      case '=':
      case ':=':
      case '==':
      case '!=':
      case '<':
      case '<=':
      case '>':
      case '>=':
        return values.length < 2 ? undefined : `${operand(0)} ${operator} ${operand(1)}`;
      default:
        return undefined;
    }
  }

  /** What an object has of the fields that a pattern asks for. No getter is called. */
  #fieldsFor(pattern: Term | undefined, value: Value | undefined): string {
    if (pattern?.kind !== 'pattern' || !(value instanceof Instance) || pattern.fields.size === 0) return '';
    const { value: object } = value;
    if (typeof object !== 'object' || object === null) return '';
    const fields = [...pattern.fields.keys()].map(name => {
      const field: unknown = Object.getOwnPropertyDescriptor(object, name)?.value;
      const isPlain = ['string', 'number', 'boolean'].includes(typeof field);
      return `${name}: ${isPlain ? this.#show.value(field as string) : '…'}`;
    });
    return `{${fields.join(', ')}}`;
  }

  #ofCall(node: Node, terms: readonly Term[], name: string): string | undefined {
    const tried = node.parts.filter(({ kind }) => kind === 'rule');
    const by = tried.filter(({ hasHeld }) => hasHeld);
    if (node.hasHeld && by.length > 0) return `by ${linesOf(by).join(', ')}`;
    if (tried.length > 0 || node.state !== 'failed') return undefined;
    return remarkOn(
      { name, args: node.values, terms, rules: this.#rulesOf(name) },
      this.#show,
      this.#policy.host,
    );
  }

  /** What holds that should not, or for which item something does not hold. */
  #ofNegation(node: Node): string | undefined {
    const isNot = node.term.kind === 'operation' && node.term.operator === 'not';
    const inner = node.parts.filter(
      ({ kind, hasHeld, isMissing }) => kind === 'condition' && (isNot ? hasHeld : isMissing),
    );
    const [part] = inner.slice(-1);
    if (part === undefined) return undefined;
    const values = this.#values(part);
    const { term } = part;
    if (term.kind === 'variable' || (term.kind === 'operation' && term.operator === '.')) return values;
    if (term.kind === 'call' && isNot)
      return `${textOf(term, 60)} holds${values === undefined ? '' : `, ${values}`}`;
    return `${values ?? textOf(term, 60)} ${isNot ? 'holds' : 'does not hold'}`;
  }

  #describeError(error: unknown, evidence: Evidence): string {
    if (error instanceof NotCovered) {
      const at = error.place === undefined ? '' : ` ${describePlace(error.place)}`;
      return `Oso's engine answered this question, because of ${error.construct}${at}. It cannot be asked why.`;
    }
    if (!(error instanceof PolicyError)) {
      const name = error instanceof Error ? error.constructor.name : typeof error;
      return `the application failed: ${name}`;
    }
    if (error instanceof PolicyBudgetError) return this.#describeBudget(error, evidence);
    const missing = /^There is no attribute "([^"]*)"/.exec(error.message)?.[1];
    const object = evidence.failedAt?.attempt.operands[0];
    if (missing === undefined || !(object instanceof Instance)) return error.message;
    const meant = closest(missing, namesOf(object.value));
    return meant === undefined ? error.message : `${error.message}; did you mean "${meant}"?`;
  }

  #describeBudget(error: PolicyBudgetError, { failedAt }: Evidence): string {
    const { steps } = this.#settings.budget;
    const message = error.message.replace(String(steps), String(steps / STEPS_OF_TWIN));
    const line = failedAt && repeatedLine(failedAt);
    return line === undefined ? message : `${message} The rule in line ${line} asks itself the same again`;
  }

  #rulesOf(name: string): readonly Rule[] {
    return this.#policy.rulesOf(name);
  }
}

const LITERALS: ReadonlySet<Term['kind']> = new Set<Term['kind']>(['string', 'number', 'boolean']);

/** The condition that calls the rule in which a condition stands. */
function callerOf(node: Node): Node | undefined {
  let rule = node.parent;
  while (rule !== undefined && rule.kind !== 'rule') rule = rule.parent;
  return rule?.parent;
}

/** The line of a rule that came to call itself with the same arguments. */
function repeatedLine(node: Node): number | undefined {
  const seen = new Map<number, Node[]>();
  let depth = 0;
  for (let each: Node | undefined = node; each !== undefined && depth < 200; each = each.parent, depth++) {
    if (each.kind !== 'rule') continue;
    const { rule, attempt } = each;
    const before = seen.get(rule.offset) ?? [];
    const isSame = (other: Node): boolean =>
      attempt.operands.every((value, at) => isSameValue(value, other.attempt.operands[at]));
    if (before.some(isSame)) return lineOf(rule);
    seen.set(rule.offset, [...before, each]);
  }
  return undefined;
}

function isSameValue(left: Value, right: Value | undefined): boolean {
  if (left instanceof Instance && right instanceof Instance) return left.value === right.value;
  return left === right;
}

/** The condition that something was read for. */
function conditionOf(node: Node): Node {
  return node.kind === 'lookup' && node.parent?.kind === 'condition' ? node.parent : node;
}

/** The lines of the rules that made a call hold, those that it calls included. */
function linesOf(rules: readonly Node[]): number[] {
  const lines: number[] = [];
  const open = rules.slice(-1);
  for (let rule = open.pop(); rule !== undefined && lines.length < 8; rule = open.pop()) {
    lines.push(lineOf(rule.rule));
    for (const part of rule.parts) {
      if (part.kind !== 'condition' || !part.hasHeld) continue;
      open.push(...part.parts.filter(({ kind, hasHeld }) => kind === 'rule' && hasHeld).slice(-1));
    }
  }
  return [...new Set(lines)];
}

function describeNotTried(rules: readonly Rule[]): string | undefined {
  if (rules.length === 0) return undefined;
  const names = [...new Set(rules.map(({ name }) => name))];
  const last = names.pop() as string;
  const all = names.length === 0 ? last : `${names.join(', ')} and ${last}`;
  return `${rules.length} ${rules.length === 1 ? 'rule' : 'rules'} of ${all}, for other arguments`;
}
