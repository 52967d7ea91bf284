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
 * Waits until a file object is ready, without a selector and without blocking Deno's event loop.
 *
 * Use it to wait for one descriptor at a time, for example between the reads of one connection. To wait for many
 * descriptors again and again, use a selector: it is cheaper, because it keeps the registrations between waits.
 *
 * Any number of waits can run at once, even for the same descriptor, and together with waits of selectors. A wait keeps
 * the process alive. All asynchronous waits of a program, or of a Worker, share one thread and one socket pair, which
 * the first wait opens. If every call finds something ready, Deno's event loop still runs about once per millisecond.
 *
 * Readiness is what `poll(2)` reports, or `select(2)` on Windows and macOS: for example, a regular file is always
 * ready.
 *
 * The wait uses the descriptor that `fileno()` returns at the start of the wait. Before you close the descriptor, end
 * the wait with an `AbortSignal`. If the descriptor is closed first, the wait rejects with `EBADF` within about two
 * seconds. If the descriptor is reused before that, the wait continues with the new file.
 *
 * An abort can lose an EVENT_PRIORITY of the same moment, because some files, such as `/proc/mounts`, report it to one
 * call only. A selector keeps such an event for its next wait.
 *
 * @param fileobj A descriptor, or an object with a `fileno()`
 * @param events One or more EVENT_* bits, combined with `|`, without a mode. If the mask has an event other than
 * EVENT_READ and EVENT_WRITE, hang-ups and errors are reported too, as with `register`
 * @param timeout Seconds or a duration. Undefined, the default, and null wait forever; 0 or less does not wait. The
 * wait never ends early
 * @param options `signal` aborts the wait; defaults to no signal
 * @returns The events that are ready, or 0 if the timeout ended first
 * @throws {RangeError} if `events` is invalid, the descriptor is negative or above `2^31-1`, or `timeout` is NaN or a
 * duration in weeks, months or years
 * @throws {Deno.errors.NotSupported} if the system cannot report `events`, or `events` has a mode
 * @throws {TypeError} if `fileobj` is not a file object, or `timeout` is neither a number, null nor a duration
 * @throws {OSError} EBADF if the descriptor is closed, EMFILE if the socket pair cannot be opened because too many
 * descriptors are open
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

/** Lets the event loop run before the wait. */
async function waitLater(fd: number, events: number, deadlineMs: number, signal?: AbortSignal): Promise<number> {
  await nextTurn();
  signal?.throwIfAborted();
  return await wait(fd, events, deadlineMs, signal);
}

/** Checks the descriptor without blocking, and parks the wait if the descriptor is not ready. */
function wait(fd: number, events: number, deadlineMs: number, signal?: AbortSignal): Promise<number> {
  const ready = check(look(fd, events), lookCall, fd);
  if (ready !== 0 || deadlineMs === -Infinity) return Promise.resolve(ready);
  return new DescriptorWait(fd, events, deadlineMs, signal).promise;
}

/** Checks an event mask, and returns the mask for the system call. */
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
  // Events that the blocking call has reported; look() may not find them again.
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
    parking.park(this, signal);
    watched.watch(fd, events, this);
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

  update(): void {} // changes of selectors do not affect this wait

  fail(error: unknown): void {
    this.#end();
    this.#reject(error);
  }

  #end(): void {
    watched.unwatch(this.#fd, this);
    parking.leave(this, this.#signal);
  }

  /** Rejects the wait when its signal is aborted. */
  handleEvent(): void {
    this.fail(this.#signal!.reason);
  }
}
