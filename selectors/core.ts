/**
 * Implements the core of a selector: registrations, synchronous waits and wakeups. `waits/` adds asynchronous waits.
 *
 * @module
 */

import type { FileObject } from "../ffi/os/arguments.ts";
import { check, EBADF, ENOENT, EPERM, OSError } from "../ffi/os/errno.ts";
import { EVENT_PRIORITY, EVENT_READ, MODES } from "../ffi/os/events.ts";
import type { Poller, Registration } from "../ffi/os/poller.ts";
import { deadlineAfter, isInterruption, leftUntil, monotonicMs, pause } from "../ffi/os/timeout.ts";
import { SplitPoller } from "../ffi/os/split.ts";
import { borrowWaker, type Waker } from "../ffi/os/waker.ts";
import { type KeyOwner, KeyTable, RegisteredKey, type SelectorKey, serialOf } from "./keys.ts";
import { parking } from "./waits/parking.ts";

/**
 * An entry of the result of a wait: a key and its ready events.
 *
 * @typeParam D Data of each registration
 * @typeParam F File objects that can be registered
 */
export type Ready<D, F extends FileObject> = [key: SelectorKey<D, F>, events: number];

/** Maximum pause in milliseconds after a wait whose events all belonged to stale registrations. */
const PAUSE_MS = 10;

/** Results of `Poller.modify` for a descriptor that was closed, or was closed and reused. */
const CLOSED: readonly number[] = [-EBADF, -ENOENT, -EPERM];

/** Holds the registrations and the poller, and has the only loop that collects entries. */
export class SelectorCore<D, F extends FileObject> implements KeyOwner<D, F> {
  readonly keys: KeyTable<D, F> = new KeyTable();
  poller: Poller;
  isClosed = false;
  /** True until the first wake(), take(), wake handle or close(); lets select() take its fast path. */
  isPlain = true;
  /** Number of parked asynchronous waits. At 0, a change interrupts nothing, because the next wait sees it. */
  parked = 0;
  /** Number of wakeups so far, by {@linkcode wake} and by the waker. */
  wakeups = 0;
  /** Number of changes to the registrations so far. */
  changes = 0;
  // True if the selector was woken since the last wait.
  #isWoken = false;
  // Events by descriptor that the blocking call has reported; the kernel may not report them again.
  readonly #taken = new Map<number, number>();
  #waker: Waker | null = null;

  /** Creates a core without registrations. */
  constructor(poller: Poller) {
    this.poller = poller;
  }

  /** Registers an unregistered descriptor; throws an OSError if the poller cannot wait for it. */
  add(fileobj: F, fd: number, events: number, data: D): SelectorKey<D, F> {
    if ((events & EVENT_PRIORITY) !== 0) this.#split();
    const serial = this.keys.nextSerial();
    this.#check(this.poller.add(fd, events, serial | 0), fd);
    const key = this.keys.add(new RegisteredKey(fileobj, fd, events, data, this, serial));
    this.#changed();
    return key;
  }

  /** Changes a registration; drops it and throws an OSError if the poller can no longer wait for it. */
  modify(key: SelectorKey<D, F>, events: number, data: D): SelectorKey<D, F> {
    if (events !== key.events || (events & MODES) !== 0) {
      if ((events & EVENT_PRIORITY) !== 0) this.#split();
      this.#update(key, events);
    } else if (Object.is(data, key.data)) {
      return key;
    }
    return this.keys.replace(new RegisteredKey(key.fileobj, key.fd, events, data, this, serialOf(key)));
  }

