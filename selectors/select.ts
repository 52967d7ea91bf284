/**
 * The selector on select(2) (every system).
 *
 * @module
 */

import { checkOpen, isOpen } from "../ffi/os/descriptor.ts";
import { check, EBADF } from "../ffi/os/errno.ts";
import type { FileObject } from "../ffi/os/arguments.ts";
import { SelectSet } from "../ffi/os/select.ts";
import { isInterruption } from "../ffi/os/timeout.ts";
import { BaseSelector, type Ready } from "./base.ts";
import { eventsOfSets, setsOf } from "./events.ts";

/**
 * Waits with select(2), whose cost grows with the greatest registered descriptor; on Windows with that of Winsock, whose
 * cost grows with how many are registered.
 *
 * Neither is bounded by FD_SETSIZE (1,024; on Windows 64): the sets grow with what is registered.
 *
 * @typeParam D What goes with each registration
 * @typeParam F Which file objects can be registered
 *
 * @example Usage
 * ```ts
 * import { EVENT_READ, SelectSelector } from "@selectors/selectors";
 * import { socketpair } from "@selectors/selectors/socket";
 * import { assertEquals } from "@std/assert";
 *
 * const [here, there] = socketpair();
 * using selector = new SelectSelector();
 * selector.register(here, EVENT_READ);
 * assertEquals(selector.select({ milliseconds: 10 }), []);
 * here.close();
 * there.close();
 * ```
 */
export class SelectSelector<D = unknown, F extends FileObject = FileObject> extends BaseSelector<D, F> {
  readonly #set = new SelectSet();
  readonly #entry = (fd: number, where: number): Ready<D, F> => [this.keyOf(fd)!, eventsOfSets(where)];

  /** Adds the descriptor to the sets. */
  protected override watch(fd: number, events: number): void {
    checkOpen(fd, "select");
    this.#set.set(fd, setsOf(events));
  }

  /** Changes in which sets the descriptor is. */
  protected override rewatch(fd: number, events: number): void {
    this.watch(fd, events);
  }

  /** Removes the descriptor from the sets. */
  protected override unwatch(fd: number): void {
    this.#set.set(fd, 0);
  }

  /** Waits with `pselect`, or `select` of Winsock. */
  protected override wait(timeoutMs: number): Ready<D, F>[] | null {
    const set = this.#set;
    const count = set.wait(timeoutMs);
    if (count < 0) {
      if (isInterruption(count)) return this.interrupted(count);
      if (count !== -EBADF) check(count, "select");
      this.#muteClosed();
      return null;
    }
    return set.ready(count, this.#entry);
  }

  /** Does nothing: sets in memory are all there is. */
  protected override release(): void {}

  /**
   * Takes out of the sets what was closed behind our back: one closed descriptor fails the call for all, and the call
   * does not say which.
   */
  #muteClosed(): void {
    for (const { fd } of this.watched()) {
      if (isOpen(fd)) continue;
      this.#set.set(fd, 0);
      this.foundClosed(fd);
    }
  }
}
