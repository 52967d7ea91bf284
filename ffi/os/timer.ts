/**
 * The interface that `timerfd.ts` and `kqueue_timer.ts` implement: a descriptor for a timer.
 *
 * @module
 */

/** A descriptor that becomes readable when a timer expires. */
export interface TimerDescriptor {
  /** Descriptor that becomes readable. */
  readonly fd: number;

  /**
   * Starts or restarts the timer, and drops an expiry that was not read.
   *
   * @param delayMs Milliseconds until the first expiry; `Infinity` stops the timer
   * @param everyMs Milliseconds between expiries, above 0; `Infinity` for a single expiry
   */
  set(delayMs: number, everyMs: number): void;

  /** Returns the number of expiries since the last call; does not block. */
  read(): number;

  /** Closes the descriptor. Call it once: a second call could close another file with the same number. */
  close(): void;
}
