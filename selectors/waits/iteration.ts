/**
 * The iteration over what gets ready: `for await (const [key, events] of selector)`.
 *
 * @module
 */

import { deadlineAfter, monotonicMs } from "../../ffi/os/timeout.ts";
import { isTurnOver, nextTurn } from "./turns.ts";

/** Where an iteration gets its entries from. */
export interface Source<Entry> {
  /** Gives what is ready now. */
  look(): Entry[];
  /** Gives what is ready after a wait, which ends at the latest at a time, or when the second argument says so. */
  wait(deadlineMs: number, isLeft: () => boolean): Promise<Entry[]>;
  /** Has the second argument of every wait asked. */
  disturb(): void;
  /** Gives what an entry of the last batch means by now; undefined if nothing. */
  current(entry: Entry): Entry | undefined;
  /** Tells whether there will be no more entries; throws if that is by an abort. */
  isOver(): boolean;
}

/**
 * Gives entries one by one, each only if what was done for those before has left it valid.
 *
 * It is written out, and is no async generator, because a server spends its time here: an entry that is at hand costs one
 * promise.
 */
export class Iteration<Entry> implements AsyncIterableIterator<Entry, undefined, undefined>, AsyncDisposable {
  readonly #source: Source<Entry>;
  readonly #timeoutMs: number;
  readonly #isLeft = (): boolean => this.#hasEnded;
  #batch: Entry[] = [];
  #place = 0;
  #hasEnded = false;

  /**
   * Makes an iteration.
   *
   * @param timeoutMs For how long nothing may be ready until it ends
   */
  constructor(source: Source<Entry>, timeoutMs: number) {
    this.#source = source;
    this.#timeoutMs = timeoutMs;
  }

  /** Gives the next entry, and waits if there is none. */
  next(): Promise<IteratorResult<Entry, undefined>> {
    if (isTurnOver()) return this.#wait();
    try {
      const entry = this.#take();
      return entry === undefined ? this.#wait() : Promise.resolve({ value: entry, done: false });
    } catch (error) {
      this.#hasEnded = true;
      return Promise.reject(error);
    }
  }

  /** Ends the iteration, as `break` does. */
  return(): Promise<IteratorResult<Entry, undefined>> {
    this.#hasEnded = true;
    this.#source.disturb();
    return Promise.resolve({ value: undefined, done: true });
  }

  /** Gives the iteration itself. */
  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Ends the iteration at the end of an `await using` block. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  /** The next valid entry of what is ready now, or undefined if there is none. */
  #take(): Entry | undefined {
    if (this.#hasEnded || this.#source.isOver()) return undefined;
    return this.#takeFromBatch() ?? this.#takeFromNextBatch();
  }

  #takeFromBatch(): Entry | undefined {
    while (this.#place < this.#batch.length) {
      const entry = this.#source.current(this.#batch[this.#place++]!);
      if (entry !== undefined) return entry;
    }
    return undefined;
  }

  #takeFromNextBatch(): Entry | undefined {
    this.#refill(this.#source.look());
    return this.#takeFromBatch();
  }

  #refill(batch: Entry[]): void {
    this.#batch = batch;
    this.#place = 0;
  }

  async #wait(): Promise<IteratorResult<Entry, undefined>> {
    try {
      const deadlineMs = deadlineAfter(this.#timeoutMs);
      for (;;) {
        if (isTurnOver()) await nextTurn();
        const entry = this.#take();
        if (entry !== undefined) return { value: entry, done: false };
        if (this.#hasEnded || this.#source.isOver() || monotonicMs() >= deadlineMs) break;
        this.#refill(await this.#source.wait(deadlineMs, this.#isLeft));
      }
    } catch (error) {
      this.#hasEnded = true;
      throw error;
    }
    this.#hasEnded = true;
    return { value: undefined, done: true };
  }
}
