/**
 * Parks the asynchronous waits of an isolate in one blocking call, until one of them has to check its descriptors.
 *
 * Deno runs blocking calls on a few dozen threads, and reads files on them too. All waits of an isolate therefore share
 * one thread, which makes one blocking call for the descriptors of all waits.
 *
 * The result of the blocking call only tells which watchers have to check their descriptors, because readiness may have
 * ended since. If the call fails, its errno is lost with the other thread, so `watched.look()` finds out the reason.
 *
 * ## The course of a parked wait
 *
 * 1. A wait that found nothing parks. Its descriptors, or that of its selector, are watched: see `watched.ts`.
 * 2. The blocking call returns when one of them is ready, or at the earliest deadline of all waits.
 * 3. The watchers of the reported descriptors check, and a wait that is over leaves. The other waits stay parked.
 * 4. A change that the call cannot see, such as a new registration or a wakeup, interrupts the call: a datagram goes to
 *    the waker, whose descriptor the call watches too. Then each wait is updated, and the next call begins.
 *
 * @module
 */

import { show } from "../../ffi/os/arguments.ts";
import { check, EBADF } from "../../ffi/os/errno.ts";
import { EVENT_READ } from "../../ffi/os/events.ts";
import { isInterruption, leftUntil, monotonicMs } from "../../ffi/os/timeout.ts";
import { Waker } from "../../ffi/os/waker.ts";
import { callAfter } from "./turns.ts";
import { REST_MS, watched, type Watcher } from "./watched.ts";

/** A wait that is parked. `handleEvent()` rejects it when its signal is aborted. */
export interface ParkedWait extends EventListenerObject {
  /** Time at which the wait ends, by `monotonicMs()`; `Infinity` for never. */
  readonly deadlineMs: number;

  /** Checks whether the wait is over; if it is, settles the wait and returns true; never throws. */
  check(): boolean;

  /** Handles a change that the blocking call cannot see; settles the wait if it is over; never throws. */
  update(): void;

  /** Rejects the wait. */
  fail(error: unknown): void;
}

/** A watcher without a parked wait, whose descriptors stay in the set until the next blocking call: see `keep()`. */
export interface IdleWatcher {
  /** Stops watching. */
  unwatch(): void;
}

/**
 * Maximum duration of one blocking call in milliseconds. A terminated Worker cannot end its blocking call, and without
 * this limit would keep the thread forever.
 */
const MAX_BLOCK_MS = 2_000;

/** Number of failed blocking calls in a row after which the next call is delayed. */
const MAX_FAILURES = 3;

/** Milliseconds until an interruption is retried, which fails if the system has no memory. */
const RESEND_MS = 1;

/**
 * Number of microtasks before the next blocking call, in which a program can begin another wait after one has ended.
 */
const TICKS = 4;

// The methods of the prototype, because a signal may override its own, and a wait must not throw when it ends.
const { addEventListener, removeEventListener } = EventTarget.prototype;

/** The parked waits of an isolate, and their blocking call. Watches the waker that interrupts this call. */
class Parking implements Watcher {
  readonly #waits = new Set<ParkedWait>();
  #idle: IdleWatcher | null = null;
  // Lower bound of the deadlines; a wait that has left does not raise it.
  #earliestMs = Infinity;
  // Number of open selectors that have waited asynchronously.
  #users = 0;
  #waker: Waker | null = null;
  #isRunning = false;
  #isBlocked = false;
  // True if every wait has to be updated.
  #isChanged = false;
  // True if the blocking call was interrupted.
  #isInterrupted = false;
  // Number of failed blocking calls in a row.
  #failures = 0;

  /**
   * Prepares for the waits of one more selector.
   *
   * Opens the two descriptors of the waker, which stay open until the last {@linkcode release}, so that a server can
   * wait even if its clients have taken all other descriptors.
   *
   * @throws {OSError} EMFILE if too many descriptors are open
   */
  acquire(): void {
    this.#openWaker();
    this.#users++;
  }

  /** Ends the waits of a closed selector; closes the waker if no selector or wait needs it. */
  release(): void {
    this.#users--;
    this.interrupt();
    this.#closeWaker();
  }

