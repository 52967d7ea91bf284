/**
 * The selector on select(2) (every system).
 *
 * @module
 */

import { checkOpen, isOpen } from "../ffi/descriptor.ts";
import { check, EBADF } from "../ffi/errno.ts";
import type { FileObject } from "../ffi/file_object.ts";
import { isInterruption } from "../ffi/retry.ts";
import { IN_READ, IN_WRITE, SelectSet } from "../ffi/select.ts";
import { BaseSelector, EVENT_READ, EVENT_WRITE, type Ready } from "./base.ts";

/**
 * Waits with select(2), whose cost grows with the greatest registered descriptor.
 *
 * Descriptors are not bounded by FD_SETSIZE (1,024): the bitmaps grow with them.
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

  /** Adds the descriptor to the bitmaps. */
  protected override watch(fd: number, events: number): void {
    checkOpen(fd, "select");
    this.#set.set(fd, ((events & EVENT_READ) !== 0 ? IN_READ : 0) | ((events & EVENT_WRITE) !== 0 ? IN_WRITE : 0));
  }

  /** Changes in which bitmaps the descriptor is. */
  protected override rewatch(fd: number, events: number): void {
    this.watch(fd, events);
  }

  /** Removes the descriptor from the bitmaps. */
  protected override unwatch(fd: number): void {
    this.#set.set(fd, 0);
  }

  /** Waits with `pselect`. */
  protected override wait(timeoutMs: number): Ready<D, F>[] | null {
    const set = this.#set;
    const count = set.wait(timeoutMs); // of bits: a descriptor that is ready for both counts twice
    if (count < 0) {
      if (isInterruption(count)) return null;
      if (count !== -EBADF) check(count, "select");
      this.#muteClosed();
      return null;
    }
    const ready = new Array<Ready<D, F>>(count);
    let filled = 0;
    let left = count;
    for (let word = 0; left > 0; word++) {
      const readable = set.readableAt(word);
      const writable = set.writableAt(word);
      for (let bits = readable | writable; bits !== 0; bits &= bits - 1) {
        const bit = bits & -bits;
        const events = ((readable & bit) !== 0 ? EVENT_READ : 0) | ((writable & bit) !== 0 ? EVENT_WRITE : 0);
        left -= events === (EVENT_READ | EVENT_WRITE) ? 2 : 1;
        ready[filled++] = [this.keyOf(word * 32 + 31 - Math.clz32(bit))!, events];
      }
    }
    if (filled !== count) ready.length = filled;
    return ready;
  }

  /** Does nothing: bitmaps in memory are all there is. */
  protected override release(): void {}

  /**
   * Takes out of the sets what was closed behind our back: one closed descriptor fails the call for all, and the call
   * does not say which.
   */
  #muteClosed(): void {
    for (const fd of this.getMap()!.keys()) {
      if (isOpen(fd)) continue;
      this.#set.set(fd, 0);
      this.foundClosed(fd);
    }
  }
}
