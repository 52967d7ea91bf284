/**
 * Implements the iteration over ready entries: `for await (const [key, events] of selector)`.
 *
 * @module
 */

import type { FileObject } from "../../ffi/os/arguments.ts";
import { MODES } from "../../ffi/os/events.ts";
import { deadlineAfter, monotonicMs } from "../../ffi/os/timeout.ts";
import type { Ready, SelectorCore } from "../core.ts";
import { filenoOrNone, type SelectorKey, serialOf } from "../keys.ts";
import { isTurnOver, nextTurn } from "./turns.ts";
import type { PendingWait, Waits } from "./waits.ts";

/**
 * Returns ready entries one by one, and skips an entry that the handler of an earlier entry has made invalid.
 *
 * It is not an async generator, for speed: an entry of the current batch costs only one promise.
 */
export class Iteration<D, F extends FileObject>
  implements AsyncIterableIterator<Ready<D, F>, undefined, undefined>, AsyncDisposable {
  readonly #core: SelectorCore<D, F>;
  readonly #waits: Waits<D, F>;
  readonly #timeoutMs: number;
  readonly #signal: AbortSignal | undefined;
  #batch: Ready<D, F>[] = [];
  #place = 0;
  // Serial numbers, by descriptor, of registrations that were skipped once: their fileno() returned another number.
  readonly #disowned = new Map<number, number>();
  #hasEnded = false;
  #parked: PendingWait<D, F> | null = null;
  // True while a call of next() waits. Later calls queue in #later, because each wait overwrites the batch.
  #isWaiting = false;
  readonly #later: (() => void)[] = [];

  /** Prepares an iteration that ends if nothing is ready for `timeoutMs` milliseconds. */
  constructor(core: SelectorCore<D, F>, waits: Waits<D, F>, timeoutMs: number, signal: AbortSignal | undefined) {
    this.#core = core;
    this.#waits = waits;
    this.#timeoutMs = timeoutMs;
    this.#signal = signal;
  }

  /** Returns the next entry; waits if there is none. */
  next(): Promise<IteratorResult<Ready<D, F>, undefined>> {
    if (this.#isWaiting || isTurnOver()) return this.#wait();
    try {
      const entry = this.#take();
      return entry === undefined ? this.#wait() : Promise.resolve({ value: entry, done: false });
    } catch (error) {
      return this.#fail(error);
    }
  }

  /** Ends the iteration, as `break` does. */
  return(): Promise<IteratorResult<Ready<D, F>, undefined>> {
    this.#parked?.leave();
    try {
      return Promise.resolve(this.#end());
    } catch (error) {
      return Promise.reject(error);
    }
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
    if (this.#isWaiting) await new Promise<void>((resolve) => this.#later.push(resolve));
    this.#isWaiting = true;
    try {
      const deadlineMs = deadlineAfter(this.#timeoutMs);
      if (isTurnOver()) await nextTurn();
      for (;;) {
        const entry = this.#take();
        if (entry !== undefined) return { value: entry, done: false };
        if (this.#isOver() || monotonicMs() >= deadlineMs) break;
        this.#parked = this.#waits.park(deadlineMs, this.#signal);
        this.#refill(await this.#parked.promise);
      }
      return this.#end();
    } catch (error) {
      return this.#fail(error);
    } finally {
      const next = this.#later.shift();
      this.#isWaiting = next !== undefined; // a new call of next() queues behind it
      next?.();
    }
  }

  /** Ends the iteration, and gives back the entries that it has not returned. */
  #end(): IteratorReturnResult<undefined> {
    this.#hasEnded = true;
    const rest = this.#batch.slice(this.#place);
    this.#batch = [];
    if (rest.length > 0 && !this.#core.isClosed) this.#core.giveBack(rest);
    return { value: undefined, done: true };
  }

  #fail(error: unknown): Promise<never> {
    try {
      this.#end();
    } catch {
      // The first error is the reason why the iteration ends.
    }
    return Promise.reject(error);
  }

  /** Returns the next valid entry that is ready now. */
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
    if (this.#core.isClosed) return undefined; // fileno() may have closed the selector
    this.#refill(this.#waits.look());
    this.#core.takeWakeup(); // a wakeup does not end the iteration
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

  /** Returns an entry of the batch with its current key, or undefined if a handler has made it invalid. */
  #current(entry: Ready<D, F>): Ready<D, F> | undefined {
    const [key, events] = entry;
    const { keys } = this.#core;
    const before = keys.get(key.fd);
    if (before === undefined) return undefined;
    if (this.#isDisowned(before)) return this.#skip(entry);
    const now = keys.get(key.fd); // again, because fileno() may have closed the selector
    if (now === undefined) return undefined;
    if (now === key) return entry;
    // modify() has armed a key with a mode again, so the kernel reports the entry again.
    if ((now.events & MODES) !== 0) return undefined;
    // The same serial means that the key was modified: the events in both masks are returned. If the entry were
    // skipped, a handler that modifies another key in every batch would suppress the events of that key forever.
    const wanted = serialOf(now) === serialOf(key) ? events & now.events : 0;
    return wanted === 0 ? undefined : [now, wanted];
  }

  #skip(entry: Ready<D, F>): undefined {
    if (!this.#core.isClosed) this.#core.giveBack([entry]);
  }

  /**
   * Returns true if the `fileno()` of a key's file object no longer returns the registered descriptor, but only once
   * for each registration.
   *
   * Usually, an earlier handler has closed the object. If the descriptor is still open, for example after `detach()`,
   * the next batch has the entry again, and the iteration returns it, as `select()` does.
   */
  #isDisowned(key: SelectorKey<D, F>): boolean {
    if (typeof key.fileobj === "number" || filenoOrNone(key.fileobj) === key.fd) return false;
    const serial = serialOf(key);
    if (this.#disowned.get(key.fd) === serial) return false;
    this.#disowned.set(key.fd, serial);
    return true;
  }
}
