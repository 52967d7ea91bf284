/**
 * Which selector is the best one on this system.
 *
 * @module
 */

import type { FileObject } from "../ffi/os/arguments.ts";
import { type Os, os } from "../ffi/os/platform.ts";
import type { BaseSelector, SelectorOptions } from "./base.ts";
import { DevpollSelector } from "./devpoll.ts";
import { EpollSelector } from "./epoll.ts";
import { KqueueSelector } from "./kqueue.ts";
import { PollSelector } from "./poll.ts";
import { SelectSelector } from "./select.ts";

/** The constructor of a selector. */
export type SelectorConstructor = new <D = unknown, F extends FileObject = FileObject>(
  options?: SelectorOptions,
) => BaseSelector<D, F>;

/** The best selector of each system. */
const BEST: Readonly<Record<Os, SelectorConstructor>> = {
  linux: EpollSelector,
  android: EpollSelector,
  darwin: KqueueSelector,
  freebsd: KqueueSelector,
  netbsd: KqueueSelector,
  solaris: DevpollSelector,
  illumos: DevpollSelector,
  aix: PollSelector,
  windows: SelectSelector,
};

/** Gives the best selector of a system; of one that Deno did not know when this was written, the one that all have. */
export function selectorFor(system: Os): SelectorConstructor {
  return BEST[system] ?? SelectSelector;
}

/**
 * The best selector of this system, chosen when the module loads: EpollSelector on Linux and Android, KqueueSelector on
 * macOS and the BSDs, DevpollSelector on Solaris and illumos, SelectSelector on Windows.
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
export const DefaultSelector: SelectorConstructor = selectorFor(os);

/** What every selector is, for annotations: `let selector: DefaultSelector<Handler>`. */
export type DefaultSelector<D = unknown, F extends FileObject = FileObject> = BaseSelector<D, F>;
