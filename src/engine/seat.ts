/**
 * The seat of an engine: what an Oso takes for its engine, and behind which the engine can be changed for another one.
 *
 * Oso keeps its engine in a private field for good. But it calls it by its methods, so these are replaced, on that one
 * object, by methods that pass the call on to whichever engine is seated. That is also where every text of a policy
 * arrives (`load`), every constant and every class, whichever way the application has gone.
 *
 * Two Osos with the same classes are *siblings*: one is the application's, the other is where the next policy is loaded and
 * tried. They share Oso's host, that is the registry of classes, the equality and the adapter. To let the next policy take
 * over, they exchange engines: one assignment each. Queries that are running hold on to their own engine.
 */
import { createHash } from 'node:crypto';
import {
  constantsOf,
  EngineDeadError,
  instanceOf,
  type RawEngine,
  soundInstance,
  type Term,
} from './wasm.js';

/** A text, as Oso hands it to its engine. */
export interface LoadedText {
  readonly src: string;
  readonly filename?: string | undefined;
}

/** The texts that an engine has loaded. */
export class LoadedPolicy {
  readonly texts: readonly LoadedText[];
  /** The first 16 hexadecimal digits of the SHA-256 of the texts, in their order; undefined if none is loaded. */
  readonly version: string | undefined;

  constructor(texts: readonly LoadedText[]) {
    this.texts = texts;
    if (texts.length === 0) return;
    const hash = createHash('sha256').update(JSON.stringify(texts.map(({ src }) => src)));
    this.version = hash.digest('hex').slice(0, 16);
  }
}

/** An engine, and what it has loaded. */
export class Engine {
  readonly raw: RawEngine;
  /** Undefined if something may have been loaded before anybody took note. */
  policy: LoadedPolicy | undefined;

  constructor(raw: RawEngine, policy: LoadedPolicy | undefined) {
    this.raw = raw;
    this.policy = policy;
  }

  /** Whether it can still be asked. */
  get isSound(): boolean {
    return instanceOf(this.raw)?.isSound ?? true;
  }
}

/** What is needed of an Oso, whatever its type arguments are. */
export interface EngineOwner {
  getFfi(): RawEngine;
  getHost(): { readonly types: ReadonlyMap<unknown, unknown>; registerMros(): void };
}

type RawQuery = ReturnType<RawEngine['newQueryFromTerm']>;
type Lineage = Parameters<RawEngine['registerMro']>[1];

/** What the engines of siblings have to be told before they load a policy. */
class Told {
  readonly constants: Map<string, Term>;
  readonly lineages = new Map<string, Lineage>();
  /** An engine that may know constants of which nobody took note. */
  readonly #origin: Engine | undefined;
  readonly #asked = new Set<string>();
  /** Changes whenever a constant or a class is registered. */
  revision = 0;
  /** How many ids that engine has given away by then. */
  readonly idsTaken: number;

  constructor(ffi: RawEngine, origin: Engine, classNames: readonly string[]) {
    const noted = constantsOf(ffi);
    this.constants = new Map(noted);
    this.idsTaken = origin.raw.newId();
    if (noted !== undefined) return;
    this.#origin = origin;
    for (const name of ['nil', ...classNames]) this.#ask(name, origin);
  }

  tell(raw: RawEngine): void {
    for (const [name, term] of this.constants) raw.registerConstant(name, term);
    for (const [name, lineage] of this.lineages) raw.registerMro(name, lineage);
  }

