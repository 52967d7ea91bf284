/**
 * Bindings to select(2) (every system): sets of descriptors of any size, and Python's `select.select` over them.
 *
 * @module
 */

import { checkOpen } from "./descriptor.ts";
import { check, errnoCell, lazyLibc, result } from "./errno.ts";
import { show } from "./arguments.ts";
import { filenoOf, type FileObject } from "./file_object.ts";
import { retryInterrupted } from "./retry.ts";
import { type Timeout, timeoutToMs, Timespec } from "./timeout.ts";

const libc = lazyLibc({
  pselect: {
    parameters: [
      "i32", // int nfds
      "buffer", // fd_set *readfds
      "buffer", // fd_set *writefds
      "buffer", // fd_set *exceptfds
      "buffer", // const struct timespec *timeout
      "pointer", // const sigset_t *sigmask
    ],
    result: "i32",
  },
});

/**
 * fd_set: one bit for each descriptor, the low ones first.
 *
 * FD_SETSIZE (1,024) is how many the C library's own type holds, not a bound of the kernel's: the calls read as many
 * bits as their first argument says, so that a larger bitmap serves larger descriptors.
 */
class BitFdSet {
  /** The bits. */
  words: Int32Array<ArrayBuffer>;
  /** How many bits are set. */
  size = 0;

  constructor(words: number) {
    this.words = new Int32Array(words);
  }

  put(fd: number, isMember: boolean): void {
    const word = this.words[fd >>> 5]!;
    const bit = 1 << (fd & 31);
    if (((word & bit) !== 0) === isMember) return;
    this.words[fd >>> 5] = word ^ bit;
    this.size += isMember ? 1 : -1;
  }

  resize(words: number): void {
    const larger = new Int32Array(words);
    larger.set(this.words);
    this.words = larger;
  }
}

/** In which of the three sets a descriptor is: readable. */
export const IN_READ = 1;
/** In which of the three sets a descriptor is: writable. */
export const IN_WRITE = 2;
/** In which of the three sets a descriptor is: exceptional, which on Unix is urgent data. */
export const IN_EXCEPT = 4;

/** The first size of each bitmap, FD_SETSIZE bits. */
const FIRST_WORDS = 1024 / 32;

/** Descriptors as the three bitmaps that select(2) reads and overwrites; a negative result is `-errno`. */
export class SelectSet {
  readonly #libc = libc();
  readonly #timespec = new Timespec();
  // What is waited for, and the copies of it that the kernel overwrites with what is ready.
  readonly #wanted = [new BitFdSet(FIRST_WORDS), new BitFdSet(FIRST_WORDS), new BitFdSet(FIRST_WORDS)] as const;
  #ready = [new Int32Array(FIRST_WORDS), new Int32Array(FIRST_WORDS), new Int32Array(FIRST_WORDS)] as const;
  // One more than the greatest descriptor that is in a set.
  #nfds = 0;

