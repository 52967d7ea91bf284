/**
 * select(2) (every system): three sets of descriptors in memory, which the system reads from end to end at each call.
 *
 * The sets are in `select_unix.ts` and `select_windows.ts`.
 *
 * @module
 */

import { EAGAIN, EBADF } from "./errno.ts";
import { EVENT_READ, EVENT_WRITE } from "./events.ts";
import { isOpen } from "./sys.ts";
import { system } from "./systems.ts";
import type { Poller } from "./poller.ts";
import { IN_EXCEPT, IN_READ, IN_WRITE, type SelectSet as Sets } from "./select_set.ts";
import { BitSelectSet } from "./select_unix.ts";
import { CountedSelectSet } from "./select_windows.ts";

/** Sets of this system. */
export const SelectSet: new () => Sets = system.select === "arrays" ? CountedSelectSet : BitSelectSet;

/** Sets that mean "writable"; Windows reports a failed connect() in the third set. */
const IN_WRITABLE = system.select === "arrays" ? IN_WRITE | IN_EXCEPT : IN_WRITE;

/** Returns the sets that ask for EVENT_* bits. */
export function setsOf(events: number): number {
  return ((events & EVENT_READ) !== 0 ? IN_READ : 0) | ((events & EVENT_WRITE) !== 0 ? IN_WRITABLE : 0);
}

/** Returns the EVENT_* bits of sets. */
function eventsOf(where: number): number {
  return ((where & IN_READ) !== 0 ? EVENT_READ : 0) | ((where & IN_WRITABLE) !== 0 ? EVENT_WRITE : 0);
}

/** Three sets and the entries of the last wait. */
export class SelectPoller implements Poller {
  readonly controlCall = "select";
  readonly waitCall = "select";
  readonly fd = -1;
  readonly nests = false;
  readonly closed = new Set<number>();
  readonly #set = new SelectSet();
  // Serial numbers by descriptor.
  readonly #serials: (number | undefined)[] = [];

  add(fd: number, events: number, serial: number): number {
    if (!isOpen(fd)) return -EBADF;
    this.#set.set(fd, setsOf(events));
    this.#serials[fd] = serial;
    return 0;
  }

  modify(fd: number, events: number): number {
    if (this.closed.has(fd) || !isOpen(fd)) return -EBADF;
    this.#set.set(fd, setsOf(events));
    return 0;
  }

  remove(fd: number): void {
    this.closed.delete(fd);
    this.#set.set(fd, 0);
    this.#serials[fd] = undefined;
  }

  wait(timeoutMs: number): number {
    const count = this.#set.wait(timeoutMs);
    if (count === -EBADF) return this.#removeClosed() ? -EAGAIN : 0;
    return count < 0 ? count : this.#set.gather(count);
  }

  /**
   * Removes closed descriptors from the sets, and returns true if there were any. One of them fails the whole call, which
   * does not report the descriptor.
   */
  #removeClosed(): boolean {
    const before = this.closed.size;
    this.#serials.forEach((serial, fd) => {
      if (serial === undefined || isOpen(fd)) return;
      this.#set.set(fd, 0);
      this.closed.add(fd);
    });
    return this.closed.size > before;
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
