import { createHash } from 'node:crypto';
import type { EntityRelation, Field } from '../schema.js';
import {
  always,
  type Column,
  type Comparison,
  type ComparisonOperator,
  type Condition,
  type Exists,
  isNegated,
  never,
  notDeleted,
  type Reach,
  type RowVariable,
  whereNull,
} from './condition.js';

/**
 * Makes conditions of conditions, and simplifies them on the way, so that the SQL looks hand-written.
 *
 *     or([owner = 1, owner = 2])                          owner in (1, 2)
 *     or([and([a, owner = 1]), and([a, owner = 2])])      and([a, owner in (1, 2)])
 *     or([exists(grant, user = 1), exists(grant, user = 2)])  exists(grant, user in (1, 2))
 *     negate(and([a, owner = 1]))                         or([negate(a), owner != 1, owner is null])
 */

export function and(conditions: readonly Condition[]): Condition {
  return combine('and', conditions);
}

export function or(conditions: readonly Condition[]): Condition {
  return combine('or', conditions);
}

/** Simplifies, so that the SQL looks hand-written. */
function combine(kind: 'and' | 'or', conditions: readonly Condition[]): Condition {
  const decides = kind === 'and' ? 'never' : 'always';
  const changesNothing = kind === 'and' ? 'always' : 'never';
  const given: Condition[] = [];
  for (const condition of conditions) {
    if (condition.kind === decides) return condition;
    if (condition.kind === kind) for (const part of condition.conditions) add(given, part);
    else if (condition.kind !== changesNothing) add(given, condition);
  }
  if (given.length < 2) return given[0] ?? (kind === 'and' ? always : never);
  if (given.length <= FEW && !mayComeTogether(given)) return { kind, conditions: given };
  let parts: readonly Condition[] = kind === 'or' ? inRows(given) : given;
  for (let pass = 0; pass < MAX_PASSES; pass++) {
    const fewer = bringTogether(kind, parts);
    if (fewer.length === parts.length) break;
    parts = fewer;
  }
  return parts.length === 1 ? (parts[0] as Condition) : { kind, conditions: parts };
}

/** Leaves out what is there already, if that is seen at a glance. */
function add(conditions: Condition[], condition: Condition): void {
  if (conditions.length > FEW || !conditions.includes(condition)) conditions.push(condition);
}

/** Of so few conditions, each is held against each: that is quicker than to make keys of them, and most have nothing in common. */
const FEW = 6;

function mayComeTogether(conditions: readonly Condition[]): boolean {
  for (let at = 1; at < conditions.length; at++) {
    for (let before = 0; before < at; before++) {
      if (mayBeAlike(conditions[before] as Condition, conditions[at] as Condition)) return true;
    }
  }
  return false;
}

/** Whether two conditions may be the same, or come together: if in doubt, yes. */
function mayBeAlike(left: Condition, right: Condition): boolean {
  if ('column' in left) {
    return (
      'column' in right &&
      (left.kind === right.kind || (isOfValues(left) && isOfValues(right))) &&
      left.column.row.number === right.column.row.number &&
      left.column.field.column === right.column.field.column
    );
  }
  if (left.kind !== right.kind) return false;
  return !isExists(left) || left.to.number === (right as Exists).to.number;
}

/** What was brought together may have something in common that its parts had not. */
const MAX_PASSES = 4;

/** Conditions that have a subject in common, if there are several. */
interface Group {
  readonly members: Condition[];
  subject: string | undefined;
}

/** One look at each condition, however many there are: a list of a user may be long. */
function bringTogether(kind: 'and' | 'or', conditions: readonly Condition[]): readonly Condition[] {
  const groups: Group[] = [];
  const bySubject = new Map<string, Group>();
  for (const condition of conditions) {
    const subjects = subjectsOf(kind, condition);
    const subject = subjects.find(each => {
      const group = bySubject.get(each);
      return group !== undefined && (group.subject ?? each) === each;
    });
    if (subject === undefined) {
      const group: Group = { members: [condition], subject: undefined };
      groups.push(group);
      for (const each of subjects) bySubject.set(each, group);
    } else {
      const group = bySubject.get(subject) as Group;
      group.subject = subject;
      group.members.push(condition);
    }
  }
  return groups.map(({ members, subject }) =>
    subject === undefined ? (members[0] as Condition) : merge(kind, subject, members),
  );
}

/**
 * Conditions that have a subject in common come together: alternatives which differ in the values of one column only (and
 * so what has to be different from each of some values), what is asked of one related row, or the same condition twice.
 */
