/**
 * Bindings to select(2) (every system): sets of descriptors of any size, and Python's `select.select` over them.
 *
 * @module
 */

import { checkOpen } from "./descriptor.ts";
import { check, EBADF, ENOTSOCK, errnoCell, lazyLibc, openWithErrno, result } from "./errno.ts";
import { filenoOf, type FileObject, show } from "./arguments.ts";
import { lazy, type Os, os } from "./platform.ts";
import { retryUntil, type Timeout, timeoutToMs, Timespec, Timeval } from "./timeout.ts";

/** The name of pselect() where it has more than one: the plain one of macOS refuses descriptors above FD_SETSIZE. */
const PSELECT: Readonly<Partial<Record<Os, string>>> = { darwin: "pselect$DARWIN_EXTSN", netbsd: "__pselect50" };

const PSELECT_FUNCTION = {
  name: PSELECT[os] ?? "pselect",
  parameters: [
    "i32", // int nfds
    "buffer", // fd_set *readfds
    "buffer", // fd_set *writefds
    "buffer", // fd_set *exceptfds
    "buffer", // const struct timespec *timeout
    "pointer", // const sigset_t *sigmask
  ],
  result: "i32",
} as const;

const libc = lazyLibc({ pselect: PSELECT_FUNCTION });

// The same on a thread of Deno's pool.
const aside = lazyLibc({ pselect: { ...PSELECT_FUNCTION, nonblocking: true } });

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

/**
 * The sets in which a descriptor shows itself to be writable: the second, and on Windows also the third, where a connection
 * is that could not be made.
 */
export const IN_WRITABLE: number = os === "windows" ? IN_WRITE | IN_EXCEPT : IN_WRITE;

/** Descriptors in the three sets of select(2); a negative result is `-errno`. */
export interface SelectSet {
  /** Puts a descriptor into those sets that `where`, a sum of the `IN_*` constants, names, and out of the others. */
  set(fd: number, where: number): void;

  /**
   * Waits until a descriptor is ready, by one system call, and gives how often one is, in each of the sets.
   *
   * @param timeoutMs Milliseconds, rounded up to what the system can wait
   */
  wait(timeoutMs: number): number;

  /**
   * Waits on another thread, as {@linkcode wait} does, while Deno's event loop goes on; some descriptor has to be in a set.
   *
   * The sets must not change meanwhile. The other thread's error cannot be read: -1 says no more than that the call failed.
   */
  waitAside(timeoutMs: number): Promise<number>;

  /**
   * Makes something of each descriptor that is ready after a wait, once, the least first where the system knows an order.
   *
   * @param count What the wait gave
   * @param make Is told the descriptor, and in which sets it is ready
   */
  ready<T>(count: number, make: (fd: number, where: number) => T): T[];

  /** Whether a descriptor is ready, after a wait, in the set that one of the `IN_*` constants names. */
  isReady(fd: number, where: number): boolean;
}

/** The first size of each bitmap, FD_SETSIZE bits. */
const FIRST_WORDS = 1024 / 32;

/** Descriptors as the three bitmaps that a Unix reads and overwrites. */
export class BitSelectSet implements SelectSet {
  readonly #libc = libc();
  readonly #timespec = new Timespec();
  // What is waited for, and the copies of it that the kernel overwrites with what is ready.
  readonly #wanted = [new BitFdSet(FIRST_WORDS), new BitFdSet(FIRST_WORDS), new BitFdSet(FIRST_WORDS)] as const;
  #ready = [new Int32Array(FIRST_WORDS), new Int32Array(FIRST_WORDS), new Int32Array(FIRST_WORDS)] as const;
  // One more than the greatest descriptor that is in a set.
  #nfds = 0;

