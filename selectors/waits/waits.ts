/**
 * Implements the asynchronous waits of one selector: each looks first, and parks if nothing is ready.
 *
 * @module
 */

import type { FileObject } from "../../ffi/os/arguments.ts";
import { EVENT_READ } from "../../ffi/os/events.ts";
import { deadlineAfter, monotonicMs } from "../../ffi/os/timeout.ts";
import type { Ready, SelectorCore } from "../core.ts";
import { type IdleWatcher, type ParkedWait, parking } from "./parking.ts";
import { isTurnOver, nextTurn } from "./turns.ts";
import { watched, type Watcher } from "./watched.ts";

/** A parked wait, for its caller. An interface, because the class would make a selector invariant in its data. */
export interface PendingWait<D, F extends FileObject> {
  /** The entries that end the wait. */
  readonly promise: Promise<Ready<D, F>[]>;

  /** Ends the wait without an entry, if it is not over. */
  leave(): void;
}

/** The asynchronous waits of a selector. */
export class Waits<D, F extends FileObject> implements Watcher, IdleWatcher {
  readonly #core: SelectorCore<D, F>;
  readonly #parked: ParkedWait[] = [];
  // Events of the watched descriptors.
  readonly #watched: (number | undefined)[] = [];
  // Numbers of changes and of silences when #watched was updated; -1 if nothing is watched.
  #changes = -1;
  #silences = 0;
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
    return this.park(deadlineAfter(timeoutMs), signal).promise;
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
    return await this.park(deadlineMs, signal).promise;
  }

  /**
   * Returns the entries that are ready now.
   *
   * The first call opens the descriptors for parking, because none may be free later. It opens them after the look, so
   * that the poller notices closed descriptors before their numbers are reused.
   */
  look(): Ready<D, F>[] {
    const ready = this.#core.look();
    if (!this.#usesParking) this.#acquire(ready);
    return ready;
  }

  #acquire(ready: Ready<D, F>[]): void {
    try {
      parking.acquire();
      this.#usesParking = true;
    } catch (error) {
      if (ready.length === 0) throw error;
      // Returns the entries, because an entry with a mode would not be reported again. The next look tries again.
    }
  }

  /** Waits after a look that found nothing. */
  park(deadlineMs: number, signal?: AbortSignal): PendingWait<D, F> {
    const wait = new Wait(this, this.#core, deadlineMs, signal);
    this.#parked.push(wait);
    this.watch();
    parking.unkeep(this);
    return wait;
  }

  /** Removes a parked wait that is over. */
  leave(wait: ParkedWait): void {
    this.#parked.splice(this.#parked.indexOf(wait), 1);
    if (this.#parked.length === 0 && this.#changes !== -1) parking.keep(this);
    parking.leave(wait);
  }

  /**
   * Watches the descriptor of the poller and those that it does not cover; does nothing if no registration has changed.
   */
  watch(): void {
    const { poller, changes } = this.#core;
    if (changes === this.#changes && poller.silences === this.#silences) return;
    this.#changes = changes;
    this.#silences = poller.silences;
    if (poller.nests) this.#watch(poller.fd, EVENT_READ);
    if (!poller.nests || poller.outside !== undefined) this.#watchEach();
  }

  #watchEach(): void {
    const { poller, keys } = this.#core;
    const isWatched = (fd: number) => {
      return keys.get(fd) !== undefined && !poller.isSilent(fd) && (!poller.nests || poller.outside!.has(fd));
    };
    this.#watched.forEach((_, fd) => {
      if (fd !== poller.fd && !isWatched(fd)) this.#watch(fd, undefined);
    });
    for (const { fd, events } of keys.all()) if (isWatched(fd)) this.#watch(fd, events);
  }

  #watch(fd: number, events: number | undefined): void {
    if (this.#watched[fd] === events) return;
    this.#watched[fd] = events;
    if (events === undefined) watched.unwatch(fd, this);
    else watched.watch(fd, events, this);
  }

  /** Stops watching. */
  unwatch(): void {
    this.#watched.forEach((_, fd) => this.#watch(fd, undefined));
    this.#watched.length = 0;
    this.#changes = -1;
  }

  /** Lets every parked wait check. */
  check(): boolean {
    let isAnyOver = false;
    for (const wait of [...this.#parked]) if (wait.check()) isAnyOver = true;
    if (this.#parked.length > 0) this.watch(); // because a check may have found closed descriptors
    return isAnyOver;
  }

  take(fd: number, events: number): void {
    if (this.#parked.length > 0) this.#core.take(fd, events);
  }

  /** Releases parking; parked waits end by themselves. */
  close(): void {
    if (!this.#usesParking) return;
    this.unwatch();
    parking.unkeep(this);
    parking.release();
  }
}

/** One parked wait. */
class Wait<D, F extends FileObject> implements ParkedWait, PendingWait<D, F> {
  readonly deadlineMs: number;
  readonly promise: Promise<Ready<D, F>[]>;
  readonly #waits: Waits<D, F>;
  readonly #core: SelectorCore<D, F>;
  readonly #signal: AbortSignal | undefined;
  // Number of wakeups before the wait.
  readonly #wakeups: number;
  readonly #resolve: (ready: Ready<D, F>[]) => void;
  readonly #reject: (error: unknown) => void;
  #isOver = false;

  constructor(waits: Waits<D, F>, core: SelectorCore<D, F>, deadlineMs: number, signal?: AbortSignal) {
    const { promise, resolve, reject } = Promise.withResolvers<Ready<D, F>[]>();
    this.deadlineMs = deadlineMs;
    this.promise = promise;
    this.#waits = waits;
    this.#core = core;
    this.#signal = signal;
    this.#wakeups = core.wakeups;
    this.#resolve = resolve;
    this.#reject = reject;
    parking.park(this);
    signal?.addEventListener("abort", this);
    core.parked++;
  }

  check(): boolean {
    const core = this.#core;
    const { isClosed } = core;
    try {
      const ready = isClosed ? [] : core.look();
      if (!isClosed && ready.length === 0 && this.#wakeups === core.wakeups && monotonicMs() < this.deadlineMs) {
        return false;
      }
      if (!isClosed) core.takeWakeup();
      this.#end();
      this.#resolve(ready);
    } catch (error) {
      this.fail(error);
    }
    return true;
  }

  update(): void {
    if (this.#core.isClosed || this.#wakeups !== this.#core.wakeups) this.check();
    else this.#waits.watch();
  }

  fail(error: unknown): void {
    this.#end();
    this.#reject(error);
  }

  leave(): void {
    if (this.#isOver) return;
    this.#end();
    this.#resolve([]);
  }

  #end(): void {
    this.#isOver = true;
    this.#core.parked--;
    this.#signal?.removeEventListener("abort", this);
    this.#waits.leave(this);
  }

  /** Rejects the wait when its signal is aborted. */
  handleEvent(): void {
    this.fail(this.#signal!.reason);
  }
}