function subjectsOf(kind: 'and' | 'or', condition: Condition): readonly string[] {
  const parts = partsIn(kind, condition);
  return parts.length === 0 ? [keyOf(condition)] : parts.map(({ subject }) => subject);
}

/** Brings together conditions that have a subject in common. */
function merge(kind: 'and' | 'or', subject: string, members: readonly Condition[]): Condition {
  const parts: PartIn[] = [];
  for (const member of members) {
    const found = partsIn(kind, member).find(each => each.subject === subject);
    if (found === undefined) return members[0] as Condition;
    parts.push(found);
  }
  const [first] = parts as [PartIn];
  const merged = mergeParts(
    kind,
    parts.map(({ part }) => part),
  );
  if (merged === first.part) return members[0] as Condition;
  return first.others.length === 0
    ? merged
    : combine(kind === 'or' ? 'and' : 'or', [...first.others, merged]);
}

function mergeParts(kind: 'and' | 'or', parts: readonly Part[]): Condition {
  const first = parts[0] as Part;
  if (isExists(first)) {
    const conditions = (parts as readonly Exists[]).map(({ condition }) => condition);
    return { ...first, condition: combine(first.kind === 'exists' ? kind : DUAL[kind], conditions) };
  }
  const values = new Set<unknown>();
  for (const part of parts as readonly ListOfValues[]) for (const value of valuesOf(part)) values.add(value);
  if (values.size === valuesOf(first).length) return first;
  return { kind: kind === 'or' ? 'in' : 'notIn', column: first.column, values: [...values] };
}

/** Fewer alternatives than this are written out. */
const MIN_ROWS = 3;
/** More rows than this are not made of lists that one alternative has for several columns. */
const MAX_PRODUCT = 1_000;

/** An alternative as the values that some columns may have together, and what has to hold besides. */
interface Tabled {
  readonly columns: readonly Column[];
  readonly rows: readonly (readonly unknown[])[];
  readonly others: readonly Condition[];
}

/**
 * Alternatives in which several columns differ together, as the two of a composite key do, become one list of rows. Those that
 * have every value of the one column with every value of the other are left to become two lists of values.
 */
function inRows(alternatives: readonly Condition[]): readonly Condition[] {
  if (alternatives.length < MIN_ROWS) return alternatives;
  const result: (Condition | Tabled[])[] = [];
  const bySubject = new Map<string, Tabled[]>();
  for (const alternative of alternatives) {
    const tabled = tabledOf(alternative);
    if (tabled === undefined) {
      result.push(alternative);
      continue;
    }
    const { columns, others } = tabled;
    const subject = shortened(`${columns.map(keyOfColumn).join()}: ${others.map(keyOf).join(' and ')}`);
    const known = bySubject.get(subject);
    if (known !== undefined) known.push(tabled);
    else {
      const group = [tabled];
      bySubject.set(subject, group);
      result.push(group);
    }
  }
  const grouped = [...bySubject.values()];
  if (grouped.every(({ length }) => length === 1)) return alternatives;
  return result.flatMap(each => (Array.isArray(each) ? fromRows(each) : [each as Condition]));
}

function tabledOf(alternative: Condition): Tabled | undefined {
  const parts = alternative.kind === 'and' ? alternative.conditions : [alternative];
  if (!hasSeveral(parts)) return undefined;
  const columns: Column[] = [];
  const others: Condition[] = [];
  let rows: readonly (readonly unknown[])[] = [[]];
  for (const part of parts) {
    const isTable = part.kind === 'inRows';
    if (!isTable && !isPlainList(part)) {
      others.push(part);
      continue;
    }
    const [added, values] = isTable
      ? [part.columns, part.rows]
      : [[part.column], valuesOf(part).map(value => [value])];
    if (rows.length > 1 && values.length > 1 && rows.length * values.length > MAX_PRODUCT) return undefined;
    columns.push(...added);
    rows = rows.flatMap(row => values.map(more => [...row, ...more]));
  }
  return columns.length < 2 || columns.length > MAX_PARTS ? undefined : { columns, rows, others };
}

function hasSeveral(parts: readonly Condition[]): boolean {
  let columns = 0;
  for (const part of parts) {
    if (part.kind === 'inRows') return true;
    if (isPlainList(part)) columns++;
  }
  return columns > 1;
}

function isPlainList(condition: Condition): condition is ListOfValues {
  return isListOfValues('or', condition) && isPlain(condition.column);
}

/** Whether the values of a column can be listed beside those of others. Text that may fail is a day. */
function isPlain({ field: { type, mayFail } }: Column): boolean {
  return PLAIN.has(type?.kind) && !(type.kind === 'text' && mayFail === true);
}

