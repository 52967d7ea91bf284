/**
 * What a selector can wait for besides sockets and pipes: timers, the end of processes, notifications and signals.
 *
 * Each class is a file object: it has a `fileno()`, and becomes readable when something has happened. `register()` it in any
 * selector with `EVENT_READ`, or pass it to `waitFor()`, `select()`, `Poll`, `Epoll` and `Kqueue`. Then `read()` returns what has
 * happened. It never blocks, and returns 0, null, false or an empty array if nothing has.
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
 * | {@linkcode Notifier}      | something in the program called `notify()` or `wake()` | whether it was called | all                         |
 * | {@linkcode Signals}       | a signal such as Ctrl-C has arrived        | the names of the signals         | all                         |
 *
 * On the other systems, a constructor throws `Deno.errors.NotSupported`, and says what to use instead. Every constructor
 * needs `--allow-ffi`, and no other permission. After `close()`, `fileno()` returns -1, and other methods throw
 * `Deno.errors.BadResource`.
 *
 * A program that is its own event loop, such as a supervisor, waits for all of them in one `select()`: see the example
 * `supervisor`.
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
