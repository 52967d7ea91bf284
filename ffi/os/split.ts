/**
 * A poller made of two: a main poller, such as epoll's, and a side poller, which uses poll(2) or select(2). The side
 * poller has two kinds of descriptors:
 *
 * - Kinds that the main poller rejects, such as regular files with epoll, if the program asks for this fallback.
 * - Files other than sockets that are registered for EVENT_PRIORITY. Some of them, such as `/proc/mounts`, report a
 *   change only to the first call that checks them. If such a file were in the epoll set, a parked wait would poll the
 *   epoll descriptor, and the kernel would check the file without returning its events.
 *
 * If the side poller has descriptors, a wait takes two system calls. First, the side poller waits for its descriptors
 * and for the descriptor of the main poller. After that, the main poller returns its entries without waiting.
 *
 * @module
 */

import { ENOENT, EPERM } from "./errno.ts";
import { EVENT_PRIORITY, EVENT_READ, MODE_EDGE, namesOf } from "./events.ts";
import { PollPoller } from "./poll.ts";
import type { Poller, Registration } from "./poller.ts";
import { SelectPoller } from "./select.ts";
import * as sys from "./sys.ts";
import { system } from "./systems.ts";

/** Longest wait in milliseconds if the side poller cannot wait for the descriptor of the main poller. */
const SLICE_MS = 10;

/** A main poller and a side poller. */
export class SplitPoller implements Poller {
  readonly controlCall: string;
  readonly waitCall: string;
  readonly supports: number;
  readonly fd: number;
  readonly nests: boolean;
  /** Descriptors of the side poller. */
  readonly outside: Set<number> = new Set();
  readonly #main: Poller;
  // Uses the system call of parked waits.
  readonly #side: Poller = system.park === "select" ? new SelectPoller() : new PollPoller();
  readonly #hasFallback: boolean;
  // Number of entries of the main poller, which come first.
  #found = 0;
  // Index of the main poller's descriptor among the entries of the side poller, or Infinity.
  #own = Infinity;
  // Bits that the side poller does not support, for the last descriptor that needed it.
  #missing = 0;

  /** Creates a poller over `main`; if `hasFallback`, descriptors that `main` rejects go to the side poller. */
  constructor(main: Poller, hasFallback: boolean) {
    this.#main = main;
    this.#hasFallback = hasFallback;
    this.controlCall = main.controlCall;
    this.waitCall = main.waitCall;
    this.supports = main.supports;
    this.fd = main.fd;
    this.nests = main.nests;
  }

  get silences(): number {
    return this.#main.silences + this.#side.silences;
  }

  isSilent(fd: number): boolean {
    return this.#pollerOf(fd).isSilent(fd);
  }

  add(fd: number, events: number, serial: number): number {
    this.#missing = 0;
    if (this.#isForSide(fd, events)) return this.#addOutside(fd, events, serial);
    const outcome = this.#main.add(fd, events, serial);
    if (outcome !== -EPERM || !this.#hasFallback) return outcome;
    this.#missing = events & ~this.#side.supports;
    return this.#missing === 0 ? this.#addOutside(fd, events, serial) : outcome;
  }

  /** Returns true for a file that may report an event to one call only. */
  #isForSide(fd: number, events: number): boolean {
    const isPossible = (events & EVENT_PRIORITY) !== 0 && (events & MODE_EDGE) === 0 && this.nests && fd !== this.fd;
    return isPossible && (events & ~this.#side.supports) === 0 && sys.kindOf(fd, new Int32Array(3)) < 0;
  }

  #addOutside(fd: number, events: number, serial: number): number {
    const outcome = this.#side.add(fd, events, serial);
    if (outcome < 0) return outcome;
    if (this.outside.size === 0 && this.nests) this.#side.add(this.fd, EVENT_READ, 0); // 0 is the serial of no key
    this.outside.add(fd);
    return 0;
  }

  modify(fd: number, events: number, serial: number): number {
    this.#missing = 0;
    if (!this.outside.has(fd)) {
      if (!this.#isForSide(fd, events)) return this.#main.modify(fd, events, serial);
      if (this.#main.owns?.(fd) === false) return -ENOENT;
      const outcome = this.#addOutside(fd, events, serial);
      if (outcome === 0) this.#main.remove(fd);
      return outcome;
    }
    this.#missing = events & ~this.#side.supports;
    if (this.#missing === 0) return this.#side.modify(fd, events, serial);
    // The main poller supports these events, unless it rejects the descriptor.
    const outcome = this.#main.add(fd, events, serial);
    if (outcome === 0) this.#removeOutside(fd);
    return outcome;
  }

  remove(fd: number): void {
    if (this.outside.has(fd)) this.#removeOutside(fd);
    else this.#main.remove(fd);
  }

  #removeOutside(fd: number): void {
    this.#side.remove(fd);
    this.outside.delete(fd);
    if (this.outside.size === 0) this.#side.remove(this.fd);
  }

  #pollerOf(fd: number): Poller {
    return this.outside.has(fd) ? this.#side : this.#main;
  }

  wait(timeoutMs: number): number {
    if (this.outside.size === 0) return this.#found = this.#main.wait(timeoutMs);
    const count = this.#side.wait(this.nests ? timeoutMs : Math.min(timeoutMs, SLICE_MS));
    if (count < 0) return count;
    this.#own = this.#ownEntry(count);
    const others = this.#own === Infinity ? count : count - 1;
    const found = this.#main.wait(0);
    // The side poller may report an entry only once, so an error of the main poller is left to the next wait.
    if (found < 0 && others === 0) return found;
    this.#found = Math.max(found, 0);
    return this.#found + others;
  }

  #ownEntry(count: number): number {
    for (let index = 0; index < count; index++) if (this.#side.fdAt(index) === this.fd) return index;
    return Infinity;
  }

  /** Returns the index in the side poller of an entry that comes after the entries of the main poller. */
  #sideIndex(index: number): number {
    const place = index - this.#found;
    return place < this.#own ? place : place + 1;
  }

  fdAt(index: number): number {
    return index < this.#found ? this.#main.fdAt(index) : this.#side.fdAt(this.#sideIndex(index));
  }

  serialAt(index: number): number {
    return index < this.#found ? this.#main.serialAt(index) : this.#side.serialAt(this.#sideIndex(index));
  }

  eventsAt(index: number): number {
    return index < this.#found ? this.#main.eventsAt(index) : this.#side.eventsAt(this.#sideIndex(index));
  }

  spend(fd: number, serial: number): void {
    this.#pollerOf(fd).spend?.(fd, serial);
  }

  explain(fd: number, errno: number): string | undefined {
    const text = this.#main.explain?.(fd, errno);
    if (errno !== EPERM || !this.#hasFallback || this.#missing === 0) return text;
    return `this kind of descriptor needs the fallback, and the fallback does not support ${namesOf(this.#missing)}`;
  }

  purge(registrations: Registration[], _count: number): boolean {
    if (this.#main.purge === undefined) return false;
    return this.#main.purge(registrations.filter(([fd]) => !this.outside.has(fd)), this.#found);
  }

  close(): void { // the side poller has only arrays
    this.#main.close();
  }
}
