/**
 * Implements the asynchronous waits of one selector: each first checks without blocking, and parks if nothing is ready.
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

/** A parked wait, as its caller sees it. An interface, because the class would make a selector invariant in `D`. */
export interface PendingWait<D, F extends FileObject> {
  /** The entries that end the wait. */
  readonly promise: Promise<Ready<D, F>[]>;

  /** Ends the wait without an entry; has no effect if the wait is over. */
  leave(): void;
}

/** The asynchronous waits of a selector. */
export class Waits<D, F extends FileObject> implements Watcher, IdleWatcher {
  readonly #core: SelectorCore<D, F>;
  readonly #parked: ParkedWait[] = [];
  // Events of the watched descriptors, by descriptor.
  readonly #watched: (number | undefined)[] = [];
  // Values of core.changes and poller.silences when #watched was updated; #changes is -1 if nothing is watched.
  #changes = -1;
  #silences = 0;
  #usesParking = false;

  /** Prepares the waits of a selector; the first wait opens two descriptors. */
  constructor(core: SelectorCore<D, F>) {
    this.#core = core;
  }

  /** Waits as `select()` does, without blocking Deno's event loop; `timeoutMs` is from 0 to `Infinity`. */
  select(timeoutMs: number, signal: AbortSignal | undefined): Promise<Ready<D, F>[]> {
    if (isTurnOver()) return this.#selectLater(timeoutMs, signal);
    const ready = this.look();
    if (this.#core.takeWakeup() || ready.length > 0 || timeoutMs === 0) return Promise.resolve(ready);
    return this.park(deadlineAfter(timeoutMs), signal).promise;
  }

  /** Lets the event loop run before the wait. */
  async #selectLater(timeoutMs: number, signal: AbortSignal | undefined): Promise<Ready<D, F>[]> {
    const { wakeups } = this.#core;
    const deadlineMs = deadlineAfter(timeoutMs);
    await nextTurn();
    signal?.throwIfAborted();
    if (this.#core.isClosed) return [];
    const ready = this.look();
    // The count shows a wakeup that another wait has taken.
    const isWoken = this.#core.takeWakeup() || this.#core.wakeups !== wakeups;
    if (isWoken || ready.length > 0 || timeoutMs === 0) return ready;
    return await this.park(deadlineMs, signal).promise;
  }

  /**
   * Returns the entries that are ready now, without blocking.
   *
   * The first call opens the two descriptors for parking, because all descriptors may be in use later. It opens them
   * after the check, so that the poller notices closed descriptors before their numbers are reused.
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
      // Ignored, so that the entries are returned: those with a mode are not reported again. The next look() retries.
    }
  }

  /** Parks a wait; called after {@linkcode look} has found nothing. */
  park(deadlineMs: number, signal?: AbortSignal): PendingWait<D, F> {
    const wait = new Wait(this, this.#core, deadlineMs, signal);
    this.#parked.push(wait);
    this.watch();
    parking.unkeep(this);
    return wait;
  }

  /** Removes a parked wait that is over. */
  leave(wait: ParkedWait, signal: AbortSignal | undefined): void {
    this.#parked.splice(this.#parked.indexOf(wait), 1);
    if (this.#parked.length === 0 && this.#changes !== -1) parking.keep(this); // -1 after close()
    parking.leave(wait, signal);
  }

  /**
   * Watches the descriptor of the poller, and the registered descriptors that do not make it readable. Does nothing if
   * no registration has changed.
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
    const isWatched = (fd: number) => (!poller.nests || poller.outside!.has(fd)) && !poller.isSilent(fd);
    this.#watched.forEach((_, fd) => {
      if (fd !== poller.fd && !(keys.get(fd) !== undefined && isWatched(fd))) this.#watch(fd, undefined);
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

  /** Calls `check()` of every parked wait; returns true if a wait has ended. */
  check(): boolean {
    let isAnyOver = false;
    for (const wait of [...this.#parked]) if (wait.check()) isAnyOver = true;
    if (this.#parked.length > 0) this.watch(); // because check() may have found closed descriptors
    return isAnyOver;
  }

  take(fd: number, events: number): void {
    this.#core.take(fd, events); // even without a parked wait, for example after an abort
  }

  /** Stops watching, and releases parking, which ends the parked waits. */
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
    parking.park(this, signal);
    core.parked++;
  }

  check(): boolean {
    const core = this.#core;
    try {
      if (core.isClosed) return this.#settle([]);
      const ready = core.look();
      if (ready.length === 0 && this.#wakeups === core.wakeups && monotonicMs() < this.deadlineMs) return false;
      core.takeWakeup(); // it ends this wait, and not the next one too
      return this.#settle(ready);
    } catch (error) {
      this.fail(error);
    }
    return true;
  }

  #settle(ready: Ready<D, F>[]): boolean {
    this.#end();
    this.#resolve(ready);
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
    if (!this.#isOver) this.#settle([]);
  }

  #end(): void {
    this.#isOver = true;
    this.#core.parked--;
    this.#waits.leave(this, this.#signal);
  }

  /** Rejects the wait when its signal is aborted. */
  handleEvent(): void {
    this.fail(this.#signal!.reason);
  }
}
