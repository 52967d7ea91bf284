/**
 * The interface of the three sets of select(2): bitmaps on Unix, arrays on Windows.
 *
 * @module
 */

/** Bit of the first set: readable. */
export const IN_READ = 1;
/** Bit of the second set: writable. */
export const IN_WRITE = 2;
/** Bit of the third set: exceptional, which means urgent data, or on Windows a failed connect(). */
export const IN_EXCEPT = 4;

/** Descriptors in the three sets of select(2). A failure is `-errno`. */
export interface SelectSet {
  /** Adds a descriptor to the sets whose bits are in `where`, and removes it from the others. */
  set(fd: number, where: number): void;

  /**
   * Waits with one system call; returns the number of ready bits in the three sets, or `-errno`.
   *
   * @param timeoutMs Milliseconds, rounded up to the resolution of the call, or `Infinity`
   */
  wait(timeoutMs: number): number;

  /**
   * Waits like {@linkcode wait}, on a thread of Deno's pool, while the event loop continues.
   *
   * The sets must not all be empty, and must not change meanwhile. A failure is -1, since the errno of another thread
   * cannot be read.
   */
  waitAside(timeoutMs: number): Promise<number>;

  /** Collects the descriptors that the last wait found ready; `count` is its result. Returns their number. */
  gather(count: number): number;

  /** Returns gathered descriptor `index`; on Unix the order is ascending. */
  fdAt(index: number): number;

  /** Returns the bits of the sets in which gathered descriptor `index` is ready. */
  whereAt(index: number): number;

  /** Returns true if the last wait found a descriptor ready in one set, whose bit is `where`. */
  isReady(fd: number, where: number): boolean;
}