const PLAIN: ReadonlySet<string | undefined> = new Set(['integer', 'number', 'bigint', 'uuid', 'text']);

function fromRows(group: readonly Tabled[]): readonly Condition[] {
  const [{ columns, others }] = group as readonly [Tabled];
  const rows = new Map<string, readonly unknown[]>();
  for (const tabled of group) for (const row of tabled.rows) rows.set(keyOfRow(row), row);
  const distinct = columns.map((_, at) => new Set([...rows.values()].map(row => row[at])));
  const varying = distinct.filter(({ size }) => size > 1).length;
  const isProduct = distinct.reduce((product, { size }) => product * size, 1) === rows.size;
  if (isProduct || varying < 2 || rows.size < MIN_ROWS) {
    const lists = columns.map((column, at) => listOf(column, [...(distinct[at] as Set<unknown>)]));
    if (isProduct) return [and([...others, ...lists])];
    return [...rows.values()].map(row =>
      and([...others, ...columns.map((column, at) => listOf(column, [row[at]]))]),
    );
  }
  return [and([...others, { kind: 'inRows', columns, rows: [...rows.values()] }])];
}

function listOf(column: Column, values: readonly unknown[]): Condition {
  return values.length === 1
    ? { kind: 'compare', column, operator: '=', value: values[0] }
    : { kind: 'in', column, values };
}

const DUAL = { and: 'or', or: 'and' } as const;

/** What may differ between conditions that come together. */
type Part = ListOfValues | Exists;

interface PartIn {
  readonly part: Part;
  /** What has to hold besides; or, of a list of values that it must not be, what may hold instead. */
  readonly others: readonly Condition[];
  /** The same if all but what may differ is. */
  readonly subject: string;
}

/** A condition with more than so many parts that may differ is left as it is. */
const MAX_PARTS = 4;
const NONE: readonly Condition[] = [];

/** Each part of a condition that may differ from the same part of another, and the two still come together. */
function partsIn(kind: 'and' | 'or', condition: Condition): readonly PartIn[] {
  if (condition.kind !== DUAL[kind]) {
    return mayDiffer(kind, condition)
      ? [{ part: condition, others: NONE, subject: subjectOf(condition) }]
      : [];
  }
  const { conditions } = condition;
  const parts = conditions.filter(part => mayDiffer(kind, part));
  if (parts.length > MAX_PARTS) return [];
  return parts.map(part => {
    const others = conditions.filter(each => each !== part);
    return { part, others, subject: `${subjectOf(part)}, ${shortened(others.map(keyOf).join(' and '))}` };
  });
}

/**
 * Whether alternatives that differ in this part alone (or, of `and`, what has to hold together) are one: lists of values, and
 * what is asked of a related row. Of a relation to many, each alternative may speak of another row.
 */
function mayDiffer(kind: 'and' | 'or', condition: Condition): condition is Part {
  if (condition.kind === 'exists') return kind === 'or' || condition.relation.kind === 'one';
  if (condition.kind === 'notExists') return kind === 'and' || condition.relation.kind === 'one';
  return isListOfValues(kind, condition);
}

function isExists(condition: Condition): condition is Exists {
  return condition.kind === 'exists' || condition.kind === 'notExists';
}

function subjectOf(part: Part): string {
  return isExists(part) ? `${part.kind} ${keyOfStep(part)}` : `${keyOfColumn(part.column)} in`;
}

function isOfValues({ kind }: Condition): boolean {
  return kind === 'compare' || kind === 'in' || kind === 'notIn';
}

type ListOfValues = Extract<Condition, { kind: 'compare' | 'in' | 'notIn' }>;

function isListOfValues(kind: 'and' | 'or', condition: Condition): condition is ListOfValues {
  if (condition.kind !== 'compare') return condition.kind === (kind === 'or' ? 'in' : 'notIn');
  return condition.operator === (kind === 'or' ? '=' : '!=') && typeof condition.value !== 'object';
}

function valuesOf(condition: ListOfValues): readonly unknown[] {
  return condition.kind === 'compare' ? [condition.value] : condition.values;
}

const keys = new WeakMap<Condition, string>();
/** Longer keys are kept as a digest, so that conditions within conditions within conditions have no longer ones. */
const MAX_KEY_LENGTH = 200;

function shortened(key: string): string {
  return key.length <= MAX_KEY_LENGTH ? key : createHash('sha256').update(key).digest('base64');
}

