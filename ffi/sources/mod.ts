/**
 * File objects for selectors besides sockets and pipes: timers, the ends of processes, notifications and signals.
 *
 * Each object has a `fileno()`, and becomes readable when its event has happened. Register the object in any selector
 * with `EVENT_READ`, or pass it to `waitFor()`, `select()`, `Poll`, `Epoll` or `Kqueue`. Its `read()` then returns the
 * result. This method never blocks, and returns 0, null, false or an empty array if nothing has happened.
 *
 * ```ts
 * import { DefaultSelector, EVENT_READ } from "@selectors/selectors";
 * import { Notifier } from "@selectors/selectors/sources";
 *
 * using selector = new DefaultSelector();
 * using notifier = new Notifier();
 * selector.register(notifier, EVENT_READ);
 * notifier.notify();
 * for (const [key] of selector.select()) console.log(key.fileobj === notifier, notifier.read()); // true true
 * ```
 *
 * | class                     | readable when                              | `read()` returns                 | systems                     |
 * | ------------------------- | ------------------------------------------ | -------------------------------- | --------------------------- |
 * | {@linkcode Timer}         | its time is over                           | the number of expiries           | Linux, Android, macOS, BSD  |
 * | {@linkcode ProcessExit}   | a process has ended                        | its exit code and signal         | Linux, Android, macOS, BSD  |
 * | {@linkcode Notifier}      | `notify()`, or `wake()` in any Worker, was called | true if it was called           | all                         |
 * | {@linkcode Signals}       | a signal such as Ctrl-C has arrived        | the names of the signals         | all                         |
 *
 * On the other systems, a constructor throws `Deno.errors.NotSupported`, and the message names an alternative. Every
 * constructor needs `--allow-ffi`, and no other permission. After `close()`, `fileno()` returns -1, and other methods
 * throw `Deno.errors.BadResource`.
 *
 * A program can wait for all of them in one loop: see the example `supervisor`.
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