  /**
   * Finds out which names of a policy are constants that were registered before anybody took note: a constant that is
   * taken for a variable could be anything. There is no list of them, but the engine can be asked name by name.
   */
  learn(texts: readonly LoadedText[]): void {
    if (this.#origin === undefined) return;
    for (const name of namesIn(texts)) {
      if (this.constants.has(name) || this.#asked.has(name)) continue;
      if (!this.#origin.isSound) throw new EngineDeadError();
      this.#ask(name, this.#origin);
    }
  }

  #ask(name: string, { raw }: Engine): void {
    const term = constantNamed(name, raw);
    this.#asked.add(name);
    if (term !== undefined) this.constants.set(name, term);
  }
}

/** The ids of what Oso's host hands to engines. High up, where the ids that engines give away themselves never get to. */
let nextId = 2 ** 40;

/** Frees what nobody can ask any more: the garbage collector sees nothing of the memory of WebAssembly. */
const abandoned = new FinalizationRegistry<() => void>(free => free());

const seats = new WeakMap<RawEngine, Seat>();

export class Seat {
  /** Who answers now. */
  engine: Engine;
  /** Turns the classes that a policy names and nobody has registered into an error, so that the policy is not loaded. */
  refuseClasses: ((classes: readonly string[]) => Error) | undefined;
  #told: Told;
  #messages: unknown[] = [];

  private constructor(ffi: RawEngine, classNames: readonly string[], isNew: boolean) {
    const raw = Object.assign(Object.create(Object.getPrototypeOf(ffi)), ffi) as RawEngine;
    this.engine = new Engine(raw, isNew ? new LoadedPolicy([]) : undefined);
    if (!this.engine.isSound) throw new EngineDeadError();
    this.#told = new Told(ffi, this.engine, classNames);
    Object.assign(ffi, {
      load: (texts: readonly LoadedText[]) => this.#load(texts),
      clearRules: () => this.#clearRules(),
      registerConstant: (name: string, term: Term) => {
        this.#sound().raw.registerConstant(name, term);
        this.#told.constants.set(name, term);
        this.#told.revision++;
      },
      registerMro: (name: string, lineage: Lineage) => {
        this.#sound().raw.registerMro(name, lineage);
        this.#told.lineages.set(name, lineage);
      },
      newQueryFromStr: (text: string) => plainlySpoken(this.#sound().raw.newQueryFromStr(text)),
      newQueryFromTerm: (term: Term) => plainlySpoken(this.#sound().raw.newQueryFromTerm(term)),
      newId: () => nextId++,
      nextInlineQuery: () => {
        const query = this.engine.raw.nextInlineQuery();
        return query && plainlySpoken(query);
      },
      nextMessage: () => this.#messages.shift() ?? this.engine.raw.nextMessage(),
      buildDataFilter: (...args: Parameters<RawEngine['buildDataFilter']>) =>
        this.engine.raw.buildDataFilter(...args),
      setIgnoreNoAllowWarning: (ignore: boolean) => this.engine.raw.setIgnoreNoAllowWarning(ignore),
      free: () => this.engine.raw.free(),
    });
    seats.set(ffi, this);
  }

  /**
   * The seat of an Oso's engine. Before the first call for an Oso, nothing is noted.
   *
   * @param isNew whether the Oso was just made, so that nothing was registered but what its constructor registers
   */
  static of(oso: EngineOwner, isNew = false): Seat {
    const ffi = oso.getFfi();
    const known = seats.get(ffi);
    if (known !== undefined) return known;
    const host = oso.getHost();
    const seat = new Seat(
      ffi,
      [...host.types.keys()].filter(key => typeof key === 'string'),
      isNew,
    );
    // It tells the engine once more of the lineages of all classes, and so the seat.
    host.registerMros();
    return seat;
  }

  /** Changes whenever a constant or a class is registered. */
  get revision(): number {
    return this.#told.revision;
  }

  /** Whether a policy is loaded, also one that was loaded before anybody took note: Oso's engine refuses a second. */
  get isLoaded(): boolean {
    const { engine } = this;
    if (engine.policy === undefined) {
      try {
        engine.raw.load([]);
      } catch {
        return true;
      }
      // It says that nothing was loaded.
      while (engine.raw.nextMessage() !== undefined);
      engine.policy = new LoadedPolicy([]);
    }
    return engine.policy.texts.length > 0;
  }

  /** Makes this the seat of a sibling: its engine is told what the other was. */
  joinFamilyOf(other: Seat): void {
    this.#told = other.#told;
    this.refuseClasses = other.refuseClasses;
    this.#prepare(this.engine.raw);
    const { raw } = this.engine;
    abandoned.register(this.engine, () => {
      try {
        raw.free();
      } catch {
        // It has died meanwhile.
      }
    });
  }

  /** Seats each engine in place of the other. Classes and constants that were registered meanwhile are made known first. */
  exchangeWith(other: Seat): void {
    const { engine } = this;
    this.#told.tell(other.engine.raw);
    this.engine = other.engine;
    other.engine = engine;
  }

  /** Does something that starts a query, with an engine that may not be seated any more. */
  during<Result>(engine: Engine, start: () => Result): Result {
    const seated = this.engine;
    if (engine === seated) return start();
    this.engine = engine;
    try {
      return start();
    } finally {
      this.engine = seated;
    }
  }

  /** The engine; if it has died, a fresh one with the same policy. */
  #sound(): Engine {
    if (this.engine.isSound) return this.engine;
    const { policy } = this.engine;
    if (policy === undefined) throw new EngineDeadError();
    const fresh = this.#fresh();
    if (policy.texts.length > 0) {
      fresh.raw.load(policy.texts);
      // Both were heeded when the policy was loaded first.
      while (fresh.raw.nextMessage() !== undefined);
      for (let query = fresh.raw.nextInlineQuery(); query !== undefined; query = fresh.raw.nextInlineQuery())
        query.free();
    }
    fresh.policy = policy;
    this.engine = fresh;
    return fresh;
  }

  /** An engine that knows the constants and classes, and no policy. */
  #fresh(): Engine {
    const raw = soundInstance().newEngine();
    raw.setIgnoreNoAllowWarning(Boolean(process.env.POLAR_IGNORE_NO_ALLOW_WARNING));
    this.#prepare(raw);
    return new Engine(raw, new LoadedPolicy([]));
  }

  #prepare(raw: RawEngine): void {
    for (let id = 0; id < this.#told.idsTaken; ) id = raw.newId();
    this.#told.tell(raw);
  }

  #load(texts: readonly LoadedText[]): void {
    const engine = this.#sound();
    this.#told.learn(texts);
    this.#told.tell(engine.raw);
    try {
      engine.raw.load(texts);
    } catch (error) {
      // A second load leaves the first as it was; whatever else fails leaves nothing, or so we see to.
      if (!isNamed(error, 'RuntimeError::MultipleLoadError')) this.#clearRules();
      throw error;
    }
    const unknown: string[] = [];
    for (;;) {
      const message: unknown = engine.raw.nextMessage();
      if (message === undefined) break;
      const name = this.refuseClasses && unknownClass(message);
      if (name === undefined) this.#messages.push(message);
      else unknown.push(name);
    }
    if (this.refuseClasses !== undefined && unknown.length > 0) {
      this.#clearRules();
      throw this.refuseClasses(unknown);
    }
    engine.policy = new LoadedPolicy(texts.map(({ src, filename }) => ({ src, filename })));
  }

  #clearRules(): void {
    const { engine } = this;
    try {
      if (!engine.isSound) throw new EngineDeadError();
      engine.raw.clearRules();
      engine.policy = new LoadedPolicy([]);
    } catch {
      this.engine = this.#fresh();
    }
  }
}

