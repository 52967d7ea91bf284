/**
 * Implements the selector on epoll (Linux, Android).
 *
 * @module
 */

import type { FileObject } from "../ffi/os/arguments.ts";
import { EpollPoller } from "../ffi/os/epoll.ts";
import { BaseSelector, type SelectorOptions } from "./base.ts";

/**
 * Waits with epoll. The cost of a `select()` grows with the number of ready descriptors, not of registered ones.
 *
 * Timeouts are exact to the nanosecond from Linux 5.11 on, and rounded up to milliseconds before.
 *
 * The kernel does not register the descriptor itself, but the open file description: the open file to which a
 * descriptor and its duplicates refer (see {@link https://man7.org/linux/man-pages/man2/open.2.html | open(2)}). If a
 * duplicate, for example in a child process, keeps the file open after its descriptor is closed, the kernel keeps
 * reporting its events, even after `unregister()`. The selector recognizes these events, and builds a new kernel set
 * without the stale registration.
 *
 * @typeParam D Data of each registration
 * @typeParam F File objects that can be registered
 *
 * @example Usage
 * ```ts
 * import {
 *   DefaultSelector,
 *   EpollSelector,
 *   EVENT_READ,
 * } from "@selectors/selectors";
 * import { socketpair } from "@selectors/selectors/socket";
 * import { assertEquals } from "@std/assert";
 *
 * if (DefaultSelector === EpollSelector) {
 *   const [here, there] = socketpair();
 *   using selector = new EpollSelector();
 *   const key = selector.register(here, EVENT_READ);
 *   there.send(new TextEncoder().encode("ping"));
 *   assertEquals(selector.select(), [[key, EVENT_READ]]);
 *   here.close();
 *   there.close();
 * }
 * ```
 */
export class EpollSelector<D = unknown, F extends FileObject = FileObject> extends BaseSelector<D, F> {
  readonly #poller: EpollPoller;

  /**
   * Creates a selector without registrations.
   *
   * @param options The fallback for descriptors that the mechanism rejects; defaults to none, so that `register` throws
   * @throws {RangeError} if an option is invalid
   * @throws {OSError} EMFILE if too many descriptors are open
   * @throws {Deno.errors.NotSupported} if the system does not have epoll
   * @throws {Deno.errors.NotCapable} without `--allow-ffi`
   */
  constructor(options?: SelectorOptions) {
    const poller = new EpollPoller();
    super(poller, options);
    this.#poller = poller;
  }

  /**
   * Returns the epoll descriptor. Another selector can wait for it.
   *
   * The number never changes, but its kernel set does if the selector removes a stale registration (see above). The
   * other selector then has to register it again.
   *
   * The descriptor does not stand for files that epoll rejects, or for files other than sockets with
   * EVENT_PRIORITY: the selector waits for these by a second system call.
   *
   * @throws {Deno.errors.BadResource} if the selector is closed
   */
  fileno(): number {
    if (!this.closed) return this.#poller.fd;
    throw new Deno.errors.BadResource("Cannot read the descriptor: the selector is closed");
  }
}
