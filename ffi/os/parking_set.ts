/**
 * The interface of a set of descriptors for which one system call waits on a thread of Deno's pool.
 *
 * @module
 */

/** A set of descriptors and EVENT_* bits. */
export interface ParkingSet {
  /** System call that waits. */
  readonly call: string;
  /** Sets the events of a descriptor; 0 removes the descriptor. */
  set(fd: number, events: number): void;
  /** Waits on another thread; returns a count, or -1 for a failure, whose errno is lost. */
  wait(timeoutMs: number): Promise<number>;
  /** Finds out on this thread why {@linkcode wait} failed, without blocking; returns `-errno`, or a count from 0. */
  look(): number;
  /** Returns the descriptors that the last wait reported; `count` is its result. */
  named(count: number): number[];
  /** Returns the EVENT_* bits of a descriptor that the last wait reported. */
  eventsOf(fd: number): number;
}
