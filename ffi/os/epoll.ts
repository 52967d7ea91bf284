/**
 * Bindings to epoll (Linux, Android): the instance with its event buffer, and Python's `select.epoll` over it.
 *
 * @module
 */

import { check, EBADF, ENOENT, ENOSYS, EPERM, errnoCell, lazyLibc, result } from "./errno.ts";
import { filenoOf, type FileObject, show } from "./arguments.ts";
import { type Arch, arch, os } from "./platform.ts";
import { retryUntil, type Timeout, timeoutToMs, Timespec, toIntMs } from "./timeout.ts";

/**
 * Gives the layout of an event:
 *
 * struct epoll_event {   x86_64   others
 *   uint32_t events;     // +0       +0
 *   epoll_data_t data;   // +4       +8     of which here: int32_t fd, int32_t tag
 * };                     // 12       16
 *
 * Only x86_64 packs it, so that 32-bit programs can share it.
 */
export function epollEventOf(machine: Arch): { size: number; events: number; data: number } {
  return machine === "x86_64" ? { size: 12, events: 0, data: 4 } : { size: 16, events: 0, data: 8 };
}

/** The layout here. */
export const EPOLL_EVENT: { size: number; events: number; data: number } = epollEventOf(arch);

// The same in steps of an Int32Array.
const STRIDE = EPOLL_EVENT.size / 4;
const EVENTS = EPOLL_EVENT.events / 4;
const FD = EPOLL_EVENT.data / 4;
const TAG = FD + 1;

/** Readable. */
export const EPOLLIN = 0x001;
/** Urgent or exceptional data is readable (out-of-band data; a change of a GPIO line). */
export const EPOLLPRI = 0x002;
/** Writable. */
export const EPOLLOUT = 0x004;
/** An error, such as a reset connection; always waited for. */
export const EPOLLERR = 0x008;
/** Hung up at both ends; always waited for. */
export const EPOLLHUP = 0x010;
/** As EPOLLIN. */
export const EPOLLRDNORM = 0x040;
/** Priority data can be read. */
export const EPOLLRDBAND = 0x080;
/** As EPOLLOUT. */
export const EPOLLWRNORM = 0x100;
/** Priority data can be written. */
export const EPOLLWRBAND = 0x200;
/** Not used by Linux. */
export const EPOLLMSG = 0x400;
/** The peer has shut down its writing half. */
export const EPOLLRDHUP = 0x2000;
/** Wake only one of the epoll instances that wait for a descriptor; only with `register`. */
export const EPOLLEXCLUSIVE = 0x1000_0000;
/** Keep the system awake while the event is handled. */
export const EPOLLWAKEUP = 0x2000_0000;
/** Disarm after one event, until `modify`. */
export const EPOLLONESHOT = 0x4000_0000;
/** Report changes of readiness (edges) instead of readiness itself. */
export const EPOLLET = 0x8000_0000;
/** Close the epoll descriptor when another program is executed. */
export const EPOLL_CLOEXEC = 0o2000000;

/** Operation of `epoll_ctl`: register a descriptor. */
export const EPOLL_CTL_ADD = 1;
/** Operation of `epoll_ctl`: remove a descriptor. */
export const EPOLL_CTL_DEL = 2;
/** Operation of `epoll_ctl`: change the mask of a descriptor. */
export const EPOLL_CTL_MOD = 3;

/** How many events one `Epoll.poll()` gives if not told otherwise: FD_SETSIZE - 1, as in Python. */
const DEFAULT_MAX_EVENTS = 1023;

const libc = lazyLibc({
  epoll_create1: {
    parameters: ["i32"], // int flags
    result: "i32",
    optional: true,
  },
  epoll_ctl: {
    parameters: [
      "i32", // int epfd
      "i32", // int op
      "i32", // int fd
      "usize", // struct epoll_event *event
    ],
    result: "i32",
    optional: true,
  },
  epoll_wait: {
    parameters: [
      "i32", // int epfd
      "usize", // struct epoll_event *events
      "i32", // int maxevents
      "i32", // int timeout, in milliseconds
    ],
    result: "i32",
    optional: true,
  },
  epoll_pwait2: {
    parameters: [
      "i32", // int epfd
      "usize", // struct epoll_event *events
      "i32", // int maxevents
      "buffer", // const struct timespec *timeout
      "pointer", // const sigset_t *sigmask
    ],
    result: "i32",
    optional: true,
  },
  memmove: {
    parameters: [
      "buffer", // void *dest
      "buffer", // const void *src
      "usize", // size_t n
    ],
    result: "usize",
  },
  dup3: {
    parameters: [
      "i32", // int oldfd
      "i32", // int newfd
      "i32", // int flags
    ],
    result: "i32",
    optional: true,
  },
  usleep: {
    parameters: ["u32"], // useconds_t usec
    result: "i32",
  },
  close: {
    parameters: ["i32"], // int fd
    result: "i32",
  },
});