  set(fd: number, where: number): void {
    if (fd >= this.#wanted[0].words.length * 32) this.#grow(fd);
    this.#wanted[0].put(fd, (where & IN_READ) !== 0);
    this.#wanted[1].put(fd, (where & IN_WRITE) !== 0);
    this.#wanted[2].put(fd, (where & IN_EXCEPT) !== 0);
    if (where !== 0) this.#nfds = Math.max(this.#nfds, fd + 1);
    else if (fd + 1 === this.#nfds) this.#nfds = this.#greatest() + 1;
  }

  wait(timeoutMs: number): number {
    const timespec = timeoutMs === Infinity ? null : this.#timespec.set(timeoutMs);
    return result(
      this.#libc.pselect(this.#nfds, this.#load(0), this.#load(1), this.#load(2), timespec, null),
      errnoCell[0]!,
    );
  }

  waitAside(timeoutMs: number): Promise<number> {
    const timespec = timeoutMs === Infinity ? null : this.#timespec.set(timeoutMs);
    return aside().pselect(this.#nfds, this.#load(0), this.#load(1), this.#load(2), timespec, null);
  }

  /** How many words of 32 descriptors the sets span. */
  get words(): number {
    return (this.#nfds + 31) >>> 5;
  }

  ready<T>(count: number, make: (fd: number, where: number) => T): T[] {
    const made = new Array<T>(count);
    let filled = 0;
    const [reads, writes, excepts] = this.#ready;
    // A set that is empty was not written to.
    const [hasReads, hasWrites, hasExcepts] = [
      this.#wanted[0].size > 0,
      this.#wanted[1].size > 0,
      this.#wanted[2].size > 0,
    ];
    let left = count;
    for (let word = 0; left > 0; word++) {
      const read = hasReads ? reads[word]! : 0;
      const write = hasWrites ? writes[word]! : 0;
      const except = hasExcepts ? excepts[word]! : 0;
      for (let bits = read | write | except; bits !== 0; bits &= bits - 1) {
        const bit = bits & -bits;
        let where = 0;
        if ((read & bit) !== 0) where |= IN_READ, left--;
        if ((write & bit) !== 0) where |= IN_WRITE, left--;
        if ((except & bit) !== 0) where |= IN_EXCEPT, left--;
        made[filled++] = make(word * 32 + 31 - Math.clz32(bit), where);
      }
    }
    if (filled !== count) made.length = filled;
    return made;
  }

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

const WINSOCK_SELECT = {
  parameters: [
    "i32", // int nfds, which is ignored
    "buffer", // fd_set *readfds
    "buffer", // fd_set *writefds
    "buffer", // fd_set *exceptfds
    "buffer", // const struct timeval *timeout
  ],
  result: "i32",
} as const;

const winsock = lazy(() =>
  openWithErrno("winsock", {
    select: WINSOCK_SELECT,
    WSAGetLastError: { parameters: [], result: "i32" },
  })
);

// The same on a thread of Deno's pool.
const asideWinsock = lazy(() => openWithErrno("winsock", { select: { ...WINSOCK_SELECT, nonblocking: true } }));

/**
 * struct fd_set {           Windows
 *   u_int  fd_count;        // +0
 *   SOCKET fd_array[];      // +8, each of 8 bytes
 * };
 *
 * FD_SETSIZE (64) is how many the type of the headers holds, not a bound of the call's: it reads as many as are counted.
 */
const FD_SET = { fd_count: 0, fd_array: 8, socket: 8 };

/** An `fd_set` of Windows: an array of sockets, in no order. */
class CountedFdSet {
  // In steps of 32 bits. A socket's number has no more, so that its upper half stays 0.
  #words = new Int32Array(FD_SET.fd_array / 4 + FIRST_SOCKETS * FD_SET.socket / 4);
  readonly #indexOf = new Map<number, number>();

  /** How many sockets there are. */
  get size(): number {
    return this.#words[FD_SET.fd_count / 4]!;
  }

  /** Socket `index`. */
  at(index: number): number {
    return this.#words[wordOf(index)]!;
  }

  put(fd: number, isMember: boolean): void {
    const index = this.#indexOf.get(fd);
    if ((index !== undefined) === isMember) return;
    if (index === undefined) {
      if (wordOf(this.size) >= this.#words.length) this.#resize(this.#words.length * 2);
      this.#place(fd, this.#words[FD_SET.fd_count / 4]!++);
    } else {
      // The last one takes its place.
      this.#indexOf.delete(fd);
      const last = this.at(--this.#words[FD_SET.fd_count / 4]!);
      if (last !== fd) this.#place(last, index);
    }
  }

  /** Makes this a copy of another set, for the system to overwrite; none of an empty set, which it refuses. */
  load(other: CountedFdSet): Int32Array<ArrayBuffer> | null {
    this.#words[FD_SET.fd_count / 4] = 0;
    if (other.size === 0) return null;
    if (this.#words.length < other.#words.length) this.#resize(other.#words.length);
    this.#words.set(other.#words.subarray(0, wordOf(other.size)));
    return this.#words;
  }

  #place(fd: number, index: number): void {
    this.#words[wordOf(index)] = fd;
    this.#indexOf.set(fd, index);
  }

  #resize(words: number): void {
    const larger = new Int32Array(words);
    larger.set(this.#words);
    this.#words = larger;
  }
}

/** For how many sockets there is room at first. */
const FIRST_SOCKETS = 64;

function wordOf(index: number): number {
  return (FD_SET.fd_array + index * FD_SET.socket) / 4;
}

/** What is passed for a set, which may be none. */
type Loaded = Int32Array<ArrayBuffer> | null;

/** What nobody ever notifies. */
const idle = new Int32Array(new SharedArrayBuffer(4));

/** Descriptors as the three arrays that Windows reads and overwrites. */
export class CountedSelectSet implements SelectSet {
  readonly #winsock = winsock();
  readonly #timeval = new Timeval();
  readonly #wanted = [new CountedFdSet(), new CountedFdSet(), new CountedFdSet()] as const;
  // The copies that are overwritten with what is ready, and the same by descriptor.
  readonly #ready = [new CountedFdSet(), new CountedFdSet(), new CountedFdSet()] as const;
  readonly #where = new Map<number, number>();

  set(fd: number, where: number): void {
    this.#wanted[0].put(fd, (where & IN_READ) !== 0);
    this.#wanted[1].put(fd, (where & IN_WRITE) !== 0);
    this.#wanted[2].put(fd, (where & IN_EXCEPT) !== 0);
  }

  wait(timeoutMs: number): number {
    const count = this.#wait(timeoutMs);
    // What is no socket is as good as closed.
    return count === -ENOTSOCK ? -EBADF : count;
  }

  waitAside(timeoutMs: number): Promise<number> {
    const [reads, writes, excepts] = this.#load();
    const timeval = timeoutMs === Infinity ? null : this.#timeval.set(timeoutMs);
    return asideWinsock().select(0, reads, writes, excepts, timeval);
  }

  /** Copies of the three sets, for the system to overwrite. */
  #load(): [Loaded, Loaded, Loaded] {
    this.#where.clear();
    const [read, write, except] = this.#ready;
    return [read.load(this.#wanted[0]), write.load(this.#wanted[1]), except.load(this.#wanted[2])];
  }

  #wait(timeoutMs: number): number {
    const [reads, writes, excepts] = this.#load();
    if (reads === null && writes === null && excepts === null) {
      // Winsock does not wait for nothing.
      Atomics.wait(idle, 0, 0, timeoutMs);
      return 0;
    }
    const timeval = timeoutMs === Infinity ? null : this.#timeval.set(timeoutMs);
    const { select, WSAGetLastError } = this.#winsock;
    return result(select(0, reads, writes, excepts, timeval), WSAGetLastError());
  }

  ready<T>(count: number, make: (fd: number, where: number) => T): T[] {
    return count === 0 ? [] : Array.from(this.#byFd(), ([fd, where]) => make(fd, where));
  }

  isReady(fd: number, where: number): boolean {
    return ((this.#byFd().get(fd) ?? 0) & where) !== 0;
  }

  /** The sets that the last wait has overwritten, by descriptor. */
  #byFd(): ReadonlyMap<number, number> {
    if (this.#where.size > 0) return this.#where;
    for (const [index, set] of this.#ready.entries()) {
      for (let at = 0; at < set.size; at++) {
        this.#where.set(set.at(at), (this.#where.get(set.at(at)) ?? 0) | (1 << index));
      }
    }
    return this.#where;
  }
}

/** What holds the sets of this system. */
export const SelectSet: new () => SelectSet = os === "windows" ? CountedSelectSet : BitSelectSet;

/**
 * Waits until some of the given descriptors are ready, as Python's `select.select` does.
 *
 * An interruption by a signal is not seen: the wait goes on for the time that is left.
 *
 * @param rlist Descriptors or file objects to wait for until readable
 * @param wlist Those to wait for until writable
 * @param xlist Those to wait for until exceptional: until urgent data is there; on Windows also, until a connection could
 * not be made
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
  check(retryUntil(timeoutMs, (ms) => set.wait(ms)), "select");
  const ready = lists.map((list, index) => list.filter((_, at) => set.isReady(fds[index]![at]!, 1 << index)));
  return ready as unknown as [R[], W[], X[]];
}

function copied<T extends FileObject>(list: Iterable<T>, name: string): T[] {
  if (typeof list?.[Symbol.iterator] === "function") return [...list];
  throw new TypeError(`Cannot select: ${name} must be iterable, not ${show(list)}`);
}
