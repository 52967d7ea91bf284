/**
 * What Python's PEP 475 asks: a wait that a signal interrupts goes on for the time that is left.
 *
 * @module
 */

import { EAGAIN, EINTR } from "./errno.ts";

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
 * Waits, again if interrupted, and gives the first outcome that is not an interruption.
 *
 * Deno's JavaScript signal listeners run only after the wait is over.
 *
 * @param timeoutMs Milliseconds, `Infinity` for ever
 * @param wait Waits for so many milliseconds and gives a count or `-errno`
 */
export function retryInterrupted(timeoutMs: number, wait: (timeoutMs: number) => number): number {
  const deadline = performance.now() + timeoutMs;
  for (let left = timeoutMs;; left = Math.max(deadline - performance.now(), 0)) {
    const outcome = wait(left);
    if (!isInterruption(outcome)) return outcome;
  }
}
