/**
 * Python's `selectors` for Deno: wait for many sockets, pipes and other file descriptors at once.
 *
 * A file descriptor is the number by which the operating system knows an open socket, pipe, terminal or device. A file
 * object is a descriptor, or an object with a `fileno()` method. Register each file object once, with the events to
 * wait for. Each wait then returns the file objects that are ready, so that the next `read()` or `write()` does not
 * block.
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
 * The package needs only the permission `--allow-ffi`, and only from its first system call on. It is tested with Deno
 * 2.9.
 *
 * ## Where to start
 *
 * 1. Get a descriptor: a {@linkcode [socket].Socket | Socket}, a {@linkcode [socket].pipe | pipe}, `openSync()` of
 *    `node:fs`, an inherited descriptor such as 0 for standard input, or the descriptor of a C library. `Deno.Conn`,
 *    `Deno.Listener` and `Deno.FsFile` do not expose their descriptors.
 * 2. Create a {@linkcode DefaultSelector}, and `register` each file object with {@linkcode EVENT_READ} or
 *    {@linkcode EVENT_WRITE}. {@linkcode BaseSelector} documents the methods of every selector. To wait for one
 *    descriptor at a time, call {@linkcode waitFor} instead, without a selector.
 * 3. Choose [a wait](#which-wait), and handle the entries that it returns, each a {@linkcode SelectorKey} and its
 *    events.
 * 4. Read [what goes wrong](#what-goes-wrong) before you deploy the program.
 *
 * The package has four other modules:
 *
 * | module                                  | what it has                                                                  |
 * | --------------------------------------- | ---------------------------------------------------------------------------- |
 * | {@link [socket] | `@selectors/selectors/socket`}           | sockets and pipes, whose descriptors a selector can wait for                 |
 * | {@link [sources] | `@selectors/selectors/sources`}         | timers, signals, process exits and notifications, as file objects            |
 * | {@link [streams] | `@selectors/selectors/streams`}         | any descriptor as Web Streams                                                |
 * | {@link [select] | `@selectors/selectors/select`}           | Python's `select`: epoll, kqueue, /dev/poll, poll and select, with every kernel flag |
 *
 * ## Which wait
 *
 * - {@linkcode BaseSelector.prototype.select | select()} is synchronous. It is the fastest wait, but blocks Deno's
 *   event loop: no timer, `fetch` or signal listener runs meanwhile. Use it if a program or a Worker only runs a
 *   selector loop.
 * - {@linkcode BaseSelector.prototype.selectAsync | selectAsync()}, and `for await (const [key, events] of selector)`,
 *   let the event loop run. Use them if the program does other things too. If nothing is ready, the wait uses a thread
 *   of Deno's pool, and takes a few tens of microseconds to return from it. If many descriptors are ready,
 *   `selectAsync()` costs little more than `select()`. With an empty handler, `for await` returns about 60% as many
 *   entries per second as `select()`, because each entry needs a promise.
 * - {@linkcode waitFor} waits for one descriptor without a selector, and lets the event loop run. Use it where a
 *   program waits for one connection or device at a time.
 * - `select(0)` does not wait. Use it in a program that has its own loop, such as a game.
 *
 * A timeout is a number of seconds, or a duration such as `{ milliseconds: 250 }`; without one, a wait lasts until
 * something is ready. Timeouts never expire early, and may exceed 24.8 days, the limit of `setTimeout`. Changes to the
 * system clock, and fake timers such as `FakeTime` of `@std/testing`, do not affect them.
 *
 * To end a `select()`, call {@linkcode wake} in another Worker. To end a `selectAsync()`, call
 * {@linkcode BaseSelector.prototype.wakeup | wakeup()} or `close()`, or use an `AbortSignal`. To end a `for await`,
 * call `close()`, leave the loop, or use an `AbortSignal`. A {@linkcode [sources].Signals | Signals} object, which is
 * registered like a socket, makes a signal such as SIGINT end any wait.
 *
 * ## Which events
 *
 * `EVENT_READ` and `EVENT_WRITE` are those of Python, and work everywhere. Combine events with `|`, as in
 * `EVENT_READ | EVENT_WRITE`.
 *
 * | event                           | reported if                                                                    |
 * | ------------------------------- | ------------------------------------------------------------------------------ |
 * | {@linkcode EVENT_READ}          | `read()` does not block: data, a connection to accept, end of file, or an error |
 * | {@linkcode EVENT_WRITE}         | `write()` does not block: room for data, a completed connection, or an error   |
 * | {@linkcode EVENT_PRIORITY}      | urgent data, or a change of a GPIO line or of `/proc/mounts`, is pending       |
 * | {@linkcode EVENT_READ_CLOSED}   | the peer has closed its sending direction; TCP cannot tell `close()` from `shutdown(SHUT_WR)` |
 * | {@linkcode EVENT_HANGUP}        | both directions are closed                                                     |
 * | {@linkcode EVENT_ERROR}         | an error is pending, or a pipe has no reader                                   |
 *
 * The kernel reports hang-ups and errors even if you do not ask for them. So if you register one of the last four
 * events, the selector adds `EVENT_HANGUP` and `EVENT_ERROR` where it supports them, and `key.events` includes both.
 *
 * Wait for `EVENT_WRITE` only when you have data to send, because a socket is almost always writable. A server calls
 * `trySend` first, and waits for `EVENT_WRITE` only while unsent data is left.
 *
 * ## Which mode
 *
 * A selector is level-triggered: it reports a file object at every wait, as long as it is ready, so nothing is lost if
 * you read only part of the data. Two modes, added to the mask as in `EVENT_READ | MODE_ONCE`, change this:
 *
 * - {@linkcode MODE_ONCE} reports the file object once, and then not again until `modify()`, even with the same events.
 *   Use it if a handler awaits something before it has read the data: otherwise the loop reports the unread data again
 *   and again.
 * - {@linkcode MODE_EDGE} (edge-triggered) reports a change of readiness once, and you have to read or write until the
 *   call would block. It saves system calls in a program that would otherwise alternate between `EVENT_READ` and
 *   `EVENT_WRITE` with `modify()`.
 *
 * If you leave a `for await`, the next wait reports the entries that the loop has not returned, even with `MODE_ONCE`
 * or `MODE_EDGE`.
 *
 * ## Which selector
 *
 * Use {@linkcode DefaultSelector}, with these exceptions:
 *
 * - Hundreds of sockets on Windows: {@linkcode AfdSelector}. It has run under Wine only, so test your program on
 *   Windows first.
 * - Regular files and `/dev/null`, and on macOS FIFOs and terminals: `new DefaultSelector({ fallback: "select" })`.
 *   epoll and kqueue reject them. Standard input may be one of them.
 * - If you create a selector for each wait, with few descriptors: {@linkcode PollSelector}, which opens no descriptor
 *   of its own. For one descriptor, call {@linkcode waitFor}.
 * - Flags that selectors do not have, such as `EPOLLEXCLUSIVE`: {@linkcode [select].Epoll | Epoll},
 *   {@linkcode [select].Kqueue | Kqueue} and {@linkcode [select].Poll | Poll}.
 *
 * `EVENT_READ`, `EVENT_WRITE` and `MODE_ONCE` work with every selector. Other events, and `MODE_EDGE`, depend on the
 * selector, so call {@linkcode BaseSelector.prototype.supports | supports(events)} first:
 *
 * | class                        | systems                | `EVENT_PRIORITY` | `EVENT_READ_CLOSED` | `EVENT_HANGUP`, `EVENT_ERROR` | `MODE_EDGE` |
 * | ---------------------------- | ---------------------- | ---------------- | ------------------- | ----------------------------- | ----------- |
 * | {@linkcode EpollSelector}    | Linux, Android         | yes              | yes                 | yes                           | yes         |
 * | {@linkcode KqueueSelector}   | macOS, FreeBSD, NetBSD | macOS            | yes                 | yes                           | yes         |
 * | {@linkcode DevpollSelector}  | Solaris, illumos       | yes              | no                  | yes                           | no          |
 * | {@linkcode PollSelector}     | all but Windows        | not macOS        | Linux, Android      | not macOS                     | no          |
 * | {@linkcode SelectSelector}   | all                    | yes              | no                  | no                            | no          |
 * | {@linkcode AfdSelector}      | Windows                | yes              | yes                 | no                            | no          |
 *
 * ## What goes wrong
 *
 * **A closed descriptor.** Unregister before you close. The system gives the number of a closed descriptor to the next
 * file, and the selector may then report the events of the new file for the old file object.
 *
 * **A stale event.** The result of `select` describes one moment. If the handler of one entry closes another
 * connection, the array still has the entry of that connection. Check that the connection is still registered, as
 * `for await` does.
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
 *   // Skips the second entry: the handler of the first has closed both sockets.
 *   if (!selector.getMap()!.has(key.fileobj)) continue;
 *   for (const socket of [one, other]) {
 *     selector.unregister(socket);
 *     socket.close();
 *   }
 * }
 * selector.close();
 * ```
 *
 * **A ready socket that blocks.** Readiness can end before you read: a datagram may have a wrong checksum, a client may
 * give up before its connection is accepted, and another process may read first. Call `setBlocking(false)`, and expect
 * `null` from `tryRecvInto`, `trySend` and `tryAccept`. Do not call `sendAll` on a non-blocking socket: it throws
 * `EAGAIN` in the middle of the data.
 *
 * **A slow handler.** One slow handler delays all other entries; even `console.log` to a slow terminal counts. Do long
 * work in a Worker. If a peer reads slowly, queue its data instead of blocking.
 *
 * **A permission.** `NotCapable` at the first selector or socket means that `--allow-ffi` is missing. Opening a device
 * such as `/dev/ttyUSB0` requires `--allow-all`.
 *
 * **A leak in a test.** A test with `sanitizeResources` fails with "A dynamic library was loaded" if it is the first
 * test to use a selector or a socket. Call {@linkcode openLibraries} at the top of the test file.
 *
 * **Too many descriptors.** `EMFILE` from `accept` means that this process has reached its limit. The connection stays
 * in the queue and the listener stays ready, so a simple loop spins. Unregister the listener for a second, as the
 * examples do; do not wait for a connection to close, because none may be open. `ulimit -n` shows or raises the limit
 * of a shell and the programs that it starts, up to the hard limit that `ulimit -Hn` shows. Beyond that, use
 * `LimitNOFILE=` in a systemd unit, `--ulimit nofile=` of `docker run`, or `/etc/security/limits.conf` for a login.
 * `ENFILE` is the limit of the whole system: `sysctl fs.file-max`. `ENOSPC` or `ENOMEM` from `register` is a limit of
 * epoll: `sysctl fs.epoll.max_user_watches`.
 *
 * **A terminated Worker.** After `terminate()` during an asynchronous wait, the thread of the wait ends within two
 * seconds, but the descriptors stay open until the process ends. `terminate()` cannot end a synchronous `select()`, and
 * the process then never ends. Call {@linkcode wake} instead, and let the Worker close its selectors.
 *
 * **A silent peer.** A peer that loses power sends nothing. Set `SO_KEEPALIVE`, or a timeout of your own.
 *
 * ## With a C library
 *
 * A C library that opens a connection of its own, such as libpq, libcurl, libdbus or Xlib, has a function that returns
 * the descriptor. Wait for the descriptor with {@linkcode waitFor}. If the library has several descriptors, register
 * them in a selector. The README has examples.
 *
 * - Take all messages from the library before you wait. Messages that are already in its buffer do not make the
 *   descriptor ready.
 * - Flush before you wait. The peer cannot answer a request that is still in the library's buffer.
 * - Ask the library each time which events and which descriptor it needs, and how long it wants to wait.
 * - When the library closes a registered descriptor, call `unregister`; when it opens another one, call `register`. The
 *   old and the new descriptor may have the same number. `register` without `unregister` then throws
 *   {@linkcode KeyError}. `modify` with the same events changes nothing in the kernel, so epoll and kqueue would not
 *   report the new descriptor.
 * - Wait in JavaScript, and call the non-blocking functions of the library on the main thread.
 *
 * ## From Python
 *
 * | `selectors`                                                          | here                                                         |
 * | -------------------------------------------------------------------- | ------------------------------------------------------------ |
 * | `DefaultSelector`, `SelectSelector`, `PollSelector`, `EpollSelector`, `DevpollSelector`, `KqueueSelector`, `BaseSelector` | the same; constructed with `new`, with optional types of data and file objects |
 * | `EVENT_READ`, `EVENT_WRITE`                                          | the same                                                     |
 * | `SelectorKey`: `fileobj`, `fd`, `events`, `data`                     | the same; it destructures as an array does                   |
 * | `register(fileobj, events, data=None)`                               | `register(fileobj, events, data)`; `data` defaults to `undefined` instead of `None` |
 * | `unregister(fileobj)`, `modify(fileobj, events, data=None)`          | the same                                                     |
 * | `select(timeout=None)`                                               | `select(timeout)`; an array of pairs                         |
 * | `close()`, `fileno()`                                                | the same                                                     |
 * | `get_key(fileobj)`, `get_map()`                                      | `getKey`, `getMap`: a live read-only map from descriptors to keys, whose `get` and `has` also accept a file object |
 * | `with selector:`                                                     | `using selector = …`                                         |
 * | `KeyError`, `OSError`, `ValueError`, `TypeError`                     | {@linkcode KeyError}, {@linkcode OSError}, `RangeError`, `TypeError` |
 * | `asyncio` over a selector                                            | `selectAsync`, `for await`, `wakeup`                         |
 *
 * The README lists the differences in behavior.
 *
 * @module
 */

