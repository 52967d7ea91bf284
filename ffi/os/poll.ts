/**
 * Bindings to poll(2) (every Unix): a set of `pollfd`s, and Python's `select.poll` over it.
 *
 * @module
 */

import { check, ENOENT, errnoCell, lazyLibc, OSError, result } from "./errno.ts";
import { filenoOf, type FileObject, KeyError, show } from "./arguments.ts";
import { retryUntil, Timespec, toIntMs } from "./timeout.ts";

/**
 * struct pollfd {
 *   int   fd;        // +0
 *   short events;    // +4
 *   short revents;   // +6
 * };                 // 8
 *
 * Held as pairs of 32-bit integers, the second of which is events | revents << 16.
 */
export const POLLFD = { size: 8, fd: 0, events: 4, revents: 6 };

const STRIDE = POLLFD.size / 4;
const FD = POLLFD.fd / 4;
const MASKS = POLLFD.events / 4;
const REVENTS_SHIFT = (POLLFD.revents - POLLFD.events) * 8;

/** Readable. */
export const POLLIN = 0x001;
/** Urgent or exceptional data is readable. */
export const POLLPRI = 0x002;
/** Writable. */
export const POLLOUT = 0x004;
/** An error, such as a reset connection; always waited for. */
export const POLLERR = 0x008;
/** Hung up; always waited for. */
export const POLLHUP = 0x010;
/** The descriptor is not open; always waited for. */
export const POLLNVAL = 0x020;
/** As POLLIN. */
export const POLLRDNORM = 0x040;
/** Priority data can be read. */
export const POLLRDBAND = 0x080;
/** As POLLOUT. */
export const POLLWRNORM = 0x100;
/** Priority data can be written. */
export const POLLWRBAND = 0x200;
/** Not used by Linux. */
export const POLLMSG = 0x400;
/** The peer has shut down its writing half. */
export const POLLRDHUP = 0x2000;

const POLL = {
  parameters: [
    "buffer", // struct pollfd *fds
    "usize", // nfds_t nfds
    "i32", // int timeout, in milliseconds
  ],
  result: "i32",
} as const;

const PPOLL = {
  parameters: [
    "buffer", // struct pollfd *fds
    "usize", // nfds_t nfds
    "buffer", // const struct timespec *timeout
    "pointer", // const sigset_t *sigmask
  ],
  result: "i32",
} as const;

const libc = lazyLibc({ poll: POLL, ppoll: { ...PPOLL, optional: true } });

// The same on a thread of Deno's pool. ppoll is by itself: Deno calls a missing function that is nonblocking.
const aside = lazyLibc({ poll: { ...POLL, nonblocking: true } });
const asidePpoll = lazyLibc({ ppoll: { ...PPOLL, nonblocking: true } });

/** Descriptors and their masks, as the array that poll(2) reads; a negative result is `-errno`. */
export class PollSet {
  readonly #libc = libc();
  // By descriptor. These are small numbers, given lowest first: an array costs less than a Map, most of all where the same
  // number comes and goes. It is no Int32Array, since Poll takes any number, and a great one must not cost its size.
  readonly #slots: (number | undefined)[] = [];
  #size = 0;
  readonly #timespec = new Timespec();
  #pollfds = new Int32Array(16 * STRIDE);
  // nfds_t has 64 bits, hence a BigInt; made when the size changes, not at every wait.
  #nfds = 0n;

  /** How many slots are in use; their indices are the whole numbers below. */
  get size(): number {
    return this.#size;
  }

  /** Whether a descriptor is in the set. */
  has(fd: number): boolean {
    return this.#slots[fd] !== undefined;
  }

  /** Adds a descriptor or changes its mask. */
  set(fd: number, events: number): void {
    let slot = this.#slots[fd];
    if (slot === undefined) {
      slot = this.#size;
      this.#grow(slot + 1);
      this.#slots[fd] = slot;
      this.#size++;
      this.#nfds = BigInt(this.#size);
    }
    this.#pollfds[slot * STRIDE + FD] = fd;
    this.#pollfds[slot * STRIDE + MASKS] = events;
  }

  /** Removes a descriptor; the last slot takes its place. */
  delete(fd: number): boolean {
    const slot = this.#slots[fd];
    if (slot === undefined) return false;
    this.#slots[fd] = undefined;
    const last = --this.#size;
    if (slot !== last) {
      this.#pollfds[slot * STRIDE + FD] = this.#pollfds[last * STRIDE + FD]!;
      this.#pollfds[slot * STRIDE + MASKS] = this.#pollfds[last * STRIDE + MASKS]!;
      this.#slots[this.fdAt(slot)] = slot;
    }
    this.#nfds = BigInt(last);
    return true;
  }

  /** Makes the kernel pass over a slot, as it does where the descriptor is negative. */
  mute(slot: number): void {
    const fd = this.#pollfds[slot * STRIDE + FD]!;
    this.#pollfds[slot * STRIDE + FD] = fd < 0 ? fd : ~fd;
  }