type Libc = ReturnType<typeof libc>;
type Present<Name extends keyof Libc> = { [N in Name]: NonNullable<Libc[N]> };

/** Every function of epoll's first version, or a sentence that says what the system lacks. */
function epollLibc(): Libc & Present<"epoll_create1" | "epoll_ctl" | "epoll_wait" | "dup3"> {
  const functions = libc();
  if (functions.epoll_create1 === null) {
    throw new Deno.errors.NotSupported(`Cannot create an epoll instance: ${os} has none; use DefaultSelector`);
  }
  return functions as Libc & Present<"epoll_create1" | "epoll_ctl" | "epoll_wait" | "dup3">;
}

/**
 * Whether `epoll_pwait2` is still believed to work. It came with Linux 5.11 and glibc 2.35; an older kernel, or an
 * emulator, answers ENOSYS, and a container's filter that does not know it EPERM. The first such answer settles it.
 */
let pwait2Works = true;

/** An epoll descriptor and its event buffer, with numbers in and out: a negative result is `-errno`. */
export class EpollInstance {
  /** Number of the epoll descriptor. */
  readonly fd: number;
  readonly #libc = epollLibc();
  readonly #event = new Int32Array(64 * STRIDE);
  readonly #eventAddress = this.#addressOf(this.#event);
  readonly #timespec = new Timespec();
  #events = new Int32Array(64 * STRIDE);
  #address = this.#addressOf(this.#events);
  #room = 64;

