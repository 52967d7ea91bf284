/**
 * Implements the selector on poll(2) (every Unix).
 *
 * @module
 */

import type { FileObject } from "../ffi/os/arguments.ts";
import { PollPoller } from "../ffi/os/poll.ts";
import { BaseSelector, type SelectorOptions } from "./base.ts";

/**
 * Waits with poll(2). The cost of a `select()` grows with the number of registrations.
 *
 * Timeouts are passed to the kernel in nanoseconds where it has `ppoll`, and are rounded up to milliseconds elsewhere.
 *
 * @typeParam D Data of each registration
 * @typeParam F File objects that can be registered
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
  /**
   * Creates a selector without registrations.
   *
   * @param options The options of every selector; `fallback` has no effect on this class
   * @throws {RangeError} if an option is invalid
   * @throws {Deno.errors.NotCapable} without `--allow-ffi`
   */
  constructor(options?: SelectorOptions) {
    super(new PollPoller(), options);
  }
}
