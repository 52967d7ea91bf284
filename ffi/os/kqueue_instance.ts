/**
 * A kqueue descriptor: changes filters with a changelist and receipts, and returns the events of a kevent(2) call.
 *
 * @see {@link https://man.freebsd.org/cgi/man.cgi?kqueue | kqueue(2)}
 *
 * @module
 */

import { errnoCell, lazyLibc, openWithErrno, result } from "./call.ts";
import { check } from "./errno.ts";
import { BASIC_EVENTS, EVENT_READ, EVENT_WRITE } from "./events.ts";
import { isOpen } from "./sys.ts";
import type { KqueueSystem } from "./kqueue_system.ts";
import { hasLibrary, lazySystem } from "./library.ts";
import { os, system as here, SYSTEMS } from "./systems.ts";
import { isInterruption, Timespec } from "./timeout.ts";

const KQ_EV_DELETE = 0x0002;
const KQ_EV_RECEIPT = 0x0040;
const KQ_EV_ERROR = 0x4000;
const KQ_EV_EOF = 0x8000;

const S_IFMT = 0o170000;
const S_IFSOCK = 0o140000;

const F_GETFL = 3;
const O_ACCMODE = 3;

/** Number of bytes that is enough for the `struct stat` of every system. */
const STAT_BYTES = 512;