  /** Creates an instance, close-on-exec, or takes over the one whose number is given. */
  constructor(fd?: number) {
    this.fd = fd ?? check(result(this.#libc.epoll_create1(EPOLL_CLOEXEC), errnoCell[0]!), "epoll_create1");
  }

  /**
   * Adds, changes or removes a descriptor.
   *
   * @param op One of EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLL_CTL_DEL
   * @param tag A number of 32 bits that comes back with each event, beside the descriptor
   */
  ctl(op: number, fd: number, events: number, tag: number): number {
    this.#event[EVENTS] = events;
    this.#event[FD] = fd;
    this.#event[TAG] = tag;
    return result(this.#libc.epoll_ctl(this.fd, op, fd, this.#eventAddress), errnoCell[0]!);
  }

  /** Makes room for `count` events in one wait. */
  reserve(count: number): void {
    if (count <= this.#room) return;
    const room = Math.max(count, this.#room * 2);
    const events = new Int32Array(room * STRIDE); // may throw, and then nothing has changed
    this.#address = this.#addressOf(events);
    this.#events = events;
    this.#room = room;
  }

  /**
   * The address of an array, which stays as long as the array does: V8 never moves the memory of one as large as these.
   * To pass it costs half of what it costs to pass the array, and memmove() of nothing gives it under any permission.
   */
  #addressOf(array: Int32Array<ArrayBuffer>): bigint {
    return this.#libc.memmove(array, array, 0n);
  }

  /** How many events one wait can bring. */
  get room(): number {
    return this.#room;
  }

  /**
   * Waits for events, by one system call, and gives their number.
   *
   * @param timeoutMs Milliseconds, rounded up to what the kernel can wait: nanoseconds with `epoll_pwait2`
   * @param maxEvents Greatest number of events wanted, at most {@linkcode room}
   */
  wait(timeoutMs: number, maxEvents: number): number {
    // Whether to look or to wait for ever needs no timespec, which the kernel would only have to copy.
    if (timeoutMs === 0) return result(this.#libc.epoll_wait(this.fd, this.#address, maxEvents, 0), errnoCell[0]!);
    if (pwait2Works && timeoutMs !== Infinity) return this.#pwait2(timeoutMs, maxEvents);
    return result(this.#libc.epoll_wait(this.fd, this.#address, maxEvents, toIntMs(timeoutMs)), errnoCell[0]!);
  }

  #pwait2(timeoutMs: number, maxEvents: number): number {
    const { epoll_pwait2 } = this.#libc;
    if (epoll_pwait2 !== null) {
      const timespec = this.#timespec.set(timeoutMs);
      const count = result(epoll_pwait2(this.fd, this.#address, maxEvents, timespec, null), errnoCell[0]!);
      if (count !== -ENOSYS && count !== -EPERM) return count;
    }
    pwait2Works = false;
    return this.wait(timeoutMs, maxEvents);
  }

  /** The mask of event `index` of the last wait. */
  eventsAt(index: number): number {
    return this.#events[index * STRIDE + EVENTS]!;
  }

  /** The descriptor of event `index` of the last wait. */
  fdAt(index: number): number {
    return this.#events[index * STRIDE + FD]!;
  }

  /** The tag of event `index` of the last wait. */
  tagAt(index: number): number {
    return this.#events[index * STRIDE + TAG]!;
  }

  /**
   * Empties the kernel's set and fills it again under the same descriptor number.
   *
   * A description that was registered under a number which has since been closed, and which lives on in a duplicate,
   * cannot be removed: `epoll_ctl` looks it up by the number. Only a new set is rid of it. See "Will closing a file
   * descriptor cause it to be removed from all epoll interest lists?" in epoll(7).
   *
   * @param registrations Registrations to keep. One whose number now means another file is left out: EPOLL_CTL_MOD on the
   * old set fails with ENOENT, or with EBADF if the number was closed.
   * @returns True if it was done. The kernel may have no descriptor, memory or room for a second set; then all stays
   */
  rebuild(registrations: Iterable<readonly [fd: number, events: number, tag: number]>): boolean {
    const fd = result(this.#libc.epoll_create1(EPOLL_CLOEXEC), errnoCell[0]!);
    if (fd < 0) return false;
    const fresh = new EpollInstance(fd);
    try {
      for (const [fd, events, tag] of registrations) {
        const outcome = this.ctl(EPOLL_CTL_MOD, fd, events, tag);
        if (outcome === -ENOENT || outcome === -EBADF) continue;
        if (outcome < 0 || fresh.ctl(EPOLL_CTL_ADD, fd, events, tag) < 0) return false;
      }
      return result(this.#libc.dup3(fresh.fd, this.fd, EPOLL_CLOEXEC), errnoCell[0]!) >= 0;
    } finally {
      fresh.close();
    }
  }

  /** Lets so many milliseconds pass, at most a hundredth of a second. */
  pause(timeoutMs: number): void {
    result(this.#libc.usleep(Math.min(Math.ceil(timeoutMs * 1000), 10_000)), errnoCell[0]!);
  }

  /** Closes the descriptor; not to be called twice, since its number may be another's by then. */
  close(): void {
    // The number is free again even where close() reports an error, so that there is nothing to retry.
    result(this.#libc.close(this.fd), errnoCell[0]!);
  }
}

/**
 * Python's `select.epoll`: an epoll instance with every flag that the kernel has.
 *
 * A selector is simpler where readable and writable are enough. This class has what a selector hides: edges,
 * one-shot registrations, urgent data, hang-ups.
 *
 * @see {@link https://docs.python.org/3/library/select.html#edge-and-level-trigger-polling-epoll-objects | Python's select.epoll}
 * @see {@link https://man7.org/linux/man-pages/man7/epoll.7.html | epoll(7)}
 *
 * @example Usage
 * ```ts
 * import { Epoll, EPOLLET, EPOLLIN } from "@selectors/selectors/select";
 * import { socketpair } from "@selectors/selectors/socket";
 * import { assertEquals } from "@std/assert";
 *
 * const [here, there] = socketpair();
 * using epoll = new Epoll();
 * epoll.register(here, EPOLLIN | EPOLLET);
 * there.send(new TextEncoder().encode("ping"));
 * assertEquals(epoll.poll(1), [[here.fileno(), EPOLLIN]]);
 * assertEquals(epoll.poll(0), []); // nothing new since
 * here.close();
 * there.close();
 * ```
 */
export class Epoll implements Disposable {
  #instance: EpollInstance | null;

  /**
   * Creates an epoll instance, close-on-exec.
   *
   * @param sizehint How many descriptors to expect, or -1; the kernel has ignored it since Linux 2.6.8
   * @param flags 0 or EPOLL_CLOEXEC, which is set in any case
   * @throws {RangeError} if `sizehint` is neither positive nor -1, or if `flags` has another bit
   * @throws {OSError} EMFILE, ENFILE or ENOMEM if the kernel has no room
   * @throws {Deno.errors.NotCapable} without `--allow-ffi`
   * @throws {Deno.errors.NotSupported} if the system has no epoll
   */
  constructor(sizehint?: number, flags?: number);
  constructor(sizehint: number = -1, flags: number = 0, adopted?: EpollInstance) {
    if (!Number.isInteger(sizehint) || (sizehint <= 0 && sizehint !== -1)) {
      throw new RangeError(
        `Cannot create an epoll instance for ${show(sizehint)} descriptors: use a number above 0 or -1`,
      );
    }
    if (flags !== 0 && flags !== EPOLL_CLOEXEC) {
      throw new RangeError(`Cannot create an epoll instance with flags ${show(flags)}: only EPOLL_CLOEXEC is known`);
    }
    this.#instance = adopted ?? new EpollInstance();
  }

  /**
   * Wraps an epoll descriptor that exists; closing the wrapper closes it.
   *
   * @param fd Number of the epoll descriptor
   * @throws {RangeError} if `fd` is not from 0 to 2^31-1
   */
  static fromfd(fd: number): Epoll {
    return Reflect.construct(Epoll, [-1, 0, new EpollInstance(filenoOf(fd))]);
  }

  /** Whether the instance has been closed. */
  get closed(): boolean {
    return this.#instance === null;
  }

  /** Gives the number of the epoll descriptor, which can itself be registered elsewhere. */
  fileno(): number {
    return this.#open("ask for the descriptor").fd;
  }

  /**
   * Starts to watch a descriptor.
   *
   * @param fd A descriptor or file object
   * @param eventmask Any of the `EPOLL*` flags
   * @throws {OSError} EEXIST if it is registered, EBADF if it is closed, EPERM if it cannot be waited for
   */
  register(fd: FileObject, eventmask: number = EPOLLIN | EPOLLOUT | EPOLLPRI): void {
    this.#ctl(EPOLL_CTL_ADD, fd, eventmask, "register");
  }

  /**
   * Changes what a descriptor is watched for.
   *
   * @param fd A descriptor or file object
   * @param eventmask Any of the `EPOLL*` flags
   * @throws {OSError} ENOENT if it is not registered, EBADF if it is closed
   */
  modify(fd: FileObject, eventmask: number): void {
    this.#ctl(EPOLL_CTL_MOD, fd, eventmask, "modify");
  }

  /**
   * Stops watching a descriptor.
   *
   * @param fd A descriptor or file object
   * @throws {OSError} ENOENT if it is not registered, EBADF if it is closed
   */
  unregister(fd: FileObject): void {
    this.#ctl(EPOLL_CTL_DEL, fd, 0, "unregister");
  }

  /**
   * Waits for events.
   *
   * An interruption by a signal is not seen: the wait goes on for the time that is left.
   *
   * @param timeout Seconds or a duration; null or a negative number for ever
   * @param maxevents The greatest number of events to give, or -1 for 1,023; others come next time
   * @returns Pairs of a descriptor and the flags that hold for it
   * @throws {RangeError} if `timeout` is NaN or `maxevents` neither positive nor -1
   */
  poll(timeout?: Timeout, maxevents: number = -1): [fd: number, events: number][] {
    const timeoutMs = timeoutToMs(timeout);
    const instance = this.#open("poll");
    if (!Number.isInteger(maxevents) || maxevents < -1 || maxevents === 0 || maxevents > 0x7ff_ffff) {
      throw new RangeError(`Cannot wait for ${show(maxevents)} events: use a number from 1 to 134217727, or -1`);
    }
    const wanted = maxevents === -1 ? DEFAULT_MAX_EVENTS : maxevents;
    instance.reserve(wanted);
    const count = retryUntil(timeoutMs < 0 ? Infinity : timeoutMs, (ms) => instance.wait(ms, wanted));
    check(count, "epoll_wait", instance.fd);
    return Array.from({ length: count }, (_, index) => [instance.fdAt(index), instance.eventsAt(index)]);
  }

  /** Closes the epoll descriptor; once is enough, and twice does no harm. */
  close(): void {
    this.#instance?.close();
    this.#instance = null;
  }

  /** Closes the epoll descriptor at the end of a `using` block. */
  [Symbol.dispose](): void {
    this.close();
  }

  #ctl(op: number, fileobj: FileObject, eventmask: number, action: string): void {
    this.#open(action);
    const fd = filenoOf(fileobj);
    const instance = this.#open(action); // again: the object's fileno() may be anything
    // JavaScript's `EPOLLIN | EPOLLET` is negative: both readings of the 32 bits are meant.
    if (typeof eventmask !== "number" || ((eventmask | 0) !== eventmask && eventmask >>> 0 !== eventmask)) {
      throw new RangeError(
        `Cannot ${action} fd ${fd} for events ${show(eventmask)}: they must be an integer of 32 bits`,
      );
    }
    check(instance.ctl(op, fd, eventmask, 0), "epoll_ctl", fd);
  }

  #open(action: string): EpollInstance {
    if (this.#instance !== null) return this.#instance;
    throw new Deno.errors.BadResource(`Cannot ${action}: the epoll instance is closed`);
  }
}
