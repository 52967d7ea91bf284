/**
 * kqueue (macOS, FreeBSD, NetBSD; libkqueue on Linux): the kernel keeps the registrations, and one call returns those that
 * are ready.
 *
 * ## One descriptor, two filters
 *
 * kqueue knows a descriptor once for reading and once for writing, and reports each by itself. Both go in by one call, and
 * {@linkcode KqueuePoller.wait} merges what comes out, in the order of first appearance. Each registration carries a serial
 * number, which comes back with the event.
 *
 * @see {@link https://man.freebsd.org/cgi/man.cgi?kqueue | kqueue(2)}
 *
 * @module
 */

import { errnoCell, lazyLibc, openWithErrno, result } from "./call.ts";
import { check, EBADF, EPERM, errnoCode } from "./errno.ts";
import { EVENT_READ, EVENT_WRITE } from "./events.ts";
import { isOpen } from "./sys.ts";
import type { KqueueSystem } from "./kqueue_system.ts";
import { lazySystem } from "./library.ts";
import type { Poller } from "./poller.ts";
import { os, system as here, SYSTEMS } from "./systems.ts";
import { isInterruption, Timespec } from "./timeout.ts";

const KQ_EV_ADD = 0x0001;
const KQ_EV_DELETE = 0x0002;
const KQ_EV_RECEIPT = 0x0040;
const KQ_EV_ERROR = 0x4000;

const S_IFMT = 0o170000;

/** Bytes that hold a `struct stat` of any system. */
const STAT_BYTES = 512;

