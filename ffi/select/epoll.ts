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
  EPOLLIN,
  EPOLLOUT,
  EpollPoller,
} from "../os/epoll.ts";
import { check } from "../os/errno.ts";
import { retryUntil, type Timeout, timeoutToMs } from "../os/timeout.ts";

export { EPOLL_CLOEXEC, EPOLLIN, EPOLLOUT };

/** Urgent or exceptional data is readable (out-of-band data; a change of a GPIO line). */
export const EPOLLPRI = 0x002;
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

/** How many events one `Epoll.poll()` gives if not told otherwise: FD_SETSIZE - 1, as in Python. */
const DEFAULT_MAX_EVENTS = 1023;

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
  #instance: EpollPoller | null;

  /**
   * Creates an epoll instance, close-on-exec.
   *
   * @param sizehint How many descriptors to expect, or -1; the kernel has ignored it since Linux 2.6.8
   * @param flags 0 or EPOLL_CLOEXEC, which is set in any case
   * @throws {RangeError} if `sizehint` is neither positive nor -1, or if `flags` has another bit
   * @throws {TypeError} if one of them is not a number
   * @throws {OSError} EMFILE, ENFILE or ENOMEM if the kernel has no room
   * @throws {Deno.errors.NotCapable} without `--allow-ffi`
   * @throws {Deno.errors.NotSupported} if the system has no epoll
   */
  constructor(sizehint?: number, flags?: number);
  constructor(sizehint: number = -1, flags: number = 0, adopted?: EpollPoller) {
    if (!Number.isInteger(sizehint) || (sizehint <= 0 && sizehint !== -1)) {
      throw numberError(
        sizehint,
        `Cannot create an epoll instance for ${show(sizehint)} descriptors: use a number above 0 or -1`,
      );
    }
    if (flags !== 0 && flags !== EPOLL_CLOEXEC) {
      throw numberError(
        flags,
        `Cannot create an epoll instance with flags ${show(flags)}: only EPOLL_CLOEXEC is known`,
      );
    }
    this.#instance = adopted ?? new EpollPoller();
  }

  /**
   * Wraps an epoll descriptor that exists; closing the wrapper closes it.
   *
   * @param fd Number of the epoll descriptor
   * @throws {RangeError} if `fd` is not from 0 to 2^31-1
   * @throws {TypeError} if `fd` is not an integer
   */
  static fromfd(fd: number): Epoll {
    return Reflect.construct(Epoll, [-1, 0, new EpollPoller(filenoOf(fd))]);
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
   * @throws {RangeError} if the mask is not an integer of 32 bits, or the descriptor is negative or above 2^31-1
   * @throws {TypeError} if the mask is not a number, or `fd` not a file object
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
   * @throws {RangeError} if the mask is not an integer of 32 bits, or the descriptor is negative or above 2^31-1
   * @throws {TypeError} if the mask is not a number, or `fd` not a file object
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
   * @throws {TypeError} if `timeout` is neither a number nor a duration, or `maxevents` not a number
   */
  poll(timeout?: Timeout, maxevents: number = -1): [fd: number, events: number][] {
    const timeoutMs = timeoutToMs(timeout);
    const instance = this.#open("poll");
    if (!Number.isInteger(maxevents) || maxevents < -1 || maxevents === 0 || maxevents > 0x7ff_ffff) {
      throw numberError(
        maxevents,
        `Cannot wait for ${show(maxevents)} events: use a number from 1 to 134217727, or -1`,
      );
    }
    const wanted = maxevents === -1 ? DEFAULT_MAX_EVENTS : maxevents;
    instance.reserve(wanted);
    const count = retryUntil(timeoutMs < 0 ? Infinity : timeoutMs, (ms) => instance.wait(ms, wanted));
    check(count, "epoll_wait", instance.fd);
    return Array.from({ length: count }, (_, index) => [instance.fdAt(index), instance.flagsAt(index)]);
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
      throw numberError(
        eventmask,
        `Cannot ${action} fd ${fd} for events ${show(eventmask)}: they must be an integer of 32 bits`,
      );
    }
    check(instance.ctl(op, fd, eventmask, 0), "epoll_ctl", fd);
  }

  #open(action: string): EpollPoller {
    if (this.#instance !== null) return this.#instance;
    throw new Deno.errors.BadResource(`Cannot ${action}: the epoll instance is closed`);
  }
}
