/**
 * The interface of select(2)'s three sets, which a Unix has as bitmaps and Windows as arrays.
 *
 * @module
 */

/** Bit of the first set: readable. */
export const IN_READ = 1;
/** Bit of the second set: writable. */
export const IN_WRITE = 2;
/** Bit of the third set: exceptional, which on Unix is urgent data and on Windows also a refused connection. */
export const IN_EXCEPT = 4;

/** Descriptors in the three sets of select(2). A failure is `-errno`. */
export interface SelectSet {
  /** Puts a descriptor into the sets that the bits of `where` name, and takes it out of the others. */
  set(fd: number, where: number): void;

  /**
   * Waits by one system call, and returns the number of bits that are ready, or `-errno`.
   *
   * @param timeoutMs Milliseconds, rounded up to what the system can wait, or `Infinity`
   */
  wait(timeoutMs: number): number;

  /**
   * Waits as {@linkcode wait} does, on a thread of Deno's pool, while the event loop goes on. Some set has a descriptor.
   *
   * The sets must not change meanwhile. The errno of another thread cannot be read: -1 says only that the call failed.
   */
  waitAside(timeoutMs: number): Promise<number>;

  /** Collects the descriptors that the last wait, which returned `count`, found ready, and returns their number. */
  gather(count: number): number;

  /** Returns gathered descriptor `index`; a Unix has them in ascending order. */
  fdAt(index: number): number;

  /** Returns the bits of the sets in which gathered descriptor `index` is ready. */
  whereAt(index: number): number;

  /** Returns true if the last wait found a descriptor ready in the set with this one bit. */
  isReady(fd: number, where: number): boolean;
}
