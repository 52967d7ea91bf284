/**
 * poll(2) (every Unix): an array of descriptors in memory, which the kernel reads from end to end at each call.
 *
 * @see {@link https://man7.org/linux/man-pages/man2/poll.2.html | poll(2)}
 *
 * @module
 */

import { errnoCell, lazyLibc, result } from "./call.ts";
import { EBADF } from "./errno.ts";
import {
  BASIC_EVENTS,
  EVENT_ERROR,
  EVENT_HANGUP,
  EVENT_PRIORITY,
  EVENT_READ,
  EVENT_READ_CLOSED,
  EVENT_WRITE,
  MODE_ONCE,
} from "./events.ts";
import { isOpen } from "./sys.ts";
import type { Poller } from "./poller.ts";
import { SilentSet } from "./silent_set.ts";
import { system } from "./systems.ts";
import { Timespec, toIntMs } from "./timeout.ts";

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
/** An error, such as a reset connection; always reported. */
export const POLLERR = 0x008;
/** Hang-up; always reported. */
export const POLLHUP = 0x010;
/** The descriptor is not open; always reported. */
export const POLLNVAL = 0x020;

/** The peer has shut down its writing half; 0 on systems that do not define it. */
export const POLLRDHUP: number = system.poll.POLLRDHUP;

// int poll(struct pollfd *fds, nfds_t nfds, int timeout)
const POLL = { parameters: ["buffer", "usize", "i32"], result: "i32" } as const;
// int ppoll(struct pollfd *fds, nfds_t nfds, const struct timespec *timeout, const sigset_t *sigmask)
const PPOLL = { parameters: ["buffer", "usize", "buffer", "pointer"], result: "i32" } as const;

const libc = lazyLibc({ poll: POLL, ppoll: { ...PPOLL, optional: true } });

// The same functions, called on a thread of Deno's pool. ppoll is opened separately, and called only if its synchronous
// twin above is not null: for a missing nonblocking function, Deno returns a function that throws.
const aside = lazyLibc({ poll: { ...POLL, nonblocking: true } });
const asidePpoll = lazyLibc({ ppoll: { ...PPOLL, nonblocking: true } });

/** Returns the POLL* flags that ask for EVENT_* bits; POLLERR and POLLHUP are always reported. */
export function flagsOf(events: number): number {
  return (events & ~BASIC_EVENTS) === 0 ? (events & EVENT_READ) | (events & EVENT_WRITE) << 1 : rareFlagsOf(events);
}

function rareFlagsOf(events: number): number {
  return ((events & EVENT_READ) !== 0 ? POLLIN : 0) |
    ((events & EVENT_WRITE) !== 0 ? POLLOUT : 0) |
    ((events & EVENT_PRIORITY) !== 0 ? POLLPRI : 0) |
    ((events & EVENT_READ_CLOSED) !== 0 ? POLLRDHUP : 0);
}

/** Returns the EVENT_* bits of POLL* flags. */
export function eventsOf(flags: number): number {
  return (flags & ~(POLLIN | POLLOUT)) === 0 ? (flags & POLLIN) | (flags >> 1) : rareEventsOf(flags);
}

/** Returns the EVENT_* bits of any POLL* flags: after an error or a hang-up, neither read() nor write() blocks. */
function rareEventsOf(flags: number): number {
  return ((flags & (POLLIN | POLLERR | POLLHUP)) !== 0 ? EVENT_READ : 0) |
    ((flags & (POLLOUT | POLLERR | POLLHUP)) !== 0 ? EVENT_WRITE : 0) |
    ((flags & POLLPRI) !== 0 ? EVENT_PRIORITY : 0) |
    ((flags & (POLLRDHUP | POLLHUP)) !== 0 ? EVENT_READ_CLOSED : 0) |
    ((flags & POLLHUP) !== 0 ? EVENT_HANGUP : 0) |
    ((flags & POLLERR) !== 0 ? EVENT_ERROR : 0);
}

const { priority, readClosed, hangup } = system.pollReports;

/** EVENT_* and MODE_* bits that poll(2) supports here. */
export const pollSupports: number = EVENT_READ | EVENT_WRITE | MODE_ONCE | (priority ? EVENT_PRIORITY : 0) |
  (readClosed ? EVENT_READ_CLOSED : 0) | (hangup ? EVENT_HANGUP | EVENT_ERROR : 0);

/** Descriptors and their event masks, in the array that poll(2) reads. A failure is `-errno`. */
export class PollSet {
  readonly #libc = libc();
  // Slots by descriptor. An array is faster than a Map, because descriptors are small: the system always assigns the
  // lowest free number. It is not an Int32Array, because `Poll` accepts any number, and the memory of an Int32Array
  // would grow with that number.
  readonly #slots: (number | undefined)[] = [];
  #size = 0;
  readonly #timespec = new Timespec();
  #pollfds = new Int32Array(16 * STRIDE);
  // An nfds_t is a BigInt. It is created when the size changes, not at every wait.
  #nfds = 0n;

  /** Number of slots in use: those from 0 to `size - 1`. */
  get size(): number {
    return this.#size;
  }

  /** Returns true if a descriptor is in the set. */
  has(fd: number): boolean {
    return this.#slots[fd] !== undefined;
  }

  /** Adds a descriptor or changes its mask; ends {@linkcode mute}. */
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