  /**
   * Waits until a descriptor is ready, by one system call, and gives the number of those that are.
   *
   * @param timeoutMs Milliseconds, rounded up to what the kernel can wait: nanoseconds where there is `ppoll`
   */
  wait(timeoutMs: number): number {
    const { ppoll } = this.#libc;
    if (ppoll === null || timeoutMs === 0 || timeoutMs === Infinity) {
      return result(this.#libc.poll(this.#pollfds, this.#nfds, toIntMs(timeoutMs)), errnoCell[0]!);
    }
    const timespec = this.#timespec.set(timeoutMs);
    return result(ppoll(this.#pollfds, this.#nfds, timespec, null), errnoCell[0]!);
  }

  /**
   * Waits on another thread, as {@linkcode wait} does, while Deno's event loop goes on.
   *
   * The set must not change meanwhile. The other thread's errno cannot be read: -1 says no more than that the call failed.
   */
  waitAside(timeoutMs: number): Promise<number> {
    if (this.#libc.ppoll === null || timeoutMs === 0 || timeoutMs === Infinity) {
      return aside().poll(this.#pollfds, this.#nfds, toIntMs(timeoutMs));
    }
    return asidePpoll().ppoll(this.#pollfds, this.#nfds, this.#timespec.set(timeoutMs), null);
  }

  /** Returns the descriptors that the last wait has named. */
  named(): number[] {
    const fds: number[] = [];
    for (let slot = 0; slot < this.#size; slot++) if (this.reventsAt(slot) !== 0) fds.push(this.fdAt(slot));
    return fds;
  }

  /** The descriptor in a slot. */
  fdAt(slot: number): number {
    const fd = this.#pollfds[slot * STRIDE + FD]!;
    return fd < 0 ? ~fd : fd;
  }

  /** What the last wait found for a slot; 0 if nothing. */
  reventsAt(slot: number): number {
    return this.#pollfds[slot * STRIDE + MASKS]! >>> REVENTS_SHIFT;
  }

  #grow(slots: number): void {
    if (slots * STRIDE <= this.#pollfds.length) return;
    const larger = new Int32Array(this.#pollfds.length * 2);
    larger.set(this.#pollfds);
    this.#pollfds = larger;
  }
}

/**
 * Python's `select.poll`: a list of descriptors and masks for poll(2).
 *
 * @see {@link https://docs.python.org/3/library/select.html#poll-objects | Python's polling objects}
 * @see {@link https://man7.org/linux/man-pages/man2/poll.2.html | poll(2)}
 *
 * @example Usage
 * ```ts
 * import { Poll, POLLIN } from "@selectors/selectors/select";
 * import { socketpair } from "@selectors/selectors/socket";
 * import { assertEquals } from "@std/assert";
 *
 * const [here, there] = socketpair();
 * const poll = new Poll();
 * poll.register(here, POLLIN);
 * assertEquals(poll.poll(10), []); // milliseconds
 * there.send(new TextEncoder().encode("ping"));
 * assertEquals(poll.poll(), [[here.fileno(), POLLIN]]);
 * here.close();
 * there.close();
 * ```
 */
export class Poll {
  readonly #set = new PollSet();

  /**
   * Adds a descriptor; one that is there already gets the new mask.
   *
   * The descriptor need not be open: `poll` gives POLLNVAL for one that is not.
   *
   * @param fd A descriptor or file object
   * @param eventmask Any of the `POLL*` flags, 16 bits
   * @throws {RangeError} if the mask is not an integer of 16 bits
   */
  register(fd: FileObject, eventmask: number = POLLIN | POLLPRI | POLLOUT): void {
    this.#set.set(filenoOf(fd), checkedMask(eventmask));
  }

  /**
   * Changes the mask of a descriptor.
   *
   * @param fd A descriptor or file object
   * @param eventmask Any of the `POLL*` flags, 16 bits
   * @throws {OSError} ENOENT if it is not registered
   * @throws {RangeError} if the mask is not an integer of 16 bits
   */
  modify(fd: FileObject, eventmask: number): void {
    const number = filenoOf(fd);
    const mask = checkedMask(eventmask);
    if (!this.#set.has(number)) throw new OSError("poll", ENOENT, `fd ${number}`, { text: "Not registered" });
    this.#set.set(number, mask);
  }

  /**
   * Removes a descriptor.
   *
   * @param fd A descriptor or file object
   * @throws {KeyError} if it is not registered
   */
  unregister(fd: FileObject): void {
    const number = filenoOf(fd);
    if (!this.#set.delete(number)) throw new KeyError(`Cannot unregister fd ${number}: it is not registered`);
  }

  /**
   * Waits for events.
   *
   * An interruption by a signal is not seen: the wait goes on for the time that is left.
   *
   * @param timeoutMs Milliseconds, fractions too; null, undefined or a negative number for ever
   * @returns Pairs of a descriptor and the flags that hold for it
   * @throws {RangeError} if `timeoutMs` is NaN
   * @throws {TypeError} if `timeoutMs` is not a number
   */
  poll(timeoutMs?: number | null): [fd: number, events: number][] {
    timeoutMs ??= Infinity;
    if (typeof timeoutMs !== "number") {
      throw new TypeError(`Cannot wait for ${show(timeoutMs)}: the timeout must be milliseconds or null`);
    }
    if (timeoutMs !== timeoutMs) throw new RangeError("Cannot wait for NaN milliseconds");
    const set = this.#set;
    let left = check(retryUntil(timeoutMs < 0 ? Infinity : timeoutMs, (ms) => set.wait(ms)), "poll");
    const ready: [fd: number, events: number][] = [];
    for (let slot = 0; left > 0; slot++) {
      const revents = set.reventsAt(slot);
      if (revents === 0) continue;
      left--;
      ready.push([set.fdAt(slot), revents]);
    }
    return ready;
  }
}

/**
 * Gives a mask that a C `short` can carry.
 *
 * @throws {RangeError} if it is not an integer of 16 bits
 */
export function checkedMask(eventmask: number): number {
  if (Number.isInteger(eventmask) && eventmask >= 0 && eventmask <= 0xffff) return eventmask;
  throw new RangeError(`Cannot poll for events ${show(eventmask)}: they must be an integer from 0 to 65535`);
}