/**
 * A sibling of an Oso: of the same class, with the same host (classes, equality, adapter), the same constants and what was
 * put on the Oso itself; and with an engine of its own, in which nothing is loaded.
 */
export function siblingOf<AnyOso extends EngineOwner>(oso: AnyOso): AnyOso {
  const seat = Seat.of(oso);
  // Oso's constructor makes its engine there.
  soundInstance();
  const make = (oso as { [SIBLING]?(): unknown })[SIBLING];
  const sibling = (make?.call(oso) ?? Reflect.construct(classOfOso(oso), [], oso.constructor)) as AnyOso;
  Seat.of(sibling, true).joinFamilyOf(seat);
  const host = oso.getHost();
  const properties = {
    ...Object.getOwnPropertyDescriptors(oso),
    getHost: { value: () => host, configurable: true, writable: true },
  };
  // A descriptor is read with what is on Object.prototype.
  for (const descriptor of Object.values(properties)) Object.setPrototypeOf(descriptor, null);
  Object.defineProperties(sibling, properties);
  return sibling;
}

/**
 * A query whose events are nothing but what the engine says. Oso tells events and terms apart by their properties, one kind
 * after the other, those of `Object.prototype` included: with a `Debug` there, the engine gets no answer to its questions,
 * and takes that for a no.
 */
function plainlySpoken(query: RawQuery): RawQuery {
  const { nextEvent } = query;
  query.nextEvent = () => withoutPrototypes(nextEvent.call(query));
  return query;
}

function withoutPrototypes(event: unknown): unknown {
  const open = [event];
  while (open.length > 0) {
    const each = open.pop();
    if (typeof each !== 'object' || each === null) continue;
    const isCollection = Array.isArray(each) || each instanceof Map;
    if (!isCollection) Object.setPrototypeOf(each, null);
    for (const part of isCollection ? each.values() : Object.values(each)) open.push(part);
  }
  return event;
}

/** The class `Oso` of the copy of the package that an Oso is of. */
function classOfOso(oso: object): new () => unknown {
  for (let proto = Object.getPrototypeOf(oso); proto !== null; proto = Object.getPrototypeOf(proto)) {
    if (Object.hasOwn(proto, 'setDataFilteringAdapter')) return proto.constructor;
  }
  throw new TypeError('This is not an Oso');
}

/** The method by which a class of Osos makes siblings, if there is more to it than calling Oso's constructor. */
export const SIBLING = Symbol('koa-oso: sibling');

const KEYWORDS = new Set(
  'and or not in matches if isa new cut debug print forall type true false mod rem inf nan'.split(' '),
);

function namesIn(texts: readonly LoadedText[]): Set<string> {
  const names = new Set<string>();
  for (const { src } of texts) {
    const code = src.replace(/"(?:\\.|[^"\\])*"|#.*/g, ' ');
    for (const [name] of code.matchAll(/[\p{L}_][\p{L}\p{N}_]*(?:::[\p{L}_][\p{L}\p{N}_]*)*/gu)) {
      if (!KEYWORDS.has(name)) names.add(name);
    }
  }
  return names;
}

function constantNamed(name: string, raw: RawEngine): Term | undefined {
  let query: ReturnType<RawEngine['newQueryFromStr']>;
  try {
    query = plainlySpoken(raw.newQueryFromStr(`koa_oso_constant = ${name}`));
  } catch {
    // It cannot be written as a term.
    return undefined;
  }
  try {
    const event = query.nextEvent() as { Result?: { bindings: Map<string, { value: object }> } };
    const term = event.Result?.bindings.get('koa_oso_constant');
    return term === undefined || 'Variable' in term.value ? undefined : term;
  } finally {
    query.free();
  }
}

/** A policy that names an unregistered class loads with a warning, which is the only trace of it. */
function unknownClass(message: unknown): string | undefined {
  if (typeof message !== 'object' || message === null || !('msg' in message)) return undefined;
  return /^Unknown specializer (.+? at line \d+, column \d+(?: of file .+?)?):?$/m.exec(
    String(message.msg),
  )?.[1];
}

function isNamed(error: unknown, name: string): boolean {
  return error instanceof Error && error.name === name;
}
