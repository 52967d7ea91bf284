/**
 * Python's `selectors` for Deno: wait for many sockets, pipes and other descriptors at once.
 *
 * A selector is told once which file objects to watch and for what, and then asked again and again which of them are
 * ready. It works on any descriptor of the operating system: those of `@selectors/selectors/socket`, those that
 * `node:fs` opens, and inherited ones.
 *
 * ```ts
 * import { DefaultSelector, EVENT_READ } from "@selectors/selectors";
 * import { socketpair } from "@selectors/selectors/socket";
 *
 * const [here, there] = socketpair();
 * using selector = new DefaultSelector<string>();
 * selector.register(here, EVENT_READ, "a ping");
 *
 * there.send(new TextEncoder().encode("ping"));
 * for (const [key, events] of selector.select()) {
 *   console.log(`fd ${key.fd} is ready for ${events}: ${key.data}`);
 * }
 * selector.unregister(here);
 * here.close();
 * there.close();
 * ```
 *
 * `select` is synchronous, and stops Deno's event loop while it waits. The only permission that is needed is
 * `--allow-ffi`, and not before a selector is constructed.
 *
 * @module
 */

export { OSError } from "./ffi/errno.ts";
export { wake } from "./ffi/waker.ts";
export {
  BaseSelector,
  type DataArgument,
  EVENT_READ,
  EVENT_WRITE,
  type FileObject,
  type IterationOptions,
  KeyError,
  type Ready,
  SelectorKey,
  SelectorMap,
  type SelectorOptions,
  type Timeout,
  type WaitOptions,
} from "./selectors/base.ts";
export { DefaultSelector, type SelectorConstructor } from "./selectors/default.ts";
export { DevpollSelector } from "./selectors/devpoll.ts";
export { EpollSelector } from "./selectors/epoll.ts";
export { KqueueSelector } from "./selectors/kqueue.ts";
export { PollSelector } from "./selectors/poll.ts";
export { SelectSelector } from "./selectors/select.ts";