/** The same for conditions that are the same. */
function keyOf(condition: Condition): string {
  // Quicker made anew than kept.
  if (condition.kind === 'compare') return shortened(makeKey(condition));
  let key = keys.get(condition);
  if (key === undefined) {
    key = shortened(makeKey(condition));
    keys.set(condition, key);
  }
  return key;
}

function makeKey(condition: Condition): string {
  switch (condition.kind) {
    case 'and':
    case 'or':
      return `${condition.kind}(${condition.conditions.map(keyOf).join(',')})`;
    case 'compare':
      return `${keyOfColumn(condition.column)} ${operatorOf(condition)} ${keyOfValue(condition.value)}`;
    case 'in':
    case 'notIn':
      return `${keyOfColumn(condition.column)} ${condition.kind} ${condition.values.map(keyOfValue).join(',')}`;
    case 'inRows':
      return `${condition.columns.map(keyOfColumn).join()} in ${condition.rows.map(row => `(${keyOfRow(row)})`).join()}`;
    case 'isNotNull':
      return `${condition.kind} ${keyOfColumn(condition.column)} ${condition.column.field.mayFail}`;
    case 'isNull':
    case 'isReadable':
    case 'isUnreadable':
      return `${condition.kind} ${keyOfColumn(condition.column)}`;
    case 'compareColumns':
      return `${keyOfColumn(condition.left)} ${operatorOf(condition)} ${keyOfColumn(condition.right)}`;
    case 'exists':
    case 'notExists':
      return `${condition.kind} ${keyOfStep(condition)} ${keyOf(condition.condition)}`;
    case 'reaches':
    case 'reachesNone': {
      const { key, row, relation, base, step } = condition;
      return `${condition.kind} ${key.map(keyOfColumn).join()} ${row.number}.${relation.name} ${keyOf(base)} ${keyOf(step)}`;
    }
    default:
      return condition.kind;
  }
}

function keyOfStep({ relation, from, to }: Exists): string {
  return `${from.number}.${relation.name} ${to.number}`;
}

const fieldKeys = new WeakMap<Field, string>();

function keyOfColumn({ row, field }: Column): string {
  let key = fieldKeys.get(field);
  if (key === undefined) {
    key = JSON.stringify(field.column);
    fieldKeys.set(field, key);
  }
  return `${row.number}.${key}`;
}

function operatorOf(condition: Comparison): string {
  return isNegated(condition) ? `not ${condition.operator}` : condition.operator;
}

/** JSON would make the same of all numbers that are infinite. */
function keyOfRow(row: readonly unknown[]): string {
  return row.map(keyOfValue).join();
}

function keyOfValue(value: unknown): string {
  return value instanceof Date
    ? `date ${value.getTime()}`
    : `${typeof value} ${typeof value === 'number' ? value : JSON.stringify(value)}`;
}

/**
 * Whether there is a related row for which the condition holds. What does not speak of that row is asked outside, if
 * the database can make more of it.
 */
export function exists(
  relation: EntityRelation,
  from: RowVariable,
  to: RowVariable,
  condition: Condition,
): Condition {
  const there = notDeleted(to);
  const met = there.kind === 'always' ? condition : and([there, condition]);
  if (met.kind === 'never') return never;
  const parts = met.kind === 'and' ? met.conditions : [met];
  const inside: Condition[] = [];
  const outside: Condition[] = [];
  for (const part of parts) (speaksOf(part, to) ? inside : outside).push(part);
  return and([{ kind: 'exists', relation, from, to, condition: and(inside) }, ...outside]);
}

/** Whether a row reaches one for which `base` holds. Deleted rows are none; that there is a next one shows when it is reached. */
export function reaches({ base, step, ...reach }: Omit<Reach, 'kind'>): Condition {
  const { row, relation } = reach;
  const met = and([notDeleted(row), base]);
  if (met.kind === 'never') return never;
  const parts = step.kind === 'and' ? step.conditions : [step];
  const asked = parts.filter(part => !isThat(part, row, relation));
  return { ...reach, kind: 'reaches', base: met, step: and([notDeleted(row), ...asked]) };
}

/** Whether a condition says no more than that there is a row that a relation leads to. */
function isThat(condition: Condition, { number }: RowVariable, relation: EntityRelation): boolean {
  if (condition.kind === 'isNotNull') {
    const { row, field } = condition.column;
    return (
      row.number === number &&
      !field.mayFail &&
      relation.join.some(({ from }) => from.column === field.column)
    );
  }
  if (condition.kind !== 'exists' || condition.relation !== relation || condition.from.number !== number)
    return false;
  return keyOf(condition.condition) === keyOf(notDeleted(condition.to));
}

