/**
 * Implements the selector on AFD and a completion port (Windows).
 *
 * @module
 */

import type { FileObject } from "../ffi/os/arguments.ts";
import type { Poller } from "../ffi/os/poller.ts";
import { os, system } from "../ffi/os/systems.ts";
import { BaseSelector, type SelectorOptions } from "./base.ts";

// Loaded only where it can work, as in `ffi/os/sys.ts`.
const afd = system.libraries.ntdll === undefined ? null : await import("../ffi/os/afd.ts");

function createPoller(): Poller {
  if (afd !== null) return new afd.AfdPoller();
  throw new Deno.errors.NotSupported(`Cannot create an AfdSelector: ${os} has no AFD; use DefaultSelector`);
}

/**
 * Waits with the driver behind Winsock, `\Device\Afd`, and a completion port. The cost of a `select()` grows with the
 * number of ready sockets, not of registered ones.
 *
 * **Test it before you rely on it.** It has run only under Wine, never on Windows itself, so `DefaultSelector` on
 * Windows is SelectSelector. libuv, mio and the JDK wait in the same way, but Microsoft does not document the request
 * to the driver.
 *
 * Register a socket with only one AfdSelector at a time, and do not wait for it in any other way, such as with a
 * SelectSelector: Windows may confuse two polls of the same socket.
 *
 * The selector needs unrestricted `--allow-ffi`, because it reads memory that the kernel writes. `close()` waits until
 * the kernel has ended every poll, but gives up if no poll ends for 5 seconds.
 *
 * @typeParam D Data of each registration
 * @typeParam F File objects that can be registered
 *
 * @example Usage
 * ```ts
 * import { AfdSelector, type BaseSelector, DefaultSelector, EVENT_READ } from "@selectors/selectors";
 * import { socketpair } from "@selectors/selectors/socket";
 * import { assertEquals } from "@std/assert";
 *
 * using selector: BaseSelector = Deno.build.os === "windows" ? new AfdSelector() : new DefaultSelector();
 * const [here, there] = socketpair();
 * const key = selector.register(here, EVENT_READ);
 * there.send(new TextEncoder().encode("ping"));
 * assertEquals(selector.select(), [[key, EVENT_READ]]);
 * selector.unregister(here);
 * here.close();
 * there.close();
 * ```
 */
export class AfdSelector<D = unknown, F extends FileObject = FileObject> extends BaseSelector<D, F> {
  /**
   * Creates a selector without registrations.
   *
   * @param options The options of every selector; `fallback` has no effect on this class, because Windows can wait only
   * for sockets
   * @throws {RangeError} if an option is invalid, or the system cannot allocate memory
   * @throws {OSError} ENOBUFS if the system cannot create a completion port
   * @throws {Deno.errors.NotSupported} if the system does not have AFD, or does not let this process use it
   * @throws {Deno.errors.NotCapable} without unrestricted `--allow-ffi`
   */
  constructor(options?: SelectorOptions) {
    super(createPoller(), options);
  }
}
