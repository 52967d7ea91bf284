/**
 * A poller that leaves some descriptors to poll(2), or to select(2), and all others to a mechanism such as epoll:
 *
 * - Kinds that the mechanism rejects, such as regular files under epoll, if the program asks for this fallback.
 * - Files other than sockets that report urgent data. Some of them, such as `/proc/mounts`, report a change to the first
 *   call that looks at them and not to the next. A parked wait looks through poll(2), which would look at a file inside epoll
 *   without telling what it saw.
 *
 * A wait then takes two system calls: the first waits for those descriptors and for the descriptor of the mechanism, and the
 * mechanism returns its own entries without waiting.
 *
 * @module
 */

import { EPERM } from "./errno.ts";
import { EVENT_PRIORITY, EVENT_READ, MODE_EDGE, namesOf } from "./events.ts";
import { PollPoller } from "./poll.ts";
import type { Poller, Registration } from "./poller.ts";
import { SelectPoller } from "./select.ts";
import * as sys from "./sys.ts";
import { system } from "./systems.ts";

/** Longest wait in milliseconds if the other call cannot wait for the descriptor of the mechanism. */
const SLICE_MS = 10;

/** A mechanism, and a poller beside it. */
export class SplitPoller implements Poller {
  readonly controlCall: string;
  readonly waitCall: string;
  readonly supports: number;
  readonly fd: number;
  readonly nests: boolean;
  /** Descriptors that are registered beside the mechanism. */
  readonly outside: Set<number> = new Set();
  readonly #main: Poller;
  // The call that also parks waits.
  readonly #side: Poller = system.park === "select" ? new SelectPoller() : new PollPoller();
  readonly #hasFallback: boolean;
  // Number of entries of the mechanism, which come first.
  #found = 0;
  // Index of the mechanism's own descriptor among the other entries, or Infinity.
  #own = Infinity;
  // Bits that the last rejected descriptor lacks beside the mechanism.
  #missing = 0;

  /** Creates a poller over `main`; `hasFallback` leaves what `main` rejects to the other call. */
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
    if (this.#isForSide(fd, events)) return this.#addOutside(fd, events, serial);
    const outcome = this.#main.add(fd, events, serial);
    if (outcome !== -EPERM || !this.#hasFallback) return outcome;
    this.#missing = events & ~this.#side.supports;
    return this.#missing === 0 ? this.#addOutside(fd, events, serial) : outcome;
  }

  /** Returns true for a file that may report an event to one call only. */
  #isForSide(fd: number, events: number): boolean {
    const isPossible = (events & EVENT_PRIORITY) !== 0 && (events & MODE_EDGE) === 0 && this.nests;
    return isPossible && (events & ~this.#side.supports) === 0 && sys.kindOf(fd, new Int32Array(3)) < 0;
  }

  #addOutside(fd: number, events: number, serial: number): number {
    const outcome = this.#side.add(fd, events, serial);
    if (outcome < 0) return outcome;
    if (this.outside.size === 0 && this.nests) this.#side.add(this.fd, EVENT_READ, 0);
    this.outside.add(fd);
    return 0;
  }

  modify(fd: number, events: number, serial: number): number {
    if (!this.outside.has(fd)) {
      if (!this.#isForSide(fd, events)) return this.#main.modify(fd, events, serial);
      const outcome = this.#addOutside(fd, events, serial);
      if (outcome === 0) this.#main.remove(fd);
      return outcome;
    }
    this.#missing = events & ~this.#side.supports;
    if (this.#missing === 0) return this.#side.modify(fd, events, serial);
    // The mechanism supports these events, unless it rejects the descriptor.
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
    // The other call may report an entry only once, so an error of the mechanism is left to the next wait.
    if (found < 0 && others === 0) return found;
    this.#found = Math.max(found, 0);
    return this.#found + others;
  }

  #ownEntry(count: number): number {
    for (let index = 0; index < count; index++) if (this.#side.fdAt(index) === this.fd) return index;
    return Infinity;
  }

  /** Returns the index in the other poller of an entry that comes after those of the mechanism. */
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
    if (text === undefined || !this.#hasFallback) return text;
    return `${text}; the fallback does not support ${namesOf(this.#missing)}`;
  }

  purge(registrations: Registration[], _count: number): boolean {
    if (this.#main.purge === undefined) return false;
    return this.#main.purge(registrations.filter(([fd]) => !this.outside.has(fd)), this.#found);
  }

  close(): void {
    this.#main.close();
  }
}