  /** Puts a descriptor into those sets that `where`, a sum of the `IN_*` constants, names, and out of the others. */
  set(fd: number, where: number): void {
    if (fd >= this.#wanted[0].words.length * 32) this.#grow(fd);
    this.#wanted[0].put(fd, (where & IN_READ) !== 0);
    this.#wanted[1].put(fd, (where & IN_WRITE) !== 0);
    this.#wanted[2].put(fd, (where & IN_EXCEPT) !== 0);
    if (where !== 0) this.#nfds = Math.max(this.#nfds, fd + 1);
    else if (fd + 1 === this.#nfds) this.#nfds = this.#greatest() + 1;
  }

  /**
   * Waits until a descriptor is ready, by one system call, and gives the number of bits that are set.
   *
   * @param timeoutMs Milliseconds, rounded up to nanoseconds
   */
  wait(timeoutMs: number): number {
    const timespec = timeoutMs === Infinity ? null : this.#timespec.set(timeoutMs);
    return result(
      this.#libc.pselect(this.#nfds, this.#load(0), this.#load(1), this.#load(2), timespec, null),
      errnoCell[0]!,
    );
  }

  /** How many words of 32 descriptors the sets span. */
  get words(): number {
    return (this.#nfds + 31) >>> 5;
  }

  /** The readable ones among descriptors `32 * word` and the 31 after it, as bits, after a wait. */
  readableAt(word: number): number {
    return this.#wanted[0].size === 0 ? 0 : this.#ready[0][word]!;
  }

  /** The same of the writable ones. */
  writableAt(word: number): number {
    return this.#wanted[1].size === 0 ? 0 : this.#ready[1][word]!;
  }

  /** Whether a descriptor is ready, after a wait, in the set that one of the `IN_*` constants names. */
  isReady(fd: number, where: number): boolean {
    const index = where >> 1;
    return this.#wanted[index]!.size > 0 && (this.#ready[index]![fd >>> 5]! & (1 << (fd & 31))) !== 0;
  }

  /** A copy of one set for the kernel to overwrite; none of an empty set, which is not looked at either. */
  #load(index: 0 | 1 | 2): Int32Array<ArrayBuffer> | null {
    const wanted = this.#wanted[index];
    if (wanted.size === 0) return null;
    this.#ready[index].set(wanted.words);
    return this.#ready[index];
  }

  #greatest(): number {
    const [read, write, except] = this.#wanted;
    for (let word = read.words.length - 1; word >= 0; word--) {
      const bits = read.words[word]! | write.words[word]! | except.words[word]!;
      if (bits !== 0) return word * 32 + 31 - Math.clz32(bits);
    }
    return -1;
  }

  #grow(fd: number): void {
    let words = this.#wanted[0].words.length;
    while (fd >= words * 32) words *= 2;
    for (const set of this.#wanted) set.resize(words);
    this.#ready = [new Int32Array(words), new Int32Array(words), new Int32Array(words)];
  }
}

/**
 * Waits until some of the given descriptors are ready, as Python's `select.select` does.
 *
 * An interruption by a signal is not seen: the wait goes on for the time that is left.
 *
 * @param rlist Descriptors or file objects to wait for until readable
 * @param wlist Those to wait for until writable
 * @param xlist Those to wait for until exceptional: on Unix, until urgent data is there
 * @param timeout Seconds or a duration; null or undefined for ever
 * @returns Three new arrays with the very objects that are ready
 * @throws {RangeError} if `timeout` is negative or NaN, or a descriptor negative or above 2^31-1
 * @throws {TypeError} if an argument is no iterable, or something in it no file object
 * @throws {OSError} EBADF if a descriptor is closed
 *
 * @see {@link https://docs.python.org/3/library/select.html#select.select | Python's select.select}
 * @see {@link https://man7.org/linux/man-pages/man2/select.2.html | select(2)}
 *
 * @example Usage
 * ```ts
 * import { select } from "@selectors/selectors/select";
 * import { socketpair } from "@selectors/selectors/socket";
 * import { assertEquals } from "@std/assert";
 *
 * const [here, there] = socketpair();
 * there.send(new TextEncoder().encode("ping"));
 * const [readable, writable] = select([here], [there], [], 1);
 * assertEquals(readable, [here]);
 * assertEquals(writable, [there]);
 * here.close();
 * there.close();
 * ```
 */
export function select<R extends FileObject, W extends FileObject, X extends FileObject>(
  rlist: Iterable<R>,
  wlist: Iterable<W>,
  xlist: Iterable<X>,
  timeout?: Timeout,
): [readable: R[], writable: W[], exceptional: X[]] {
  const timeoutMs = timeoutToMs(timeout);
  if (timeoutMs < 0) {
    throw new RangeError(`Cannot wait for ${timeoutMs / 1000} seconds: use 0 or more, or null for ever`);
  }
  // The lists are copied first: a fileno() may change them, and an iterable may come to its end.
  const lists = [copied(rlist, "rlist"), copied(wlist, "wlist"), copied(xlist, "xlist")] as const;
  const fds = lists.map((list) => list.map(filenoOf));
  const where = new Map<number, number>();
  for (const [index, list] of fds.entries()) {
    for (const fd of list) where.set(fd, (where.get(fd) ?? 0) | (1 << index));
  }
  // The kernel passes over numbers beyond its table of descriptors, and leaves their bits as if they were ready. If the
  // greatest is open, the table has them all.
  if (where.size > 0) checkOpen([...where.keys()].reduce((one, other) => Math.max(one, other)), "select");
  const set = new SelectSet();
  for (const [fd, bits] of where) set.set(fd, bits);
  check(retryInterrupted(timeoutMs, (ms) => set.wait(ms)), "select");
  const ready = lists.map((list, index) => list.filter((_, at) => set.isReady(fds[index]![at]!, 1 << index)));
  return ready as unknown as [R[], W[], X[]];
}

function copied<T extends FileObject>(list: Iterable<T>, name: string): T[] {
  if (typeof list?.[Symbol.iterator] === "function") return [...list];
  throw new TypeError(`Cannot select: ${name} must be iterable, not ${show(list)}`);
}
