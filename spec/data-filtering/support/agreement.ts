import { writeFileSync } from 'node:fs';
import { inspect } from 'node:util';
import { expect } from 'chai';
import fc from 'fast-check';
import { Oso } from 'oso';
import type { EntityAdapter } from '../../../src/data-filtering/adapter.js';
import { CompiledOso } from '../../../src/polar/index.js';
import { randomRun, repeat } from '../../support/random-run.js';
import { HOSTILE_TEXTS, randomActor } from './random-actor.js';
import {
  ACTION,
  type Draw,
  type RandomPolicy,
  randomPolicy,
  withoutSingletons,
  write,
  writeEach,
} from './random-policy.js';
import type { Engine, Store } from './store.js';
import {
  DATES,
  type Data,
  ENTITY_NAMES,
  type EntityName,
  isThere,
  keyOf,
  link,
  type Rows,
  randomData,
  schema,
  User,
} from './world.js';

const { cases: CASES, seed: SEED } = randomRun('LISTS', 100, 1000);

const POLICIES_PER_DATA = 20;
const QUESTIONS_PER_POLICY = 3;
/** One of so many policies is asked of Oso's own engine, of rows that have nothing loaded. */
const UNLOADED_EVERY = 10;
/** Policies that are made of an instance: what Oso's engine keeps of them grows. */
const POLICIES_PER_OSO = 200;
/** Alternatives of a policy that are tried, each in so many orders of related rows. */
const MAX_ALTERNATIVES = 100;
const MAX_ORDERS = 50;
/** Of how many cases the shares say something. */
const ENOUGH_CASES = 500;
/** Milliseconds. */
const MAX_SHRINKING = 10_000;

/** What came of the cases. */
interface Tally {
  cases: number;
  /** The policy was refused. */
  refused: number;
  /** The policy failed by an error of its own, for any row. */
  failed: number;
  rows: number;
  listed: number;
  /** `isAllowed` threw for the row. */
  threw: number;
  /** … and all alternatives could not be tried. */
  undecided: number;
}

/** Instances that are used again, for making them takes longer than asking them, and how often they were used. */
type Engines = Map<Engine, { readonly oso: Oso; readonly policies: number }>;

/** Who may do something, or to what. */
interface Pair {
  readonly actor: object;
  readonly row: object;
}

/** A pair for which `isAllowed` threw. */
interface Thrown extends Pair {
  readonly isListed: boolean;
}

/** What a list is asked for: the rows on which an actor may act, or the actors who may act on a row. */
interface Question {
  readonly entity: EntityName;
  list(oso: Oso): Promise<readonly unknown[]>;
  /** What is asked of one of the rows that may be in the list. */
  pairOf(listed: object): Pair;
}

/**
 * Shows that what a store's lists hold are exactly the rows that `isAllowed` allows, each once, for random policies,
 * actors and rows.
 *
 * Of a row for which `isAllowed` throws – the policy reads an attribute of nil, say – this is asked of it: it is in the
 * list if and only if the policy allows it by another of its alternatives: another rule, another side of an `or`, another
 * row of a relation to many. (`isAllowed` throws there since it comes to the one that fails first; which one is first is
 * no matter to a database.) An alternative that fails allows nothing, also where the failure is in a `not`.
 */
export function itAgrees(store: Store): void {
  describe(titleOf(store), () => {
    before(async function () {
      this.timeout(60_000);
      await store.open();
    });
    after(() => store.close());

    it(`hold the rows that isAllowed allows, for ${CASES} random cases from seed ${SEED}`, async function () {
      this.timeout(0);
      await agree(store, Agreement, 0.15);
    });

    it(`hold the actors whom isAllowed allows, for ${CASES} random cases from seed ${SEED}`, async function () {
      this.timeout(0);
      // What may be null is not ordered against what may be null, and of actors who are rows more may be.
      await agree(store, AgreementOfActors, 0.35);
    });
  });
}

const titleOf = (store: Store): string => `lists from ${store.name}`;

