/**
 * Oso's WebAssembly engine: whether it is still sound, and another one if it is not. All that koa-oso knows of the inside of
 * `polar_wasm_api.js` is here and in `seat.ts`.
 *
 * Why: all Osos of a process share one WebAssembly instance. What traps in it (a stack overflow by a deeply nested value, a
 * panic) never gives its part of the stack back, so that a few of them leave none: from then on every call of every Oso
 * traps, `new Oso()` too, until the process ends.
 *
 * What it relies on, of oso 0.27:
 * - `module.exports.__wasm` are the exports of the instance, with `__wbindgen_add_to_stack_pointer(bytes)`, which answers
 *   with the stack pointer. While no call is running it is where it was at the start, or else stack was lost.
 * - Oso's constructor makes its engine by `new Polar()` of the module's exports, which it reads when it is called.
 * - The file instantiates WebAssembly when it is evaluated: evaluated once more, outside of Node's cache of modules, it is
 *   another instance, which shares nothing with the first.
 */
import { createRequire } from 'node:module';
import type { Oso } from 'oso';
import { define } from '../guard/own-properties.js';
import { wasmModule as shared, WASM_FILE } from './oso-internals.js';

/** Oso's engine for one policy, as the WebAssembly module has it. */
export type RawEngine = ReturnType<Oso['getFfi']>;

interface WasmModule {
  Polar: new () => RawEngine;
  readonly __wasm?: { __wbindgen_add_to_stack_pointer?(bytes: number): number };
}

export type Term = Parameters<RawEngine['registerConstant']>[1];

const instances = new WeakMap<object, WasmInstance>();

/** The instance that an engine lives in; undefined for one of another copy of the package `oso`. */
export function instanceOf(raw: RawEngine): WasmInstance | undefined {
  return instances.get(Object.getPrototypeOf(raw));
}

const constants = new WeakMap<RawEngine, Map<string, Term>>();

/** The constants that an engine was told of, from its first one on; undefined if it was made before koa-oso was imported. */
export function constantsOf(raw: RawEngine): Map<string, Term> | undefined {
  const noted = constants.get(raw);
  // Oso's constructor begins with it.
  return noted?.has('nil') ? noted : undefined;
}

/** Engines do not say which constants they know, so it is noted from the start, for every Oso. */
function noteConstants(prototype: RawEngine): void {
  const { registerConstant } = prototype;
  prototype.registerConstant = function (this: RawEngine, name: string, term: Term) {
    registerConstant.call(this, name, term);
    const noted = constants.get(this);
    if (noted === undefined) constants.set(this, new Map([[name, term]]));
    else noted.set(name, term);
  };
}

/** One instance of Oso's WebAssembly, in which the engines of many Osos live and die together. */
export class WasmInstance {
  readonly #module: WasmModule;
  readonly #wholeStack: number | undefined;
  /** How much stack there was when it was known to be sound. */
  #soundWith: number | undefined;

  constructor(module: WasmModule) {
    this.#module = module;
    this.#wholeStack = this.#stack;
    this.#soundWith = this.#wholeStack;
    noteConstants(module.Polar.prototype);
    instances.set(module.Polar.prototype, this);
  }

  /**
   * Whether it can still be asked. As long as no stack was lost nothing has trapped. After that at least half of it has to
   * be left, for with less policies fail that are fine; and it is put to the test, for what trapped may hold a lock.
   */
  get isSound(): boolean {
    const stack = this.#stack;
    if (stack === this.#soundWith) return true;
    if (stack === undefined || this.#wholeStack === undefined) return true;
    if (stack < this.#wholeStack / 2 || !this.#answers()) return false;
    this.#soundWith = stack;
    return true;
  }

  /** Whether an engine can be made, and says that `"a" = "a"`. */
  #answers(): boolean {
    const same = { value: { String: 'a' } };
    try {
      const engine = this.newEngine();
      const query = engine.newQueryFromTerm({
        value: { Expression: { operator: 'Unify', args: [same, same] } },
      });
      const event: unknown = query.nextEvent();
      query.free();
      engine.free();
      return typeof event === 'object' && event !== null && Object.hasOwn(event, 'Result');
    } catch {
      return false;
    }
  }

  /** An engine in which nothing is registered and nothing is loaded. */
  newEngine(): RawEngine {
    return new this.#module.Polar();
  }

  /** Has `new Oso()` make its engine in another instance from now on. */
  giveWayTo(other: WasmInstance): void {
    this.#module.Polar = other.#module.Polar;
  }

  get #stack(): number | undefined {
    return this.#module.__wasm?.__wbindgen_add_to_stack_pointer?.(0);
  }
}

const first = new WasmInstance(shared as unknown as WasmModule);
let inUse = first;

/** The instance in which `new Oso()` makes its engine. Where that has died, a fresh one takes its place. */
export function soundInstance(): WasmInstance {
  if (inUse.isSound) return inUse;
  const fresh = new WasmInstance(instantiate());
  first.giveWayTo(fresh);
  inUse = fresh;
  return fresh;
}

/** @throws {EngineDeadError} if there is no file to evaluate: in a bundle, or outside of Node */
function instantiate(): WasmModule {
  try {
    const require = createRequire(import.meta.url);
    const file = require.resolve(WASM_FILE);
    const known = require.cache[file];
    delete require.cache[file];
    try {
      return require(file) as WasmModule;
    } finally {
      delete require.cache[file];
      if (known !== undefined) require.cache[file] = known;
    }
  } catch (error) {
    throw new EngineDeadError(error);
  }
}

/** Oso's engine has died, and no other could be had in its place. */
export class EngineDeadError extends Error {
  readonly code = 'ERR_KOA_OSO_ENGINE_DEAD';

  constructor(cause?: unknown) {
    super(
      "Oso's WebAssembly engine has died, and could not be replaced by a fresh one. Restart the process. " +
        'It dies of values that are nested too deep, and of policies that recurse without end.',
    );
    this.name = 'EngineDeadError';
    if (cause !== undefined) define(this, 'cause', { get: () => cause, configurable: true });
  }
}
