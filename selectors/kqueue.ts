/**
 * Implements the selector on kqueue (macOS, FreeBSD, NetBSD; libkqueue on Linux).
 *
 * @module
 */

import type { FileObject } from "../ffi/os/arguments.ts";
import { KqueuePoller } from "../ffi/os/kqueue.ts";
import { BaseSelector, type SelectorOptions } from "./base.ts";

/**
 * Waits with kqueue. The cost of a `select()` grows with the number of ready descriptors, not of registered ones.
 *
 * Timeouts are passed to the kernel in nanoseconds. The kernel removes a closed descriptor from the queue.
 *
 * `register()` rejects regular files and directories with `EPERM`, as with epoll. On macOS, it also rejects FIFOs,
 * terminals such as `/dev/tty`, and `/dev/null`. With `fallback: "select"`, the selector waits for all of these.
 * `register()` may reject a pipe without a reader with `EPIPE`.
 *
 * ## libkqueue
 *
 * On Linux, this class needs libkqueue 2.6 or later. `EpollSelector` is faster, and does not have these limits:
 *
 * - libkqueue reads the option `SO_ERROR` of a socket, which clears the error. A refused connection therefore looks
 *   like an established one: `getsockopt(SOL_SOCKET, SO_ERROR)` returns 0. Call `getpeername()` instead, which throws
 *   `ENOTCONN` for a refused connection.
 * - One `select()` reports at most 512 events.
 * - The selector supports both modes, but only the events EVENT_READ and EVENT_WRITE.
 * - Another selector cannot wait for the kqueue descriptor. An asynchronous wait therefore passes every registered
 *   descriptor to poll(2), so its cost grows with the number of registrations.
 * - libkqueue does not notice that a descriptor is closed while a duplicate of it is open.
 * - libkqueue up to 2.7.0 can crash if a descriptor is closed and reused before it is unregistered.
 *
 * @typeParam D Data of each registration
 * @typeParam F File objects that can be registered
 *
 * @example Usage
 * ```ts
 * import {
 *   DefaultSelector,
 *   EVENT_READ,
 *   KqueueSelector,
 * } from "@selectors/selectors";
 * import { socketpair } from "@selectors/selectors/socket";
 * import { assertEquals } from "@std/assert";
 *
 * if (DefaultSelector === KqueueSelector) {
 *   const [here, there] = socketpair();
 *   using selector = new KqueueSelector();
 *   const key = selector.register(here, EVENT_READ);
 *   there.send(new TextEncoder().encode("ping"));
 *   assertEquals(selector.select(), [[key, EVENT_READ]]);
 *   here.close();
 *   there.close();
 * }
 * ```
 */
export class KqueueSelector<D = unknown, F extends FileObject = FileObject> extends BaseSelector<D, F> {
  readonly #poller: KqueuePoller;

  /**
   * Creates a selector without registrations.
   *
   * @param options The fallback for descriptors that the mechanism rejects; defaults to "none", with which `register`
   * throws EPERM
   * @throws {RangeError} if an option is invalid
   * @throws {OSError} EMFILE if too many descriptors are open
   * @throws {Deno.errors.NotSupported} if the system does not have kqueue
   * @throws {Deno.errors.NotCapable} without `--allow-ffi`
   */
  constructor(options?: SelectorOptions) {
    const poller = new KqueuePoller();
    super(poller, options);
    this.#poller = poller;
  }

  /**
   * Returns the kqueue descriptor. Another selector can wait for it, except on libkqueue.
   *
   * Two kinds of registrations do not make the descriptor readable: files that kqueue rejects, and files other than
   * sockets that are registered with EVENT_PRIORITY. The selector waits for them with a second system call.
   *
   * @throws {Deno.errors.BadResource} if the selector is closed
   */
  fileno(): number {
    if (!this.closed) return this.#poller.fd;
    throw new Deno.errors.BadResource("Cannot read the descriptor: the selector is closed");
  }
}
