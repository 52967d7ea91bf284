/**
 * Parks the asynchronous waits of an isolate in one blocking call, until a selector has to check its descriptors.
 *
 * Deno runs blocking calls on a few dozen threads, and reads files on them too. All waits of an isolate therefore share
 * one thread: its call waits for the descriptors of every wait, and each selector checks its own when the call returns.
 * The result has no other use, because its errno belongs to another thread and readiness may have ended.
 *
 * ## Fruitless returns
 *
 * The call may report a descriptor that no selector finds ready: a stale epoll registration that cannot be removed
 * because no descriptor is free, a hang-up that poll(2) always reports and select(2) does not, or a closed descriptor. The call
 * would then return at once for ever. After a few fruitless returns, these descriptors are left out for 10 ms.
 *
 * @module
 */

import { check, EBADF } from "../../ffi/os/errno.ts";
import { EVENT_READ } from "../../ffi/os/events.ts";
import { ParkingSet } from "../../ffi/os/parking_set.ts";
import { isInterruption, leftUntil, monotonicMs } from "../../ffi/os/timeout.ts";
import { Waker } from "../../ffi/os/waker.ts";
import { callAfter } from "./turns.ts";

/** Descriptors of all waits, with the union of their events. */
export class WatchedSet {
  readonly #events = new Map<number, number>();

  /** Adds events to a descriptor. */
  add(fd: number, events: number): void {
    this.#events.set(fd, (this.#events.get(fd) ?? 0) | events);
  }

  /** Returns the set for the call, without the resting descriptors. */
  toParkingSet(resting: readonly number[]): ParkingSet {
    const set = new ParkingSet();
    for (const fd of resting) this.#events.delete(fd);
    for (const [fd, events] of this.#events) set.set(fd, events);
    return set;
  }
}

/** A wait that is parked. */
export interface ParkedWait {
  /** Time at which the wait ends, by `monotonicMs()`; `Infinity` for never. */
  readonly deadlineMs: number;

  /** Adds the descriptors of the wait. */
  addTo(set: WatchedSet): void;

  /** Checks for ready entries; settles the wait and returns true if it is over; never throws. */
  check(): boolean;

  /** Rejects the wait. */
  fail(error: unknown): void;
}

/**
 * The longest time that one call blocks. A terminated Worker cannot end its call, and would otherwise keep the thread
 * for ever.
 */
const MAX_BLOCK_MS = 2_000;

/** Number of fruitless returns in a row, after which the reported descriptors rest. */
const MAX_FRUITLESS = 3;

/** Milliseconds for which resting descriptors are left out of the call. */
const REST_MS = 10;

/** Milliseconds until an interruption is repeated that failed for lack of memory. */
const RESEND_MS = 1;

/** The parked waits of an isolate, and their common call. */
class Parking {
  readonly #waits = new Set<ParkedWait>();
  // Number of open selectors that have waited asynchronously.
  #users = 0;
  #waker: Waker | null = null;
  #isRunning = false;
  #isBlocked = false;
  // True if every wait has to be checked.
  #isChanged = false;
  // True if the blocked call was interrupted.
  #isInterrupted = false;
  // Number of fruitless returns in a row, and the descriptors that they reported.
  #fruitless = 0;
  #named: number[] = [];

  /**
   * Prepares for the waits of one more selector.
   *
   * Two descriptors stay open from now on, so that a server can wait even if its clients have taken all others.
   *
   * @throws {OSError} EMFILE if too many descriptors are open
   */
  acquire(): void {
    this.#waker ??= new Waker();
    this.#users++;
  }

  /** Ends the waits of a closed selector. */
  release(): void {
    this.#users--;
    this.interrupt();
    this.#closeWaker();
  }

