/**
 * epoll (Linux, Android): the kernel keeps the registrations, and one call returns those that are ready.
 *
 * ## Stale registrations
 *
 * The kernel registers an open file description under a descriptor. If the descriptor is closed while a duplicate is
 * open, the registration stays and still raises events, but `epoll_ctl` can no longer remove it; by then the number may
 * belong to another file. So each registration carries a serial number, which comes back with the event. An event whose
 * serial does not match the registration of its descriptor is ignored, and {@linkcode EpollPoller.purge} removes its
 * cause.
 *
 * @see {@link https://man7.org/linux/man-pages/man7/epoll.7.html | epoll(7)}
 *
 * @module
 */

import { errnoCell, lazyLibc, result } from "./call.ts";
import { check, EBADF, EEXIST, ENOENT, ENOSYS, EPERM } from "./errno.ts";
import {
  BASIC_EVENTS,
  EVENT_ERROR,
  EVENT_HANGUP,
  EVENT_PRIORITY,
  EVENT_READ,
  EVENT_READ_CLOSED,
  EVENT_WRITE,
  MODE_EDGE,
  MODE_ONCE,
} from "./events.ts";
import { type Arch, arch, os } from "./systems.ts";
import type { Poller, Registration } from "./poller.ts";
import { SilentSet } from "./silent_set.ts";
import { Timespec, toIntMs } from "./timeout.ts";

/**
 * Returns the layout of
 *
 * struct epoll_event {   x86_64   others
 *   uint32_t events;     // +0       +0
 *   epoll_data_t data;   // +4       +8     here int32_t fd, int32_t serial
 * };                     // 12       16
 *
 * Only x86_64 packs the struct, so that it has the layout that 32-bit x86 programs use.
 */
export function epollEventOf(machine: Arch): { size: number; events: number; data: number } {
  return machine === "x86_64" ? { size: 12, events: 0, data: 4 } : { size: 16, events: 0, data: 8 };
}

/** Layout of `struct epoll_event` here. */
export const EPOLL_EVENT: { size: number; events: number; data: number } = epollEventOf(arch);

// The same offsets in an Int32Array.
const STRIDE = EPOLL_EVENT.size / 4;
const EVENTS = EPOLL_EVENT.events / 4;
const FD = EPOLL_EVENT.data / 4;
const SERIAL = FD + 1;

/** Readable. */
export const EPOLLIN = 0x001;
/** Urgent or exceptional data is readable (out-of-band data, a change of a GPIO line). */
export const EPOLLPRI = 0x002;
/** Writable. */
export const EPOLLOUT = 0x004;
/** An error, such as a reset connection; always reported. */
export const EPOLLERR = 0x008;
/** Both directions are shut down; always reported. */
export const EPOLLHUP = 0x010;
/** The peer has shut down its writing half. */
export const EPOLLRDHUP = 0x2000;
/** Report one event, and no other until `modify`. */
export const EPOLLONESHOT = 0x4000_0000;
/** Report changes of readiness (edges) instead of readiness itself. */
export const EPOLLET = 0x8000_0000;
/** Makes the epoll descriptor close-on-exec. */
export const EPOLL_CLOEXEC = 0o2000000;

/** Operation of `epoll_ctl`: register a descriptor. */
export const EPOLL_CTL_ADD = 1;
/** Operation of `epoll_ctl`: remove a descriptor. */
export const EPOLL_CTL_DEL = 2;
/** Operation of `epoll_ctl`: change the mask of a descriptor. */
export const EPOLL_CTL_MOD = 3;

/** Number of events for which the first buffer has room. */
const FIRST_ROOM = 64;

