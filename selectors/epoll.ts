/**
 * The selector on epoll (Linux, Android).
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
 * The kernel registers open file descriptions. One that outlives its number, because a duplicate of it lives, would go on
 * to report events after `unregister()`. The selector recognizes them, and makes the kernel's set anew without them.
 *
 * @typeParam D Data of each registration
 * @typeParam F File objects that can be registered
 *
 * @example Usage
 * ```ts
 * import { DefaultSelector, EpollSelector, EVENT_READ } from "@selectors/selectors";
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
   * Makes a selector with nothing registered.
   *
   * @param options What a signal does to a synchronous wait
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

  /** Returns the epoll descriptor, for another selector to wait for.
   *
   * The number stays, but the kernel's set behind it is made anew to be rid of a stale description (see above). The other
   * selector then has to register it again.
   *
   * @throws {Deno.errors.BadResource} if the selector is closed
   */
  fileno(): number {
    if (!this.closed) return this.#poller.fd;
    throw new Deno.errors.BadResource("Cannot ask for the descriptor: the selector is closed");
  }
}
