/**
 * A selector without its asynchronous waits: its registrations, the poller that waits for them, and the calls that wake it.
 *
 * @module
 */

import type { FileObject } from "../ffi/os/arguments.ts";
import { check, EINTR, OSError } from "../ffi/os/errno.ts";
import { EVENT_READ } from "../ffi/os/events.ts";
import type { Poller, Registration } from "../ffi/os/poller.ts";
import { deadlineAfter, isInterruption, leftUntil, monotonicMs, pause } from "../ffi/os/timeout.ts";
import { lendWaker, type Waker } from "../ffi/os/waker.ts";
import { type KeyOwner, KeyTable, RegisteredKey, type SelectorKey, serialOf } from "./keys.ts";
import { parking } from "./waits/parking.ts";

/** A result entry of `select()`: a key, and those of its events that are ready. */
export type Ready<D, F extends FileObject> = [key: SelectorKey<D, F>, events: number];

/** The longest pause in milliseconds, where a call would return at once and find nothing. */
const PAUSE_MS = 10;

/** Registrations, a poller, and the only loop that collects its entries. */
export class SelectorCore<D, F extends FileObject> implements KeyOwner<D, F> {
  readonly keys: KeyTable<D, F> = new KeyTable();
  readonly poller: Poller;
  readonly #returnsOnSignal: boolean;
  isClosed = false;
  /** True until the first close() or wakeup(); lets select() take its fast path. */
  isPlain = true;
  /** Asynchronous waits that are parked. */
  parked = 0;
  /** Calls of {@linkcode wake} and of the waker so far. */
  wakeups = 0;
  // True if one of them came since the last wait.
  #isWoken = false;
  #waker: Waker | null = null;
  // Result of the last wait that a signal ended.
  #interruption: Ready<D, F>[] | null = null;

  /** Makes a core without registrations. */
  constructor(poller: Poller, returnsOnSignal: boolean) {
    this.poller = poller;
    this.#returnsOnSignal = returnsOnSignal;
  }

  /** Registers a descriptor that is not registered; throws an OSError if the poller cannot wait for it. */
  add(fileobj: F, fd: number, events: number, data: D): SelectorKey<D, F> {
    const serial = this.keys.nextSerial();
    this.#check(this.poller.add(fd, events, serial), fd);
    const key = this.keys.add(new RegisteredKey(fileobj, fd, events, data, this, serial));
    this.#changed();
    return key;
  }

  /** Changes a registration; one that the poller can no longer wait for is dropped, and an OSError thrown. */
  modify(key: SelectorKey<D, F>, events: number, data: D): SelectorKey<D, F> {
    if (events !== key.events) {
      const outcome = this.poller.modify(key.fd, events, serialOf(key));
      if (outcome < 0) this.drop(key);
      this.#check(outcome, key.fd);
      this.#changed();
    } else if (data === key.data) {
      return key;
    }
    return this.keys.replace(new RegisteredKey(key.fileobj, key.fd, events, data, this, serialOf(key)));
  }

  /** Drops a registration. */
  drop(key: SelectorKey<D, F>): void {
    this.keys.drop(key.fd);
    this.poller.remove(key.fd);
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

  /** Lets parked waits see the registrations of now, where the kernel does not keep them. */
  #changed(): void {
    if (this.parked > 0 && !this.poller.nests) parking.interrupt();
  }

  /** Waits until entries are ready, the time is over, or the selector is woken. */
  select(timeoutMs: number): Ready<D, F>[] {
    if (this.takeWakeup()) timeoutMs = 0;
    const deadlineMs = deadlineAfter(timeoutMs);
    for (let leftMs = timeoutMs;; leftMs = leftUntil(deadlineMs)) {
      const ready = this.wait(leftMs);
      if (ready === null) continue;
      if (this.#waker !== null) this.#takeOutWaker(ready);
      // Without an entry the wait goes on: the longest timeout of the call may be over, and not that of the caller.
      const isOver = ready.length > 0 || this.takeWakeup() || leftMs === 0 || monotonicMs() >= deadlineMs;
      if (isOver || ready === this.#interruption) return ready;
    }
  }

  /** Returns the entries that are ready now; {@linkcode takeWakeup} tells whether the selector was woken. */
  look(): Ready<D, F>[] {
    for (;;) {
      const ready = this.wait(0);
      if (ready === null) continue;
      if (this.#waker !== null) this.#takeOutWaker(ready);
      return ready;
    }
  }

  /** Waits by one system call; returns null if it has to be repeated. */
  wait(timeoutMs: number): Ready<D, F>[] | null {
    const count = this.poller.wait(timeoutMs);
    // The commonest case by itself, and small, so that V8 inlines it into the caller's loop.
    const only = count === 1 ? entryAt(0, this.poller, this.keys) : undefined;
    return only === undefined ? this.#collect(count, timeoutMs) : [only];
  }

  /** Returns every entry of the last wait, which returned `count`. */
  #collect(count: number, timeoutMs: number): Ready<D, F>[] | null {
    if (count < 0) {
      if (isInterruption(count)) return this.#returnsOnSignal && count === -EINTR ? this.#interruption = [] : null;
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
    return this.#purge(count) || (filled === 0 && pause(Math.min(timeoutMs, PAUSE_MS))) ? null : ready;
  }

  /** Removes from the kernel what belongs to no registration; returns true if the wait has to be repeated. */
  #purge(count: number): boolean {
    if (this.poller.purge === undefined) return false;
    const registrations = this.keys.all().map((key): Registration => [key.fd, key.events, serialOf(key)]);
    if (!this.poller.purge(registrations, count)) return false;
    if (this.parked > 0) parking.interrupt(); // they wait for the old set
    return true;
  }

  /** Ends the wait that goes on, or else the next one. */
  wake(): void {
    this.isPlain = false;
    this.#isWoken = true;
    this.wakeups++;
    if (this.parked > 0) parking.interrupt();
  }

  /** Returns true once if the selector was woken since the last wait. */
  takeWakeup(): boolean {
    const wasWoken = this.#isWoken;
    this.#isWoken = false;
    return wasWoken;
  }

  /** Number by which other Workers wake the selector. */
  get wakeHandle(): number {
    this.#waker ??= this.#makeWaker();
    return this.#waker.handle;
  }

  #makeWaker(): Waker {
    const waker = lendWaker();
    const { fd } = waker;
    const serial = this.keys.nextSerial();
    try {
      this.#check(this.poller.add(fd, EVENT_READ, serial), fd);
    } catch (error) {
      waker.giveBack();
      throw error;
    }
    // No caller ever sees this key.
    this.keys.hide(new RegisteredKey(fd as F, fd, EVENT_READ, undefined as D, this, serial));
    this.isPlain = false;
    this.#changed();
    return waker;
  }

  /** Takes the waker's entry out of a result, and notes whether it was called. */
  #takeOutWaker(ready: Ready<D, F>[]): void {
    const { hidden } = this.keys;
    const place = ready.findIndex(([key]) => key === hidden);
    if (place < 0) return;
    ready.splice(place, 1);
    if (!this.#waker!.drain()) return;
    this.#isWoken = true;
    this.wakeups++;
  }

  /** Closes the poller, once. */
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
