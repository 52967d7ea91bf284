/**
 * Implements the selector on select(2) (every system).
 *
 * @module
 */

import type { FileObject } from "../ffi/os/arguments.ts";
import { SelectPoller } from "../ffi/os/select.ts";
import { BaseSelector, type SelectorOptions } from "./base.ts";

/**
 * Waits with select(2). The cost of a `select()` grows with the greatest registered descriptor; on Windows, with the
 * number of registrations.
 *
 * FD_SETSIZE (1,024; on Windows 64) is not a limit, because the sets grow with the registrations. On Windows,
 * AfdSelector should be faster with many sockets, but has been tested only under Wine.
 *
 * @typeParam D Data of each registration
 * @typeParam F File objects that can be registered
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
  /**
   * Creates a selector without registrations.
   *
   * @param options The options of every selector; `fallback` has no effect on this class
   * @throws {RangeError} if an option is invalid
   * @throws {Deno.errors.NotCapable} without `--allow-ffi`
   */
  constructor(options?: SelectorOptions) {
    super(new SelectPoller(), options);
  }
}
