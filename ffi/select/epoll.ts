/**
 * Python's `select.epoll`.
 *
 * @module
 */

import { filenoOf, type FileObject, numberError, show } from "../os/arguments.ts";
import {
  EPOLL_CLOEXEC,
  EPOLL_CTL_ADD,
  EPOLL_CTL_DEL,
  EPOLL_CTL_MOD,
  EPOLLERR,
  EPOLLET,
  EPOLLHUP,
  EPOLLIN,
  EPOLLONESHOT,
  EPOLLOUT,
  EpollPoller,
  EPOLLPRI,
  EPOLLRDHUP,
} from "../os/epoll.ts";
import { check } from "../os/errno.ts";
import { retryUntil, type Timeout, timeoutToMs } from "../os/timeout.ts";

export { EPOLL_CLOEXEC, EPOLLERR, EPOLLET, EPOLLHUP, EPOLLIN, EPOLLONESHOT, EPOLLOUT, EPOLLPRI, EPOLLRDHUP };

/** Equivalent to EPOLLIN. */
export const EPOLLRDNORM = 0x040;
/** Priority band data can be read: see poll(2). */
export const EPOLLRDBAND = 0x080;
/** Equivalent to EPOLLOUT. */
export const EPOLLWRNORM = 0x100;
/** Priority band data can be written: see poll(2). */
export const EPOLLWRBAND = 0x200;
/** Not used by Linux. */
export const EPOLLMSG = 0x400;
/** Wake one or more of the epoll instances that wait for a descriptor, instead of all; valid in `register` only. */
export const EPOLLEXCLUSIVE = 0x1000_0000;
/** Keep the system awake while the event is handled. */
export const EPOLLWAKEUP = 0x2000_0000;

/** Default maximum number of events that `Epoll.poll()` returns: FD_SETSIZE - 1, as in Python. */
const DEFAULT_MAX_EVENTS = 1023;

/**
 * Python's `select.epoll`: an epoll instance with all kernel flags.
 *
 * A selector is simpler, and it supports edge-triggered and one-shot registrations, urgent data and hang-ups too. Use
 * this class if you need another flag, such as EPOLLEXCLUSIVE.
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
 * assertEquals(epoll.poll(0), []); // no new data
 * here.close();
 * there.close();
 * ```
 */
export class Epoll implements Disposable {
  #instance: EpollPoller | null;

  /**
   * Creates an epoll instance. Its descriptor is closed when the process executes another program (close-on-exec).
   *
   * @param sizehint Expected number of descriptors, or -1; validated, but not used. Defaults to -1
   * @param flags 0 or EPOLL_CLOEXEC; the descriptor is close-on-exec with both. Defaults to 0
   * @throws {RangeError} if `sizehint` is neither a positive integer nor -1, or `flags` is neither 0 nor EPOLL_CLOEXEC
   * @throws {TypeError} if an argument is not a number
   * @throws {OSError} EMFILE or ENFILE if too many descriptors are open, ENOMEM if the kernel is out of memory
   * @throws {Deno.errors.NotCapable} without `--allow-ffi`
   * @throws {Deno.errors.NotSupported} if the system has no epoll
   */
  constructor(sizehint?: number, flags?: number);
  /** @ignore */
  constructor(sizehint: number = -1, flags: number = 0, adopted?: EpollPoller) {
    if (!Number.isInteger(sizehint) || (sizehint <= 0 && sizehint !== -1)) {
      throw numberError(
        sizehint,
        `Cannot create an epoll instance for ${show(sizehint)} descriptors: use a positive integer, or -1`,
      );
    }
    if (flags !== 0 && flags !== EPOLL_CLOEXEC) {
      throw numberError(
        flags,
        `Cannot create an epoll instance with flags ${show(flags)}: use 0 or EPOLL_CLOEXEC`,
      );
    }
    this.#instance = adopted ?? new EpollPoller();
  }

  /**
   * Wraps an existing epoll descriptor; closing the wrapper closes the descriptor.
   *
   * @param fd The epoll descriptor
   * @throws {RangeError} if `fd` is negative or above `2^31-1`
   * @throws {TypeError} if `fd` is not an integer
   */
  static fromfd(fd: number): Epoll {
    return Reflect.construct(Epoll, [-1, 0, new EpollPoller(filenoOf(fd))]);
  }

  /** True if the instance is closed. */
  get closed(): boolean {
    return this.#instance === null;
  }

  /** Returns the epoll descriptor, which a selector or another epoll instance can wait for. */
  fileno(): number {
    return this.#open("get the descriptor").fd;
  }

