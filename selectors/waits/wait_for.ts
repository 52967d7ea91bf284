/**
 * Waits for one descriptor without a selector: {@linkcode waitFor}.
 *
 * @module
 */

import { filenoOf, type FileObject, show } from "../../ffi/os/arguments.ts";
import { check, OSError } from "../../ffi/os/errno.ts";
import { checkMask, isBasic } from "../../ffi/os/events.ts";
import { look, lookCall, lookSupports } from "../../ffi/os/look.ts";
import { deadlineAfter, monotonicMs, type Timeout, timeoutToMs } from "../../ffi/os/timeout.ts";
import type { WaitOptions } from "../base.ts";
import { type ParkedWait, parking } from "./parking.ts";
import { isTurnOver, nextTurn } from "./turns.ts";
import { watched, type Watcher } from "./watched.ts";

/**
 * Waits until a file object is ready, beside Deno's event loop and without a selector.
 *
 * Use it to wait for one descriptor at a time, for example between the reads of one connection. To wait for many
 * descriptors again and again, a selector is cheaper, because it keeps their registrations between the waits.
 *
 * Any number of waits can run at once, even for the same descriptor, and beside selectors. A wait keeps the process
 * alive, opens no descriptor of its own, and shares one thread with all other asynchronous waits of a program, or of a
 * Worker. A loop that always finds the file object ready lets Deno's event loop run about once per millisecond.
 *
 * Readiness is that of `poll(2)`, or of `select(2)` on Windows and macOS, so a regular file is always ready.
 *
 * The wait uses the descriptor that `fileno()` returns at its start. End the wait before you close the descriptor, with
 * an `AbortSignal`. If the descriptor is closed first, the wait rejects with `EBADF` within about two seconds; if its
 * number is reused by then, the wait continues with the next file.
 *
 * @param fileobj A descriptor, or an object with a `fileno()`
 * @param events At least one EVENT_* bit, combined with `|`, and no mode. As with `register`, a hang-up and an error
 * are reported too if the mask has an event beyond reading and writing
 * @param timeout Seconds or a duration; defaults to undefined, which waits forever, as null does. 0 or less does not
 * wait. The wait never ends early
 * @param options An `AbortSignal` that rejects the wait; defaults to none
 * @returns The events that are ready, or 0 if the timeout ended first
 * @throws {RangeError} if `events` is invalid, the descriptor is negative or above `2^31-1`, or `timeout` is NaN or a
 * duration whose length depends on a date
 * @throws {Deno.errors.NotSupported} if the system cannot report `events`
 * @throws {TypeError} if `fileobj` is not a file object, or `timeout` is neither a number, null nor a duration
 * @throws {OSError} EBADF if the descriptor is closed, EMFILE if too many descriptors are open for the socket pair of
 * the first wait
 *
 * @example Usage
 * ```ts
 * import { EVENT_READ, waitFor } from "@selectors/selectors";
 * import { socketpair } from "@selectors/selectors/socket";
 * import { assertEquals } from "@std/assert";
 *
 * const [here, there] = socketpair();
 * setTimeout(() => there.send(new TextEncoder().encode("ping")), 10);
 * const events = await waitFor(here, EVENT_READ, 5);
 * if (events === 0) throw new Error("nothing came for five seconds");
 * assertEquals(new TextDecoder().decode(here.recv(100)), "ping");
 * here.close();
 * there.close();
 * ```
 */
export function waitFor(
  fileobj: FileObject,
  events: number,
  timeout?: Timeout,
  options: WaitOptions = {},
): Promise<number> {
  try {
    const { signal } = options;
    const asked = askedEvents(fileobj, events);
    const fd = filenoOf(fileobj);
    const timeoutMs = Math.max(timeoutToMs(timeout), 0);
    signal?.throwIfAborted();
    if (isTurnOver()) return waitLater(fd, asked, deadlineAfter(timeoutMs), signal);
    return wait(fd, asked, deadlineAfter(timeoutMs), signal);
  } catch (error) {
    return Promise.reject(error);
  }
}

/** Lets the event loop run, and then waits. */
async function waitLater(fd: number, events: number, deadlineMs: number, signal?: AbortSignal): Promise<number> {
  await nextTurn();
  signal?.throwIfAborted();
  return await wait(fd, events, deadlineMs, signal);
}

/** Looks, and parks if the descriptor is not ready. */
function wait(fd: number, events: number, deadlineMs: number, signal?: AbortSignal): Promise<number> {
  const ready = check(look(fd, events), lookCall, fd);
  if (ready !== 0 || deadlineMs === -Infinity) return Promise.resolve(ready);
  return new DescriptorWait(fd, events, deadlineMs, signal).promise;
}

/** Returns the events to ask the system for. */
function askedEvents(fileobj: FileObject, events: number): number {
  if (isBasic(events)) return events;
  const object = typeof fileobj === "number" ? `fd ${fileobj}` : show(fileobj);
  return checkMask(events, lookSupports, `wait on ${object}`, "waitFor()");
}

/** A parked wait for one descriptor. */
class DescriptorWait implements ParkedWait, Watcher {
  readonly deadlineMs: number;
  readonly promise: Promise<number>;
  readonly #fd: number;
  readonly #events: number;
  readonly #signal: AbortSignal | undefined;
  // Events that the call reported, and that a look may not find again.
  #taken = 0;
  readonly #resolve: (events: number) => void;
  readonly #reject: (error: unknown) => void;

  constructor(fd: number, events: number, deadlineMs: number, signal: AbortSignal | undefined) {
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    this.deadlineMs = deadlineMs;
    this.promise = promise;
    this.#fd = fd;
    this.#events = events;
    this.#signal = signal;
    this.#resolve = resolve;
    this.#reject = reject;
    parking.park(this);
    watched.watch(fd, events, this);
    signal?.addEventListener("abort", this);
  }

  check(): boolean {
    let outcome = look(this.#fd, this.#events);
    if (outcome >= 0) outcome |= this.#taken & this.#events;
    if (outcome === 0 && monotonicMs() < this.deadlineMs) return false;
    this.#end();
    if (outcome < 0) this.#reject(new OSError(lookCall, -outcome, `fd ${this.#fd}`));
    else this.#resolve(outcome);
    return true;
  }

  take(_fd: number, events: number): void {
    this.#taken = events;
  }

  update(): void {} // no change of a selector concerns it

  fail(error: unknown): void {
    this.#end();
    this.#reject(error);
  }

  #end(): void {
    this.#signal?.removeEventListener("abort", this);
    watched.unwatch(this.#fd, this);
    parking.leave(this);
  }

  /** Rejects the wait when its signal is aborted. */
  handleEvent(): void {
    this.fail(this.#signal!.reason);
  }
}
