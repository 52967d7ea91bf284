/**
 * Implements the asynchronous waits of one selector: each looks first, and parks if nothing is ready.
 *
 * @module
 */

import type { FileObject } from "../../ffi/os/arguments.ts";
import { EVENT_READ } from "../../ffi/os/events.ts";
import { deadlineAfter, monotonicMs } from "../../ffi/os/timeout.ts";
import type { Ready, SelectorCore } from "../core.ts";
import { type ParkedWait, parking, type WatchedSet } from "./parking.ts";
import { isTurnOver, nextTurn } from "./turns.ts";

/** The asynchronous waits of a selector. */
export class Waits<D, F extends FileObject> {
  readonly #core: SelectorCore<D, F>;
  #usesParking = false;

  /** Prepares waits for a selector; the first wait opens the descriptors. */
  constructor(core: SelectorCore<D, F>) {
    this.#core = core;
  }

  /** Waits as `select()` does, beside the event loop; `timeoutMs` is at least 0, or `Infinity`. */
  select(timeoutMs: number, signal: AbortSignal | undefined): Promise<Ready<D, F>[]> {
    if (isTurnOver()) return this.#selectLater(timeoutMs, signal);
    const ready = this.look();
    if (this.#core.takeWakeup() || ready.length > 0 || timeoutMs === 0) return Promise.resolve(ready);
    return this.park(deadlineAfter(timeoutMs), signal);
  }

  /** Lets the event loop run before it looks. */
  async #selectLater(timeoutMs: number, signal: AbortSignal | undefined): Promise<Ready<D, F>[]> {
    const { wakeups } = this.#core;
    const deadlineMs = deadlineAfter(timeoutMs);
    await nextTurn();
    signal?.throwIfAborted();
    if (this.#core.isClosed) return [];
    const ready = this.look();
    const isWoken = this.#core.takeWakeup() || this.#core.wakeups !== wakeups;
    if (isWoken || ready.length > 0 || timeoutMs === 0) return ready;
    return this.park(deadlineMs, signal);
  }

  /**
   * Returns the entries that are ready now.
   *
   * The first call opens the descriptors for parking, because later none may be left. It looks first, so that the poller
   * notices closed descriptors before their numbers are used again.
   */
  look(): Ready<D, F>[] {
    const ready = this.#core.look();
    if (!this.#usesParking) {
      parking.acquire();
      this.#usesParking = true;
    }
    return ready;
  }

  /** Waits after a look that found nothing; `isLeft` ends the wait early. */
  park(deadlineMs: number, signal?: AbortSignal, isLeft?: () => boolean): Promise<Ready<D, F>[]> {
    const wait = new Wait(this.#core, deadlineMs, signal, isLeft);
    parking.park(wait);
    return wait.promise;
  }

  /** Releases parking; parked waits end by themselves. */
  close(): void {
    if (this.#usesParking) parking.release();
  }
}

/** One parked wait. */
class Wait<D, F extends FileObject> implements ParkedWait {
  readonly deadlineMs: number;
  readonly promise: Promise<Ready<D, F>[]>;
  readonly #core: SelectorCore<D, F>;
  readonly #signal: AbortSignal | undefined;
  readonly #isLeft: (() => boolean) | undefined;
  // Number of wakeups before the wait.
  readonly #wakeups: number;
  readonly #resolve: (ready: Ready<D, F>[]) => void;
  readonly #reject: (error: unknown) => void;

  constructor(core: SelectorCore<D, F>, deadlineMs: number, signal?: AbortSignal, isLeft?: () => boolean) {
    const { promise, resolve, reject } = Promise.withResolvers<Ready<D, F>[]>();
    this.deadlineMs = deadlineMs;
    this.promise = promise;
    this.#core = core;
    this.#signal = signal;
    this.#isLeft = isLeft;
    this.#wakeups = core.wakeups;
    this.#resolve = resolve;
    this.#reject = reject;
    signal?.addEventListener("abort", this);
    core.parked++;
  }

  addTo(set: WatchedSet): void {
    const { poller, keys } = this.#core;
    if (poller.nests) return set.add(poller.fd, EVENT_READ);
    for (const { fd, events } of keys.all()) {
      if (!poller.isSilent(fd)) set.add(fd, events);
    }
  }

  check(): boolean {
    const core = this.#core;
    try {
      this.#signal?.throwIfAborted();
      const isOver = core.isClosed || this.#isLeft?.() === true;
      const ready = isOver ? [] : core.look();
      if (!isOver && ready.length === 0 && this.#wakeups === core.wakeups && monotonicMs() < this.deadlineMs) {
        return false;
      }
      if (!isOver) core.takeWakeup();
      this.#end();
      this.#resolve(ready);
    } catch (error) {
      this.fail(error);
    }
    return true;
  }

  fail(error: unknown): void {
    this.#end();
    this.#reject(error);
  }

  #end(): void {
    this.#core.parked--;
    this.#signal?.removeEventListener("abort", this);
  }

  /** Ends the wait soon after its signal is aborted. */
  handleEvent(): void {
    parking.interrupt();
  }
}
