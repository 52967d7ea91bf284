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
 * Timeouts are passed to the kernel in nanoseconds from Linux 5.11 on, and rounded up to milliseconds before.
 *
 * epoll does not register the descriptor itself, but its open file description, which all duplicates of the descriptor
 * share (see {@link https://man7.org/linux/man-pages/man2/open.2.html | open(2)}). If you close a registered descriptor
 * while a duplicate is open, for example in a child process, the kernel keeps reporting its events, even after
 * `unregister()`. The selector ignores the events of such a stale registration, and replaces the kernel set with a new
 * one that does not contain it.
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
   * @param options The fallback for descriptors that the mechanism rejects; defaults to "none", with which `register`
   * throws EPERM
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
   * The descriptor is the same until `close()`. But if the selector removes a stale registration (see above), the
   * descriptor refers to a new kernel set, and the other selector has to register it again.
   *
   * Two kinds of registrations do not make the descriptor readable: files that epoll rejects, and files other than
   * sockets that are registered with EVENT_PRIORITY. The selector waits for them with a second system call.
   *
   * @throws {Deno.errors.BadResource} if the selector is closed
   */
  fileno(): number {
    if (!this.closed) return this.#poller.fd;
    throw new Deno.errors.BadResource("Cannot read the descriptor: the selector is closed");
  }
}
