/**
 * How long to wait: from what a caller says to what the kernel is told, and again when a signal came in between.
 *
 * @module
 */

import { show } from "./arguments.ts";
import { EAGAIN, EINTR } from "./errno.ts";

/**
 * How long to wait: a number of seconds, `null` or `undefined` for ever, or a `Temporal` duration such as
 * `{ milliseconds: 250 }`.
 */
export type Timeout = number | null | Temporal.DurationLike;

/** The longest that a C `int` of milliseconds can say, 24.8 days. */
const MAX_INT_MS = 0x7fff_ffff;

/** The longest that is written into a timespec: 68 years. */
const MAX_SECONDS = 0x7fff_ffff;

/**
 * Gives a timeout in milliseconds: `Infinity` for ever, negative if the caller gave less than nothing.
 *
 * @throws {RangeError} if the timeout is NaN, or a duration in weeks, months or years, which depend on a calendar
 * @throws {TypeError} if it is neither a number, null nor a duration
 */
export function timeoutToMs(timeout: Timeout | undefined): number {
  if (timeout === undefined || timeout === null) return Infinity;
  if (typeof timeout === "number") {
    if (timeout === timeout) return timeout * 1000;
    throw new RangeError("Cannot wait for NaN seconds: the timeout must be a number of seconds");
  }
  if (typeof timeout === "object") return durationToMs(timeout);
  throw new TypeError(`Cannot wait for ${show(timeout)}: the timeout must be seconds, null, or a duration`);
}

function durationToMs(duration: Temporal.DurationLike): number {
  const exact = Temporal.Duration.from(duration);
  if (exact.years === 0 && exact.months === 0 && exact.weeks === 0) return exact.total("milliseconds");
  throw new RangeError(`Cannot wait for ${exact}: use days, hours and less, whose lengths depend on no calendar`);
}

/** Rounds up to what a C `int` of milliseconds can say: -1 for ever, and never less than was asked. */
export function toIntMs(timeoutMs: number): number {
  if (timeoutMs === Infinity) return -1;
  return Math.min(Math.ceil(timeoutMs), MAX_INT_MS) | 0; // -0 is no int
}

/**
 * struct timespec {      64-bit
 *   time_t tv_sec;       // +0
 *   long   tv_nsec;      // +8
 * };                     // 16
 */
const TIMESPEC = { size: 16, tv_sec: 0, tv_nsec: 8 };

/** A `struct timespec`, for the calls that wait to the nanosecond. */
export class Timespec {
  /** The bytes, to be passed to C. */
  readonly buffer: Int32Array<ArrayBuffer> = new Int32Array(TIMESPEC.size / 4);

  /** Writes a finite number of milliseconds, rounded up to whole nanoseconds, and gives the bytes. */
  set(timeoutMs: number): Int32Array<ArrayBuffer> {
    let seconds = Math.min(Math.floor(timeoutMs / 1000), MAX_SECONDS);
    let nanoseconds = Math.min(Math.ceil((timeoutMs - seconds * 1000) * 1e6), 1e9);
    if (nanoseconds === 1e9) {
      nanoseconds = seconds < MAX_SECONDS ? 0 : 999_999_999;
      seconds = Math.min(seconds + 1, MAX_SECONDS);
    }
    // The upper halves stay 0: neither number needs more than 31 bits, and both architectures are little-endian.
    this.buffer[TIMESPEC.tv_sec / 4] = seconds;
    this.buffer[TIMESPEC.tv_nsec / 4] = nanoseconds;
    return this.buffer;
  }
}

/**
 * struct timeval {       Windows
 *   long tv_sec;         // +0
 *   long tv_usec;        // +4
 * };                     // 8
 */
const TIMEVAL = { size: 8, tv_sec: 0, tv_usec: 4 };

/** A `struct timeval` of Winsock, which waits to the microsecond. */
export class Timeval {
  /** The bytes, to be passed to C. */
  readonly buffer: Int32Array<ArrayBuffer> = new Int32Array(TIMEVAL.size / 4);

  /** Writes a finite number of milliseconds, rounded up to whole microseconds, and gives the bytes. */
  set(timeoutMs: number): Int32Array<ArrayBuffer> {
    const microseconds = Math.min(Math.ceil(timeoutMs * 1000), MAX_SECONDS * 1e6);
    this.buffer[TIMEVAL.tv_sec / 4] = Math.floor(microseconds / 1e6);
    this.buffer[TIMEVAL.tv_usec / 4] = microseconds % 1e6;
    return this.buffer;
  }
}

/**
 * Tells whether the outcome of a system call that waits says that the call should be made again.
 *
 * EINTR is a signal's. EAGAIN the kernel gives for want of memory, and a garbage collection leaves it in errno (see "How
 * errno is read" in errno.ts).
 *
 * @param outcome A count, or `-errno`
 */
export function isInterruption(outcome: number): boolean {
  return outcome === -EINTR || outcome === -EAGAIN;
}

/**
 * Waits, as Python's PEP 475 asks: again, if interrupted, for what is left of the time.
 *
 * Deno's JavaScript signal listeners run only after the wait is over.
 *
 * @param timeoutMs Milliseconds, `Infinity` for ever
 * @param wait Waits for so many milliseconds and gives a count or `-errno`
 * @returns The first outcome that is no interruption
 */
export function retryInterrupted(timeoutMs: number, wait: (timeoutMs: number) => number): number {
  const deadline = performance.now() + timeoutMs;
  for (let left = timeoutMs;; left = Math.max(deadline - performance.now(), 0)) {
    const outcome = wait(left);
    if (!isInterruption(outcome)) return outcome;
  }
}
