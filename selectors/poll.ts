/**
 * The selector on poll(2) (every Unix).
 *
 * @module
 */

import { checkOpen } from "../ffi/os/descriptor.ts";
import { check } from "../ffi/os/errno.ts";
import type { FileObject } from "../ffi/os/arguments.ts";
import { POLLNVAL, PollSet } from "../ffi/os/poll.ts";
import { isInterruption } from "../ffi/os/timeout.ts";
import { BaseSelector, type Ready } from "./base.ts";
import { eventsOfFlags, flagsOf } from "./events.ts";

/**
 * Waits with poll(2), whose cost grows with the number of registrations.
 *
 * Timeouts are exact to the nanosecond where the system has `ppoll`, and rounded up to milliseconds elsewhere.
 *
 * @typeParam D What goes with each registration
 * @typeParam F Which file objects can be registered
 *
 * @example Usage
 * ```ts
 * import { EVENT_WRITE, PollSelector } from "@selectors/selectors";
 * import { socketpair } from "@selectors/selectors/socket";
 * import { assertEquals } from "@std/assert";
 *
 * const [here, there] = socketpair();
 * using selector = new PollSelector();
 * const key = selector.register(here, EVENT_WRITE);
 * assertEquals(selector.select(), [[key, EVENT_WRITE]]);
 * here.close();
 * there.close();
 * ```
 */
export class PollSelector<D = unknown, F extends FileObject = FileObject> extends BaseSelector<D, F> {
  readonly #set = new PollSet();

  /** Adds the descriptor to the list. */
  protected override watch(fd: number, events: number): void {
    checkOpen(fd, "poll");
    this.#set.set(fd, flagsOf(events));
  }

  /** Changes the mask in the list. */
  protected override rewatch(fd: number, events: number): void {
    this.watch(fd, events);
  }

  /** Removes the descriptor from the list. */
  protected override unwatch(fd: number): void {
    this.#set.delete(fd);
  }

  /** Waits with `poll` or `ppoll`. */
  protected override wait(timeoutMs: number): Ready<D, F>[] | null {
    const set = this.#set;
    const count = set.wait(timeoutMs);
    if (count < 0) {
      if (isInterruption(count)) return this.interrupted(count);
      check(count, "poll");
    }
    const ready = new Array<Ready<D, F>>(count);
    let filled = 0;
    let left = count;
    for (let slot = 0; left > 0; slot++) {
      const revents = set.reventsAt(slot);
      if (revents === 0) continue;
      left--;
      if ((revents & POLLNVAL) !== 0) {
        // Closed behind our back. poll() would return at once for ever.
        set.mute(slot);
        this.foundClosed(set.fdAt(slot));
        continue;
      }
      const key = this.keyOf(set.fdAt(slot))!;
      const events = eventsOfFlags(revents) & key.events;
      if (events !== 0) ready[filled++] = [key, events];
    }
    if (filled === count) return ready;
    ready.length = filled;
    return filled > 0 ? ready : null;
  }

  /** Does nothing: a list in memory is all there is. */
  protected override release(): void {}
}