const libc = lazyLibc({
  // int epoll_create1(int flags)
  epoll_create1: { parameters: ["i32"], result: "i32", optional: true },
  // int epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
  epoll_ctl: { parameters: ["i32", "i32", "i32", "usize"], result: "i32", optional: true },
  // int epoll_wait(int epfd, struct epoll_event *events, int maxevents, int timeout)
  epoll_wait: { parameters: ["i32", "usize", "i32", "i32"], result: "i32", optional: true },
  // int epoll_pwait2(int epfd, struct epoll_event *events, int maxevents, const struct timespec *timeout,
  //                  const sigset_t *sigmask)
  epoll_pwait2: { parameters: ["i32", "usize", "i32", "buffer", "pointer"], result: "i32", optional: true },
  // int dup3(int oldfd, int newfd, int flags)
  dup3: { parameters: ["i32", "i32", "i32"], result: "i32", optional: true },
  // void *memmove(void *dest, const void *src, size_t n)
  memmove: { parameters: ["buffer", "buffer", "usize"], result: "usize" },
  // int close(int fd)
  close: { parameters: ["i32"], result: "i32" },
});

type Libc = ReturnType<typeof libc>;
type Present<Name extends keyof Libc> = { [N in Name]: NonNullable<Libc[N]> };

function epollLibc(): Libc & Present<"epoll_create1" | "epoll_ctl" | "epoll_wait" | "dup3"> {
  const functions = libc();
  if (functions.epoll_create1 === null) { // a library that has this function has all but epoll_pwait2
    throw new Deno.errors.NotSupported(`Cannot create an epoll instance: ${os} has no epoll; use DefaultSelector`);
  }
  return functions as Libc & Present<"epoll_create1" | "epoll_ctl" | "epoll_wait" | "dup3">;
}

/**
 * False once the system has rejected `epoll_pwait2`, which Linux has since 5.11, and glibc since 2.35. An older kernel
 * or an emulator returns ENOSYS, and a container's filter may return EPERM.
 */
let pwait2Works = true;

/** Returns the EPOLL* flags that ask for EVENT_* and MODE_* bits; EPOLLERR and EPOLLHUP are always reported. */
function flagsOf(events: number): number {
  return (events & ~BASIC_EVENTS) === 0 ? (events & EVENT_READ) | (events & EVENT_WRITE) << 1 : rareFlagsOf(events);
}

function rareFlagsOf(events: number): number {
  return ((events & EVENT_READ) !== 0 ? EPOLLIN : 0) |
    ((events & EVENT_WRITE) !== 0 ? EPOLLOUT : 0) |
    ((events & EVENT_PRIORITY) !== 0 ? EPOLLPRI : 0) |
    ((events & EVENT_READ_CLOSED) !== 0 ? EPOLLRDHUP : 0) |
    ((events & MODE_EDGE) !== 0 ? EPOLLET : 0) |
    ((events & MODE_ONCE) !== 0 ? EPOLLONESHOT : 0);
}

/** Returns the EVENT_* bits of EPOLL* flags. */
function eventsOf(flags: number): number {
  return (flags & ~(EPOLLIN | EPOLLOUT)) === 0 ? (flags & EPOLLIN) | (flags >> 1) : rareEventsOf(flags);
}

/** Returns the EVENT_* bits of any EPOLL* flags: after an error or a hang-up, neither read() nor write() blocks. */
function rareEventsOf(flags: number): number {
  return ((flags & (EPOLLIN | EPOLLERR | EPOLLHUP)) !== 0 ? EVENT_READ : 0) |
    ((flags & (EPOLLOUT | EPOLLERR | EPOLLHUP)) !== 0 ? EVENT_WRITE : 0) |
    ((flags & EPOLLPRI) !== 0 ? EVENT_PRIORITY : 0) |
    ((flags & (EPOLLRDHUP | EPOLLHUP)) !== 0 ? EVENT_READ_CLOSED : 0) |
    ((flags & EPOLLHUP) !== 0 ? EVENT_HANGUP : 0) |
    ((flags & EPOLLERR) !== 0 ? EVENT_ERROR : 0);
}

const SUPPORTED = EVENT_READ | EVENT_WRITE | EVENT_PRIORITY | EVENT_READ_CLOSED | EVENT_HANGUP | EVENT_ERROR |
  MODE_EDGE |
  MODE_ONCE;

