/**
 * Bindings to /dev/poll (Solaris, illumos): the instance with its event buffer, and Python's `select.devpoll` over it.
 *
 * The set is in the kernel, as epoll's is. It is changed by writing `pollfd`s to the device, and asked by an ioctl.
 *
 * @module
 */

import { check, EIO, ENOENT, errnoCell, openWithErrno, OSError, result } from "./errno.ts";
import { filenoOf, type FileObject, KeyError, show } from "./arguments.ts";
import { checkOpen } from "./descriptor.ts";
import { type Functions, hasLibrary, lazySystem, os } from "./platform.ts";
import { checkedMask, POLLFD, POLLIN, POLLNVAL, POLLOUT, POLLPRI } from "./poll.ts";
import { isInterruption, retryUntil, toIntMs } from "./timeout.ts";

export { POLLNVAL };

/**
 * struct dvpoll {
 *   struct pollfd *dp_fds;      // +0
 *   nfds_t         dp_nfds;     // +8    unsigned long
 *   int            dp_timeout;  // +16   in milliseconds
 * };                            // 24
 *
 * illumos has one more member at +24, which DP_POLL does not read.
 */
export const DVPOLL = { size: 24, dp_fds: 0, dp_nfds: 8, dp_timeout: 16 };

// These and those of struct pollfd in steps of an Int32Array. The upper half of dp_nfds stays 0, and the masks are one
// integer, events | revents << 16.
const NFDS = DVPOLL.dp_nfds / 4;
const TIMEOUT = DVPOLL.dp_timeout / 4;
const STRIDE = POLLFD.size / 4;
const FD = POLLFD.fd / 4;
const MASKS = POLLFD.events / 4;
const REVENTS_SHIFT = (POLLFD.revents - POLLFD.events) * 8;

/** Request of the ioctl that waits: (0xD0 << 8) | 1. */
export const DP_POLL = 0xd001;
/** Alone in the mask of a `pollfd` that is written: takes the descriptor out of the set. */
export const POLLREMOVE = 0x0800;

/** Open for reading and writing. */
export const O_RDWR = 0x2;
/** Close the descriptor when another program is executed. */
export const O_CLOEXEC = 0x80_0000;

const DEVICE = new TextEncoder().encode("/dev/poll\0");

/** The greatest number of milliseconds that a C `int` can carry. */
const INT_MAX = 0x7fff_ffff;

/**
 * The functions.
 *
 * open() and ioctl() are variadic, and bound as if they were not: by the ABIs of x86-64, on which Solaris and illumos run,
 * and of 64-bit Arm, a variadic argument goes where a fixed one goes. Only Apple's arm64 differs, which has no /dev/poll.
 */
export const SYMBOLS = {
  open: {
    parameters: [
      "buffer", // const char *path
      "i32", // int oflag; without O_CREAT there is no third argument
    ],
    result: "i32",
  },
  write: {
    parameters: [
      "i32", // int fildes
      "buffer", // const void *buf
      "usize", // size_t nbyte
    ],
    result: "i32", // ssize_t
  },
  ioctl: {
    parameters: [
      "i32", // int fildes
      "i32", // int request
      "buffer", // struct dvpoll *arg
    ],
    result: "i32",
  },
  memmove: {
    parameters: [
      "buffer", // void *s1
      "buffer", // const void *s2
      "usize", // size_t n
    ],
    result: "usize",
  },
  close: {
    parameters: ["i32"], // int fildes
    result: "i32",
  },
} as const;

const libc = lazySystem("devpoll", () => openWithErrno("devpoll", SYMBOLS));

/** The functions, or a sentence that says what the system lacks. */
function devpollLibc(): Functions<typeof SYMBOLS> {
  if (hasLibrary("devpoll")) return libc().functions;
  throw new Deno.errors.NotSupported(`Cannot open /dev/poll: ${os} has none; use DefaultSelector`);
}

/** A descriptor of /dev/poll and its event buffer, with numbers in and out: a negative result is `-errno`. */
export class DevpollInstance {
  /** Number of the descriptor. */
  readonly fd: number;
  readonly #libc = devpollLibc();
  // What is written to change a mask, and its halves: a pollfd that removes the descriptor, and one that adds it.
  readonly #change = new Int32Array(2 * STRIDE);
  readonly #removal = this.#change.subarray(0, STRIDE);
  readonly #addition = this.#change.subarray(STRIDE);
  readonly #dvpoll = new Int32Array(DVPOLL.size / 4);
  #pollfds = new Int32Array(0); // referenced as long as its address is in #dvpoll
  #room = 0;

