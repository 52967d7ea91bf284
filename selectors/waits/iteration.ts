/**
 * The iteration over ready entries: `for await (const [key, events] of selector)`.
 *
 * @module
 */

import type { FileObject } from "../../ffi/os/arguments.ts";
import { deadlineAfter, monotonicMs } from "../../ffi/os/timeout.ts";
import type { Ready, SelectorCore } from "../core.ts";
import { filenoOrNone, type SelectorKey, serialOf } from "../keys.ts";
import { parking } from "./parking.ts";
import { isTurnOver, nextTurn } from "./turns.ts";
import type { Waits } from "./waits.ts";

/**
 * Returns entries one by one, each only if the handlers of earlier entries have left it valid.
 *
 * It is no async generator, because a server spends its time here: an entry that is at hand costs one promise.
 */
export class Iteration<D, F extends FileObject>
  implements AsyncIterableIterator<Ready<D, F>, undefined, undefined>, AsyncDisposable {
  readonly #core: SelectorCore<D, F>;
  readonly #waits: Waits<D, F>;
  readonly #timeoutMs: number;
  readonly #signal: AbortSignal | undefined;
  readonly #isLeft = (): boolean => this.#hasEnded;
  #batch: Ready<D, F>[] = [];
  #place = 0;
  // Keys whose file object no longer gave their descriptor when their entry was passed over.
  readonly #disowned = new WeakSet<SelectorKey<D, F>>();
  #hasEnded = false;

  /** Prepares an iteration that ends when nothing was ready for `timeoutMs` milliseconds. */
  constructor(core: SelectorCore<D, F>, waits: Waits<D, F>, timeoutMs: number, signal: AbortSignal | undefined) {
    this.#core = core;
    this.#waits = waits;
    this.#timeoutMs = timeoutMs;
    this.#signal = signal;
  }

  /** Returns the next entry, and waits if there is none. */
  next(): Promise<IteratorResult<Ready<D, F>, undefined>> {
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
  return(): Promise<IteratorResult<Ready<D, F>, undefined>> {
    this.#hasEnded = true;
    if (this.#core.parked > 0) parking.interrupt();
    return Promise.resolve({ value: undefined, done: true });
  }

  /** Returns the iteration itself. */
  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Ends the iteration at the end of an `await using` block. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  async #wait(): Promise<IteratorResult<Ready<D, F>, undefined>> {
    try {
      const deadlineMs = deadlineAfter(this.#timeoutMs);
      for (;;) {
        if (isTurnOver()) await nextTurn();
        const entry = this.#take();
        if (entry !== undefined) return { value: entry, done: false };
        if (this.#isOver() || monotonicMs() >= deadlineMs) break;
        const batch = await this.#waits.park(deadlineMs, this.#signal, this.#isLeft);
        this.#refill(batch);
      }
    } catch (error) {
      this.#hasEnded = true;
      throw error;
    }
    this.#hasEnded = true;
    return { value: undefined, done: true };
  }

  /** Returns the next valid entry of those that are ready now. */
  #take(): Ready<D, F> | undefined {
    if (this.#isOver()) return undefined;
    return this.#takeFromBatch() ?? this.#takeFromNextBatch();
  }

  #isOver(): boolean {
    if (this.#hasEnded) return true;
    this.#signal?.throwIfAborted();
    return this.#core.isClosed;
  }

  #takeFromNextBatch(): Ready<D, F> | undefined {
    this.#refill(this.#waits.look());
    this.#core.takeWakeup(); // a call to wake up has no entry
    return this.#takeFromBatch();
  }

  #refill(batch: Ready<D, F>[]): void {
    this.#batch = batch;
    this.#place = 0;
  }

  #takeFromBatch(): Ready<D, F> | undefined {
    while (this.#place < this.#batch.length) {
      const entry = this.#current(this.#batch[this.#place++]!);
      if (entry !== undefined) return entry;
    }
    return undefined;
  }

  /** Returns an entry of the batch as it is by now, or undefined if a handler has made it invalid. */
  #current(entry: Ready<D, F>): Ready<D, F> | undefined {
    const [key, events] = entry;
    const { keys } = this.#core;
    const now = keys.get(key.fd);
    if (now === undefined || this.#isDisowned(now)) return undefined;
    if (now === key) return entry;
    // The key was modified, unless its descriptor was registered again. What both have in common is still to be told:
    // a handler that modifies others in every turn would otherwise keep them from theirs for ever.
    const wanted = serialOf(now) === serialOf(key) ? events & now.events : 0;
    return wanted === 0 ? undefined : [now, wanted];
  }

  /**
   * Returns true if a key's file object no longer gives its descriptor, the first time that the iteration meets it so.
   *
   * An earlier handler has closed the object then. If the descriptor is open all the same, as after `detach()`, the next
   * look finds it again, and the iteration returns it as `select()` does.
   */
  #isDisowned(key: SelectorKey<D, F>): boolean {
    if (typeof key.fileobj === "number" || filenoOrNone(key.fileobj) === key.fd) return false;
    if (this.#disowned.has(key)) return false;
    this.#disowned.add(key);
    return true;
  }
}