const spoken = new WeakMap<Condition, Map<number, boolean>>();

/** Whether a condition speaks of a row. It is worked out once: a condition may be a part of many. */
export function speaksOf(condition: Condition, row: RowVariable): boolean {
  if ('column' in condition) return condition.column.row.number === row.number;
  let known = spoken.get(condition);
  if (known === undefined) {
    known = new Map();
    spoken.set(condition, known);
  }
  let speaks = known.get(row.number);
  if (speaks === undefined) {
    speaks = findsIn(condition, row);
    known.set(row.number, speaks);
  }
  return speaks;
}

function findsIn(condition: Condition, row: RowVariable): boolean {
  switch (condition.kind) {
    case 'and':
    case 'or':
      return condition.conditions.some(part => speaksOf(part, row));
    case 'compare':
    case 'in':
    case 'notIn':
    case 'isNull':
    case 'isNotNull':
    case 'isReadable':
    case 'isUnreadable':
      return condition.column.row.number === row.number;
    case 'compareColumns':
      return condition.left.row.number === row.number || condition.right.row.number === row.number;
    case 'exists':
    case 'notExists':
      return condition.from.number === row.number || speaksOf(condition.condition, row);
    case 'inRows':
      return condition.columns.some(column => column.row.number === row.number);
    case 'reaches':
    case 'reachesNone':
      return condition.key.some(column => column.row.number === row.number);
    default:
      return false;
  }
}

const OPPOSITES: Readonly<Record<ComparisonOperator, ComparisonOperator>> = {
  '=': '!=',
  '!=': '=',
  '<': '>=',
  '<=': '>',
  '>': '<=',
  '>=': '<',
};

const negations = new WeakMap<Condition, Condition>();

/** The condition that holds exactly if `condition` does not. It is worked out once, as a condition may be a part of many. */
export function negate(condition: Condition): Condition {
  if (condition.kind === 'compare' && !condition.column.field.nullable) return negated(condition);
  let negation = negations.get(condition);
  if (negation === undefined) {
    negation = negated(condition);
    negations.set(condition, negation);
    // It has the other as its own, so that what is negated again and again does not grow.
    if (!isConstant(negation) && !negations.has(negation)) negations.set(negation, condition);
  }
  return negation;
}

function isConstant({ kind }: Condition): boolean {
  return kind === 'always' || kind === 'never';
}

function negated(condition: Condition): Condition {
  switch (condition.kind) {
    case 'always':
      return never;
    case 'never':
      return always;
    case 'and':
      return or(condition.conditions.map(negate));
    case 'or':
      return and(condition.conditions.map(negate));
    case 'compare':
      return or([opposite(condition, condition.column.field), whereNull(condition.column)]);
    case 'in':
      return or([{ ...condition, kind: 'notIn' }, whereNull(condition.column)]);
    case 'notIn':
      return or([{ ...condition, kind: 'in' }, whereNull(condition.column)]);
    case 'inRows':
      return and(
        condition.rows.map(row =>
          or(condition.columns.map((column, at) => negate(listOf(column, [row[at]])))),
        ),
      );
    case 'isNull':
      return { ...condition, kind: 'isNotNull' };
    case 'isNotNull':
      return { ...condition, kind: 'isNull' };
    case 'isReadable':
      return { ...condition, kind: 'isUnreadable' };
    case 'isUnreadable':
      return { ...condition, kind: 'isReadable' };
    case 'compareColumns':
      return or([
        opposite(condition, condition.left.field, condition.right.field),
        whereNull(condition.left),
        whereNull(condition.right),
      ]);
    case 'exists':
      return { ...condition, kind: 'notExists' };
    case 'notExists':
      return { ...condition, kind: 'exists' };
    case 'reaches':
      return or([{ ...condition, kind: 'reachesNone' }, ...condition.key.map(whereNull)]);
    case 'reachesNone':
      return or([{ ...condition, kind: 'reaches' }, ...condition.key.map(whereNull)]);
  }
}

/** The comparison that holds of those values that are not null, and of which this one does not hold. */
function opposite<Compared extends Comparison>(comparison: Compared, ...fields: readonly Field[]): Compared {
  const { negated, ...condition } = comparison;
  if (isNegated(comparison)) return condition as Compared;
  const isOrder = condition.operator !== '=' && condition.operator !== '!=';
  if (isOrder && fields.some(({ mayBeNaN }) => mayBeNaN)) return { ...condition, negated: true } as Compared;
  return { ...condition, operator: OPPOSITES[condition.operator] } as Compared;
}