  /** Opens the device, close-on-exec. */
  constructor() {
    this.#removal[MASKS] = POLLREMOVE;
    this.reserve(64);
    this.fd = check(result(this.#libc.open(DEVICE, O_RDWR | O_CLOEXEC), errnoCell[0]!), "open", "/dev/poll");
  }

  /**
   * Adds a descriptor that is not in the set.
   *
   * It must be open: the device takes one that is not without a word, never reports it, and keeps its mask for whatever
   * gets the number next.
   */
  add(fd: number, events: number): number {
    this.#addition[FD] = fd;
    this.#addition[MASKS] = events;
    return this.#write(this.#addition, 8n);
  }

  /** Changes the mask of a descriptor: removes and adds it, since to add it alone would leave the old flags set. */
  change(fd: number, events: number): number {
    this.#removal[FD] = fd;
    this.#addition[FD] = fd;
    this.#addition[MASKS] = events;
    return this.#write(this.#change, 16n);
  }

  /** Removes a descriptor, which may have been closed; no error if it is not in the set. */
  remove(fd: number): number {
    this.#removal[FD] = fd;
    return this.#write(this.#removal, 8n);
  }

  #write(pollfds: Int32Array<ArrayBuffer>, bytes: 8n | 16n): number {
    // It is interrupted, and has done nothing, if it has to wait for another thread that changes the set.
    for (;;) {
      const written = result(this.#libc.write(this.fd, pollfds, bytes), errnoCell[0]!);
      if (written === pollfds.byteLength) return written;
      if (!isInterruption(written)) return written < 0 ? written : -EIO;
    }
  }

  /** Makes room for `count` events in one wait. */
  reserve(count: number): void {
    if (count <= this.#room) return;
    const room = Math.max(count, this.#room * 2);
    const pollfds = new Int32Array(room * STRIDE); // may throw, and then nothing has changed
    // V8 never moves the memory of an array as large as this one; memmove() of nothing gives its address, under any
    // permission.
    const address = this.#libc.memmove(pollfds, pollfds, 0n);
    new BigUint64Array(this.#dvpoll.buffer, DVPOLL.dp_fds, 1)[0] = address;
    this.#pollfds = pollfds;
    this.#room = room;
  }

  /**
   * Waits for events, by one system call, and gives their number.
   *
   * @param timeoutMs Milliseconds, rounded up to whole ones
   * @param maxEvents Greatest number of events wanted, at most what was {@linkcode reserve}d. Solaris gives EINVAL if it
   * is above the greatest number of open descriptors, which what is registered cannot be
   */
  wait(timeoutMs: number, maxEvents: number): number {
    this.#dvpoll[NFDS] = maxEvents;
    this.#dvpoll[TIMEOUT] = toIntMs(timeoutMs);
    return result(this.#libc.ioctl(this.fd, DP_POLL, this.#dvpoll), errnoCell[0]!);
  }

  /** The descriptor of event `index` of the last wait. */
  fdAt(index: number): number {
    return this.#pollfds[index * STRIDE + FD]!;
  }

  /** The flags of event `index` of the last wait. */
  reventsAt(index: number): number {
    return this.#pollfds[index * STRIDE + MASKS]! >>> REVENTS_SHIFT;
  }

  /** Closes the descriptor; not to be called twice, since its number may be another's by then. */
  close(): void {
    // The number is free again even where close() reports an error, so that there is nothing to retry.
    result(this.#libc.close(this.fd), errnoCell[0]!);
  }
}

/**
 * Python's `select.devpoll`: a set of descriptors and masks that the kernel keeps.
 *
 * It differs from Python's in what Python leaves undefined or lets pass: to register a descriptor again replaces its mask,
 * and to unregister one that is not registered is an error, as with `Poll`; a closed descriptor is refused, since the
 * device would take it and never report it.
 *
 * @see {@link https://docs.python.org/3/library/select.html#dev-poll-polling-objects | Python's /dev/poll polling objects}
 * @see {@link https://illumos.org/man/4D/poll | poll(4D)}
 *
 * @example Usage
 * ```ts
 * import { DefaultSelector, DevpollSelector } from "@selectors/selectors";
 * import { Devpoll, POLLIN } from "@selectors/selectors/select";
 * import { socketpair } from "@selectors/selectors/socket";
 * import { assertEquals } from "@std/assert";
 *
 * if (DefaultSelector === DevpollSelector) {
 *   const [here, there] = socketpair();
 *   using devpoll = new Devpoll();
 *   devpoll.register(here, POLLIN);
 *   assertEquals(devpoll.poll(10), []); // milliseconds
 *   there.send(new TextEncoder().encode("ping"));
 *   assertEquals(devpoll.poll(), [[here.fileno(), POLLIN]]);
 *   here.close();
 *   there.close();
 * }
 * ```
 */
export class Devpoll implements Disposable {
  #instance: DevpollInstance | null = new DevpollInstance();
  readonly #registered = new Set<number>();

  /** Whether the set has been closed. */
  get closed(): boolean {
    return this.#instance === null;
  }

  /** Gives the number of the descriptor of /dev/poll. It cannot be waited for: the device does not support it. */
  fileno(): number {
    return this.#open("ask for the descriptor").fd;
  }

  /**
   * Adds a descriptor; one that is there already gets the new mask.
   *
   * @param fd A descriptor or file object
   * @param eventmask Any of the `POLL*` flags, 16 bits
   * @throws {OSError} EBADF if the descriptor is closed
   * @throws {RangeError} if the mask is not an integer of 16 bits
   */
  register(fd: FileObject, eventmask: number = POLLIN | POLLPRI | POLLOUT): void {
    const instance = this.#open("register");
    const number = filenoOf(fd);
    const mask = checkedMask(eventmask);
    checkOpen(number, "write");
    if (this.#registered.has(number)) {
      check(instance.change(number, mask), "write", number);
    } else {
      instance.reserve(this.#registered.size + 1);
      check(instance.add(number, mask), "write", number);
      this.#registered.add(number);
    }
  }

  /**
   * Changes the mask of a descriptor.
   *
   * @param fd A descriptor or file object
   * @param eventmask Any of the `POLL*` flags, 16 bits
   * @throws {OSError} ENOENT if it is not registered, EBADF if it is closed
   * @throws {RangeError} if the mask is not an integer of 16 bits
   */
  modify(fd: FileObject, eventmask: number = POLLIN | POLLPRI | POLLOUT): void {
    const instance = this.#open("modify");
    const number = filenoOf(fd);
    const mask = checkedMask(eventmask);
    if (!this.#registered.has(number)) throw new OSError("write", ENOENT, `fd ${number}`, { text: "Not registered" });
    checkOpen(number, "write");
    check(instance.change(number, mask), "write", number);
  }

  /**
   * Removes a descriptor, also after it was closed.
   *
   * @param fd A descriptor or file object
   * @throws {KeyError} if it is not registered
   */
  unregister(fd: FileObject): void {
    const instance = this.#open("unregister");
    const number = filenoOf(fd);
    if (!this.#registered.delete(number)) throw new KeyError(`Cannot unregister fd ${number}: it is not registered`);
    check(instance.remove(number), "write", number);
  }

  /**
   * Waits for events.
   *
   * An interruption by a signal is not seen: the wait goes on for the time that is left.
   *
   * @param timeoutMs Milliseconds, rounded up to whole ones; null, undefined or -1 for ever
   * @returns Pairs of a descriptor and the flags that hold for it; POLLNVAL for one that was closed
   * @throws {RangeError} if `timeoutMs` is below -1, above 2^31-1, or NaN
   * @throws {TypeError} if `timeoutMs` is not a number
   */
  poll(timeoutMs?: number | null): [fd: number, events: number][] {
    const instance = this.#open("poll");
    timeoutMs ??= -1;
    if (typeof timeoutMs !== "number") {
      throw new TypeError(`Cannot wait for ${show(timeoutMs)}: the timeout must be milliseconds or null`);
    }
    if (!(timeoutMs >= -1 && timeoutMs <= INT_MAX)) {
      throw new RangeError(`Cannot wait for ${show(timeoutMs)} milliseconds: use a number from -1 to ${INT_MAX}`);
    }
    const wanted = this.#registered.size;
    const count = retryUntil(timeoutMs < 0 ? Infinity : timeoutMs, (ms) => instance.wait(ms, wanted));
    check(count, "ioctl", instance.fd);
    return Array.from({ length: count }, (_, index) => [instance.fdAt(index), instance.reventsAt(index)]);
  }

  /** Closes the descriptor of /dev/poll; once is enough, and twice does no harm. */
  close(): void {
    this.#instance?.close();
    this.#instance = null;
  }

  /** Closes the descriptor of /dev/poll at the end of a `using` block. */
  [Symbol.dispose](): void {
    this.close();
  }

  #open(action: string): DevpollInstance {
    if (this.#instance !== null) return this.#instance;
    throw new Deno.errors.BadResource(`Cannot ${action}: the /dev/poll set is closed`);
  }
}
