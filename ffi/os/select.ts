/**
 * select(2) (every system): three sets of descriptors in memory, which the system reads from end to end at each call.
 *
 * The sets are in `select_unix.ts` and `select_windows.ts`.
 *
 * @module
 */

import { EAGAIN, EBADF } from "./errno.ts";
import { EVENT_PRIORITY, EVENT_READ, EVENT_WRITE, MODE_ONCE } from "./events.ts";
import { isOpen } from "./sys.ts";
import { system } from "./systems.ts";
import type { Poller } from "./poller.ts";
import { SilentSet } from "./silent_set.ts";
import { BitSelectSet } from "./select_unix.ts";
import { IN_EXCEPT, IN_READ, IN_WRITE, type SelectSet as Sets } from "./select_set.ts";

/** The class of sets for this system. The Windows class is loaded only on Windows, as in `sys.ts`. */
export const SelectSet: new () => Sets = system.select === "arrays"
  ? (await import("./select_windows.ts")).CountedSelectSet
  : BitSelectSet;

/** Sets that mean "writable"; Windows reports a failed connect() in the third set. */
const IN_WRITABLE = system.select === "arrays" ? IN_WRITE | IN_EXCEPT : IN_WRITE;

/** Returns the sets that ask for EVENT_* bits. */
export function setsOf(events: number): number {
  return ((events & EVENT_READ) !== 0 ? IN_READ : 0) |
    ((events & EVENT_WRITE) !== 0 ? IN_WRITABLE : 0) |
    ((events & EVENT_PRIORITY) !== 0 ? IN_EXCEPT : 0);
}

/** Returns the EVENT_* bits of sets. */
export function eventsOf(where: number): number {
  return (where & IN_EXCEPT) === 0 ? where : rareEventsOf(where);
}

function rareEventsOf(where: number): number {
  return EVENT_PRIORITY | (where & IN_READ) | ((where & IN_WRITABLE) !== 0 ? EVENT_WRITE : 0);
}

/** EVENT_* and MODE_* bits that select(2) supports. */
export const selectSupports: number = EVENT_READ | EVENT_WRITE | EVENT_PRIORITY | MODE_ONCE;

/** Three sets and the entries of the last wait. */
export class SelectPoller implements Poller {
  readonly controlCall = "select";
  readonly waitCall = "select";
  readonly supports = selectSupports;
  readonly fd = -1;
  readonly nests = false;
  readonly #set = new SelectSet();
  readonly #silent = new SilentSet();
  // Serial numbers by descriptor.
  readonly #serials: (number | undefined)[] = [];

  get silences(): number {
    return this.#silent.count;
  }

  isSilent(fd: number): boolean {
    return this.#silent.has(fd);
  }

  add(fd: number, events: number, serial: number): number {
    if (!isOpen(fd)) return -EBADF;
    this.#set.set(fd, setsOf(events));
    this.#silent.arm(fd, events, serial);
    this.#serials[fd] = serial;
    return 0;
  }

  modify(fd: number, events: number, serial: number): number {
    if (this.#silent.isClosed(fd) || !isOpen(fd)) return -EBADF;
    this.#set.set(fd, setsOf(events));
    this.#silent.arm(fd, events, serial);
    return 0;
  }

  remove(fd: number): void {
    this.#silent.forget(fd);
    this.#set.set(fd, 0);
    this.#serials[fd] = undefined;
  }

  wait(timeoutMs: number): number {
    const count = this.#set.wait(timeoutMs);
    // -EAGAIN makes the caller wait again, without the closed descriptors. If none is closed now, nothing is ready.
    if (count === -EBADF) return this.#removeClosed() ? -EAGAIN : 0;
    if (count <= 0) return count;
    const entries = this.#set.gather(count);
    if (this.#silent.armed !== 0) this.#spendEntries(entries);
    return entries;
  }

  /** Empties the masks of the registrations with MODE_ONCE that the last wait found ready. */
  #spendEntries(entries: number): void {
    for (let index = 0; index < entries; index++) this.spend(this.fdAt(index), this.serialAt(index));
  }

  spend(fd: number, serial: number): void {
    if (this.#silent.spend(fd, serial)) this.#set.set(fd, 0);
  }

  /**
   * Removes closed descriptors from the sets; returns true if there were any. A closed descriptor makes the whole call
   * fail, and the call does not report which descriptor that is.
   */
  #removeClosed(): boolean {
    const before = this.#silent.count;
    this.#serials.forEach((serial, fd) => {
      if (serial === undefined || this.#silent.isClosed(fd) || isOpen(fd)) return;
      this.#set.set(fd, 0);
      this.#silent.addClosed(fd);
    });
    return this.#silent.count > before;
  }

  fdAt(index: number): number {
    return this.#set.fdAt(index);
  }

  serialAt(index: number): number {
    return this.#serials[this.fdAt(index)]!;
  }

  eventsAt(index: number): number {
    return eventsOf(this.#set.whereAt(index));
  }

  close(): void {} // there is nothing but the sets
}
