/**
 * /dev/poll (Solaris, illumos): the kernel keeps the registrations, which are `pollfd`s written to a device, and one
 * ioctl(2) returns those that are ready.
 *
 * @see {@link https://illumos.org/man/4D/poll | poll(4D)}
 *
 * @module
 */

import { isOpen } from "./sys.ts";
import { errnoCell, openWithErrno, result } from "./call.ts";
import { check, EBADF, EIO } from "./errno.ts";
import { EVENT_ERROR, EVENT_HANGUP, EVENT_PRIORITY, EVENT_READ, EVENT_WRITE, MODE_ONCE } from "./events.ts";
import { type Functions, hasLibrary, lazySystem } from "./library.ts";
import { os } from "./systems.ts";
import { eventsOf, flagsOf, POLLFD, POLLNVAL } from "./poll.ts";
import type { Poller } from "./poller.ts";
import { SilentSet } from "./silent_set.ts";
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

// Offsets in an Int32Array. The upper half of dp_nfds stays 0. Both masks of a pollfd are one integer:
// `events | revents << 16`.
const NFDS = DVPOLL.dp_nfds / 4;
const TIMEOUT = DVPOLL.dp_timeout / 4;
const STRIDE = POLLFD.size / 4;
const FD = POLLFD.fd / 4;
const MASKS = POLLFD.events / 4;
const REVENTS_SHIFT = (POLLFD.revents - POLLFD.events) * 8;

/** Request of the ioctl that waits: (0xD0 << 8) | 1. */
export const DP_POLL = 0xd001;
/** Mask of a written `pollfd` that removes the descriptor from the set. */
export const POLLREMOVE = 0x0800;

/** Open for reading and writing. */
export const O_RDWR = 0x2;
/** Close-on-exec. */
export const O_CLOEXEC = 0x80_0000;

const DEVICE = new TextEncoder().encode("/dev/poll\0");

/**
 * Functions of the C library.
 *
 * open() and ioctl() are variadic, but declared with fixed arguments: on x86-64, where Solaris and illumos run, and on
 * arm64, both kinds are passed alike. Only Apple's arm64 differs, and it has no /dev/poll.
 */
export const SYMBOLS = {
  // int open(const char *path, int oflag)
  open: { parameters: ["buffer", "i32"], result: "i32" },
  // ssize_t write(int fildes, const void *buf, size_t nbyte); an i32, since an isize would be a BigInt: see call.ts
  write: { parameters: ["i32", "buffer", "usize"], result: "i32" },
  // int ioctl(int fildes, int request, struct dvpoll *arg)
  ioctl: { parameters: ["i32", "i32", "buffer"], result: "i32" },
  // void *memmove(void *s1, const void *s2, size_t n)
  memmove: { parameters: ["buffer", "buffer", "usize"], result: "usize" },
  // int close(int fildes)
  close: { parameters: ["i32"], result: "i32" },
} as const;

const libc = lazySystem("devpoll", () => openWithErrno("devpoll", SYMBOLS));

/** Returns the functions; throws `Deno.errors.NotSupported` if the system has no /dev/poll. */
function devpollLibc(): Functions<typeof SYMBOLS> {
  if (hasLibrary("devpoll")) return libc().functions;
  throw new Deno.errors.NotSupported(`Cannot open /dev/poll: ${os} has none; use DefaultSelector`);
}

/** A descriptor of /dev/poll and its event buffer. A failure is `-errno`. */
export class DevpollInstance {
  /** File descriptor of the device. */
  readonly fd: number;
  readonly #libc = devpollLibc();
  // Two pollfds that change a mask together: the first removes the descriptor, the second adds it.
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
   * The descriptor must be open: the device accepts a closed one, never reports it, and applies its mask to the next
   * file with that number.
   */
  add(fd: number, events: number): number {
    this.#addition[FD] = fd;
    this.#addition[MASKS] = events;
    return this.#write(this.#addition, 8n);
  }

  /** Changes the mask of a descriptor: removes and adds it, because adding alone would keep the old flags too. */
  change(fd: number, events: number): number {
    this.#removal[FD] = fd;
    this.#addition[FD] = fd;
    this.#addition[MASKS] = events;
    return this.#write(this.#change, 16n);
  }

  /** Removes a descriptor, which may be closed; returns no error if it is not in the set. */
  remove(fd: number): number {
    this.#removal[FD] = fd;
    return this.#write(this.#removal, 8n);
  }

