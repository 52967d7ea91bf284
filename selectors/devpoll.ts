/**
 * The selector on /dev/poll (Solaris, illumos).
 *
 * @module
 */

import { checkOpen } from "../ffi/os/descriptor.ts";
import { DevpollInstance, POLLNVAL } from "../ffi/os/devpoll.ts";
import { check } from "../ffi/os/errno.ts";
import type { FileObject } from "../ffi/os/arguments.ts";
import { isInterruption } from "../ffi/os/timeout.ts";
import { BaseSelector, type Ready } from "./base.ts";
import { eventsOfFlags, flagsOf } from "./events.ts";

/**
 * Waits with /dev/poll, whose cost grows with what is ready and not with what is registered.
 *
 * Timeouts are rounded up to milliseconds.
 *
 * @typeParam D What goes with each registration
 * @typeParam F Which file objects can be registered
 *
 * @example Usage
 * ```ts
 * import { DefaultSelector, DevpollSelector, EVENT_READ } from "@selectors/selectors";
 * import { socketpair } from "@selectors/selectors/socket";
 * import { assertEquals } from "@std/assert";
 *
 * if (DefaultSelector === DevpollSelector) {
 *   const [here, there] = socketpair();
 *   using selector = new DevpollSelector();
 *   const key = selector.register(here, EVENT_READ);
 *   there.send(new TextEncoder().encode("ping"));
 *   assertEquals(selector.select(), [[key, EVENT_READ]]);
 *   here.close();
 *   there.close();
 * }
 * ```
 */
export class DevpollSelector<D = unknown, F extends FileObject = FileObject> extends BaseSelector<D, F> {
  readonly #devpoll = new DevpollInstance();

  /** Gives the number of the descriptor of /dev/poll. Another selector cannot wait for it. */
  fileno(): number {
    if (!this.closed) return this.#devpoll.fd;
    throw new Deno.errors.BadResource("Cannot ask for the descriptor: the selector is closed");
  }

  /** Adds the descriptor to the set. */
  protected override watch(fd: number, events: number): void {
    checkOpen(fd, "write");
    // Room for every registration at once, so that one wait brings all that is ready.
    this.#devpoll.reserve(this.size + 1);
    check(this.#devpoll.add(fd, flagsOf(events)), "write", fd);
  }

  /** Changes the mask in the set. */
  protected override rewatch(fd: number, events: number): void {
    checkOpen(fd, "write");
    check(this.#devpoll.change(fd, flagsOf(events)), "write", fd);
  }

  /** Removes the descriptor from the set. */
  protected override unwatch(fd: number): void {
    // The set goes by numbers: a descriptor that was closed since, or whose number was reused, is removed as any other.
    this.#devpoll.remove(fd);
  }

  /** Waits with DP_POLL. */
  protected override wait(timeoutMs: number): Ready<D, F>[] | null {
    const devpoll = this.#devpoll;
    const count = devpoll.wait(timeoutMs, this.size);
    if (count < 0) {
      if (isInterruption(count)) return this.interrupted(count);
      check(count, "ioctl", devpoll.fd);
    }
    const ready = new Array<Ready<D, F>>(count);
    let filled = 0;
    for (let index = 0; index < count; index++) {
      const fd = devpoll.fdAt(index);
      const revents = devpoll.reventsAt(index);
      const key = this.keyOf(fd);
      if (key === undefined || (revents & POLLNVAL) !== 0) {
        // Closed behind our back, or left in the set because a write failed. The device would report it for ever.
        devpoll.remove(fd);
        this.foundClosed(fd);
        continue;
      }
      const events = eventsOfFlags(revents) & key.events;
      if (events !== 0) ready[filled++] = [key, events];
    }
    if (filled === count) return ready;
    ready.length = filled;
    return filled > 0 ? ready : null;
  }

  /** Closes the descriptor of /dev/poll. */
  protected override release(): void {
    this.#devpoll.close();
  }
}
