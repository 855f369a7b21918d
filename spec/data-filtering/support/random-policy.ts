import fc from 'fast-check';
import type { Entity, EntityRelation, Field, FieldType } from '../../../src/data-filtering/schema.js';
import { type EntityName, ORGANIZATION_IDS, schema, TAG_IDS, TEXTS, USER_IDS } from './world.js';

/** What fast-check draws values with. */
export type Draw = fc.GeneratorValue;

/**
 * Text of a policy. Where it offers alternatives – rules of one name, the sides of an `or` – it can be written with all of
 * them or with one.
 */
export type Text = string | readonly Text[] | Alternatives;

interface Alternatives {
  readonly alternatives: readonly Text[];
  readonly joined: (texts: readonly string[]) => string;
}

/** Writes the text with all of its alternatives. */
export function write(text: Text): string {
  return withoutSingletons(join(text));
}

/** Oso refuses variables that a rule names once, unless they start with an underscore. */
export function withoutSingletons(policy: string): string {
  return policy.replaceAll(/^\w+\(.*;$/gm, rule =>
    rule.replaceAll(/\b(actor|action|resource|item|found|[a-z]+\d+)\b(?!\()/g, name =>
      rule.split(new RegExp(`\\b${name}\\b`)).length === 2 ? `_${name}` : name,
    ),
  );
}

/** With all of its alternatives, or with those that `pick` picks. */
function join(text: Text, pick?: (count: number) => number): string {
  if (typeof text === 'string') return text;
  if (!('alternatives' in text)) return text.map(each => join(each, pick)).join('');
  const { alternatives, joined } = text;
  if (pick === undefined || alternatives.length === 0) return joined(alternatives.map(each => join(each)));
  return joined([join(alternatives[pick(alternatives.length)] as Text, pick)]);
}

/** Writes the text with one of its alternatives each time, in all ways there are. */
export function* writeEach(text: Text): Generator<string> {
  let picks: number[] = [];
  for (;;) {
    const counts: number[] = [];
    const picked = picks;
    const written = join(text, count => {
      counts.push(count);
      return picked[counts.length - 1] ?? 0;
    });
    yield withoutSingletons(written);
    picks = counts.map((_, at) => picked[at] ?? 0);
    while (picks.length > 0 && picks.at(-1) === (counts[picks.length - 1] as number) - 1) picks.pop();
    if (picks.length === 0) return;
    picks.push((picks.pop() as number) + 1);
  }
}

/** A policy, and the entity whose rows are asked for. */
export interface RandomPolicy {
  readonly entity: EntityName;
  readonly text: Text;
}

export const ACTION = 'read';

/** Draws a policy. */
export function randomPolicy(draw: Draw): RandomPolicy {
  return new PolicyWriter(draw).policy();
}

/** A variable of a rule: a row of an entity, that may be known (what the actor is related to is), or null. */
interface Row {
  readonly text: string;
  readonly entity: Entity;
  readonly known: boolean;
}

interface Helper {
  readonly name: string;
  readonly entity: Entity;
  /** What its second parameter is: the actor, or what the helper finds. */
  readonly finds: Field | EntityRelation | undefined;
}

const MAX_DEPTH = 3;

class PolicyWriter {
  readonly #draw: Draw;
  readonly #helpers: Helper[] = [];
  #variables = 0;
  /** Whether what is written stands in a negation. */
  #negated = false;
  #helperNegated = false;

  constructor(draw: Draw) {
    this.#draw = draw;
  }

  policy(): RandomPolicy {
    const entity = entityNamed(
      this.#pick(
        'Expense',
        'Expense',
        'Expense',
        'Expense',
        'Line',
        'User',
        'Organization',
        'Membership',
        'Tag',
      ),
    );
    const helpers = this.#times(2, () => this.#helper());
    const own = this.#oneIn(30)
      ? [`allow(_, "write", _: ${entity.name});\n`]
      : [this.#rule(entity), ...this.#times(2, () => this.#rule(entity))];
    const blocks = this.#oneIn(4) ? this.#blocks() : '';
    const ofBlocks =
      blocks !== '' && ['Organization', 'Expense', 'Line'].includes(entity.name)
        ? [`allow(actor, action, resource: ${entity.name}) if has_permission(actor, action, resource);\n`]
        : [];
    const rules: Text = { alternatives: [...ofBlocks, ...own], joined: texts => texts.join('\n') };
    const written: Text = this.#helperNegated ? helpers.map(each => join(each)) : helpers;
    return { entity: entity.name as EntityName, text: [blocks, written, rules] };
  }

  /** `allow(…) if …;` */
  #rule(entity: Entity): Text {
    if (this.#oneIn(40)) return `allow(_, _, _: ${entity.name});\n`;
    const resource = this.#oneIn(8) ? 'resource' : `resource: ${entity.name}`;
    const actor = this.#oneIn(3)
      ? `actor: User${this.#oneIn(5) ? this.#pattern(entityNamed('User'), 0) : ''}`
      : 'actor';
    const patterned = resource.includes(':') && this.#oneIn(5) ? this.#pattern(entity, 1) : '';
    const action = this.#pick(`"${ACTION}"`, `"${ACTION}"`, `"${ACTION}"`, 'action', 'action');
    const head = `allow(${actor}, ${action}, ${resource}${patterned})`;
    const conditions: Text[] =
      action === 'action' && this.#oneIn(2) ? [`action in ["${ACTION}", "list"]`] : [];
    if (!(patterned !== '' && this.#oneIn(3))) conditions.push(...this.#conditions(this.#rows(entity)));
    return [head, conditions.length === 0 ? '' : ' if ', all(conditions), ';\n'];
  }

  #rows(entity: Entity): Row[] {
    return [
      { text: 'resource', entity, known: false },
      { text: 'actor', entity: entityNamed('User'), known: true },
    ];
  }

  /** One to three conditions in a row. */
  #conditions(rows: readonly Row[]): Text[] {
    return [this.#condition(rows, 0), ...this.#times(2, () => this.#condition(rows, 0))];
  }

  #condition(rows: readonly Row[], depth: number): Text {
    const isDeep = depth >= MAX_DEPTH;
    const kinds = [
      ...Array(8).fill(() => this.#comparison(rows)),
      ...Array(2).fill(() => this.#fields(rows)),
      ...Array(4).fill(() => this.#sameRow(rows)),
      ...Array(2).fill(() => this.#inList(rows)),
      () => this.#boolean(rows),
      () => this.#matches(rows),
      () => this.#inKnownRows(rows),
      ...(this.#helpers.length === 0 ? [] : Array(3).fill(() => this.#call(rows, depth))),
      ...(isDeep
        ? []
        : [
            ...Array(4).fill(() => this.#someOf(rows, depth)),
            ...Array(2).fill(() => this.#or(rows, depth)),
            () => all([this.#condition(rows, depth + 1), this.#condition(rows, depth + 1)]),
            ...Array(2).fill(() => this.#not(() => this.#condition(rows, depth + 1))),
            () => this.#forall(rows, depth),
            () => this.#guarded(rows, depth),
            () => this.#bound(rows, depth),
          ]),
    ] as (() => Text)[];
    return (this.#pick(...kinds) as () => Text)();
  }

  #or(rows: readonly Row[], depth: number): Text {
    const sides = [this.#condition(rows, depth + 1), this.#condition(rows, depth + 1)];
    const joined = (texts: readonly string[]) => `(${texts.join(' or ')})`;
    return this.#negated ? joined(sides.map(each => join(each))) : { alternatives: sides, joined };
  }

  #not(inner: () => Text): Text {
    return `not (${this.#inNegation(inner)})`;
  }

  #inNegation(inner: () => Text): string {
    const before = this.#negated;
    this.#negated = true;
    const text = join(inner());
    this.#negated = before;
    return text;
  }

  /** `tag in resource.tags and …` */
  #someOf(rows: readonly Row[], depth: number): Text {
    const list = this.#rowsOf(rows);
    if (list === undefined) return this.#comparison(rows);
    const item = this.#variable(list.entity);
    const about = [...rows, { ...item, known: list.known }];
    return all([
      `${item.text} in ${list.text}`,
      ...this.#times(2, () => this.#about(item, about, depth + 1), 1),
    ]);
  }

  #forall(rows: readonly Row[], depth: number): Text {
    const list = this.#rowsOf(rows);
    if (list === undefined) return this.#comparison(rows);
    const item = this.#variable(list.entity);
    const test = this.#inNegation(() => this.#about(item, [...rows, item], depth + 1));
    return `forall(${item.text} in ${list.text}, (${test}))`;
  }

  /** Mostly of this row, and sometimes of any. */
  #about(row: Row, rows: readonly Row[], depth: number): Text {
    return this.#condition(this.#oneIn(3) ? rows : [row, row, row, ...rows], depth);
  }

  /** `resource.approver != nil and resource.approver.name = …` */
  #guarded(rows: readonly Row[], depth: number): Text {
    const row = this.#row(rows, 2);
    return all([`${row.text} != nil`, this.#about(row, rows, depth + 1)]);
  }

  /** `owner = resource.owner and …` */
  #bound(rows: readonly Row[], depth: number): Text {
    const row = this.#row(rows, 2);
    const item = this.#variable(row.entity);
    const about = [...rows, { ...item, known: row.known }];
    return all([`${item.text} ${this.#pick('=', ':=')} ${row.text}`, this.#about(item, about, depth + 1)]);
  }

  #comparison(rows: readonly Row[]): Text {
    const { text, field } = this.#field(rows);
    const value = this.#oneIn(12) ? this.#anyValue() : this.#value(field.type);
    const operator = value === 'nil' ? this.#pick('=', '!=', '==') : this.#operator(field.type);
    return this.#oneIn(6) ? `${value} ${operator} ${text}` : `${text} ${operator} ${value}`;
  }

  #fields(rows: readonly Row[]): Text {
    const left = this.#field(rows);
    const alike = (field: Field) =>
      isNumeric(field.type) === isNumeric(left.field.type) && field.type.kind === left.field.type.kind;
    for (let tries = 0; tries < 5; tries++) {
      const right = this.#field(rows);
      if (right.text !== left.text && alike(right.field)) {
        return `${left.text} ${this.#operator(left.field.type)} ${right.text}`;
      }
    }
    return this.#comparison(rows);
  }

  #sameRow(rows: readonly Row[]): Text {
    const left = this.#row(rows, 2);
    const operator = this.#pick('=', '=', '==', '!=');
    if (this.#oneIn(6)) return `${left.text} ${operator} nil`;
    if (left.entity.name === 'User' && this.#oneIn(2)) {
      return `${left.text} ${operator} ${this.#pick('actor', 'actor', 'actor.manager')}`;
    }
    for (let tries = 0; tries < 6; tries++) {
      const right = this.#row(rows, 2);
      if (right.text === left.text) continue;
      if (right.entity === left.entity || this.#oneIn(20)) return `${left.text} ${operator} ${right.text}`;
    }
    return `${left.text} ${operator} nil`;
  }

  #boolean(rows: readonly Row[]): Text {
    const row = this.#row(rows, 2);
    const fields = [...row.entity.fields.values()].filter(({ type }) => type.kind === 'boolean');
    return fields.length === 0 ? this.#comparison(rows) : `${row.text}.${this.#pick(...fields).name}`;
  }

  #matches(rows: readonly Row[]): Text {
    const row = this.#row(rows, 2);
    const tag = this.#oneIn(3) ? '' : this.#oneIn(8) ? this.#pick(...schema.keys()) : row.entity.name;
    const entity = tag === '' ? row.entity : entityNamed(tag);
    if (tag !== '' && this.#oneIn(3)) return `${row.text} matches ${tag}`;
    return `${row.text} matches ${tag}${this.#pattern(entity, 1)}`;
  }

  /** `{paid: true, owner: {isAdmin: true}}` */
  #pattern(entity: Entity, depth: number): string {
    const fields = this.#times(2, () => this.#pick(...entity.fields.values()), 1);
    const named = new Map(fields.map(({ name, type }) => [name, this.#literal(type)]));
    const relations = [...entity.relations.values()].filter(({ kind }) => kind === 'one');
    if (depth > 0 && relations.length > 0 && this.#oneIn(4)) {
      const { name, target } = this.#pick(...relations);
      named.set(name, `${this.#oneIn(2) ? target.name : ''}${this.#pattern(target, depth - 1)}`);
    }
    return `{${[...named].map(([name, value]) => `${name}: ${value}`).join(', ')}}`;
  }

  #inList(rows: readonly Row[]): Text {
    const { text, field } = this.#field(rows);
    const lists: Record<string, string> = {
      text: 'actor.texts',
      uuid: 'actor.texts',
      enum: 'actor.texts',
      integer: 'actor.numbers',
      number: 'actor.numbers',
    };
    const known = lists[field.type.kind];
    if (known !== undefined && this.#oneIn(2)) return `${text} in ${known}`;
    return `${text} in [${this.#times(3, () => this.#value(field.type)).join(', ')}]`;
  }

  /** `resource.owner in actor.reports` */
  #inKnownRows(rows: readonly Row[]): Text {
    const row = this.#row(rows, 1);
    const lists: Record<string, string> = {
      User: 'actor.reports',
      Membership: 'actor.memberships',
      Expense: 'actor.expenses',
    };
    const list = lists[row.entity.name];
    return list === undefined ? this.#sameRow(rows) : `${row.text} in ${list}`;
  }

  /** A relation to many of one of the rows, or of a row that it is related to. */
  #rowsOf(rows: readonly Row[]): Row | undefined {
    const owner = this.#row(rows, 1);
    const relations = [...owner.entity.relations.values()].filter(({ kind }) => kind === 'many');
    if (relations.length === 0) return undefined;
    const { name, target } = this.#pick(...relations);
    return { text: `${owner.text}.${name}`, entity: target, known: owner.known };
  }

  /** One of the rows, or a row that it is related to. */
  #row(rows: readonly Row[], steps: number): Row {
    let row = this.#pick(...rows);
    // The actor's own attributes are of less interest.
    if (row.known && this.#oneIn(2)) row = this.#pick(...rows);
    for (let step = 0; step < steps && this.#oneIn(2); step++) {
      const relations = [...row.entity.relations.values()].filter(
        ({ kind, name }) =>
          kind === 'one' && (!process.env.SAFE || ['owner', 'user'].includes(name) || step === steps - 1),
      );
      if (relations.length === 0) break;
      const { name, target } = this.#pick(...relations);
      row = { text: `${row.text}.${name}`, entity: target, known: row.known };
    }
    return row;
  }

  #field(rows: readonly Row[]): { text: string; field: Field } {
    const unknown = rows.filter(({ known }) => !known);
    const row = this.#row(this.#oneIn(10) ? rows : unknown, process.env.SAFE ? 0 : 2);
    const field = this.#pick(...row.entity.fields.values());
    return { text: `${row.text}.${field.name}`, field };
  }

  #operator(type: FieldType): string {
    const isOrdered = isNumeric(type) || type.kind === 'text' || type.kind === 'date';
    if (isOrdered && this.#oneIn(2)) return this.#pick('<', '<=', '>', '>=');
    // Policies compare dates with = as they compare objects.
    return this.#oneIn(60) ? '<' : this.#pick('=', '=', '==', '!=');
  }

  #value(type: FieldType): string {
    if (this.#oneIn(12)) return this.#pick('nil', 'nil', 'actor.nothing');
    if (type.kind !== 'date' && this.#oneIn(2)) return this.#literal(type);
    switch (type.kind) {
      case 'text':
        return this.#pick('actor.text', 'actor.text', 'actor.name', 'actor.id', 'actor.id');
      case 'uuid':
        return this.#pick('actor.organizationId', 'actor.organizationId', 'actor.text');
      case 'enum':
        return this.#pick('actor.text', 'actor.settings.status');
      case 'integer':
      case 'number':
        return this.#pick('actor.number', 'actor.number', 'actor.limit');
      case 'boolean':
        return this.#pick('actor.isAdmin', 'actor.flag');
      default:
        return 'actor.when';
    }
  }

  #literal(type: FieldType): string {
    switch (type.kind) {
      case 'text':
        return quote(this.#pick(...TEXTS, ...USER_IDS, ...TAG_IDS, ...USER_IDS));
      case 'uuid':
        return quote(this.#pick(...ORGANIZATION_IDS));
      case 'enum':
        return this.#oneIn(10) ? '"no such"' : quote(this.#pick(...type.values));
      case 'integer':
      case 'number':
        return this.#pick('0', '1', '2', '3', '7', '10', '100', '-1', '0.5', '10.25', '2147483648', '1.0');
      case 'boolean':
        return this.#pick('true', 'false');
      default:
        return 'nil';
    }
  }

  #anyValue(): string {
    return this.#pick(
      '"a"',
      '1',
      'true',
      'nil',
      '[]',
      '[1]',
      '{a: 1}',
      'actor',
      'actor.anything',
      'actor.missing',
      'User',
    );
  }

  #variable(entity: Entity): Row {
    this.#variables++;
    return { text: `${entity.name.toLowerCase()}${this.#variables}`, entity, known: false };
  }

  /** `visible(expense: Expense, actor) if …;`, or one that finds something of the expense. */
  #helper(): Text {
    const entity = entityNamed(
      this.#pick('Expense', 'Expense', 'User', 'Organization', 'Line', 'Membership'),
    );
    const name = `helper${this.#helpers.length + 1}`;
    const fields = [...entity.fields.values(), ...entity.relations.values()];
    const finds = this.#oneIn(4) ? this.#pick(...fields) : undefined;
    const clause = (): Text => {
      const item = this.#pick('item', `item: ${entity.name}`, `item: ${entity.name}`);
      const row: Row = { text: 'item', entity, known: false };
      const actor: Row = { text: 'actor', entity: entityNamed('User'), known: true };
      if (finds === undefined) {
        const pattern = item !== 'item' && this.#oneIn(4) ? this.#pattern(entity, 0) : '';
        return [`${name}(${item}${pattern}, actor) if `, all(this.#conditions([row, actor])), ';\n'];
      }
      const operator = 'kind' in finds && finds.kind === 'many' ? 'in' : '=';
      const found = `found ${operator} item.${finds.name}`;
      const also = this.#oneIn(2) ? this.#times(1, () => this.#condition([row], 2)) : [];
      return [`${name}(${item}, found) if `, all([found, ...also]), ';\n'];
    };
    const helper: Text = {
      alternatives: [clause(), ...this.#times(1, clause)],
      joined: texts => texts.join(''),
    };
    this.#helpers.push({ name, entity, finds });
    return helper;
  }

  #call(rows: readonly Row[], depth: number): Text {
    const { name, entity, finds } = this.#pick(...this.#helpers);
    const arg = this.#rowOf(entity, rows);
    if (arg === undefined) return this.#comparison(rows);
    if (this.#negated) this.#helperNegated = true;
    if (finds === undefined) return `${name}(${arg.text}, actor)`;
    if (!('kind' in finds)) {
      const found = `found${++this.#variables}`;
      return all([
        `${name}(${arg.text}, ${found})`,
        `${found} ${this.#operator(finds.type)} ${this.#value(finds.type)}`,
      ]);
    }
    const found = this.#variable(finds.target);
    const call = `${name}(${arg.text}, ${found.text})`;
    return depth >= MAX_DEPTH ? call : all([call, this.#about(found, [...rows, found], depth + 1)]);
  }

  #rowOf(entity: Entity, rows: readonly Row[]): Row | undefined {
    for (let tries = 0; tries < 6; tries++) {
      const row = this.#row(rows, 2);
      if (row.entity === entity) return row;
    }
    return rows.find(row => row.entity === entity);
  }

  /** Resource blocks, with roles through memberships and through relations. */
  #blocks(): Text {
    const inOrganization = [
      'has_role(user: User, role: String, org: Organization) if m in org.members and m.user = user and m.role = role;\n',
      'has_role(user: User, role: String, org: Organization) if m in user.memberships and m.organization = org and m.role = role;\n',
      'has_role(user: User, "member", org: Organization) if user.organization = org;\n',
      'has_role(user: User, "guest", org: Organization) if org.isPublic and not (user = nil);\n',
    ];
    const inExpense = [
      'has_role(user: User, "owner", expense: Expense) if expense.owner = user;\n',
      'has_role(user: User, "owner", expense: Expense) if user = expense.approver and expense.paid;\n',
      'has_role(user: User, "owner", expense: Expense) if user in expense.owner.reports;\n',
    ];
    const some = (texts: readonly string[]) => ({
      alternatives: this.#draw(fc.subarray, [...texts], { minLength: 1 }),
      joined: (each: readonly string[]) => each.join(''),
    });
    // A role may take several of these, one after the other: they are no alternatives to each other.
    const lines = (...texts: string[]) =>
      this.#draw(fc.subarray, texts, { minLength: 1 }).map(each => `  ${each};\n`);
    return [
      'actor User {}\n',
      'resource Organization {\n  roles = ["owner", "member", "guest"];\n  permissions = ["read", "write"];\n',
      lines('"read" if "member"', '"read" if "guest"', '"write" if "owner"'),
      this.#oneIn(2) ? '  "member" if "owner";\n' : '',
      '}\n',
      'resource Expense {\n  roles = ["owner", "member"];\n  permissions = ["read", "write"];\n',
      '  relations = { organization: Organization };\n',
      lines('"read" if "owner"', '"read" if "member" on "organization"', '"read" if "member"'),
      lines(
        '"member" if "owner"',
        '"member" if "guest" on "organization"',
        '"owner" if "owner" on "organization"',
      ),
      '}\n',
      'resource Line {\n  permissions = ["read"];\n  relations = { expense: Expense };\n',
      lines('"read" if "read" on "expense"', '"read" if "owner" on "expense"'),
      '}\n',
      'has_relation(org: Organization, "organization", expense: Expense) if expense.organization = org;\n',
      'has_relation(expense: Expense, "expense", line: Line) if expense = line.expense;\n',
      some(inOrganization),
      some(inExpense),
    ];
  }

  #pick<T>(...items: readonly T[]): T {
    return items[this.#draw(fc.nat, { max: items.length - 1 })] as T;
  }

  #oneIn(count: number): boolean {
    return this.#draw(fc.nat, { max: count - 1 }) === count - 1;
  }

  #times<T>(max: number, make: () => T, min = 0): T[] {
    return Array.from({ length: this.#draw(fc.integer, { min, max }) }, make);
  }
}

function all(texts: readonly Text[]): Text {
  return texts.flatMap((text, at) => (at === 0 ? [text] : [' and ', text]));
}

function entityNamed(name: string): Entity {
  return schema.get(name) as Entity;
}

function isNumeric({ kind }: FieldType): boolean {
  return kind === 'integer' || kind === 'number';
}

/** As Polar writes it. */
function quote(text: string): string {
  return `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
}
