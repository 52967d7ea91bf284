/**
 * Python's `select.devpoll`.
 *
 * @module
 */

import { filenoOf, type FileObject, KeyError, show } from "../os/arguments.ts";
import { isOpen } from "../os/sys.ts";
import { DevpollInstance } from "../os/devpoll.ts";
import { check, EBADF, ENOENT, OSError } from "../os/errno.ts";
import { retryUntil } from "../os/timeout.ts";
import { checkedMask, POLLIN, POLLOUT, POLLPRI } from "./poll.ts";

/** Largest value of a C `int`. */
const INT_MAX = 0x7fff_ffff;

/**
 * Python's `select.devpoll`: a set of descriptors and event masks that the kernel keeps. Its timeout is in
 * milliseconds.
 *
 * Unlike in Python, registering a descriptor again replaces its event mask, and unregistering a descriptor that is not
 * registered throws, as with `Poll`. Registering or modifying a closed descriptor throws too, because the device would
 * accept the descriptor and never report it.
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

  /** True if the set is closed. */
  get closed(): boolean {
    return this.#instance === null;
  }

  /** Returns the /dev/poll descriptor. A selector cannot wait for it: the device does not support that. */
  fileno(): number {
    return this.#open("get the descriptor").fd;
  }

  /**
   * Adds a descriptor, or replaces its event mask if it is already registered.
   *
   * @param fd A descriptor or file object
   * @param eventmask A combination of `POLL*` flags (16 bits); defaults to POLLIN | POLLPRI | POLLOUT
   * @throws {OSError} EBADF if the descriptor is closed
   * @throws {RangeError} if the mask is not an integer from 0 to 65535, or the descriptor is negative or above `2^31-1`
   * @throws {TypeError} if the mask is not a number, or `fd` is not a file object
   */
  register(fd: FileObject, eventmask: number = POLLIN | POLLPRI | POLLOUT): void {
    const instance = this.#open("register");
    const number = filenoOf(fd);
    const mask = checkedMask(eventmask);
    if (!isOpen(number)) check(-EBADF, "write", number);
    if (this.#registered.has(number)) {
      check(instance.change(number, mask), "write", number);
    } else {
      instance.reserve(this.#registered.size + 1);
      check(instance.add(number, mask), "write", number);
      this.#registered.add(number);
    }
  }

  /**
   * Changes the event mask of a descriptor.
   *
   * @param fd A descriptor or file object
   * @param eventmask A combination of `POLL*` flags (16 bits); defaults to POLLIN | POLLPRI | POLLOUT
   * @throws {OSError} ENOENT if the descriptor is not registered, EBADF if it is closed
   * @throws {RangeError} if the mask is not an integer from 0 to 65535, or the descriptor is negative or above `2^31-1`
   * @throws {TypeError} if the mask is not a number, or `fd` is not a file object
   */
  modify(fd: FileObject, eventmask: number = POLLIN | POLLPRI | POLLOUT): void {
    const instance = this.#open("modify");
    const number = filenoOf(fd);
    const mask = checkedMask(eventmask);
    if (!this.#registered.has(number)) throw new OSError("write", ENOENT, `fd ${number}`, { text: "Not registered" });
    if (!isOpen(number)) check(-EBADF, "write", number);
    check(instance.change(number, mask), "write", number);
  }

  /**
   * Removes a descriptor, even if it is closed.
   *
   * @param fd A descriptor or file object
   * @throws {KeyError} if the descriptor is not registered
   */
  unregister(fd: FileObject): void {
    const instance = this.#open("unregister");
    const number = filenoOf(fd);
    if (!this.#registered.delete(number)) throw new KeyError(`Cannot unregister fd ${number}: it is not registered`);
    check(instance.remove(number), "write", number);
  }

  /**
   * Waits for events, for at most `timeoutMs` milliseconds.
   *
   * The wait is synchronous: it stops Deno's event loop. If a signal interrupts the wait, the wait continues for the
   * remaining time.
   *
   * @param timeoutMs Milliseconds to wait, rounded up to a whole number; undefined, null and -1 wait forever. Defaults
   * to undefined
   * @returns Pairs of a descriptor and its `POLL*` flags; POLLNVAL means that the descriptor has been closed
   * @throws {RangeError} if `timeoutMs` is below -1, above `2^31-1`, or NaN
   * @throws {TypeError} if `timeoutMs` is neither a number nor null
   */
  poll(timeoutMs?: number | null): [fd: number, events: number][] {
    const instance = this.#open("poll");
    timeoutMs ??= -1;
    if (typeof timeoutMs !== "number") {
      throw new TypeError(`Cannot wait for ${show(timeoutMs)}: use milliseconds, or null to wait forever`);
    }
    if (!(timeoutMs >= -1 && timeoutMs <= INT_MAX)) {
      throw new RangeError(`Cannot wait for ${show(timeoutMs)} milliseconds: use a number from -1 to ${INT_MAX}`);
    }
    const wanted = this.#registered.size;
    const count = retryUntil(timeoutMs < 0 ? Infinity : timeoutMs, (ms) => instance.wait(ms, wanted));
    check(count, "ioctl", instance.fd);
    return Array.from({ length: count }, (_, index) => [instance.fdAt(index), instance.reventsAt(index)]);
  }

  /** Closes the /dev/poll descriptor; a second call has no effect. */
  close(): void {
    this.#instance?.close();
    this.#instance = null;
  }

  /** Closes the /dev/poll descriptor at the end of a `using` block. */
  [Symbol.dispose](): void {
    this.close();
  }

  /**
   * Returns the text that `Deno.inspect` and `console.log` show: the descriptor, or -1 if the set is closed.
   *
   * @ignore
   */
  [Symbol.for("Deno.customInspect")](): string {
    return `Devpoll { fd: ${this.#instance?.fd ?? -1}, closed: ${this.closed} }`;
  }

  #open(action: string): DevpollInstance {
    if (this.#instance !== null) return this.#instance;
    throw new Deno.errors.BadResource(`Cannot ${action}: the /dev/poll set is closed`);
  }
}