  /**
   * Adds a wait, and starts or interrupts the blocking call. The caller adds the descriptors of the wait to `watched`.
   *
   * @throws {OSError} EMFILE if too many descriptors are open; the wait is not parked
   * @throws {TypeError} if the signal is not an AbortSignal; the wait is not parked
   */
  park(wait: ParkedWait, signal: AbortSignal | undefined): void {
    if (signal !== undefined && !(signal instanceof AbortSignal)) {
      throw new TypeError(`Cannot wait with the signal ${show(signal)}: use an AbortSignal`);
    }
    this.#openWaker();
    if (signal !== undefined) addEventListener.call(signal, "abort", wait);
    this.#waits.add(wait);
    this.#earliestMs = Math.min(this.#earliestMs, wait.deadlineMs);
    if (this.#isRunning) this.#send();
    else this.#run();
  }

  /** Removes a wait that is over. Interrupts the blocking call, which would otherwise keep a closed file open. */
  leave(wait: ParkedWait, signal: AbortSignal | undefined): void {
    if (!this.#waits.delete(wait)) return;
    if (signal !== undefined) removeEventListener.call(signal, "abort", wait);
    this.#send();
  }

  /**
   * Keeps the descriptors of an idle watcher in the set, in case it parks a wait again before the next blocking call.
   * Only the latest watcher is kept, because most programs have one loop.
   */
  keep(watcher: IdleWatcher): void {
    if (this.#idle !== watcher) this.#idle?.unwatch();
    this.#idle = watcher;
  }

  /** Undoes {@linkcode keep}, because the watcher has a parked wait again or was closed. */
  unkeep(watcher: IdleWatcher): void {
    if (this.#idle === watcher) this.#idle = null;
  }

  /** Updates every wait, because of a change that the blocking call cannot see. */
  interrupt(): void {
    this.#isChanged = true;
    this.#send();
  }

  /** Interrupts the blocking call; retries later if the system has no memory. */
  #send(): void {
    if (!this.#isBlocked || this.#isInterrupted) return;
    this.#isInterrupted = this.#waker!.call() === 0;
    if (!this.#isInterrupted) callAfter(RESEND_MS, () => this.#send());
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    this.#isChanged = false;
    try {
      await undefined; // so that waits that park at the same time share the first call
      while (this.#waits.size > 0) {
        if (!this.#isChanged) await this.#block();
        if (this.#isChanged) this.#update();
        for (let ticks = 0; ticks < TICKS; ticks++) await undefined;
      }
    } catch (error) {
      for (const wait of this.#waits) wait.fail(error);
    } finally {
      this.#isRunning = false;
      this.#earliestMs = Infinity;
      this.#closeWaker();
    }
  }

  /** Makes the blocking call on another thread, and calls `check()` of the watchers of reported descriptors. */
  async #block(): Promise<void> {
    if (this.#failures >= MAX_FAILURES) return await this.#rest();
    this.#idle?.unwatch();
    this.#idle = null;
    const nowMs = monotonicMs();
    const deadlineMs = Math.min(nowMs + MAX_BLOCK_MS, this.#earliestMs, watched.restEndMs);
    this.#isBlocked = true;
    try {
      const count = await watched.wait(leftUntil(deadlineMs), nowMs);
      this.#isBlocked = false; // so that a wait that ends in #check() sends nothing
      this.#failures = count < 0 ? this.#failures + 1 : 0;
      this.#check(count < 0 ? watched.look() : count);
    } finally {
      this.#isBlocked = false;
      if (this.#isInterrupted) this.#waker!.drain();
      this.#isInterrupted = false;
    }
  }

  /** Calls `check()` of watchers and overdue waits after a blocking call; `outcome` is its count or `-errno`. */
  #check(outcome: number): void {
    // select() fails if a descriptor is closed, and does not report which descriptor it is.
    if (outcome === -EBADF) watched.checkAll();
    else if (outcome >= 0) watched.check(watched.reported(outcome));
    else if (!isInterruption(outcome)) check(outcome, watched.call); // throws, because a retry would fail too
    if (leftUntil(this.#earliestMs) === 0) this.#checkDeadlines(); // no clock is read if no wait has a deadline
  }

  #checkDeadlines(): void {
    const nowMs = monotonicMs();
    this.#earliestMs = Infinity;
    for (const wait of this.#waits) {
      if (wait.deadlineMs > nowMs || !wait.check()) this.#earliestMs = Math.min(this.#earliestMs, wait.deadlineMs);
    }
  }

  #update(): void {
    this.#isChanged = false;
    for (const wait of this.#waits) wait.update();
  }

  /** Pauses if the blocking call fails again and again although `watched.look()` finds no lasting reason. */
  async #rest(): Promise<void> {
    await new Promise<void>((resolve) => callAfter(REST_MS, resolve));
    this.#failures = MAX_FAILURES - 1;
  }

  #openWaker(): void {
    if (this.#waker !== null) return;
    this.#waker = new Waker();
    watched.watch(this.#waker.fd, EVENT_READ, this);
  }

  /**
   * Empties or replaces the waker, which the blocking call has reported; returns true if the waker interrupted the
   * call.
   *
   * @throws {OSError} EMFILE if the waker has to be replaced and too many descriptors are open
   */
  check(): boolean {
    const waker = this.#waker!;
    if (this.#isInterrupted) return true;
    // If the waker is open, an earlier drain() has failed. If it is not, the program has closed it, and its numbers may
    // belong to other files.
    if (waker.isOpen()) {
      waker.drain();
      return false;
    }
    this.#waker = null;
    watched.unwatch(waker.fd, this);
    this.#openWaker();
    return false;
  }

  take(): void {} // the waker has no urgent data

  /** Closes the waker if neither a selector nor the blocking call uses it. */
  #closeWaker(): void {
    if (this.#users > 0 || this.#isRunning || this.#waker === null) return;
    watched.unwatch(this.#waker.fd, this);
    this.#waker.close();
    this.#waker = null;
  }
}

/** The parking of this isolate. */
export const parking: Parking = new Parking();
