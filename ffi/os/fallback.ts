/**
 * A poller that uses select(2) for descriptors that its mechanism refuses, such as regular files under epoll.
 *
 * A wait then takes two system calls: select() waits for those descriptors and for the descriptor of the mechanism, and the
 * mechanism returns its own entries without waiting.
 *
 * @module
 */

import { EPERM } from "./errno.ts";
import { EVENT_READ, namesOf } from "./events.ts";
import type { Poller, Registration } from "./poller.ts";
import { SelectPoller } from "./select.ts";

/** Longest wait in milliseconds for a mechanism whose descriptor select() cannot wait for. */
const SLICE_MS = 10;

/** A poller and select(2). */
export class FallbackPoller implements Poller {
  readonly controlCall: string;
  readonly waitCall: string;
  readonly supports: number;
  readonly fd: number;
  readonly nests: boolean;
  /** Descriptors that are registered with select(). */
  readonly outside: Set<number> = new Set();
  readonly #main: Poller;
  readonly #select = new SelectPoller();
  // Number of entries of the mechanism, which come first.
  #found = 0;
  // Index of the mechanism's own descriptor among the entries of select(), or Infinity.
  #own = Infinity;
  // Events for which the last refused descriptor has no fallback.
  #missing = 0;

  /** Creates a poller that asks `main` first. */
  constructor(main: Poller) {
    this.#main = main;
    this.controlCall = main.controlCall;
    this.waitCall = main.waitCall;
    this.supports = main.supports;
    this.fd = main.fd;
    this.nests = main.nests;
  }

  get silences(): number {
    return this.#main.silences + this.#select.silences;
  }

  isSilent(fd: number): boolean {
    return this.#pollerOf(fd).isSilent(fd);
  }

  add(fd: number, events: number, serial: number): number {
    const outcome = this.#main.add(fd, events, serial);
    if (outcome !== -EPERM) return outcome;
    this.#missing = events & ~this.#select.supports;
    if (this.#missing !== 0) return outcome;
    const added = this.#select.add(fd, events, serial);
    if (added < 0) return added;
    if (this.outside.size === 0 && this.#main.nests) this.#select.add(this.fd, EVENT_READ, 0);
    this.outside.add(fd);
    return 0;
  }

  modify(fd: number, events: number, serial: number): number {
    if (!this.outside.has(fd)) return this.#main.modify(fd, events, serial);
    this.#missing = events & ~this.#select.supports;
    return this.#missing === 0 ? this.#select.modify(fd, events, serial) : -EPERM;
  }

  remove(fd: number): void {
    this.#pollerOf(fd).remove(fd);
    if (this.outside.delete(fd) && this.outside.size === 0) this.#select.remove(this.fd);
  }

  #pollerOf(fd: number): Poller {
    return this.outside.has(fd) ? this.#select : this.#main;
  }

  wait(timeoutMs: number): number {
    if (this.outside.size === 0) return this.#found = this.#main.wait(timeoutMs);
    const selected = this.#select.wait(this.#main.nests ? timeoutMs : Math.min(timeoutMs, SLICE_MS));
    if (selected < 0) return selected;
    this.#own = this.#ownEntry(selected);
    const others = this.#own === Infinity ? selected : selected - 1;
    const found = this.#main.wait(0);
    // Entries of select() may be reported only once, so an error of the mechanism waits for the next call.
    if (found < 0 && others === 0) return found;
    this.#found = Math.max(found, 0);
    return this.#found + others;
  }

  #ownEntry(count: number): number {
    for (let index = 0; index < count; index++) if (this.#select.fdAt(index) === this.fd) return index;
    return Infinity;
  }

  /** Returns the index of an entry among those of select(), which come after the mechanism's. */
  #selected(index: number): number {
    const place = index - this.#found;
    return place < this.#own ? place : place + 1;
  }

  fdAt(index: number): number {
    return index < this.#found ? this.#main.fdAt(index) : this.#select.fdAt(this.#selected(index));
  }

  serialAt(index: number): number {
    return index < this.#found ? this.#main.serialAt(index) : this.#select.serialAt(this.#selected(index));
  }

  eventsAt(index: number): number {
    return index < this.#found ? this.#main.eventsAt(index) : this.#select.eventsAt(this.#selected(index));
  }

  explain(fd: number, errno: number): string | undefined {
    const text = this.#main.explain?.(fd, errno);
    if (text === undefined || errno !== EPERM) return text;
    return `${text}; the fallback select() does not support ${namesOf(this.#missing)}`;
  }

  purge(registrations: Registration[], _count: number): boolean {
    if (this.#main.purge === undefined) return false;
    return this.#main.purge(registrations.filter(([fd]) => !this.outside.has(fd)), this.#found);
  }

  close(): void {
    this.#main.close();
  }
}
