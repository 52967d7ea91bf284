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
 * Timeouts are exact to the nanosecond. The kernel removes a closed descriptor from the queue.
 *
 * `register()` rejects regular files and directories with `EPERM`, as with epoll. On macOS it also rejects FIFOs,
 * `/dev/tty` and `/dev/null`; with `fallback: "select"`, the selector waits for them. A pipe without a reader may be
 * rejected with `EPIPE`.
 *
 * ## libkqueue
 *
 * On Linux, this class needs libkqueue 2.6 or later; `EpollSelector` is faster and has none of these limits:
 *
 * - libkqueue reads the option `SO_ERROR` of a socket, which clears the error. A refused connection therefore looks
 *   like an established one: `getsockopt(SOL_SOCKET, SO_ERROR)` returns 0. Call `getpeername()`, which throws
 *   `ENOTCONN`.
 * - One `select()` reports at most 512 events.
 * - It supports both modes, but no events other than readable and writable.
 * - No selector can wait for the kqueue descriptor. An asynchronous wait therefore passes every registered descriptor
 *   to poll(2), and its cost grows with the number of registrations.
 * - libkqueue up to 2.7.0 can crash if a descriptor is closed, and its number reused, before it is unregistered.
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
   * @param options The fallback for descriptors that the mechanism rejects; defaults to none, so that `register` throws
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
   * The descriptor does not stand for files that kqueue rejects, or for files other than sockets with
   * EVENT_PRIORITY: the selector waits for these by a second system call.
   *
   * @throws {Deno.errors.BadResource} if the selector is closed
   */
  fileno(): number {
    if (!this.closed) return this.#poller.fd;
    throw new Deno.errors.BadResource("Cannot read the descriptor: the selector is closed");
  }
}
