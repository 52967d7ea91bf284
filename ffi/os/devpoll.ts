/**
 * /dev/poll (Solaris, illumos): the kernel keeps the registrations, which are `pollfd`s written to a device, and an ioctl
 * returns those that are ready.
 *
 * @see {@link https://illumos.org/man/4D/poll | poll(4D)}
 *
 * @module
 */

import { isOpen } from "./sys.ts";
import { errnoCell, openWithErrno, result } from "./call.ts";
import { check, EBADF, EIO } from "./errno.ts";
import { type Functions, hasLibrary, lazySystem } from "./library.ts";
import { os } from "./systems.ts";
import { eventsOf, flagsOf, POLLFD, POLLNVAL } from "./poll.ts";
import type { Poller } from "./poller.ts";
import { isInterruption, toIntMs } from "./timeout.ts";

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

/**
 * The C functions.
 *
 * open() and ioctl() are variadic and bound as if they were not: by the ABIs of x86-64, on which Solaris and illumos run,
 * and of 64-bit Arm, a variadic argument goes where a fixed one goes. Only Apple's arm64 differs, and has no /dev/poll.
 */
export const SYMBOLS = {
  // int open(const char *path, int oflag)
  open: { parameters: ["buffer", "i32"], result: "i32" },
  // ssize_t write(int fildes, const void *buf, size_t nbyte)
  write: { parameters: ["i32", "buffer", "usize"], result: "i32" },
  // int ioctl(int fildes, int request, struct dvpoll *arg)
  ioctl: { parameters: ["i32", "i32", "buffer"], result: "i32" },
  // void *memmove(void *s1, const void *s2, size_t n)
  memmove: { parameters: ["buffer", "buffer", "usize"], result: "usize" },
  // int close(int fildes)
  close: { parameters: ["i32"], result: "i32" },
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

/** A set of /dev/poll, and what the last call found in it. */
export class DevpollPoller implements Poller {
  readonly controlCall = "write";
  readonly waitCall = "ioctl";
  readonly fd: number;
  readonly nests = false; // not every Solaris can wait for the device
  readonly closed = new Set<number>();
  readonly #device = new DevpollInstance();
  // By descriptor.
  readonly #serials: (number | undefined)[] = [];
  #size = 0;
  // Places of the ready descriptors.
  #ready = new Int32Array(64);

  /** Opens the device. */
  constructor() {
    this.fd = this.#device.fd;
  }

  add(fd: number, events: number, serial: number): number {
    if (!isOpen(fd)) return -EBADF;
    this.#device.reserve(this.#size + 1); // one wait returns everything that is ready
    if (this.#size === this.#ready.length) this.#ready = new Int32Array(2 * this.#size);
    const outcome = this.#device.add(fd, flagsOf(events));
    if (outcome < 0) return outcome;
    this.#serials[fd] = serial;
    this.#size++;
    return 0;
  }

  modify(fd: number, events: number): number {
    if (this.closed.has(fd) || !isOpen(fd)) return -EBADF;
    return this.#device.change(fd, flagsOf(events));
  }

  remove(fd: number): void {
    this.closed.delete(fd);
    this.#serials[fd] = undefined;
    this.#size--;
    this.#device.remove(fd); // the set goes by numbers, so a closed or reused one is removed like any other
  }

  wait(timeoutMs: number): number {
    const device = this.#device;
    const count = device.wait(timeoutMs, this.#size);
    let ready = 0;
    for (let place = 0; place < count; place++) {
      const fd = device.fdAt(place);
      if (this.#serials[fd] !== undefined && (device.reventsAt(place) & POLLNVAL) === 0) this.#ready[ready++] = place;
      else this.#leaveOut(fd);
    }
    return count < 0 ? count : ready;
  }

  /** Leaves out a closed descriptor, or one that a failed write has left in the set: it would be reported for ever. */
  #leaveOut(fd: number): void {
    this.#device.remove(fd);
    if (this.#serials[fd] !== undefined) this.closed.add(fd);
  }

  fdAt(index: number): number {
    return this.#device.fdAt(this.#ready[index]!);
  }

  serialAt(index: number): number {
    return this.#serials[this.fdAt(index)]!;
  }

  eventsAt(index: number): number {
    return eventsOf(this.#device.reventsAt(this.#ready[index]!));
  }

  close(): void {
    this.#device.close();
  }
}