  /** Replaces the poller with a SplitPoller, because some files report EVENT_PRIORITY to one call only. */
  #split(): void {
    if (this.poller.nests && this.poller.outside === undefined) this.poller = new SplitPoller(this.poller, false);
  }

  /** Changes the mask of a registration in the kernel, or drops the registration and throws. */
  #update(key: SelectorKey<D, F>, events: number): void {
    const outcome = this.poller.modify(key.fd, events, serialOf(key) | 0);
    if (outcome < 0) this.drop(key);
    this.#check(outcome, key.fd);
    this.#changed();
  }

  /**
   * Makes the kernel report undelivered entries again if their keys have a mode.
   *
   * A descriptor that was closed in the meantime stays registered, but is not reported.
   */
  giveBack(entries: Ready<D, F>[]): void {
    const failed: SelectorKey<D, F>[] = [];
    for (const [key] of entries) {
      // modify() has already armed the new key of a modified registration.
      if ((key.events & MODES) === 0 || this.keys.get(key.fd) !== key) continue;
      const outcome = this.poller.modify(key.fd, key.events, serialOf(key) | 0);
      this.#changed();
      if (outcome < 0 && !CLOSED.includes(outcome)) failed.push(key);
    }
    this.#retry(failed);
  }

  /** Arms the keys again, because memory may be available now; throws the first error, after it has tried all keys. */
  #retry(keys: SelectorKey<D, F>[]): void {
    const errors: unknown[] = [];
    for (const key of keys) {
      try {
        this.#update(key, key.events);
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw errors[0];
  }

  /** Drops a registration. */
  drop(key: SelectorKey<D, F>): void {
    this.keys.drop(key.fd);
    this.poller.remove(key.fd);
    this.#taken.delete(key.fd);
    this.#changed();
  }

  dispose(key: SelectorKey<D, F>): void {
    if (this.keys.get(key.fd) === key) this.drop(key);
  }

  #check(outcome: number, fd: number): void {
    if (outcome >= 0) return;
    const text = this.poller.explain?.(fd, -outcome);
    throw new OSError(this.poller.controlCall, -outcome, `fd ${fd}`, text === undefined ? {} : { text });
  }

  /** Counts a change; restarts parked waits unless the kernel keeps all registrations, so that they see the change. */
  #changed(): void {
    this.changes++;
    if (this.parked > 0 && (!this.poller.nests || this.poller.outside !== undefined)) parking.interrupt();
  }

  /** Waits until entries are ready, the timeout ends, or the selector is woken. */
  select(timeoutMs: number): Ready<D, F>[] {
    if (this.takeWakeup()) timeoutMs = 0;
    const deadlineMs = deadlineAfter(timeoutMs);
    for (let leftMs = timeoutMs;; leftMs = leftUntil(deadlineMs)) {
      const ready = this.wait(this.#taken.size > 0 ? 0 : leftMs); // stored events are returned without a wait
      if (ready === null) continue;
      this.#complete(ready);
      const isWoken = this.takeWakeup();
      // An empty result does not mean that the timeout has expired: the longest timeout of the system call may be
      // shorter.
      if (ready.length > 0 || isWoken || timeoutMs === 0 || monotonicMs() >= deadlineMs) return ready;
    }
  }

  /** Returns the entries that are ready now, without blocking; records a wakeup for {@linkcode takeWakeup}. */
  look(): Ready<D, F>[] {
    for (;;) {
      const ready = this.wait(0);
      if (ready === null) continue;
      this.#complete(ready);
      return ready;
    }
  }

  /**
   * Stores events that the blocking call of the parked waits has reported; the next wait returns them. Some files
   * report an event to one call only.
   */
  take(fd: number, events: number): void {
    this.#taken.set(fd, events);
    this.isPlain = false;
  }

  /** Removes the waker's entry from a result, and adds the events that {@linkcode take} has stored. */
  #complete(ready: Ready<D, F>[]): void {
    if (this.#waker !== null) this.#takeOutWaker(ready);
    if (this.#taken.size > 0) this.#addTaken(ready);
  }

  #addTaken(ready: Ready<D, F>[]): void {
    for (const [fd, taken] of this.#taken) {
      const key = this.keys.get(fd);
      const events = key === undefined ? 0 : taken & key.events;
      if (events === 0 || this.poller.isSilent(fd)) continue;
      const entry = ready.find(([other]) => other === key);
      if (entry !== undefined) {
        entry[1] |= events;
      } else {
        ready.push([key!, events]);
        this.poller.spend?.(fd, serialOf(key!) | 0);
      }
    }
    this.#taken.clear();
  }

  /** Waits with one system call; returns null if the wait has to be repeated. */
  wait(timeoutMs: number): Ready<D, F>[] | null {
    const count = this.poller.wait(timeoutMs);
    // The most common case is separate and small, so that V8 inlines it into the caller's loop.
    const only = count === 1 ? entryAt(0, this.poller, this.keys) : undefined;
    return only === undefined ? this.#collect(count, timeoutMs) : [only];
  }

  /** Returns the entries of the last wait, whose result was `count`; returns null if the wait has to be repeated. */
  #collect(count: number, timeoutMs: number): Ready<D, F>[] | null {
    if (count < 0) {
      if (isInterruption(count)) return null;
      check(count, this.poller.waitCall, this.poller.fd >= 0 ? this.poller.fd : undefined);
    }
    const { poller, keys } = this;
    const ready = new Array<Ready<D, F>>(count);
    let filled = 0;
    for (let index = 0; index < count; index++) {
      const entry = entryAt(index, poller, keys);
      if (entry !== undefined) ready[filled++] = entry;
    }
    if (filled === count) return ready;
    ready.length = filled;
    // The pause keeps stale events from making the caller spin.
    const mustRepeat = this.#purge(count) || (filled === 0 && pause(Math.min(timeoutMs, PAUSE_MS)));
    // Entries without a mode can be discarded, because the next wait finds them again.
    return mustRepeat && !ready.some(([key]) => (key.events & MODES) !== 0) ? null : ready;
  }

  /** Removes stale registrations from the kernel; returns true if the wait has to be repeated. */
  #purge(count: number): boolean {
    if (this.poller.purge === undefined) return false;
    const registrations = this.keys.all().map((key): Registration => [key.fd, key.events, serialOf(key) | 0]);
    if (!this.poller.purge(registrations, count)) return false;
    if (this.parked > 0) parking.interrupt(); // because parked waits watch the old kernel set
    return true;
  }

  /** Ends the current wait, or the next one if there is none. */
  wake(): void {
    this.isPlain = false;
    this.wakeups++;
    if (this.parked > 0) parking.interrupt();
    else this.#isWoken = true;
  }

  /** Returns true if the selector was woken since the last call. */
  takeWakeup(): boolean {
    const wasWoken = this.#isWoken;
    this.#isWoken = false;
    return wasWoken;
  }

  /** Opaque number with which other Workers wake the selector. */
  get wakeHandle(): number {
    this.#waker ??= this.#makeWaker();
    return this.#waker.handle;
  }

  #makeWaker(): Waker {
    const waker = this.#borrowWaker();
    const { fd } = waker;
    const serial = this.keys.nextSerial();
    try {
      this.#check(this.poller.add(fd, EVENT_READ, serial | 0), fd);
    } catch (error) {
      waker.giveBack();
      throw error;
    }
    // Hidden: the caller never sees this key.
    this.keys.hide(new RegisteredKey(fd as F, fd, EVENT_READ, undefined as D, this, serial));
    this.isPlain = false;
    this.#changed();
    return waker;
  }

  /**
   * Returns a waker whose descriptor is not registered; a new waker may reuse a registered descriptor that was closed.
   */
  #borrowWaker(): Waker {
    const taken: Waker[] = [];
    try {
      for (;;) {
        const waker = borrowWaker();
        if (this.keys.get(waker.fd) === undefined) return waker;
        taken.push(waker);
      }
    } finally {
      for (const waker of taken) waker.giveBack();
    }
  }

  /** Removes the waker's entry from a result, and records a wakeup if another Worker made one. */
  #takeOutWaker(ready: Ready<D, F>[]): void {
    const { hidden } = this.keys;
    const place = ready.findIndex(([key]) => key === hidden);
    if (place < 0) return;
    ready.splice(place, 1);
    if (!this.#waker!.drain()) return;
    this.#isWoken = true;
    this.wakeups++;
    if (this.parked > 0) parking.interrupt(); // the datagram was for parked waits too
  }

  /** Closes the poller, removes all keys, and gives the waker back. Called once. */
  close(): void {
    this.isClosed = true;
    this.isPlain = false;
    this.keys.clear();
    this.poller.close();
    this.#waker?.giveBack();
  }
}

/** Returns entry `index` of the last wait, or undefined if it belongs to no registration. */
function entryAt<D, F extends FileObject>(
  index: number,
  poller: Poller,
  keys: KeyTable<D, F>,
): Ready<D, F> | undefined {
  const fd = poller.fdAt(index);
  const key = keys.get(fd);
  if (key === undefined || keys.serialAt(fd) !== poller.serialAt(index)) return undefined;
  const events = poller.eventsAt(index) & key.events;
  return events === 0 ? undefined : [key, events];
}
