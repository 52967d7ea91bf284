/**
 * A timer that a selector can wait for.
 *
 * @module
 */

import { KqueueTimer } from "../os/kqueue_timer.ts";
import { os, system } from "../os/systems.ts";
import { type Timeout, timeoutToMs } from "../os/timeout.ts";
import type { TimerDescriptor } from "../os/timer.ts";
import { Timerfd } from "../os/timerfd.ts";

/** Options for a {@linkcode Timer}. */
export interface TimerOptions {
  /** Seconds or a duration between later expirations, above 0; by default, the timer expires only once. */
  every?: Timeout | undefined;
}

/**
 * Becomes readable when it expires, and stays readable until {@linkcode Timer.prototype.read | read()} is called.
 *
 * The clock is monotonic, so changes of the wall clock do not affect the timer. A timer never expires early. Its
 * resolution depends on the system: nanoseconds on Linux, milliseconds on macOS and the BSDs.
 *
 * @example Usage
 * ```ts
 * import { DefaultSelector, EVENT_READ } from "@selectors/selectors";
 * import { Timer } from "@selectors/selectors/sources";
 * import { assertEquals } from "@std/assert";
 *
 * using selector = new DefaultSelector();
 * using timer = new Timer(0.01, { every: { milliseconds: 5 } }); // seconds
 * selector.register(timer, EVENT_READ);
 * for (let expirations = 0; expirations < 3;) {
 *   for (const [key] of selector.select()) {
 *     assertEquals(key.fileobj, timer);
 *     expirations += timer.read();
 *   }
 * }
 * ```
 */
export class Timer implements Disposable {
  #timer: TimerDescriptor | null;

  /**
   * Creates a timer.
   *
   * @param delay Seconds or a duration until the first expiration. With 0 or less, the timer expires at once. With
   * undefined, null or `Infinity`, the timer does not run until {@linkcode Timer.prototype.set | set()} starts it.
   * Defaults to undefined
   * @param options Time between later expirations; by default, the timer expires only once
   * @throws {RangeError} if a time is NaN, or `every` is not above 0
   * @throws {TypeError} if a time is neither a number, null nor a duration
   * @throws {OSError} EMFILE or ENFILE if too many descriptors are open
   * @throws {Deno.errors.NotCapable} without `--allow-ffi`
   * @throws {Deno.errors.NotSupported} on Windows, Solaris and illumos; use the timeout of the wait there
   */
  constructor(delay?: Timeout, options: TimerOptions = {}) {
    const [delayMs, everyMs] = timesOf(delay, options);
    const timer = openTimer();
    try {
      if (delayMs !== Infinity) timer.set(delayMs, everyMs);
    } catch (error) {
      timer.close();
      throw error;
    }
    this.#timer = timer;
  }

  /** True if the timer is closed. */
  get closed(): boolean {
    return this.#timer === null;
  }

  /** Returns the file descriptor, or -1 if the timer is closed. */
  fileno(): number {
    return this.#timer?.fd ?? -1;
  }

  /**
   * Starts or restarts the timer. An expiration that has not been read is discarded.
   *
   * @param delay Seconds or a duration until the first expiration, as in the constructor; defaults to undefined, which
   * stops the timer
   * @param options Time between later expirations; by default, the timer expires only once, even if it was periodic
   * @throws {RangeError} if a time is NaN, or `every` is not above 0
   * @throws {TypeError} if a time is neither a number, null nor a duration
   * @throws {Deno.errors.BadResource} if the timer is closed
   */
  set(delay?: Timeout, options: TimerOptions = {}): void {
    this.#open("set");
    const times = timesOf(delay, options);
    this.#open("set").set(...times); // again, because a getter of the arguments may have closed the timer
  }

  /**
   * Stops the timer until {@linkcode Timer.prototype.set | set()} starts it again. An expiration that has not been read
   * is discarded.
   *
   * @throws {Deno.errors.BadResource} if the timer is closed
   */
  cancel(): void {
    this.#open("cancel").set(Infinity, Infinity);
  }

  /**
   * Returns the number of expirations since the last call, including missed ones. Does not block.
   *
   * @throws {Deno.errors.BadResource} if the timer is closed
   */
  read(): number {
    return this.#open("read").read();
  }

  /** Closes the timer; a second call has no effect. */
  close(): void {
    this.#timer?.close();
    this.#timer = null;
  }

  /** Closes the timer at the end of a `using` block. */
  [Symbol.dispose](): void {
    this.close();
  }

  #open(action: string): TimerDescriptor {
    if (this.#timer !== null) return this.#timer;
    throw new Deno.errors.BadResource(`Cannot ${action}: the timer is closed`);
  }
}

function timesOf(delay: Timeout | undefined, { every }: TimerOptions): [delayMs: number, everyMs: number] {
  const [delayMs, everyMs] = [timeoutToMs(delay), timeoutToMs(every)];
  if (everyMs > 0) return [delayMs, everyMs];
  throw new RangeError("Cannot repeat a timer without a pause: `every` must be above 0");
}

/** Creates a timer that does not run. */
function openTimer(): TimerDescriptor {
  switch (system.timer) {
    case "timerfd":
      return new Timerfd();
    case "kqueue":
      return new KqueueTimer();
    default:
      throw new Deno.errors.NotSupported(
        `Cannot create a Timer: ${os} has no descriptors for timers; use the timeout of the wait, or setTimeout()`,
      );
  }
}
