/**
 * Parks the asynchronous waits of an isolate in one blocked call, until there is something to look at.
 *
 * Deno runs blocking calls on a few dozen threads, and reads files on them too. So all the waits of an isolate share one
 * of them: it waits for every descriptor that any of them waits for, and each selector looks for itself when it returns.
 * The result of the call is not used otherwise: its errno belongs to another thread, and readiness may have passed.
 *
 * ## Returns that help nobody
 *
 * The call may name a descriptor that no selector finds ready: a stale epoll description for whose removal there is no
 * descriptor, a hang-up that poll(2) always reports and select(2) does not, a number that was closed. It would
 * return at once for ever. After a few such returns the descriptors that it names rest for a hundredth of a second.
 *
 * @module
 */

import { check, EBADF } from "../../ffi/os/errno.ts";
import { EVENT_READ } from "../../ffi/os/events.ts";
import { ParkingSet } from "../../ffi/os/parking_set.ts";
import { isInterruption, leftUntil, monotonicMs } from "../../ffi/os/timeout.ts";
import { Waker } from "../../ffi/os/waker.ts";
import { callAfter } from "./turns.ts";

/** Descriptors of all waits, each with the events of all that wait for it. */
export class WatchedSet {
  readonly #events = new Map<number, number>();

  /** Adds events to a descriptor. */
  add(fd: number, events: number): void {
    this.#events.set(fd, (this.#events.get(fd) ?? 0) | events);
  }

  /** Returns the set for the call, without the descriptors that rest. */
  toParkingSet(resting: readonly number[]): ParkingSet {
    const set = new ParkingSet();
    for (const fd of resting) this.#events.delete(fd);
    for (const [fd, events] of this.#events) set.set(fd, events);
    return set;
  }
}

/** A wait that is parked. */
export interface ParkedWait {
  /** Time at which it ends, by `monotonicMs()`; `Infinity` for never. */
  readonly deadlineMs: number;

  /** Adds each descriptor that it waits for. */
  addTo(set: WatchedSet): void;

  /** Looks, and settles the wait if it is over, which it returns; never throws. */
  check(): boolean;

  /** Settles the wait by an error. */
  fail(error: unknown): void;
}

/**
 * The longest that one call blocks. A Worker that is terminated runs no more code, and its call ends by itself: so its
 * thread does not stay for ever.
 */
const MAX_BLOCK_MS = 2_000;

/** Returns in a row that help nobody, after which the descriptors that they name rest. */
const MAX_FRUITLESS = 3;

/** Milliseconds for which such descriptors are left out. */
const REST_MS = 10;

/** Milliseconds until an interruption is sent again that the system had no memory for. */
const RESEND_MS = 1;

/** The parked waits of an isolate, and the call that they share. */
class Parking {
  readonly #waits = new Set<ParkedWait>();
  // Selectors that have waited asynchronously and are not closed.
  #users = 0;
  #waker: Waker | null = null;
  #isRunning = false;
  #isBlocked = false;
  // True if every wait has to be checked, and if the blocked call was interrupted for it.
  #isChanged = false;
  #isInterrupted = false;
  // Returns in a row that helped nobody, and the descriptors that they named.
  #fruitless = 0;
  #named: number[] = [];

  /**
   * Prepares for waits of one more selector: two descriptors stay open from now on, so that a server whose clients have
   * taken all others goes on waiting.
   *
   * @throws {OSError} EMFILE if too many are open already
   */
  acquire(): void {
    this.#waker ??= new Waker();
    this.#users++;
  }

  /** Ends the waits of a selector that was closed. */
  release(): void {
    this.#users--;
    this.interrupt();
    this.#closeWaker();
  }

  /** Adds a wait, which is checked whenever something happens, until it is over. */
  park(wait: ParkedWait): void {
    this.#waits.add(wait);
    if (!this.#isRunning) this.#run();
    else if (this.#isBlocked) this.interrupt();
  }

  /** Checks every wait, and makes the set anew: something has changed that the blocked call cannot see. */
  interrupt(): void {
    this.#isChanged = true;
    this.#send();
  }

  /** Ends the blocked call; tries again later if the system has no memory for it now. */
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
        await undefined; // waits that park in one go share the first call
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

  /** Checks every wait; returns true if one of them is over. */
  #check(): boolean {
    let hasEnded = false;
    for (const wait of this.#waits) {
      if (wait.check()) hasEnded = this.#waits.delete(wait);
    }
    return hasEnded;
  }

  /** Waits on another thread until there is something to look at. */
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

  /** Notes the descriptors that the call has named, until a wait ends. */
  #note(fds: number[], wasResting: boolean): void {
    const others = fds.filter((fd) => fd !== this.#waker!.fd);
    // Without an interruption, the program has closed the pair behind our back, and its numbers are not ours any more.
    if (others.length < fds.length && !this.#isInterrupted) this.#waker = new Waker();
    if (others.length > 0) {
      this.#named = wasResting ? [...this.#named, ...others] : others;
      this.#fruitless++;
    } else if (wasResting) {
      this.#fruitless = MAX_FRUITLESS - 1; // the rest is over: the next call names them again
    }
  }

  /** Lets some time pass where the call fails without naming a descriptor. */
  async #rest(): Promise<void> {
    await new Promise<void>((resolve) => callAfter(REST_MS, resolve));
    this.#fruitless = MAX_FRUITLESS - 1;
  }

  /** Throws if the call fails for a reason that stays: it would be made again at once, and for ever. */
  #diagnose(set: ParkingSet): void {
    const outcome = set.look();
    // A descriptor that was closed is for its selector to find.
    if (!isInterruption(outcome) && outcome !== -EBADF) check(outcome, set.call);
  }

  /** Closes the pair once no selector and no call needs it. */
  #closeWaker(): void {
    if (this.#users > 0 || this.#isRunning) return;
    this.#waker?.close();
    this.#waker = null;
  }
}

/** The parking of this isolate. */
export const parking: Parking = new Parking();