async function agree(store: Store, Kind: typeof Agreement, mostRefused: number): Promise<void> {
  const tally: Tally = { cases: 0, refused: 0, failed: 0, rows: 0, listed: 0, threw: 0, undecided: 0 };
  const engines: Engines = new Map();
  for (let seed = SEED; tally.cases < CASES; seed++) {
    const agreement = await Kind.of(store, seed, tally, engines);
    await agreement.check(
      Math.min(POLICIES_PER_DATA, Math.ceil((CASES - tally.cases) / QUESTIONS_PER_POLICY)),
    );
  }
  process.stdout.write(`      ${JSON.stringify(tally)}\n`);
  if (tally.cases < ENOUGH_CASES) return;
  // Or else it would show nothing.
  expect(tally.refused / tally.cases).to.be.below(mostRefused);
  expect(tally.failed / tally.cases).to.be.below(0.2);
  expect(tally.listed / tally.rows).to.be.within(0.1, 0.9);
}

class Agreement {
  readonly #store: Store;
  readonly #seed: number;
  readonly #tally: Tally;
  readonly #linked: Rows;
  readonly #engines: Engines;
  #policies = 0;

  protected constructor(store: Store, seed: number, tally: Tally, engines: Engines, linked: Rows) {
    this.#store = store;
    this.#seed = seed;
    this.#tally = tally;
    this.#engines = engines;
    this.#linked = linked;
  }

  static async of(store: Store, seed: number, tally: Tally, engines: Engines): Promise<Agreement> {
    const [data] = fc.sample(randomData, { numRuns: 1, seed }) as [Data];
    await store.fill(data);
    const linked = await store.load();
    for (const name of ENTITY_NAMES) {
      const keys = (rows: readonly object[]) => rows.map(row => keyOf(name, row)).sort();
      expect(keys(linked[name]), `the rows of ${name}`).to.deep.equal(
        keys((data[name] as readonly object[]).filter(row => isThere(name, row))),
      );
    }
    link(linked, data.expense_tags);
    return new this(store, seed, tally, engines, linked);
  }