/** An epoll instance and its event buffer. Members that {@linkcode Poller} does not have serve the class `Epoll`. */
export class EpollPoller implements Poller {
  readonly controlCall = "epoll_ctl";
  readonly waitCall = "epoll_wait";
  readonly supports = SUPPORTED;
  readonly fd: number;
  readonly nests = true;
  readonly silences = 0; // the kernel itself leaves out closed and spent descriptors
  readonly #libc = epollLibc();
  readonly #event = new Int32Array(STRIDE);
  readonly #eventAddress = this.#addressOf(this.#event);
  readonly #timespec = new Timespec();
  #events = new Int32Array(FIRST_ROOM * STRIDE);
  #address = this.#addressOf(this.#events);
  #room = FIRST_ROOM;
  #size = 0;
  // The kernel disarms registrations with MODE_ONCE by itself; purge() has to know which, so as not to arm them again.
  readonly #silent = new SilentSet();
  // Descriptors of spent registrations that purge() has left out of the new set.
  readonly #leftOut = new Set<number>();

  /** Creates an instance, close-on-exec, or takes over the one with descriptor `fd`. */
  constructor(fd?: number) {
    this.fd = fd ?? check(result(this.#libc.epoll_create1(EPOLL_CLOEXEC), errnoCell[0]!), "epoll_create1");
  }

  isSilent(fd: number): boolean {
    return this.#silent.has(fd);
  }

  add(fd: number, events: number, serial: number): number {
    this.reserve(this.#size + 1); // because select() returns everything that is ready with one call
    let outcome = this.ctl(EPOLL_CTL_ADD, fd, flagsOf(events), serial);
    // The descriptor was closed while a duplicate was open, and now belongs to the same file again.
    if (outcome === -EEXIST) outcome = this.ctl(EPOLL_CTL_MOD, fd, flagsOf(events), serial);
    if (outcome === 0) {
      this.#size++;
      this.#silent.arm(fd, events, serial);
    }
    return outcome;
  }

  modify(fd: number, events: number, serial: number): number {
    let outcome = this.ctl(EPOLL_CTL_MOD, fd, flagsOf(events), serial);
    if (outcome === -ENOENT && this.#leftOut.has(fd)) outcome = this.#addLeftOut(fd, events, serial);
    if (outcome === 0) this.#silent.arm(fd, events, serial);
    return outcome;
  }

  #addLeftOut(fd: number, events: number, serial: number): number {
    const outcome = this.ctl(EPOLL_CTL_ADD, fd, flagsOf(events), serial);
    if (outcome === 0) this.#leftOut.delete(fd); // after a failure, the caller may try again
    return outcome;
  }

  remove(fd: number): void {
    this.#size--;
    this.#silent.forget(fd);
    if (this.#leftOut.size > 0) this.#leftOut.delete(fd); // rarely; the size costs less than a delete()
    // Fails if the descriptor was closed or belongs to another file now: a stale registration may stay in the kernel.
    this.ctl(EPOLL_CTL_DEL, fd, 0, 0);
  }

  wait(timeoutMs: number): number {
    const count = this.poll(timeoutMs);
    if (this.#silent.armed !== 0) this.#spend(count);
    return count;
  }

  /** Records which registrations with MODE_ONCE the kernel has disarmed. */
  #spend(count: number): void {
    for (let index = 0; index < count; index++) this.#silent.spend(this.fdAt(index), this.serialAt(index));
  }

  /** Waits for at most `maxEvents` events with one system call; returns their number or `-errno`. */
  poll(timeoutMs: number, maxEvents: number = this.#room): number {
    // A timeout of 0 or Infinity needs no timespec, which the kernel would have to copy.
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
    return this.poll(timeoutMs, maxEvents);
  }

  fdAt(index: number): number {
    return this.#events[index * STRIDE + FD]!;
  }

  serialAt(index: number): number {
    return this.#events[index * STRIDE + SERIAL]!;
  }

  eventsAt(index: number): number {
    return eventsOf(this.#events[index * STRIDE + EVENTS]!);
  }

  /** Returns the EPOLL* flags of entry `index` of the last wait. */
  flagsAt(index: number): number {
    return this.#events[index * STRIDE + EVENTS]!;
  }

  owns(fd: number): boolean {
    if (this.#leftOut.has(fd)) return true; // the kernel does not have the registration, so it cannot tell
    // EPOLL_CTL_MOD would take an event that the file reports only once. EPOLL_CTL_ADD fails before it asks the file.
    const outcome = this.ctl(EPOLL_CTL_ADD, fd, 0, 0);
    if (outcome === 0) this.ctl(EPOLL_CTL_DEL, fd, 0, 0);
    return outcome === -EEXIST;
  }

  explain(_fd: number, errno: number): string | undefined {
    if (errno !== EPERM) return undefined;
    return "epoll cannot wait for a descriptor of this kind, such as a regular file, a directory or /dev/null; " +
      'create the selector with { fallback: "select" }';
  }

  /** Closes the descriptor. Its number is free even if close() fails, so there is nothing to retry. */
  close(): void {
    this.#libc.close(this.fd);
  }

  /** Calls `epoll_ctl` with any operation and flags, by default on this instance; returns 0 or `-errno`. */
  ctl(op: number, fd: number, flags: number, serial: number, epfd: number = this.fd): number {
    this.#event[EVENTS] = flags;
    this.#event[FD] = fd;
    this.#event[SERIAL] = serial;
    return result(this.#libc.epoll_ctl(epfd, op, fd, this.#eventAddress), errnoCell[0]!);
  }

  /** Makes room for `count` events in one wait. */
  reserve(count: number): void {
    if (count <= this.#room) return;
    const room = Math.max(count, this.#room * 2);
    const events = new Int32Array(room * STRIDE); // first, because it may throw
    this.#address = this.#addressOf(events);
    this.#events = events;
    this.#room = room;
  }

  /**
   * Returns the address of an array, valid while the array lives: V8 does not move the memory of typed arrays in Deno.
   * Passing an address costs half as much as passing the array. memmove() of 0 bytes returns the address, even if
   * `--allow-ffi` is limited to the C library.
   */
  #addressOf(array: Int32Array<ArrayBuffer>): bigint {
    return this.#libc.memmove(array, array, 0n);
  }

  /**
   * Replaces the kernel's set with a new one under the same descriptor, since nothing else removes a stale
   * registration: see "Will closing a file descriptor cause it to be removed from all epoll interest lists?" in
   * epoll(7).
   *
   * If the set cannot be replaced, the old one stays. If stale events may have filled the buffer, it grows, so that the
   * next wait has room for other events.
   */
  purge(registrations: Registration[], count: number): boolean {
    if (this.#rebuild(registrations)) return true;
    if (count < this.#room) return false;
    this.reserve(2 * this.#room);
    return true;
  }

  #rebuild(registrations: Registration[]): boolean {
    const fresh = result(this.#libc.epoll_create1(EPOLL_CLOEXEC), errnoCell[0]!);
    if (fresh < 0) return false;
    try {
      for (const [fd, events, serial] of registrations) {
        // Left out, because EPOLL_CTL_ADD would arm it.
        if (this.#silent.spent.has(fd)) continue;
        // Shows whether the descriptor still refers to the registered file: it fails if the descriptor was closed or
        // belongs to another file now. Such a registration is not copied.
        const outcome = this.ctl(EPOLL_CTL_MOD, fd, flagsOf(events), serial);
        if (outcome === -ENOENT || outcome === -EBADF) continue;
        if (outcome < 0 || this.ctl(EPOLL_CTL_ADD, fd, flagsOf(events), serial, fresh) < 0) return false;
      }
      if (result(this.#libc.dup3(fresh, this.fd, EPOLL_CLOEXEC), errnoCell[0]!) < 0) return false;
      for (const fd of this.#silent.spent) this.#leftOut.add(fd); // modify() adds it again
      return true;
    } finally {
      this.#libc.close(fresh);
    }
  }
}