export { DefaultSelector } from "./selectors/default.ts";
export { waitFor } from "./selectors/waits/wait_for.ts";
export { BaseSelector } from "./selectors/base.ts";
export {
  EVENT_ERROR,
  EVENT_HANGUP,
  EVENT_PRIORITY,
  EVENT_READ,
  EVENT_READ_CLOSED,
  EVENT_WRITE,
  MODE_EDGE,
  MODE_ONCE,
} from "./ffi/os/events.ts";
export { SelectorKey, SelectorMap } from "./selectors/keys.ts";
export type { Ready } from "./selectors/core.ts";
export { wake } from "./ffi/os/waker.ts";
export { openLibraries } from "./ffi/os/library.ts";
export { type FileObject, KeyError } from "./ffi/os/arguments.ts";
export { OSError } from "./ffi/os/errno.ts";
export type { Timeout } from "./ffi/os/timeout.ts";
export { AfdSelector } from "./selectors/afd.ts";
export { DevpollSelector } from "./selectors/devpoll.ts";
export { EpollSelector } from "./selectors/epoll.ts";
export { KqueueSelector } from "./selectors/kqueue.ts";
export { PollSelector } from "./selectors/poll.ts";
export { SelectSelector } from "./selectors/select.ts";
export type { DataArgument, IterationOptions, SelectorOptions, WaitOptions } from "./selectors/base.ts";
export type { SelectorConstructor } from "./selectors/default.ts";
