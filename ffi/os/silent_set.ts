/**
 * Records the registrations that a poller leaves out of its waits: one whose descriptor was found closed, until it is
 * removed, and one whose MODE_ONCE is spent, until it is modified or removed.
 *
 * @module
 */

import { MODE_ONCE } from "./events.ts";

/** Registrations whose descriptor was found closed, and those with MODE_ONCE that were reported ("spent"). */
export class SilentSet {
  readonly #closed = new Set<number>();
  // Registrations with MODE_ONCE that were not reported yet: serial numbers by descriptor.
  readonly #armed = new Map<number, number>();
  readonly #spent = new Set<number>();
  /** Number of registrations so far that have become silent. */
  count = 0;
  // False until something is recorded, so that programs that do not need the record pay nothing for it.
  #isUsed = false;

  /** Number of registrations that the next wait may spend. */
  get armed(): number {
    return this.#armed.size;
  }

  /** Descriptors of spent registrations. */
  get spent(): ReadonlySet<number> {
    return this.#spent;
  }

  /** Returns true if a descriptor is silent. */
  has(fd: number): boolean {
    return this.#closed.has(fd) || this.#spent.has(fd);
  }

  /** Returns true if a descriptor was found closed. */
  isClosed(fd: number): boolean {
    return this.#closed.has(fd);
  }

  /** Records that a descriptor was found closed. */
  addClosed(fd: number): void {
    this.#isUsed = true;
    this.#closed.add(fd);
    this.count++;
  }

  /** Records the mask of a registration that was added or modified; a spent registration is armed again. */
  arm(fd: number, events: number, serial: number): void {
    if (this.#isUsed || (events & MODE_ONCE) !== 0) this.#arm(fd, events, serial);
  }

  #arm(fd: number, events: number, serial: number): void {
    this.#isUsed = true;
    this.forget(fd);
    if ((events & MODE_ONCE) !== 0) this.#armed.set(fd, serial);
  }

  /** Spends an armed registration that was reported; returns false for any other. */
  spend(fd: number, serial: number): boolean {
    if (this.#armed.get(fd) !== serial) return false;
    this.#armed.delete(fd);
    this.#spent.add(fd);
    this.count++;
    return true;
  }

  /** Forgets a registration, before it is removed or recorded again. */
  forget(fd: number): void {
    if (!this.#isUsed) return;
    this.#closed.delete(fd);
    this.#armed.delete(fd);
    this.#spent.delete(fd);
  }
}
