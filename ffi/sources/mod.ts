/**
 * File objects for selectors besides sockets and pipes: timers, the ends of processes, notifications and signals.
 *
 * Use them to wait for all of these in one `select()`, together with sockets. A program that only runs beside Deno's
 * event loop has `setTimeout`, `Deno.Command` and `Deno.addSignalListener`, which a synchronous wait stops.
 *
 * Each object has a `fileno()`, and becomes readable when its event has happened. Register the object in any selector
 * with `EVENT_READ`, or pass it to {@linkcode [default].waitFor | waitFor}, `select()`, `Poll`, `Epoll` or `Kqueue`. Its
 * `read()` then returns the result, and the object is no longer readable, except for the end of a process.
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
 * | class                     | readable when                              | `read()` returns                 | systems                     |
 * | ------------------------- | ------------------------------------------ | -------------------------------- | --------------------------- |
 * | {@linkcode Timer}         | its time is over                           | the number of expiries           | Linux, Android, macOS, BSD  |
 * | {@linkcode ProcessExit}   | a process has ended                        | its exit code and signal         | Linux, Android, macOS, BSD  |
 * | {@linkcode Notifier}      | `notify()`, or `wake()` in any Worker, was called | true if it was called           | all                         |
 * | {@linkcode Signals}       | a signal such as Ctrl-C has arrived        | the names of the signals         | all                         |
 *
 * `read()` never blocks: it returns 0, null, false or an empty array if nothing has happened. On other systems, a
 * constructor throws `Deno.errors.NotSupported`, and the message names an alternative. Every constructor needs
 * `--allow-ffi`, and no other permission. After `close()`, `fileno()` returns -1, and other methods throw
 * `Deno.errors.BadResource`.
 *
 * The example `supervisor` waits for processes, signals and timers in one loop. {@link [default] | The main module} says
 * which wait to use, and what goes wrong.
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