  async check(policies: number): Promise<void> {
    let shrinkUntil = Number.POSITIVE_INFINITY;
    const property = fc.asyncProperty(fc.gen(), async draw => {
      if (Date.now() > shrinkUntil) return;
      try {
        await this.#checkPolicy(draw);
      } catch (error) {
        shrinkUntil = Math.min(shrinkUntil, Date.now() + MAX_SHRINKING);
        throw error;
      }
    });
    try {
      await fc.assert(property, { numRuns: policies, seed: this.#seed });
    } catch (error) {
      // What fast-check itself has to say is all that was drawn.
      const failure = ((error as Error).cause ?? error) as Error;
      const asked = { cases: POLICIES_PER_DATA * QUESTIONS_PER_POLICY, seed: this.#seed };
      failure.message = `${repeat('LISTS', asked, titleOf(this.#store))}\n${failure.message}`;
      throw failure;
    }
  }

  /** A policy as this kind of question can be asked of it. */
  protected policyOf(text: string): string {
    return text;
  }

  protected question(draw: Draw, { entity }: RandomPolicy, rows: Rows): Question | undefined {
    const actor = randomActor(draw, rows);
    return {
      entity,
      list: oso => oso.authorizedResources(actor, ACTION, entity),
      pairOf: row => ({ actor, row }),
    };
  }

  async #checkPolicy(draw: Draw): Promise<void> {
    const policy = randomPolicy(draw);
    const isUnloaded = this.#policies++ % UNLOADED_EVERY === UNLOADED_EVERY - 1;
    const rows = isUnloaded ? await this.#store.load() : this.#linked;
    const oso = await this.#oso(
      isUnloaded ? Oso : (CompiledOso as unknown as Engine),
      this.#write(policy.text),
    );
    const thrown: Thrown[] = [];
    if (process.env.LISTS_TRACE) writeFileSync(process.env.LISTS_TRACE, this.#write(policy.text));
    for (let count = 0; count < QUESTIONS_PER_POLICY; count++) {
      const question = this.question(draw, policy, rows);
      this.#tally.cases++;
      if (question === undefined) continue;
      this.#store.statements();
      const list = await this.#list(oso, question, policy);
      if (list === undefined) continue;
      if (!isUnloaded) this.#checkStatements(policy);
      await this.#compare(oso, question, policy, rows, list, thrown);
    }
    if (!isUnloaded) await this.#checkThrown(policy, thrown);
  }

  /** For each alternative of the policy, and in several orders of related rows: whether it allows the rows. */
  async #checkThrown({ entity, text }: RandomPolicy, thrown: readonly Thrown[]): Promise<void> {
    if (thrown.length === 0) return;
    const allowed = new Set<Thrown>();
    let alternatives = 0;
    for (const alternative of writeEach(text)) {
      if (++alternatives > MAX_ALTERNATIVES) break;
      const oso = await this.#oso(CompiledOso as unknown as Engine, this.policyOf(alternative));
      for (const each of thrown) {
        if (!allowed.has(each) && (await this.#isAllowedInSomeOrder(oso, each))) allowed.add(each);
      }
    }
    for (const each of thrown) {
      const { actor, row, isListed } = each;
      if (isListed === allowed.has(each)) continue;
      if (isListed && alternatives > MAX_ALTERNATIVES) {
        this.#tally.undecided++;
        continue;
      }
      const known = isListed ? 'in the list, and no alternative' : 'not in the list, and an alternative';
      throw new Error(
        `${this.#write(text)}\nisAllowed throws for ${keyOf(entity, row)}, which is ${known} allows it\nactor: ${show(actor)}\nrow: ${show(row)}`,
      );
    }
  }

  async #isAllowedInSomeOrder(oso: Oso, { actor, row }: Thrown): Promise<boolean> {
    for (let order = 0; order < MAX_ORDERS; order++) {
      const allowed = await isAllowed(oso, actor, row);
      if (allowed !== undefined) return allowed;
      this.#reorder();
    }
    return false;
  }

  /** Has policies meet another of the related rows first. */
  #reorder(): void {
    for (const name of ENTITY_NAMES) {
      for (const row of this.#linked[name]) {
        for (const related of Object.values(row)) {
          if (!Array.isArray(related) || related.length < 2) continue;
          related.push(related.shift());
        }
      }
    }
  }

  async #oso(engine: Engine, policy: string): Promise<Oso> {
    const known = this.#engines.get(engine);
    const { oso, policies } =
      known === undefined || known.policies >= POLICIES_PER_OSO
        ? { oso: this.#store.oso(engine), policies: 0 }
        : known;
    if (policies === 0) oso.registerConstant(DATES[1], 'LEAP_DAY');
    this.#engines.set(engine, { oso, policies: policies + 1 });
    oso.clearRules();
    await quietly(() => oso.loadStr(policy, 'policy.polar'));
    return oso;
  }

  #write(text: RandomPolicy['text']): string {
    return this.policyOf(write(text));
  }

  /** The keys of the rows in the list; undefined where there is none. */
  async #list(
    oso: Oso,
    { entity, list }: Question,
    { text }: RandomPolicy,
  ): Promise<readonly string[] | undefined> {
    try {
      return (await list(oso)).map(row => keyOf(entity, row as object));
    } catch (error) {
      const { code, name, message } = error as { code?: string; name: string; message: string };
      if (code === 'ERR_KOA_OSO_UNFILTERABLE_POLICY') {
        expect(message).to.match(/^The policy cannot be turned into a query: .*\. Instead, .*\.$/);
        this.#tally.refused++;
        if (process.env.LISTS_SHOW)
          process.stdout.write(`${message}\n${process.env.LISTS_SHOW > '1' ? this.#write(text) : ''}\n`);
      } else if (!isDefect(error as Error)) {
        this.#tally.failed++;
        if (process.env.LISTS_SHOW) process.stdout.write(`${name} ${message}\n${this.#write(text)}\n`);
      } else {
        throw new Error(`${this.#write(text)}\nfails with ${name}: ${message}`, { cause: error });
      }
      return undefined;
    }
  }

  #checkStatements({ text }: RandomPolicy): void {
    const statements = this.#store.statements();
    if (statements === undefined) return;
    expect(statements, this.#write(text)).to.have.length(1);
    for (const hostile of HOSTILE_TEXTS) expect(statements[0]).not.to.include(hostile);
  }

  async #compare(
    oso: Oso,
    { entity, pairOf }: Question,
    policy: RandomPolicy,
    rows: Rows,
    list: readonly string[],
    thrown: Thrown[],
  ): Promise<void> {
    const listed = new Set(list);
    const wrong = (what: string, pair?: Pair) =>
      new Error(
        `${this.#write(policy.text)}\n${what}\nlist: ${list.join(' ')}${pair === undefined ? '' : `\nactor: ${show(pair.actor)}\nrow: ${show(pair.row)}`}`,
      );
    if (listed.size !== list.length) throw wrong('a row is in the list more than once');
    this.#tally.listed += list.length;
    const unknown = new Set(list);
    for (const each of rows[entity]) {
      const key = keyOf(entity, each);
      unknown.delete(key);
      this.#tally.rows++;
      const pair = pairOf(each);
      const allowed = await isAllowed(oso, pair.actor, pair.row);
      if (allowed === undefined) {
        this.#tally.threw++;
        thrown.push({ ...pair, isListed: listed.has(key) });
      } else if (allowed !== listed.has(key)) {
        throw wrong(`${key} is ${listed.has(key) ? '' : 'not '}in the list, but isAllowed: ${allowed}`, pair);
      }
    }
    if (unknown.size > 0) throw wrong(`in the list are rows that are not there: ${[...unknown].join(' ')}`);
  }
}

