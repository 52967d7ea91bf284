/**
 * Timeouts: conversion from a caller's value to a C struct, deadlines, and retries after a signal.
 *
 * @module
 */

import { show } from "./arguments.ts";
import { EAGAIN, EINTR } from "./errno.ts";

/**
 * Longest time to wait: a number of seconds, a `Temporal` duration such as `{ milliseconds: 250 }`, or `null` to wait
 * forever.
 */
export type Timeout = number | null | Temporal.DurationLike;

/** Longest timeout in a C `int` of milliseconds: 24.8 days. */
const MAX_INT_MS = 0x7fff_ffff;

/** Longest timeout in a timespec or timeval, 3.2 years: macOS rejects a longer one. */
const MAX_SECONDS = 100_000_000;

/**
 * Returns milliseconds of a monotonic clock, which never steps.
 *
 * Captured at load time, so that fake timers in user tests do not affect it.
 */
export const monotonicMs: () => number = performance.now.bind(performance);

/** Returns the time at which a wait of `timeoutMs` milliseconds from now ends; reads no clock for 0 and `Infinity`. */
export function deadlineAfter(timeoutMs: number): number {
  if (timeoutMs <= 0) return -Infinity;
  return timeoutMs === Infinity ? Infinity : monotonicMs() + timeoutMs;
}

/** Returns the milliseconds left until a deadline, at least 0. */
export function leftUntil(deadlineMs: number): number {
  if (deadlineMs === -Infinity) return 0;
  return deadlineMs === Infinity ? Infinity : Math.max(deadlineMs - monotonicMs(), 0);
}

/**
 * Returns a timeout in milliseconds: `Infinity` to wait forever, a negative number for a negative timeout.
 *
 * @throws {RangeError} if the timeout is NaN, or a duration in weeks, months or years, which depend on a calendar
 * @throws {TypeError} if it is neither a number, null nor a duration
 */
export function timeoutToMs(timeout: Timeout | undefined): number {
  if (timeout === undefined || timeout === null) return Infinity;
  if (typeof timeout === "number") {
    if (timeout === timeout) return timeout * 1000;
    throw new RangeError("Cannot wait for NaN seconds: use a number of seconds, or null to wait forever");
  }
  if (typeof timeout === "object") return durationToMs(timeout);
  throw new TypeError(`Cannot wait for ${show(timeout)}: use seconds, a Temporal duration, or null to wait forever`);
}

function durationToMs(duration: Temporal.DurationLike): number {
  const exact = Temporal.Duration.from(duration);
  if (exact.years === 0 && exact.months === 0 && exact.weeks === 0) return exact.total("milliseconds");
  throw new RangeError(`Cannot wait for ${exact}: use days, hours or smaller units, which do not depend on a calendar`);
}

/** Returns whole milliseconds in a C `int`, rounded up and cut to 24.8 days; -1 waits forever. */
export function toIntMs(timeoutMs: number): number {
  if (timeoutMs === Infinity) return -1;
  return Math.min(Math.ceil(timeoutMs), MAX_INT_MS) | 0; // -0 is not an int
}

/**
 * struct timespec {      64-bit
 *   time_t tv_sec;       // +0
 *   long   tv_nsec;      // +8
 * };                     // 16
 */
const TIMESPEC = { size: 16, tv_sec: 0, tv_nsec: 8 };

/** A `struct timespec`, for a timeout in nanoseconds. */
export class Timespec {
  /** The bytes, to be passed to C. */
  readonly buffer: Int32Array<ArrayBuffer> = new Int32Array(TIMESPEC.size / 4);

  /** Writes a finite number of milliseconds, rounded up to whole nanoseconds; returns the bytes. */
  set(timeoutMs: number): Int32Array<ArrayBuffer> {
    let seconds = Math.floor(timeoutMs / 1000);
    let nanoseconds = Math.min(Math.ceil((timeoutMs - seconds * 1000) * 1e6), 1e9);
    if (nanoseconds === 1e9) {
      nanoseconds = 0;
      seconds++;
    }
    if (seconds >= MAX_SECONDS) {
      nanoseconds = 0;
      seconds = MAX_SECONDS;
    }
    // The upper halves stay 0: both numbers have at most 31 bits, and both architectures are little-endian.
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

/** Winsock's `struct timeval`, for a timeout in microseconds. */
export class Timeval {
  /** The bytes, to be passed to C. */
  readonly buffer: Int32Array<ArrayBuffer> = new Int32Array(TIMEVAL.size / 4);

  /** Writes a finite number of milliseconds, rounded up to whole microseconds; returns the bytes. */
  set(timeoutMs: number): Int32Array<ArrayBuffer> {
    const microseconds = Math.min(Math.ceil(timeoutMs * 1000), MAX_SECONDS * 1e6);
    this.buffer[TIMEVAL.tv_sec / 4] = Math.floor(microseconds / 1e6);
    this.buffer[TIMEVAL.tv_usec / 4] = microseconds % 1e6;
    return this.buffer;
  }
}

/**
 * Returns true if a system call that waits has to be repeated.
 *
 * A signal causes EINTR. EAGAIN means that the kernel is out of memory, or that a garbage collection has changed errno:
 * see "How errno is read" in call.ts.
 *
 * @param outcome A count, or `-errno`
 */
export function isInterruption(outcome: number): boolean {
  return outcome === -EINTR || outcome === -EAGAIN;
}

/**
 * Repeats a system call until it returns a result or its time is over.
 *
 * A signal may interrupt the call (Python's PEP 475), its longest timeout may be shorter than `timeoutMs`, and some
 * clocks return early. Deno's signal listeners run only after the wait.
 *
 * @param timeoutMs Milliseconds, or `Infinity` to wait forever
 * @param wait Waits up to the given milliseconds and returns a count or `-errno`
 * @returns The count, or the first `-errno` that is not an interruption
 */
export function retryUntil(timeoutMs: number, wait: (timeoutMs: number) => number): number {
  const deadlineMs = deadlineAfter(timeoutMs);
  for (let leftMs = timeoutMs;; leftMs = leftUntil(deadlineMs)) {
    const outcome = wait(leftMs);
    if (isInterruption(outcome)) continue;
    if (outcome !== 0 || leftMs === 0 || monotonicMs() >= deadlineMs) return outcome;
  }
}

/** Memory for a wait that is never notified. */
const idle = new Int32Array(new SharedArrayBuffer(4));

/** Waits without a foreign call; returns true if the timeout is above 0. */
export function pause(timeoutMs: number): boolean {
  if (timeoutMs > 0) Atomics.wait(idle, 0, 0, timeoutMs);
  return timeoutMs > 0;
}
