/**
 * select(2) (every system): three sets of descriptors, in memory, which the system walks through at each call.
 *
 * `select_unix.ts` and `select_windows.ts` have the sets.
 *
 * @module
 */

import { EBADF } from "./errno.ts";
import { EVENT_READ, EVENT_WRITE } from "./events.ts";
import { isOpen } from "./sys.ts";
import { system } from "./systems.ts";
import type { Poller } from "./poller.ts";
import { IN_EXCEPT, IN_READ, IN_WRITE, type SelectSet as Sets } from "./select_set.ts";
import { BitSelectSet } from "./select_unix.ts";
import { CountedSelectSet } from "./select_windows.ts";

/** The sets of this system. */
export const SelectSet: new () => Sets = system.select === "arrays" ? CountedSelectSet : BitSelectSet;

/** The sets that say "writable"; Windows has a refused connection in the third. */
const IN_WRITABLE = system.select === "arrays" ? IN_WRITE | IN_EXCEPT : IN_WRITE;

/** Returns the sets that ask for EVENT_* bits. */
export function setsOf(events: number): number {
  return ((events & EVENT_READ) !== 0 ? IN_READ : 0) | ((events & EVENT_WRITE) !== 0 ? IN_WRITABLE : 0);
}

/** Returns the EVENT_* bits that membership in sets stands for. */
function eventsOf(where: number): number {
  return ((where & IN_READ) !== 0 ? EVENT_READ : 0) | ((where & IN_WRITABLE) !== 0 ? EVENT_WRITE : 0);
}

/** Three sets, and what the last call found in them. */
export class SelectPoller implements Poller {
  readonly controlCall = "select";
  readonly waitCall = "select";
  readonly fd = -1;
  readonly nests = false;
  readonly closed = new Set<number>();
  readonly #set = new SelectSet();
  // By descriptor.
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
    if (count === -EBADF) this.#leaveOutClosed();
    return count === -EBADF ? 0 : count < 0 ? count : this.#set.gather(count);
  }

  /** Leaves out descriptors that were closed: one fails the call for all, and the call does not say which. */
  #leaveOutClosed(): void {
    this.#serials.forEach((serial, fd) => {
      if (serial === undefined || isOpen(fd)) return;
      this.#set.set(fd, 0);
      this.closed.add(fd);
    });
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

  close(): void {} // the sets are all there is
}
