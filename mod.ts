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
 * The only permission that is needed is `--allow-ffi`, and not before a selector is constructed.
 *
 * ## Which wait
 *
 * - `select()` is synchronous. It is the fastest, and stops Deno's event loop while it waits, with its timers, its `fetch`
 *   and its signal listeners: for a program that _is_ its selector loop, or for a Worker that is.
 * - `selectAsync()`, and `for await (const [key, events] of selector)`, let the rest of Deno go on: for a program that does
 *   other things too. What is ready already costs no more than before; to wait takes a thread of Deno's pool, and some
 *   tens of microseconds to come back from it.
 * - `select(0)` only looks, for a program that has a loop of its own, as a game has.
 *
 * To end a wait from outside: `wakeup()`, or {@linkcode wake} from another Worker; `close()`; an `AbortSignal`, for the
 * asynchronous ones; a signal of the system, with `new DefaultSelector({ onSignal: "return" })`, for the synchronous one.
 *
 * ## Which mode
 *
 * A selector is level-triggered: it reports a file object as long as it is ready. Nothing is lost when only a part is read,
 * and whoever does not want to write must not ask whether he can, since he nearly always can. So a server waits for
 * `EVENT_WRITE` only while something is left over that a `trySend` did not take.
 *
 * Edge-triggered (`EPOLLET` of `Epoll`, `KQ_EV_CLEAR` of `Kqueue`, both in `@selectors/selectors/select`) reports a change
 * once, and everything has to be read or written until it would block. That saves system calls to change what is waited
 * for, where each connection is read and written in turn; `examples/epoll_edge_server.ts` shows what it asks for in return.
 *
 * ## Which backend
 *
 * {@linkcode DefaultSelector}, unless one of these holds:
 *
 * - What is to be waited for is a regular file, or on macOS a FIFO or a terminal: {@linkcode SelectSelector}. `epoll` and
 *   `kqueue` refuse those.
 * - There are a few descriptors, and the selector is made anew for each wait: {@linkcode PollSelector}. It has no descriptor
 *   of its own that would have to be opened and closed.
 * - More is to be known than readable and writable, such as urgent data, a timer or a process: `Epoll`, `Kqueue` and `Poll`
 *   of `@selectors/selectors/select`.
 *
 * ## What goes wrong
 *
 * **A closed descriptor.** Unregister before you close. The number of a closed descriptor is the next to be given out, and
 * what was meant for the one may come to the other.
 *
 * **A stale event.** What `select` has returned is a picture of one moment. If what you do for one entry closes another
 * connection, the entry of that one still stands in the array: look whether it is still registered. (`for await` does.)
 *
 * ```ts
 * import { DefaultSelector, EVENT_READ } from "@selectors/selectors";
 * import { type Socket, socketpair } from "@selectors/selectors/socket";
 *
 * const [one, other] = socketpair();
 * const selector = new DefaultSelector<undefined, Socket>();
 * for (const socket of [one, other]) selector.register(socket, EVENT_READ);
 * for (const socket of [one, other]) socket.send(new Uint8Array([1]));
 *
 * for (const [key] of selector.select()) {
 *   if (!selector.getMap()!.has(key.fileobj)) continue; // the first has ended both
 *   for (const socket of [one, other]) {
 *     selector.unregister(socket);
 *     socket.close();
 *   }
 * }
 * selector.close();
 * ```
 *
 * **A ready socket that blocks.** Ready was true when it was said: a datagram with a wrong checksum, a connection that was
 * given up before it was accepted, or another process may have taken it back. Call `setBlocking(false)`, and take the `null`
 * of `tryRecvInto`, `trySend` and `tryAccept` for what it is. `sendAll` is for sockets that block.
 *
 * **A loop that does not turn.** Whatever takes long for one entry delays all others, `console.log` to a slow terminal
 * included. Work belongs in a Worker; who reads slowly is not to be waited for, but to be remembered.
 *
 * **A permission.** `NotCapable` at the first selector or socket asks for `--allow-ffi`. A device, such as `/dev/ttyUSB0`,
 * takes `--allow-all` to be opened.
 *
 * **No more descriptors.** `EMFILE` from `accept` means that this process may have no more; the connection stays in the
 * queue, and the listener ready, so that a loop that only goes on spins. Unregister the listener for a second, as the
 * examples do: to wait for the end of a connection is not enough where none is open. `ulimit -n` shows the limit and, up to
 * what `ulimit -Hn` shows, raises it for a shell and what is started from it. Beyond that: `LimitNOFILE=` in a systemd unit,
 * `--ulimit nofile=` of `docker run`, `/etc/security/limits.conf` for a login. `ENFILE` is the same of the whole system:
 * `sysctl fs.file-max`. `ENOSPC` or `ENOMEM` from `register` is a limit of the kernel's for epoll:
 * `sysctl fs.epoll.max_user_watches`.
 *
 * **A peer that is gone, and does not say so.** Who pulls the plug sends nothing. Set `SO_KEEPALIVE`, or a timeout of yours.
 *
 * ## From Python
 *
 * | `selectors`                                                          | here                                                         |
 * | -------------------------------------------------------------------- | ------------------------------------------------------------ |
 * | `DefaultSelector`, `SelectSelector`, `PollSelector`, `EpollSelector`, `DevpollSelector`, `KqueueSelector`, `BaseSelector` | the same; `new`, and the types of data and file objects can be given |
 * | `EVENT_READ`, `EVENT_WRITE`                                          | the same                                                     |
 * | `SelectorKey`: `fileobj`, `fd`, `events`, `data`                     | the same; it comes apart as an array does                    |
 * | `register(fileobj, events, data=None)`                               | `register(fileobj, events, data)`; left out it is `undefined` |
 * | `unregister(fileobj)`, `modify(fileobj, events, data=None)`          | the same                                                     |
 * | `select(timeout=None)`                                               | `select(timeout)`; an array of pairs                         |
 * | `close()`, `fileno()`                                                | the same                                                     |
 * | `get_key(fileobj)`, `get_map()`                                      | `getKey`, `getMap`: a live view that cannot be written, as Python's; its keys are descriptors |
 * | `with selector:`                                                     | `using selector = …`                                         |
 * | `KeyError`, `ValueError`, `OSError`                                  | {@linkcode KeyError}, `RangeError` or `TypeError`, {@linkcode OSError} |
 * | `asyncio` over a selector                                            | `selectAsync`, `for await`, `wakeup`                         |
 *
 * What differs in what they do, and why, stands in the README.
 *
 * @module
 */

export { type FileObject, KeyError } from "./ffi/os/arguments.ts";
export { OSError } from "./ffi/os/errno.ts";
export { EVENT_READ, EVENT_WRITE } from "./ffi/os/events.ts";
export type { Timeout } from "./ffi/os/timeout.ts";
export { wake } from "./ffi/os/waker.ts";
export {
  BaseSelector,
  type DataArgument,
  type IterationOptions,
  type SelectorOptions,
  type WaitOptions,
} from "./selectors/base.ts";
export type { Ready } from "./selectors/core.ts";
export { SelectorKey, SelectorMap } from "./selectors/keys.ts";
export { DefaultSelector, type SelectorConstructor } from "./selectors/default.ts";
export { DevpollSelector } from "./selectors/devpoll.ts";
export { EpollSelector } from "./selectors/epoll.ts";
export { KqueueSelector } from "./selectors/kqueue.ts";
export { PollSelector } from "./selectors/poll.ts";
export { SelectSelector } from "./selectors/select.ts";
