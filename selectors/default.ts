/**
 * Chooses the best selector for this system.
 *
 * @module
 */

import type { FileObject } from "../ffi/os/arguments.ts";
import { type System, system } from "../ffi/os/systems.ts";
import type { BaseSelector, SelectorOptions } from "./base.ts";
import { DevpollSelector } from "./devpoll.ts";
import { EpollSelector } from "./epoll.ts";
import { KqueueSelector } from "./kqueue.ts";
import { SelectSelector } from "./select.ts";

/** Constructor of a selector: the type of {@linkcode DefaultSelector} and of every selector class. */
export type SelectorConstructor = new <D = unknown, F extends FileObject = FileObject>(
  options?: SelectorOptions,
) => BaseSelector<D, F>;

const SELECTORS: Readonly<Record<System["best"], SelectorConstructor>> = {
  epoll: EpollSelector,
  kqueue: KqueueSelector,
  devpoll: DevpollSelector,
  select: SelectSelector,
};

/** Returns the best selector for a system. */
export function selectorFor({ best }: System): SelectorConstructor {
  return SELECTORS[best];
}

/**
 * The best selector for this system, chosen when the module loads.
 *
 * It is {@linkcode EpollSelector} on Linux and Android, {@linkcode KqueueSelector} on macOS and the BSDs,
 * {@linkcode DevpollSelector} on Solaris and illumos, and {@linkcode SelectSelector} on Windows. On Windows, it will
 * become AfdSelector when the tests of AfdSelector have run on Windows itself.
 *
 * {@linkcode BaseSelector} describes the methods. The constructor takes {@linkcode SelectorOptions}, and two optional
 * type arguments: the type of the data, and the type of the file objects.
 *
 * @example Usage
 * ```ts
 * import { DefaultSelector, EVENT_READ } from "@selectors/selectors";
 * import { socketpair } from "@selectors/selectors/socket";
 * import { assertEquals } from "@std/assert";
 *
 * const [here, there] = socketpair();
 * using selector = new DefaultSelector<() => Uint8Array>();
 * selector.register(here, EVENT_READ, () => here.recv(1024));
 * there.send(new TextEncoder().encode("ping"));
 * for (const [key] of selector.select()) {
 *   assertEquals(new TextDecoder().decode(key.data()), "ping");
 * }
 * here.close();
 * there.close();
 * ```
 */
export const DefaultSelector: SelectorConstructor = selectorFor(system);

/**
 * Type of every selector, for annotations: `let selector: DefaultSelector<Handler>`.
 *
 * @typeParam D Data of each registration
 * @typeParam F File objects that can be registered
 */
export type DefaultSelector<D = unknown, F extends FileObject = FileObject> = BaseSelector<D, F>;
