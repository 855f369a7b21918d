/** Which engine is being asked. */
export type Asked = 'none' | 'oso' | 'compiled';

/**
 * What is counted of the cases. An unsettled one is one that Oso answers now this way, now that; a refusal one in which one
 * engine alone refused a value, and nothing more was allowed by CompiledOso.
 */
export type Count = 'compared' | 'questions' | 'refused' | 'fallbacks' | 'unsettled' | 'refusals';

const ASKED: readonly Asked[] = ['none', 'oso', 'compiled'];
const COUNTS: readonly Count[] = ['compared', 'questions', 'refused', 'fallbacks', 'unsettled', 'refusals'];
const BEGUN = 0;
const ENGINE = 1;
const LENGTH = 2;
const FIRST_COUNT = 3;
const NUMBERS = FIRST_COUNT + COUNTS.length;
const TEXT_BYTES = 65_536;

/**
 * How far a worker has come, in memory that it shares with its parent: a worker whose engine never answers cannot say so
 * itself.
 */
export class Progress {
  readonly memory: SharedArrayBuffer;
  readonly #numbers: Int32Array;
  readonly #text: Uint8Array;

  constructor(memory = new SharedArrayBuffer(NUMBERS * Int32Array.BYTES_PER_ELEMENT + TEXT_BYTES)) {
    this.memory = memory;
    this.#numbers = new Int32Array(memory, 0, NUMBERS);
    this.#text = new Uint8Array(memory, NUMBERS * Int32Array.BYTES_PER_ELEMENT);
  }

  /** The worker begins with a case. */
  begin(text: string): void {
    const { written } = new TextEncoder().encodeInto(text, this.#text);
    Atomics.store(this.#numbers, LENGTH, written);
    Atomics.add(this.#numbers, BEGUN, 1);
  }

  /** The worker is about to ask an engine. */
  ask(engine: Asked): void {
    Atomics.store(this.#numbers, ENGINE, ASKED.indexOf(engine));
  }

  count(what: Count, by = 1): void {
    Atomics.add(this.#numbers, FIRST_COUNT + COUNTS.indexOf(what), by);
  }

  /** Cases begun so far. */
  get begun(): number {
    return Atomics.load(this.#numbers, BEGUN);
  }

  get asked(): Asked {
    return ASKED[Atomics.load(this.#numbers, ENGINE)] ?? 'none';
  }

  /** The case begun last. */
  get text(): string {
    // A decoder takes no shared memory.
    return new TextDecoder().decode(this.#text.slice(0, Atomics.load(this.#numbers, LENGTH)));
  }

  get counts(): Record<Count, number> {
    const count = (what: Count): number => Atomics.load(this.#numbers, FIRST_COUNT + COUNTS.indexOf(what));
    return {
      compared: count('compared'),
      questions: count('questions'),
      refused: count('refused'),
      fallbacks: count('fallbacks'),
      unsettled: count('unsettled'),
      refusals: count('refusals'),
    };
  }
}