  /**
   * Adds a descriptor.
   *
   * @param fd A descriptor or file object
   * @param eventmask A combination of `EPOLL*` flags; defaults to EPOLLIN | EPOLLOUT | EPOLLPRI
   * @throws {OSError} EEXIST if the descriptor is already registered, EBADF if it is closed, EPERM if its file does not
   * support epoll
   * @throws {RangeError} if the mask is not a 32-bit integer, or the descriptor is negative or above `2^31-1`
   * @throws {TypeError} if the mask is not a number, or `fd` is not a file object
   */
  register(fd: FileObject, eventmask: number = EPOLLIN | EPOLLOUT | EPOLLPRI): void {
    this.#ctl(EPOLL_CTL_ADD, fd, eventmask, "register");
  }

  /**
   * Changes the event mask of a descriptor.
   *
   * @param fd A descriptor or file object
   * @param eventmask A combination of `EPOLL*` flags
   * @throws {OSError} ENOENT if the descriptor is not registered, EBADF if it is closed
   * @throws {RangeError} if the mask is not a 32-bit integer, or the descriptor is negative or above `2^31-1`
   * @throws {TypeError} if the mask is not a number, or `fd` is not a file object
   */
  modify(fd: FileObject, eventmask: number): void {
    this.#ctl(EPOLL_CTL_MOD, fd, eventmask, "modify");
  }

  /**
   * Removes a descriptor.
   *
   * @param fd A descriptor or file object
   * @throws {OSError} ENOENT if the descriptor is not registered, EBADF if it is closed
   */
  unregister(fd: FileObject): void {
    this.#ctl(EPOLL_CTL_DEL, fd, 0, "unregister");
  }

  /**
   * Waits for events.
   *
   * The wait is synchronous: it stops Deno's event loop. If a signal interrupts the wait, the wait continues for the
   * remaining time.
   *
   * @param timeout Seconds or a duration; undefined, null and a negative value wait forever. Defaults to undefined
   * @param maxevents Maximum number of events to return, or -1 for 1,023; the next call returns the others. Defaults
   * to -1
   * @returns Pairs of a descriptor and its `EPOLL*` flags
   * @throws {RangeError} if `timeout` is NaN, or `maxevents` is neither -1 nor an integer from 1 to 134217727
   * @throws {TypeError} if `timeout` is neither a number, null nor a duration, or `maxevents` is not a number
   */
  poll(timeout?: Timeout, maxevents: number = -1): [fd: number, events: number][] {
    const timeoutMs = timeoutToMs(timeout);
    const instance = this.#open("poll");
    if (!Number.isInteger(maxevents) || maxevents < -1 || maxevents === 0 || maxevents > 0x7ff_ffff) {
      throw numberError(
        maxevents,
        `Cannot wait for ${show(maxevents)} events: use an integer from 1 to 134217727, or -1`,
      );
    }
    const wanted = maxevents === -1 ? DEFAULT_MAX_EVENTS : maxevents;
    instance.reserve(wanted);
    const count = retryUntil(timeoutMs < 0 ? Infinity : timeoutMs, (ms) => instance.poll(ms, wanted));
    check(count, "epoll_wait", instance.fd);
    return Array.from({ length: count }, (_, index) => [instance.fdAt(index), instance.flagsAt(index)]);
  }

  /** Closes the epoll descriptor; a second call has no effect. */
  close(): void {
    this.#instance?.close();
    this.#instance = null;
  }

  /** Closes the epoll descriptor at the end of a `using` block. */
  [Symbol.dispose](): void {
    this.close();
  }

  /**
   * Returns the text that `Deno.inspect` and `console.log` show: the descriptor, or -1 if the instance is closed.
   *
   * @ignore
   */
  [Symbol.for("Deno.customInspect")](): string {
    return `Epoll { fd: ${this.#instance?.fd ?? -1}, closed: ${this.closed} }`;
  }

  #ctl(op: number, fileobj: FileObject, eventmask: number, action: string): void {
    this.#open(action);
    const fd = filenoOf(fileobj);
    const instance = this.#open(action); // again, because fileno() may have closed the instance
    // `EPOLLIN | EPOLLET` is negative in JavaScript, so signed and unsigned masks are both valid.
    if (typeof eventmask !== "number" || ((eventmask | 0) !== eventmask && eventmask >>> 0 !== eventmask)) {
      throw numberError(
        eventmask,
        `Cannot ${action} fd ${fd} for events ${show(eventmask)}: use a 32-bit integer`,
      );
    }
    check(instance.ctl(op, fd, eventmask, 0), "epoll_ctl", fd);
  }

  #open(action: string): EpollPoller {
    if (this.#instance !== null) return this.#instance;
    throw new Deno.errors.BadResource(`Cannot ${action}: the epoll instance is closed`);
  }
}