const SYMBOLS = {
  // int kqueue(void)
  kqueue: { parameters: [], result: "i32" },
  // int kevent(int kq, const struct kevent *changelist, int nchanges, struct kevent *eventlist, int nevents,
  //            const struct timespec *timeout)
  // NetBSD has the counts as size_t: the wider type serves both.
  kevent: {
    name: here.symbols.kevent ?? "kevent",
    parameters: ["i32", "buffer", "usize", "buffer", "usize", "buffer"],
    result: "i32",
  },
  // The same, with the address of the list of events.
  keventAt: {
    name: here.symbols.kevent ?? "kevent",
    parameters: ["i32", "buffer", "usize", "usize", "usize", "buffer"],
    result: "i32",
  },
  // int ioctl(int fd, unsigned long request); variadic, but not with a request that takes no argument
  ioctl: { parameters: ["i32", "usize"], result: "i32" },
  // int fstat(int fd, struct stat *buf); glibc exports it since 2.33: before that, libkqueue is given regular files
  fstat: { name: here.symbols.fstat ?? "fstat", parameters: ["i32", "buffer"], result: "i32", optional: true },
  // int close(int fd)
  close: { parameters: ["i32"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

const lib = lazySystem("kqueue", () => {
  try {
    return openWithErrno("kqueue", SYMBOLS);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotSupported)) throw error;
    throw new Deno.errors.NotSupported(
      `Cannot create a kqueue: ${os} has no kqueue; use DefaultSelector (${error.message})`,
      { cause: error },
    );
  }
});

const libc = lazyLibc({
  // void *memmove(void *dest, const void *src, size_t n)
  memmove: { parameters: ["buffer", "buffer", "usize"], result: "usize" },
});

/** Counts of changes, as C takes them. */
const COUNTS = [0n, 1n, 2n] as const;

/** A `struct timespec` of no time. */
const NO_TIME = new Int32Array(4);

/** Errors by which kevent() rejects a kind of descriptor. libkqueue up to 2.7.0 reports every failure as EFAULT. */
const UNWATCHABLE: readonly string[] = ["EINVAL", "ENODEV", "EPERM", "EOPNOTSUPP", "EFAULT"];

/** A kqueue descriptor and its event buffer, with numbers in and out: a negative result is `-errno`. */
export class KqueueInstance {
  /** Number of the kqueue descriptor. */
  readonly fd: number;
  /** The system whose kqueue this is. */
  readonly system: KqueueSystem;
  readonly #functions: ReturnType<typeof lib>["functions"];
  readonly #timespec = new Timespec();
  readonly #stat = new Int32Array(STAT_BYTES / 4);
  // The layout in steps of an Int32Array. How far the flags are in their word, and how far a filter is from the end of its.
  readonly #stride: number;
  readonly #filter: number;
  readonly #flags: number;
  readonly #flagsShift: number;
  readonly #filterShift: number;
  readonly #data: number;
  readonly #udata: number;
  // What changes, and what comes of it: one entry for each filter of a descriptor.
  readonly #changes: Int32Array<ArrayBuffer>;
  readonly #receipts: Int32Array<ArrayBuffer>;
  #events: Int32Array<ArrayBuffer>;
  #address: bigint;
  #room = 64;
  #roomCount = 64n;

  /** Creates an instance, close-on-exec, or takes over the one whose number is given. */
  constructor(fd?: number) {
    const { functions, system } = lib();
    const { memmove } = libc(); // which finds errno, also if there is a stand-in
    this.#functions = functions;
    this.system = SYSTEMS[system].kqueue;
    const { size, filter, flags, data, udata } = this.system.kevent;
    this.#stride = size / 4;
    this.#filter = filter >> 2;
    this.#flags = flags >> 2;
    this.#flagsShift = (flags & 3) * 8;
    this.#filterShift = 32 - (flags - filter) * 8;
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
   * Why kqueue cannot wait for a descriptor, or null if it may.
   *
   * Some kinds it takes and never reports. Of what it refuses by itself, `change` tells.
   */
  refusal(fd: number): string | null {
    const { unwatchable, stat } = this.system;
    const { fstat } = this.#functions;
    if (unwatchable.length === 0 || fstat === null) return null;
    if (result(fstat(fd, this.#stat), errnoCell[0]!) < 0) return null; // closed, as kevent() will say
    const type = this.#stat[stat.st_mode / 4]! & S_IFMT;
    const isOnDevice = this.#stat[stat.st_dev / 4] !== 0;
    return unwatchable.find((kind) => kind.type === type && (isOnDevice || !kind.onDevice))?.text ?? null;
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

  /**
   * Adds, confirms or removes the filters of a descriptor, by one system call, and gives 0, or the first error.
   *
   * Each change is answered by an entry of its own (KQ_EV_RECEIPT), so that the second is made even if the first fails.
   * A system too old to know receipts answers errors only, and perhaps with events, which come again with the next wait.
   *
   * @param readFlags KQ_EV_ADD, KQ_EV_ENABLE, which fails if the filter is not there, or KQ_EV_DELETE; 0 leaves it
   * @param writeFlags The same for writing
   * @param tag A number of 32 bits that comes back with each event, beside the descriptor
   */
  change(fd: number, readFlags: number, writeFlags: number, tag: number): number {
    const { READ, WRITE } = this.system.filters;
    let count = 0;
    // A removal comes last: libkqueue answers EBADF to what is added right after the last filter was removed.
    if ((readFlags & ~KQ_EV_DELETE) !== 0) this.#put(count++, fd, READ, readFlags, tag);
    if (writeFlags !== 0) this.#put(count++, fd, WRITE, writeFlags, tag);
    if ((readFlags & KQ_EV_DELETE) !== 0) this.#put(count++, fd, READ, readFlags, tag);
    for (;;) {
      const outcome = result(
        this.#functions.kevent(this.fd, this.#changes, COUNTS[count]!, this.#receipts, COUNTS[count]!, NO_TIME),
        errnoCell[0]!,
      );
      if (outcome >= 0) return this.#failureOf(outcome);
      // To make a change once more does nothing else than it did.
      if (!isInterruption(outcome)) return outcome;
    }
  }

  #put(index: number, fd: number, filter: number, flags: number, tag: number): void {
    const changes = this.#changes;
    const at = index * this.#stride;
    changes[at] = fd;
    changes[at + this.#flags] = 0;
    changes[at + this.#filter] = filter << this.#filterShift >>> this.#filterShift;
    changes[at + this.#flags]! |= (flags | KQ_EV_RECEIPT) << this.#flagsShift;
    changes[at + this.#udata] = tag;
  }

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

  /** Makes room for `count` events in one wait. */
  reserve(count: number): void {
    if (count <= this.#room) return;
    const room = Math.max(count, this.#room * 2);
    const events = new Int32Array(room * this.#stride); // may throw, and then nothing has changed
    // Stays as long as the array does: see EpollInstance.
    this.#address = libc().memmove(events, events, 0n);
    this.#events = events;
    this.#room = room;
    this.#roomCount = BigInt(room);
  }

  /** How many events one wait can bring. */
  get room(): number {
    return this.#room;
  }

  /**
   * Waits for events, by one system call, and gives their number.
   *
   * @param timeoutMs Milliseconds, rounded up to nanoseconds
   */
  wait(timeoutMs: number): number {
    return result(
      this.#functions.keventAt(this.fd, null, 0n, this.#address, this.#roomCount, this.#timeout(timeoutMs)),
      errnoCell[0]!,
    );
  }

  /** Returns the `struct timespec` of a timeout, cut to the longest that kevent() obeys; null for ever. */
  #timeout(timeoutMs: number): Int32Array<ArrayBuffer> | null {
    if (timeoutMs === 0) return NO_TIME;
    return timeoutMs === Infinity ? null : this.#timespec.set(Math.min(timeoutMs, this.system.longestMs));
  }

  /** The descriptor of event `index` of the last wait. */
  fdAt(index: number): number {
    return this.#events[index * this.#stride]!;
  }

  /** Whether event `index` of the last wait is one of reading, and not of writing. */
  isReadAt(index: number): boolean {
    const filter = this.#events[index * this.#stride + this.#filter]! << this.#filterShift >> this.#filterShift;
    return filter === this.system.filters.READ;
  }

  /** The tag of event `index` of the last wait. */
  tagAt(index: number): number {
    return this.#events[index * this.#stride + this.#udata]!;
  }

  /**
   * Makes changes and waits for events, by one system call, with the structs of C in and out.
   *
   * @param changes As many `struct kevent` as fit
   * @param events Room for events
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

  /** Closes the descriptor; not to be called twice, since its number may be another's by then. */
  close(): void {
    result(this.#functions.close(this.fd), errnoCell[0]!);
  }
}

/** A kqueue, and what the last call found in it. */
export class KqueuePoller implements Poller {
  readonly controlCall = "kevent";
  readonly waitCall = "kevent";
  readonly fd: number;
  readonly nests: boolean;
  readonly #kqueue = new KqueueInstance();
  #size = 0;
  // By descriptor: its events, and its place among the entries.
  #interests = new Uint8Array(64);
  #places = new Int32Array(64);
  // Entries of the last wait.
  #fds = new Int32Array(64);
  #serials = new Int32Array(64);
  #events = new Uint8Array(64);
  // Name of the error by which kevent() has rejected a descriptor last.
  #rejection = "";
  // The file behind each descriptor when it was added, and the descriptors that mean another one by now: only for a queue
  // that does not nest.
  readonly #identities = new Map<number, number>();
  readonly #closed = new Set<number>();

  /** Creates a queue, close-on-exec. */
  constructor() {
    this.fd = this.#kqueue.fd;
    this.nests = this.#kqueue.system.isPollable;
  }

  /**
   * Descriptors that were closed, as far as anybody asks: kqueue forgets them, but a parked wait hands the descriptors of a
   * queue that does not nest to poll(2), which returns at once for a closed one, and for a new file with its number.
   */
  get closed(): ReadonlySet<number> {
    for (const [fd, identity] of this.#identities) {
      if (this.#kqueue.identity(fd) !== identity) this.#closed.add(fd);
    }
    return this.#closed;
  }

  add(fd: number, events: number, serial: number): number {
    if (this.#kqueue.refusal(fd) !== null) return -EPERM;
    this.#reserve(fd, this.#size + 1);
    const outcome = this.#kqueue.change(
      fd,
      transition(0, events & EVENT_READ, 0),
      transition(0, events & EVENT_WRITE, 0),
      serial,
    );
    if (outcome < 0) {
      this.#kqueue.change(fd, KQ_EV_DELETE, KQ_EV_DELETE, 0); // one of the two may be there
      return this.#rejected(outcome, fd);
    }
    this.#size++;
    this.#interests[fd] = events;
    if (!this.nests) this.#identities.set(fd, this.#kqueue.identity(fd));
    return 0;
  }

  modify(fd: number, events: number, serial: number): number {
    if (this.#closed.has(fd)) return -EBADF;
    const before = this.#interests[fd]!;
    const { confirm } = this.#kqueue.system;
    const outcome = this.#kqueue.change(
      fd,
      transition(before & EVENT_READ, events & EVENT_READ, confirm),
      transition(before & EVENT_WRITE, events & EVENT_WRITE, confirm),
      serial,
    );
    if (outcome < 0) return this.#rejected(outcome, fd);
    this.#interests[fd] = events;
    return 0;
  }

  remove(fd: number): void {
    this.#size--;
    this.#identities.delete(fd);
    this.#closed.delete(fd);
    // Fails if a filter is not there, or the number was closed, or means another file: nothing is left then.
    this.#kqueue.change(fd, KQ_EV_DELETE, KQ_EV_DELETE, 0);
  }

  wait(timeoutMs: number): number {
    const kqueue = this.#kqueue;
    const count = kqueue.wait(timeoutMs);
    let entries = 0;
    for (let index = 0; index < count; index++) {
      const fd = kqueue.fdAt(index);
      const serial = kqueue.tagAt(index);
      // An end or an error comes under the filter that it concerns: the next call does not block, and tells.
      const event = kqueue.isReadAt(index) ? EVENT_READ : EVENT_WRITE;
      // The place of the descriptor's entry if it has one, or of some earlier wait, which the entry there disproves.
      const place = this.#places[fd]!;
      if (place < entries && this.#fds[place] === fd && this.#serials[place] === serial) {
        this.#events[place]! |= event;
      } else {
        this.#places[fd] = entries;
        this.#fds[entries] = fd;
        this.#serials[entries] = serial;
        this.#events[entries++] = event;
      }
    }
    return count < 0 ? count : entries;
  }

  fdAt(index: number): number {
    return this.#fds[index]!;
  }

  serialAt(index: number): number {
    return this.#serials[index]!;
  }

  eventsAt(index: number): number {
    return this.#events[index]!;
  }

  explain(fd: number, errno: number): string | undefined {
    if (errno !== EPERM) return undefined;
    return this.#kqueue.refusal(fd) ??
      "kqueue cannot wait for a descriptor of this kind, such as /dev/tty or /dev/null on macOS; " +
        `use SelectSelector (kevent said ${this.#rejection})`;
  }

  close(): void {
    this.#kqueue.close();
  }

  /** Makes room for a descriptor, and for both filters of `size` of them in one wait. */
  #reserve(fd: number, size: number): void {
    this.#kqueue.reserve(2 * size);
    if (this.#kqueue.room > this.#fds.length) {
      this.#fds = new Int32Array(this.#kqueue.room);
      this.#serials = new Int32Array(this.#kqueue.room);
      this.#events = new Uint8Array(this.#kqueue.room);
    }
    if (fd < this.#interests.length) return;
    const interests = new Uint8Array(Math.max(fd + 1, 2 * this.#interests.length));
    interests.set(this.#interests);
    this.#interests = interests;
    this.#places = new Int32Array(interests.length); // nothing is kept from one wait to the next
  }

  #rejected(outcome: number, fd: number): number {
    const code = errnoCode(-outcome);
    if (code === "EFAULT" && !isOpen(fd)) return -EBADF;
    if (!UNWATCHABLE.includes(code)) return outcome;
    this.#rejection = code;
    return -EPERM;
  }
}

/** Returns the flag for a filter that was wanted or not, and is wanted now or not; `confirm` checks one that stays. */
function transition(before: number, after: number, confirm: number): number {
  if (before === 0) return after === 0 ? 0 : KQ_EV_ADD;
  // A descriptor that was closed has lost its filters, and its number may mean another file: this fails then.
  return after === 0 ? KQ_EV_DELETE : confirm;
}