const SYMBOLS = {
  // int kqueue(void)
  kqueue: { parameters: [], result: "i32" },
  // int kevent(int kq, const struct kevent *changelist, int nchanges, struct kevent *eventlist, int nevents,
  //            const struct timespec *timeout)
  // On NetBSD both counts are size_t; the wider type serves every system.
  kevent: {
    name: here.symbols.kevent ?? "kevent",
    parameters: ["i32", "buffer", "usize", "buffer", "usize", "buffer"],
    result: "i32",
  },
  // The same function, with `eventlist` as an address.
  keventAt: {
    name: here.symbols.kevent ?? "kevent",
    parameters: ["i32", "buffer", "usize", "usize", "usize", "buffer"],
    result: "i32",
  },
  // int ioctl(int fd, unsigned long request, ...); the request of this file takes no variadic argument
  ioctl: { parameters: ["i32", "usize"], result: "i32" },
  // int fstat(int fd, struct stat *buf); glibc exports it since 2.33. Without it, regular files are not rejected here.
  fstat: { name: here.symbols.fstat ?? "fstat", parameters: ["i32", "buffer"], result: "i32", optional: true },
  // int close(int fd)
  close: { parameters: ["i32"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

const lib = lazySystem("kqueue", () => {
  try {
    return openWithErrno("kqueue", SYMBOLS);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotSupported)) throw error;
    // The cause names each file that was tried.
    const missing = hasLibrary("kqueue") ? "no kqueue, and libkqueue cannot be opened" : "no kqueue";
    throw new Deno.errors.NotSupported(`Cannot create a kqueue: ${os} has ${missing}; use DefaultSelector`, {
      cause: error,
    });
  }
});

const libc = lazyLibc({
  // void *memmove(void *dest, const void *src, size_t n)
  memmove: { parameters: ["buffer", "buffer", "usize"], result: "usize" },
  // int fcntl(int fd, int cmd, ...); the command of this file takes no variadic argument
  fcntl: { parameters: ["i32", "i32"], result: "i32" },
});

/** Numbers of changes as a size_t. */
const COUNTS = [0n, 1n, 2n] as const;

/** A `struct timespec` of 0 seconds. */
const NO_TIME = new Int32Array(4);

/** A kqueue descriptor, its changelist and its event buffer. A failure is `-errno`. */
export class KqueueInstance {
  /** File descriptor of the kqueue. */
  readonly fd: number;
  /** Layouts and numbers of the system that the kqueue belongs to. */
  readonly system: KqueueSystem;
  readonly #functions: ReturnType<typeof lib>["functions"];
  readonly #timespec = new Timespec();
  readonly #stat = new Int32Array(STAT_BYTES / 4);
  // Offsets of the fields of a kevent in an Int32Array; the shifts move 16-bit flags and filters within their word.
  readonly #stride: number;
  readonly #filter: number;
  readonly #flags: number;
  readonly #flagsShift: number;
  readonly #filterShift: number;
  readonly #fflags: number;
  readonly #data: number;
  readonly #udata: number;
  // The changelist and its receipts: one entry for each filter of a descriptor.
  readonly #changes: Int32Array<ArrayBuffer>;
  readonly #receipts: Int32Array<ArrayBuffer>;
  #events: Int32Array<ArrayBuffer>;
  #address: bigint;
  #room = 64;
  #roomCount = 64n;

  /** Creates an instance, close-on-exec, or takes over the one with descriptor `fd`. */
  constructor(fd?: number) {
    const { functions, system } = lib();
    const { memmove } = libc(); // also finds errno, which lib() does not do for a stand-in
    this.#functions = functions;
    this.system = SYSTEMS[system].kqueue;
    const { size, filter, flags, fflags, data, udata } = this.system.kevent;
    this.#stride = size / 4;
    this.#filter = filter >> 2;
    this.#flags = flags >> 2;
    this.#flagsShift = (flags & 3) * 8;
    this.#filterShift = 32 - (flags - filter) * 8;
    this.#fflags = fflags / 4;
    this.#data = data / 4;
    this.#udata = udata / 4;
    this.#changes = new Int32Array(2 * this.#stride);
    this.#receipts = new Int32Array(2 * this.#stride);
    this.#events = new Int32Array(this.#room * this.#stride);
    this.#address = memmove(this.#events, this.#events, 0n);
    this.fd = fd ?? check(result(functions.kqueue(), errnoCell[0]!), "kqueue");
    if (fd !== undefined) return;
    const outcome = result(functions.ioctl(this.fd, BigInt(this.system.closeOnExec)), errnoCell[0]!);
    if (outcome < 0) this.close();
    check(outcome, "ioctl", this.fd);
  }

  /**
   * Adds, confirms or removes the filters of a descriptor with one system call; returns 0 or the first `-errno`.
   *
   * Each change has a receipt (KQ_EV_RECEIPT), so that the second change is made even if the first one fails. A system
   * that is too old for receipts returns only errors, and perhaps events, which the next wait returns again.
   *
   * @param readFlags Change of the filter for reading: KQ_EV_ADD, KQ_EV_DELETE, KQ_EV_ENABLE (which fails if the filter
   * is missing), or 0 for no change
   * @param writeFlags Change of the filter for writing, with the same values
   * @param serial 32-bit number that comes back with each event
   */
  change(fd: number, readFlags: number, writeFlags: number, serial: number): number {
    const { READ, WRITE } = this.system.filters;
    let count = 0;
    // A removal of READ comes last: libkqueue returns EBADF for a filter that is added right after the last was removed
    // from the descriptor.
    if ((readFlags & ~KQ_EV_DELETE) !== 0) this.#put(count++, fd, READ, readFlags, serial);
    if (writeFlags !== 0) this.#put(count++, fd, WRITE, writeFlags, serial);
    if ((readFlags & KQ_EV_DELETE) !== 0) this.#put(count++, fd, READ, readFlags, serial);
    return this.#apply(count);
  }

  /** Changes one filter, with its `fflags` and `data`; returns 0 or `-errno`. */
  changeFilter(fd: number, filter: number, flags: number, fflags: number, data: number, serial: number): number {
    this.#put(0, fd, filter, flags, serial);
    this.#changes[this.#fflags] = fflags;
    this.#changes[this.#data] = data;
    const outcome = this.#apply(1);
    this.#changes[this.#fflags] = 0;
    this.#changes[this.#data] = 0;
    return outcome;
  }

  /** Applies the changes in the changelist. */
  #apply(count: number): number {
    for (;;) {
      const outcome = result(
        this.#functions.kevent(this.fd, this.#changes, COUNTS[count]!, this.#receipts, COUNTS[count]!, NO_TIME),
        errnoCell[0]!,
      );
      if (outcome >= 0) return this.#failureOf(outcome);
      // A change that was interrupted may be made twice, which has the same effect as once.
      if (!isInterruption(outcome)) return outcome;
    }
  }

  #put(index: number, fd: number, filter: number, flags: number, serial: number): void {
    const changes = this.#changes;
    const at = index * this.#stride;
    changes[at] = fd;
    changes[at + this.#flags] = 0;
    changes[at + this.#filter] = filter << this.#filterShift >>> this.#filterShift;
    changes[at + this.#flags]! |= (flags | KQ_EV_RECEIPT) << this.#flagsShift;
    changes[at + this.#udata] = serial;
  }

  /** Returns the first error among `count` receipts, as `-errno`, or 0. */
  #failureOf(count: number): number {
    const receipts = this.#receipts;
    for (let index = 0; index < count; index++) {
      const at = index * this.#stride;
      const flags = receipts[at + this.#flags]! >>> this.#flagsShift;
      const errno = receipts[at + this.#data]!;
      if ((flags & KQ_EV_ERROR) !== 0 && errno !== 0) return -errno;
    }
    return 0;
  }

  /**
   * Waits with one system call; returns the number of events.
   *
   * @param timeoutMs Milliseconds, rounded up to nanoseconds
   */
  wait(timeoutMs: number): number {
    return result(
      this.#functions.keventAt(this.fd, null, 0n, this.#address, this.#roomCount, this.#timeout(timeoutMs)),
      errnoCell[0]!,
    );
  }

  /** Returns a timeout as a `struct timespec`, cut to the longest that kevent() accepts; null for `Infinity`. */
  #timeout(timeoutMs: number): Int32Array<ArrayBuffer> | null {
    if (timeoutMs === 0) return NO_TIME;
    return timeoutMs === Infinity ? null : this.#timespec.set(Math.min(timeoutMs, this.system.longestMs));
  }

  /** Returns the descriptor of event `index` of the last wait. */
  fdAt(index: number): number {
    return this.#events[index * this.#stride]!;
  }

  /** Returns the serial of event `index` of the last wait. */
  serialAt(index: number): number {
    return this.#events[index * this.#stride + this.#udata]!;
  }

  /** Returns true if event `index` of the last wait comes from the filter for reading. */
  isReadAt(index: number): boolean {
    return this.filterAt(index) === this.system.filters.READ;
  }

  /** Returns the filter of event `index` of the last wait. */
  filterAt(index: number): number {
    return this.#events[index * this.#stride + this.#filter]! << this.#filterShift >> this.#filterShift;
  }

  /** Returns true if event `index` of the last wait says that its direction is closed. */
  isEndAt(index: number): boolean {
    return (this.#events[index * this.#stride + this.#flags]! >>> this.#flagsShift & KQ_EV_EOF) !== 0;
  }

  /** Returns the `fflags` of event `index` of the last wait: for a closed direction of a socket, its error. */
  fflagsAt(index: number): number {
    return this.#events[index * this.#stride + this.#fflags]!;
  }

  /** Closes the descriptor. Call it once: a second call could close another file with the same number. */
  close(): void {
    result(this.#functions.close(this.fd), errnoCell[0]!);
  }

  /** Number of events for which one wait has room. */
  get room(): number {
    return this.#room;
  }

  /** Makes room for `count` events in one wait. */
  reserve(count: number): void {
    if (count <= this.#room) return;
    const room = Math.max(count, this.#room * 2);
    const events = new Int32Array(room * this.#stride); // first, because it may throw
    this.#address = libc().memmove(events, events, 0n); // valid while the array lives: see epoll.ts
    this.#events = events;
    this.#room = room;
    this.#roomCount = BigInt(room);
  }

  // Everything below is for select.kqueue, and for the differences between kqueue and other mechanisms.

  /**
   * Makes changes and waits for events with one system call; both arrays contain C structs.
   *
   * @param changes Any number of `struct kevent`
   * @param events Array that receives the events
   * @param timeoutMs Milliseconds
   */
  control(changes: Uint8Array<ArrayBuffer>, events: Uint8Array<ArrayBuffer>, timeoutMs: number): number {
    const { size } = this.system.kevent;
    const [changeCount, eventCount] = [BigInt(changes.length / size), BigInt(events.length / size)];
    return result(
      this.#functions.kevent(this.fd, changes, changeCount, events, eventCount, this.#timeout(timeoutMs)),
      errnoCell[0]!,
    );
  }

  /**
   * Returns the reason why kqueue cannot wait for a descriptor, or null if there is none.
   *
   * Covers kinds that kqueue accepts, but never reports, or reports differently from other mechanisms.
   * {@linkcode change} fails for kinds that kqueue rejects.
   */
  explain(fd: number): string | null {
    const { unwatchable, stat } = this.system;
    const { fstat } = this.#functions;
    if (unwatchable.length === 0 || fstat === null) return null;
    if (result(fstat(fd, this.#stat), errnoCell[0]!) < 0) return null; // closed, so that kevent() will fail
    const type = this.#stat[stat.st_mode / 4]! & S_IFMT;
    const isOnDevice = this.#stat[stat.st_dev / 4] !== 0;
    return unwatchable.find((kind) => kind.type === type && (isOnDevice || !kind.onDevice))?.text ?? null;
  }

  /** Returns true if a descriptor is a socket. */
  isSocket(fd: number): boolean {
    const { fstat } = this.#functions;
    if (fstat === null || result(fstat(fd, this.#stat), errnoCell[0]!) < 0) return false;
    return (this.#stat[this.system.stat.st_mode / 4]! & S_IFMT) === S_IFSOCK;
  }

  /** Returns the directions in which a file is open: EVENT_READ, EVENT_WRITE or both. */
  directionsOf(fd: number): number {
    const flags = result(libc().fcntl(fd, F_GETFL), errnoCell[0]!);
    return [EVENT_READ, EVENT_WRITE][flags & O_ACCMODE] ?? BASIC_EVENTS;
  }

  /**
   * Returns a number that identifies the file behind a descriptor, or -1 if the descriptor is closed.
   *
   * Anonymous files, such as those of eventfd(2) and timerfd_create(2), share one number.
   */
  identity(fd: number): number {
    const { fstat } = this.#functions;
    if (fstat === null) return isOpen(fd) ? 0 : -1;
    if (result(fstat(fd, this.#stat), errnoCell[0]!) < 0) return -1;
    return this.#stat[this.system.stat.st_ino / 4]! >>> 0;
  }
}
