/**
 * Python's `select.poll`.
 *
 * @module
 */

import { filenoOf, type FileObject, KeyError, numberError, show } from "../os/arguments.ts";
import { check, ENOENT, OSError } from "../os/errno.ts";
import { POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT, POLLPRI, POLLRDHUP, PollSet } from "../os/poll.ts";
import { system } from "../os/systems.ts";
import { retryUntil } from "../os/timeout.ts";

export { POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT, POLLPRI, POLLRDHUP };

/** Equivalent to POLLIN. */
export const POLLRDNORM = 0x040;
/** Priority band data can be read: see poll(2). */
export const POLLRDBAND = 0x080;
/** Equivalent to POLLOUT. */
export const POLLWRNORM: number = system.poll.POLLWRNORM;
/** Priority band data can be written: see poll(2). */
export const POLLWRBAND: number = system.poll.POLLWRBAND;
/** Not used by Linux; 0 on other systems, which do not define it. */
export const POLLMSG: number = system.poll.POLLMSG;

/**
 * Python's `select.poll`: a list of descriptors and event masks for poll(2). Its timeout is in milliseconds.
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
   * Adds a descriptor, or replaces its event mask if it is already registered.
   *
   * The descriptor may be closed; `poll` then returns POLLNVAL for it.
   *
   * @param fd A descriptor or file object
   * @param eventmask A combination of `POLL*` flags (16 bits); defaults to POLLIN | POLLPRI | POLLOUT
   * @throws {RangeError} if the mask is not an integer from 0 to 65535, or the descriptor is negative or above `2^31-1`
   * @throws {TypeError} if the mask is not a number, or `fd` is not a file object
   */
  register(fd: FileObject, eventmask: number = POLLIN | POLLPRI | POLLOUT): void {
    this.#set.set(filenoOf(fd), checkedMask(eventmask));
  }

  /**
   * Changes the event mask of a descriptor.
   *
   * @param fd A descriptor or file object
   * @param eventmask A combination of `POLL*` flags (16 bits)
   * @throws {OSError} ENOENT if the descriptor is not registered
   * @throws {RangeError} if the mask is not an integer from 0 to 65535, or the descriptor is negative or above `2^31-1`
   * @throws {TypeError} if the mask is not a number, or `fd` is not a file object
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
   * @throws {KeyError} if the descriptor is not registered
   */
  unregister(fd: FileObject): void {
    const number = filenoOf(fd);
    if (!this.#set.delete(number)) throw new KeyError(`Cannot unregister fd ${number}: it is not registered`);
  }

  /**
   * Waits for events, for at most `timeoutMs` milliseconds.
   *
   * The wait is synchronous: it stops Deno's event loop. If a signal interrupts the wait, the wait continues for the
   * remaining time.
   *
   * @param timeoutMs Milliseconds to wait; fractions are rounded up where ppoll(2) is missing. Undefined, null and a
   * negative number wait forever. Defaults to undefined
   * @returns Pairs of a descriptor and its `POLL*` flags
   * @throws {RangeError} if `timeoutMs` is NaN
   * @throws {TypeError} if `timeoutMs` is neither a number nor null
   */
  poll(timeoutMs?: number | null): [fd: number, events: number][] {
    timeoutMs ??= Infinity;
    if (typeof timeoutMs !== "number") {
      throw new TypeError(`Cannot wait for ${show(timeoutMs)}: use milliseconds, or null to wait forever`);
    }
    if (timeoutMs !== timeoutMs) {
      throw new RangeError("Cannot wait for NaN milliseconds: use a number, or null to wait forever");
    }
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

  /**
   * Returns the text that `Deno.inspect` and `console.log` show: the number of registered descriptors.
   *
   * @ignore
   */
  [Symbol.for("Deno.customInspect")](): string {
    return `Poll { registered: ${this.#set.size} }`;
  }
}

/**
 * Checks that an event mask fits into a C `short`, and returns it.
 *
 * @throws {RangeError} if the mask is a number, but not an integer from 0 to 65535
 * @throws {TypeError} if the mask is not a number
 */
export function checkedMask(eventmask: number): number {
  if (Number.isInteger(eventmask) && eventmask >= 0 && eventmask <= 0xffff) return eventmask;
  throw numberError(eventmask, `Cannot poll for events ${show(eventmask)}: use an integer from 0 to 65535`);
}
