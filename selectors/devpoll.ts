/**
 * Implements the selector on /dev/poll (Solaris, illumos).
 *
 * @module
 */

import type { FileObject } from "../ffi/os/arguments.ts";
import { DevpollPoller } from "../ffi/os/devpoll.ts";
import { BaseSelector, type SelectorOptions } from "./base.ts";

/**
 * Waits with /dev/poll. The cost of a `select()` grows with the number of ready descriptors, not of registered ones.
 *
 * Timeouts are rounded up to milliseconds.
 *
 * @typeParam D Data of each registration
 * @typeParam F File objects that can be registered
 *
 * @example Usage
 * ```ts
 * import {
 *   DefaultSelector,
 *   DevpollSelector,
 *   EVENT_READ,
 * } from "@selectors/selectors";
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
  readonly #poller: DevpollPoller;

  /**
   * Creates a selector without registrations.
   *
   * @param options The fallback for descriptors that the mechanism rejects; defaults to "none", with which `register`
   * throws EPERM
   * @throws {RangeError} if an option is invalid
   * @throws {OSError} EMFILE if too many descriptors are open
   * @throws {Deno.errors.NotSupported} if the system does not have /dev/poll
   * @throws {Deno.errors.NotCapable} without `--allow-ffi`
   */
  constructor(options?: SelectorOptions) {
    const poller = new DevpollPoller();
    super(poller, options);
    this.#poller = poller;
  }

  /**
   * Returns the descriptor of /dev/poll. Another selector cannot wait for it.
   *
   * @throws {Deno.errors.BadResource} if the selector is closed
   */
  fileno(): number {
    if (!this.closed) return this.#poller.fd;
    throw new Deno.errors.BadResource("Cannot read the descriptor: the selector is closed");
  }
}
