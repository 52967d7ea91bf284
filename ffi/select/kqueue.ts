/**
 * Python's `select.kqueue`.
 *
 * @module
 */

import { filenoOf, numberError, show } from "../os/arguments.ts";
import { check } from "../os/errno.ts";
import { KqueueInstance } from "../os/kqueue_instance.ts";
import { deadlineAfter, isInterruption, leftUntil, monotonicMs, type Timeout, timeoutToMs } from "../os/timeout.ts";
import { decode, encode, Kevent } from "./kevent.ts";

/**
 * Python's `select.kqueue`: a kernel event queue with all filters and flags of the system.
 *
 * A selector is simpler if you only wait for descriptors. Use this class to receive events for files, processes,
 * signals and timers too, or to use kernel flags that a selector does not have.
 *
 * @see {@link https://docs.python.org/3/library/select.html#kqueue-objects | Python's select.kqueue}
 * @see {@link https://man.freebsd.org/cgi/man.cgi?kqueue | kqueue(2)}
 *
 * @example Usage
 * ```ts
 * import { DefaultSelector, KqueueSelector } from "@selectors/selectors";
 * import { Kevent, KQ_FILTER_READ, Kqueue } from "@selectors/selectors/select";
 * import { socketpair } from "@selectors/selectors/socket";
 * import { assertEquals } from "@std/assert";
 *
 * if (DefaultSelector === KqueueSelector) {
 *   const [here, there] = socketpair();
 *   using kqueue = new Kqueue();
 *   kqueue.control([new Kevent(here, KQ_FILTER_READ)], 0);
 *   there.send(new TextEncoder().encode("ping"));
 *   const [event] = kqueue.control(null, 1, 5);
 *   assertEquals(event!.ident, here.fileno());
 *   assertEquals(event!.data, 4); // bytes to read
 *   here.close();
 *   there.close();
 * }
 * ```
 */
export class Kqueue implements Disposable {
  #instance: KqueueInstance | null;

  /**
   * Creates a kernel event queue. Its descriptor is closed when the process executes another program (close-on-exec).
   *
   * @throws {OSError} EMFILE or ENFILE if too many descriptors are open, ENOMEM if the kernel is out of memory
   * @throws {Deno.errors.NotCapable} without `--allow-ffi`
   * @throws {Deno.errors.NotSupported} if the system has no kqueue
   */
  constructor();
  /** @ignore */
  constructor(adopted?: KqueueInstance) {
    this.#instance = adopted ?? new KqueueInstance();
  }

  /**
   * Wraps an existing kqueue descriptor; closing the wrapper closes the descriptor.
   *
   * @param fd The kqueue descriptor
   * @throws {RangeError} if `fd` is negative or above `2^31-1`
   * @throws {TypeError} if `fd` is not an integer
   */
  static fromfd(fd: number): Kqueue {
    return Reflect.construct(Kqueue, [new KqueueInstance(filenoOf(fd))]);
  }

  /** True if the kqueue is closed. */
  get closed(): boolean {
    return this.#instance === null;
  }

  /** Returns the kqueue descriptor. A selector can wait for it, except with libkqueue. */
  fileno(): number {
    return this.#open("get the descriptor").fd;
  }

  /**
   * Applies changes, and then waits for events.
   *
   * If a change fails, the call returns an event with the flag KQ_EV_ERROR, whose `data` is the error number. If
   * `maxEvents` leaves no room for that event, the call throws the error instead.
   *
   * The wait is synchronous: it stops Deno's event loop. If a signal interrupts the wait, the wait continues for the
   * remaining time.
   *
   * @param changelist Events to add, change or remove, or null for none
   * @param maxEvents Maximum number of events to return; with 0, the call does not wait
   * @param timeout Seconds or a duration; undefined and null wait forever. Defaults to undefined
   * @returns The events that occurred, and an event with KQ_EV_ERROR for each change that failed
   * @throws {RangeError} if `maxEvents` is not an integer from 0 to 16777215, or `timeout` is negative or NaN
   * @throws {TypeError} if `changelist` is neither null nor an iterable of events, `maxEvents` is not a number, or
   * `timeout` is neither a number, null nor a duration
   * @throws {OSError} if a change fails and there is no room for its event: EBADF if the descriptor is closed, ENOENT
   * if an event to remove does not exist, EINVAL if the filter does not support the descriptor
   */
  control(changelist: Iterable<Kevent> | null, maxEvents: number, timeout?: Timeout): Kevent[] {
    const instance = this.#open("control");
    const { kevent } = instance.system;
    const kevents = eventsOf(changelist);
    if (!Number.isInteger(maxEvents) || maxEvents < 0 || maxEvents > 0xff_ffff) {
      throw numberError(maxEvents, `Cannot wait for ${show(maxEvents)} events: use an integer from 0 to 16777215`);
    }
    const timeoutMs = timeoutToMs(timeout);
    if (timeoutMs < 0) {
      throw new RangeError(`Cannot wait for ${timeoutMs / 1000} seconds: use 0 or more, or null to wait forever`);
    }
    const events = new Uint8Array(maxEvents * kevent.size);
    const deadlineMs = deadlineAfter(timeoutMs);
    let changes = encode(kevents, kevent);
    for (let leftMs = timeoutMs;; leftMs = leftUntil(deadlineMs)) {
      const count = instance.control(changes, events, leftMs);
      const isOver = count !== 0 || maxEvents === 0 || leftMs === 0 || monotonicMs() >= deadlineMs;
      if (isOver && !isInterruption(count)) return decode(events, check(count, "kevent", instance.fd), kevent);
      changes = new Uint8Array(0); // kevent(2): "all changes contained in the changelist have been applied"
    }
  }

  /** Closes the kqueue descriptor; a second call has no effect. */
  close(): void {
    this.#instance?.close();
    this.#instance = null;
  }

  /** Closes the kqueue descriptor at the end of a `using` block. */
  [Symbol.dispose](): void {
    this.close();
  }

  /**
   * Returns the text that `Deno.inspect` and `console.log` show: the descriptor, or -1 if the kqueue is closed.
   *
   * @ignore
   */
  [Symbol.for("Deno.customInspect")](): string {
    return `Kqueue { fd: ${this.#instance?.fd ?? -1}, closed: ${this.closed} }`;
  }

  #open(action: string): KqueueInstance {
    if (this.#instance !== null) return this.#instance;
    throw new Deno.errors.BadResource(`Cannot ${action}: the kqueue is closed`);
  }
}

function eventsOf(changelist: Iterable<Kevent> | null): Kevent[] {
  if (changelist === null) return [];
  if (typeof changelist?.[Symbol.iterator] !== "function") {
    throw new TypeError(`Cannot apply the changes ${show(changelist)}: use an iterable of Kevent objects, or null`);
  }
  const kevents = [...changelist];
  const strange = kevents.find((kevent) => !(kevent instanceof Kevent));
  if (strange === undefined && !kevents.includes(undefined as never)) return kevents;
  throw new TypeError(`Cannot apply the change ${show(strange)}: use a Kevent`);
}