  #write(pollfds: Int32Array<ArrayBuffer>, bytes: 8n | 16n): number {
    // A write that waits for another thread to change the set may be interrupted before it has changed anything.
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
    const pollfds = new Int32Array(room * STRIDE); // first, because it may throw
    // V8 does not move the memory of this array. memmove() of 0 bytes returns the address, even if `--allow-ffi` is
    // limited to the C library.
    const address = this.#libc.memmove(pollfds, pollfds, 0n);
    new BigUint64Array(this.#dvpoll.buffer, DVPOLL.dp_fds, 1)[0] = address;
    this.#pollfds = pollfds;
    this.#room = room;
  }

  /**
   * Waits for events with one system call; returns their number.
   *
   * @param timeoutMs Milliseconds, rounded up to whole ones
   * @param maxEvents Maximum number of events, for which {@linkcode reserve} has made room. Solaris returns EINVAL if
   * it exceeds the limit of open descriptors; the size of the set never does
   */
  wait(timeoutMs: number, maxEvents: number): number {
    this.#dvpoll[NFDS] = maxEvents;
    this.#dvpoll[TIMEOUT] = toIntMs(timeoutMs);
    return result(this.#libc.ioctl(this.fd, DP_POLL, this.#dvpoll), errnoCell[0]!);
  }

  /** Returns the descriptor of event `index` of the last wait. */
  fdAt(index: number): number {
    return this.#pollfds[index * STRIDE + FD]!;
  }

  /** Returns the POLL* flags of event `index` of the last wait. */
  reventsAt(index: number): number {
    return this.#pollfds[index * STRIDE + MASKS]! >>> REVENTS_SHIFT;
  }

  /** Closes the descriptor. Call it once: a second call could close another file with the same number. */
  close(): void {
    // The number is free even if close() fails, so there is nothing to retry.
    this.#libc.close(this.fd);
  }
}

const SUPPORTED = EVENT_READ | EVENT_WRITE | EVENT_PRIORITY | EVENT_HANGUP | EVENT_ERROR | MODE_ONCE;

/** A /dev/poll set and the entries of its last wait. */
export class DevpollPoller implements Poller {
  readonly controlCall = "write";
  readonly waitCall = "ioctl";
  readonly supports = SUPPORTED;
  readonly fd: number;
  readonly nests = false; // some versions of Solaris cannot wait for the device
  readonly #silent = new SilentSet();
  readonly #device = new DevpollInstance();
  // Serial numbers by descriptor.
  readonly #serials: (number | undefined)[] = [];
  #size = 0;
  // Indices of the events that are entries of the last wait.
  #ready = new Int32Array(64);

  /** Opens the device. */
  constructor() {
    this.fd = this.#device.fd;
  }

  get silences(): number {
    return this.#silent.count;
  }

  isSilent(fd: number): boolean {
    return this.#silent.has(fd);
  }

  add(fd: number, events: number, serial: number): number {
    if (!isOpen(fd)) return -EBADF;
    this.#device.reserve(this.#size + 1); // because select() returns everything that is ready with one call
    if (this.#size === this.#ready.length) this.#ready = new Int32Array(2 * this.#size);
    const outcome = this.#device.add(fd, flagsOf(events));
    if (outcome < 0) return outcome;
    this.#serials[fd] = serial;
    this.#silent.arm(fd, events, serial);
    this.#size++;
    return 0;
  }

  modify(fd: number, events: number, serial: number): number {
    if (this.#silent.isClosed(fd) || !isOpen(fd)) return -EBADF;
    const outcome = this.#device.change(fd, flagsOf(events));
    if (outcome < 0) return outcome;
    this.#silent.arm(fd, events, serial);
    return 0;
  }

  remove(fd: number): void {
    this.#silent.forget(fd);
    this.#serials[fd] = undefined;
    this.#size--;
    this.#device.remove(fd); // the kernel finds a descriptor by its number, even if it is closed or reused
  }

  wait(timeoutMs: number): number {
    const device = this.#device;
    const count = device.wait(timeoutMs, this.#size);
    let ready = 0;
    for (let index = 0; index < count; index++) {
      const fd = device.fdAt(index);
      if (this.#serials[fd] !== undefined && (device.reventsAt(index) & POLLNVAL) === 0) this.#ready[ready++] = index;
      else this.#discard(fd);
    }
    if (this.#silent.armed !== 0) this.#spend(ready);
    return count < 0 ? count : ready;
  }

  /** Removes the registrations with MODE_ONCE that the last wait found ready; modify() adds them again. */
  #spend(entries: number): void {
    for (let index = 0; index < entries; index++) {
      const fd = this.fdAt(index);
      if (this.#silent.spend(fd, this.serialAt(index))) this.#device.remove(fd);
    }
  }

  /** Removes a descriptor that is closed, or that a failed removal left in the set: every wait would report it. */
  #discard(fd: number): void {
    this.#device.remove(fd);
    if (this.#serials[fd] === undefined) return;
    this.#silent.addClosed(fd);
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