  /** Adds a wait; it is checked after each return of the call until it is over. */
  park(wait: ParkedWait): void {
    this.#waits.add(wait);
    if (!this.#isRunning) this.#run();
    else if (this.#isBlocked) this.interrupt();
  }

  /** Checks every wait and builds a new set, because of a change that the blocked call cannot see. */
  interrupt(): void {
    this.#isChanged = true;
    this.#send();
  }

  /** Ends the blocked call; repeats the attempt later if the system has no memory. */
  #send(): void {
    if (!this.#isBlocked || this.#isInterrupted) return;
    this.#isInterrupted = this.#waker!.call() === 0;
    if (!this.#isInterrupted) callAfter(RESEND_MS, () => this.#send());
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    this.#isChanged = false;
    try {
      while (this.#waits.size > 0) {
        await undefined; // so that waits that park at the same time share the first call
        if (!this.#isChanged) await this.#block();
        const wasChanged = this.#isChanged;
        this.#isChanged = false;
        if (this.#check() || wasChanged) this.#fruitless = 0;
      }
    } catch (error) {
      for (const wait of this.#waits) wait.fail(error);
      this.#waits.clear();
    } finally {
      this.#isRunning = false;
      this.#closeWaker();
    }
  }

  /** Checks every wait; returns true if any wait is over. */
  #check(): boolean {
    let hasEnded = false;
    for (const wait of this.#waits) {
      if (wait.check()) hasEnded = this.#waits.delete(wait);
    }
    return hasEnded;
  }

  /** Waits on another thread until a wait has to be checked. */
  async #block(): Promise<void> {
    const isResting = this.#fruitless >= MAX_FRUITLESS;
    if (isResting && this.#named.length === 0) return await this.#rest();
    const watched = new WatchedSet();
    watched.add(this.#waker!.fd, EVENT_READ);
    let deadlineMs = monotonicMs() + (isResting ? REST_MS : MAX_BLOCK_MS);
    for (const wait of this.#waits) {
      wait.addTo(watched);
      deadlineMs = Math.min(deadlineMs, wait.deadlineMs);
    }
    const set = watched.toParkingSet(isResting ? this.#named : []);
    this.#isBlocked = true;
    try {
      const count = await set.wait(leftUntil(deadlineMs));
      this.#isBlocked = false;
      if (count < 0) this.#diagnose(set);
      this.#note(count > 0 ? set.named(count) : [], isResting);
      if (count < 0) this.#fruitless++;
    } finally {
      this.#isBlocked = false;
      if (this.#isInterrupted) this.#waker!.drain();
      this.#isInterrupted = false;
    }
  }

  /** Records the reported descriptors, until a wait ends. */
  #note(fds: number[], wasResting: boolean): void {
    const { fd: wakerFd } = this.#waker!;
    const named = fds.filter((fd) => fd !== wakerFd || !this.#isInterrupted);
    if (named.includes(wakerFd)) this.#mendWaker();
    if (named.length > 0) {
      this.#named = wasResting ? [...this.#named, ...named] : named;
      this.#fruitless++;
    } else if (wasResting) {
      this.#fruitless = MAX_FRUITLESS - 1; // the rest is over, and the next call includes the descriptors again
    }
  }

  /** Makes the waker silent, which is readable without an interruption. */
  #mendWaker(): void {
    // Open: an earlier drain() has failed. Closed: the program did that, and the numbers may belong to other files.
    if (this.#waker!.isOpen()) this.#waker!.drain();
    else this.#waker = new Waker();
  }

  /** Pauses if the call fails without reporting a descriptor. */
  async #rest(): Promise<void> {
    await new Promise<void>((resolve) => callAfter(REST_MS, resolve));
    this.#fruitless = MAX_FRUITLESS - 1;
  }

  /** Throws if the call fails for a lasting reason, because it would otherwise be repeated for ever. */
  #diagnose(set: ParkingSet): void {
    const outcome = set.look();
    // EBADF is a closed descriptor, which its selector finds.
    if (!isInterruption(outcome) && outcome !== -EBADF) check(outcome, set.call);
  }

  /** Closes the waker if neither a selector nor a call uses it. */
  #closeWaker(): void {
    if (this.#users > 0 || this.#isRunning) return;
    this.#waker?.close();
    this.#waker = null;
  }
}

/** The parking of this isolate. */
export const parking: Parking = new Parking();