/** What an Oso has besides, once entities are registered with it. */
export interface ActorsEngine {
  authorizedActors(actorClass: unknown, action: unknown, resource: unknown): Promise<unknown>;
}

/** The same for the question who may: the actors are rows, of which policies can ask only what is in the database. */
class AgreementOfActors extends Agreement {
  protected override policyOf(text: string): string {
    return withoutSingletons(
      text.replaceAll(/\bactor\.(\w+)(\.status)?\b/g, (asked, name: string) => STORED[name] ?? asked),
    );
  }

  protected override question(draw: Draw, { entity }: RandomPolicy, rows: Rows): Question | undefined {
    const resources = rows[entity];
    if (resources.length === 0) return undefined;
    const row = resources[draw(fc.nat, { max: resources.length - 1 })] as object;
    return {
      entity: 'User',
      list: async oso => {
        const query = await (oso as unknown as ActorsEngine).authorizedActors(User, ACTION, row);
        const { adapter } = oso.getHost() as unknown as { adapter: EntityAdapter<unknown, unknown> };
        return adapter.executeQuery(query);
      },
      pairOf: actor => ({ actor, row }),
    };
  }
}

/** What is asked of actors who are rows, in place of what those have whom no database knows. */
const STORED: Readonly<Record<string, string>> = {
  text: 'actor.id',
  texts: '["a", "ann", "draft"]',
  number: '10',
  numbers: '[0, 1, 10.25]',
  when: 'LEAP_DAY',
  flag: 'actor.isAdmin',
  settings: '"draft"',
  nothing: 'nil',
  anything: 'nil',
};

/** Undefined where it throws. */
async function isAllowed(oso: Oso, actor: object, row: object): Promise<boolean | undefined> {
  try {
    return await oso.isAllowed(actor, ACTION, row);
  } catch {
    return undefined;
  }
}

/** An error that no policy is to blame for: of koa-oso, or of WebAssembly. */
function isDefect({ name }: Error): boolean {
  return ['TypeError', 'RangeError', 'ReferenceError', 'SyntaxError', 'RuntimeError'].includes(name);
}

/** Without relations, for they go round in circles. */
function show(row: object): string {
  const fields = Object.entries(row).filter(
    ([, value]) => !Array.isArray(value) || !value.some(each => each instanceof Object),
  );
  return inspect(Object.fromEntries(fields.map(([name, value]) => [name, isRow(value) ? '…' : value])), {
    breakLength: 160,
    maxStringLength: 60,
  });
}

function isRow(value: unknown): boolean {
  return [...schema.values()].some(entity => value instanceof entity.class);
}

/** Oso warns of rules that tell nothing apart. */
async function quietly<T>(action: () => Promise<T>): Promise<T> {
  const { log, warn, error } = console;
  // biome-ignore-start lint/suspicious/noConsole: Oso prints there.
  console.log = console.warn = console.error = () => {};
  try {
    return await action();
  } finally {
    Object.assign(console, { log, warn, error });
  }
  // biome-ignore-end lint/suspicious/noConsole: see above.
}