  /** Removes a descriptor; returns false if it is not in the set. The last slot moves to its place. */
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

  /** Makes the kernel skip a descriptor, as it does for a negative one. */
  mute(fd: number): void {
    this.#pollfds[this.#slots[fd]! * STRIDE + FD] = ~fd;
  }

  /**
   * Waits with one system call until a descriptor is ready; returns the number of ready descriptors.
   *
   * @param timeoutMs Milliseconds, rounded up to nanoseconds if the system has `ppoll`, or else to milliseconds
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
   * Waits like {@linkcode wait}, on a thread of Deno's pool, while the event loop continues.
   *
   * The set must not change meanwhile. A failure is -1, since the errno of another thread cannot be read.
   */
  waitAside(timeoutMs: number): Promise<number> {
    if (this.#libc.ppoll === null || timeoutMs === 0 || timeoutMs === Infinity) {
      return aside().poll(this.#pollfds, this.#nfds, toIntMs(timeoutMs));
    }
    return asidePpoll().ppoll(this.#pollfds, this.#nfds, this.#timespec.set(timeoutMs), null);
  }

  /** Returns the descriptors that the last wait reported. */
  named(): number[] {
    const fds: number[] = [];
    for (let slot = 0; slot < this.#size; slot++) if (this.reventsAt(slot) !== 0) fds.push(this.fdAt(slot));
    return fds;
  }

  /** Returns the POLL* flags that the last wait reported for a descriptor of the set. */
  reventsOf(fd: number): number {
    return this.reventsAt(this.#slots[fd]!);
  }

  /** The array, as the last wait has left it. */
  get pollfds(): Int32Array<ArrayBuffer> {
    return this.#pollfds;
  }

  /** Returns the descriptor in a slot. */
  fdAt(slot: number): number {
    const fd = this.#pollfds[slot * STRIDE + FD]!;
    return fd < 0 ? ~fd : fd;
  }

  /** Returns the POLL* flags that the last wait reported for a slot, or 0. */
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

/** A set of `pollfd`s and the entries of its last wait. */
export class PollPoller implements Poller {
  readonly controlCall = "poll";
  readonly waitCall = "poll";
  readonly supports = pollSupports;
  readonly fd = -1;
  readonly nests = false;
  readonly #set = new PollSet();
  readonly #silent = new SilentSet();
  // Serial numbers by descriptor.
  readonly #serials: number[] = [];
  // Entries of the last wait.
  #fds = new Int32Array(16);
  #events = new Int32Array(16);

  get silences(): number {
    return this.#silent.count;
  }

  isSilent(fd: number): boolean {
    return this.#silent.has(fd);
  }

  add(fd: number, events: number, serial: number): number {
    if (!isOpen(fd)) return -EBADF;
    if (this.#set.size === this.#fds.length) this.#grow();
    this.#set.set(fd, flagsOf(events));
    this.#silent.arm(fd, events, serial);
    this.#serials[fd] = serial;
    return 0;
  }

  modify(fd: number, events: number, serial: number): number {
    if (this.#silent.isClosed(fd) || !isOpen(fd)) return -EBADF;
    this.#set.set(fd, flagsOf(events));
    this.#silent.arm(fd, events, serial);
    return 0;
  }

  remove(fd: number): void {
    this.#silent.forget(fd);
    this.#set.delete(fd);
  }

  wait(timeoutMs: number): number {
    const count = this.#set.wait(timeoutMs);
    if (count <= 0) return count;
    const entries = this.#gather(count);
    if (this.#silent.armed !== 0) this.#spendEntries(entries);
    return entries;
  }

  /** Mutes the registrations with MODE_ONCE that the last wait found ready. */
  #spendEntries(entries: number): void {
    for (let index = 0; index < entries; index++) this.spend(this.fdAt(index), this.serialAt(index));
  }

  spend(fd: number, serial: number): void {
    if (this.#silent.spend(fd, serial)) this.#set.mute(fd);
  }

  /** Collects the ready descriptors, and returns their number. */
  #gather(count: number): number {
    const { pollfds } = this.#set;
    const fds = this.#fds;
    const events = this.#events;
    let entries = 0;
    let left = count; // number of slots with events that are not collected
    for (let at = 0; left > 0; at += STRIDE) {
      const revents = pollfds[at + MASKS]! >>> REVENTS_SHIFT;
      if (revents === 0) continue;
      left--;
      if ((revents & POLLNVAL) !== 0) {
        this.#mute(pollfds[at + FD]!);
      } else {
        fds[entries] = pollfds[at + FD]!;
        events[entries++] = eventsOf(revents);
      }
    }
    return entries;
  }

  #grow(): void {
    const events = new Int32Array(2 * this.#fds.length); // first, because it may throw
    this.#fds = new Int32Array(events.length);
    this.#events = events;
  }

  /** Mutes a closed descriptor, which would make every poll() return at once. */
  #mute(fd: number): void {
    this.#silent.addClosed(fd);
    this.#set.mute(fd);
  }

  fdAt(index: number): number {
    return this.#fds[index]!;
  }

  serialAt(index: number): number {
    return this.#serials[this.#fds[index]!]!;
  }

  eventsAt(index: number): number {
    return this.#events[index]!;
  }

  close(): void {} // there is nothing but the array
}
