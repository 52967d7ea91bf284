/**
 * File objects for selectors, in addition to sockets and pipes: timers, process exits, notifications and signals.
 *
 * Use them to wait for any of these, together with sockets, in one `select()`. `setTimeout`, `Deno.Command` and
 * `Deno.addSignalListener` do not work during a synchronous wait; a program that never blocks Deno's event loop can use
 * those instead.
 *
 * Each object has a `fileno()`, and becomes readable when its event has happened. Register the object in any selector
 * with `EVENT_READ`, or pass it to {@linkcode [default].waitFor | waitFor}, `select()`, `Poll`, `Epoll` or `Kqueue`.
 * Then call `read()`, which returns the result. After that, the object is no longer readable, except a `ProcessExit`,
 * which stays readable.
 *
 * ```ts
 * import { DefaultSelector, EVENT_READ } from "@selectors/selectors";
 * import { Notifier } from "@selectors/selectors/sources";
 *
 * using selector = new DefaultSelector();
 * using notifier = new Notifier();
 * selector.register(notifier, EVENT_READ);
 * notifier.notify();
 * for (const [key] of selector.select()) {
 *   console.log(key.fileobj === notifier, notifier.read()); // true true
 * }
 * ```
 *
 * | class                   | readable when                                         | `read()` returns                 | systems                                |
 * | ----------------------- | ----------------------------------------------------- | -------------------------------- | -------------------------------------- |
 * | {@linkcode Timer}       | it has expired                                        | the number of expirations        | Linux, Android, macOS, FreeBSD, NetBSD |
 * | {@linkcode ProcessExit} | the process has ended                                 | the exit code and the signal     | Linux, Android, macOS, FreeBSD, NetBSD |
 * | {@linkcode Notifier}    | `notify()` has been called, or `wake()` in any Worker | true if there was a notification | all                                    |
 * | {@linkcode Signals}     | a signal such as SIGINT (Ctrl-C) has arrived          | the names of the signals         | all                                    |
 *
 * `read()` never blocks: it returns 0, null, false or an empty array if nothing has happened. On a system that is not
 * in the table, the constructor throws `Deno.errors.NotSupported` with a message that names an alternative. Every
 * constructor needs `--allow-ffi`, and no other permission. After `close()`, `fileno()` returns -1, and other methods
 * throw `Deno.errors.BadResource`.
 *
 * The example `supervisor` waits for processes, signals and timers in one loop. See
 * {@link [default] | the main module} for how to choose a wait and for common mistakes.
 *
 * @module
 */

export { OSError } from "../os/errno.ts";
export { wake } from "../os/waker.ts";
export type { Timeout } from "../os/timeout.ts";
export { Notifier } from "./notifier.ts";
export { ProcessExit, type ProcessResult } from "./process_exit.ts";
export { Signals } from "./signals.ts";
export { Timer, type TimerOptions } from "./timer.ts";
