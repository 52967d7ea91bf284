/**
 * A notification that a selector can wait for, sent from anywhere in the program.
 *
 * @module
 */

import { check } from "../os/errno.ts";
import { borrowWaker, type Waker } from "../os/waker.ts";

/**
 * Becomes readable when {@linkcode Notifier.prototype.notify | notify()} is called, or `wake()` with its handle in any
 * Worker, and stays readable until {@linkcode Notifier.prototype.read | read()} is called.
 *
 * To wake a selector, you only need its `wakeHandle`. Use a notifier to tell several events apart, or to end another
 * kind of wait, such as `select()` or a `Poll`.
 *
 * @example Usage
 * ```ts
 * import { DefaultSelector, EVENT_READ, wake } from "@selectors/selectors";
 * import { Notifier } from "@selectors/selectors/sources";
 * import { assert } from "@std/assert";
 *
 * using selector = new DefaultSelector();
 * using notifier = new Notifier();
 * selector.register(notifier, EVENT_READ);
 * const { handle } = notifier; // post this number to a Worker
 * wake(handle); // call this in the Worker
 * selector.select();
 * assert(notifier.read());
 * ```
 */
export class Notifier implements Disposable {
  #waker: Waker | null = borrowWaker();

  /**
   * Creates a notifier.
   *
   * @throws {OSError} EMFILE or ENFILE if too many descriptors are open
   * @throws {Deno.errors.NotCapable} without `--allow-ffi`
   */
  constructor() {}

  /** True if the notifier is closed. */
  get closed(): boolean {
    return this.#waker === null;
  }

  /** Returns the file descriptor, or -1 if the notifier is closed. */
  fileno(): number {
    return this.#waker?.fd ?? -1;
  }

  /**
   * Handle for `wake()` in any Worker. If the notifier is closed, a call with this handle does not reach another file.
   *
   * @throws {Deno.errors.BadResource} if the notifier is closed
   */
  get handle(): number {
    return this.#open("get the handle").handle;
  }

  /**
   * Makes the notifier readable. Several calls before a `read()` count as one.
   *
   * @throws {Deno.errors.BadResource} if the notifier is closed
   * @throws {OSError} ENOBUFS or ENOMEM if the system has no memory for a datagram, even after several tries
   */
  notify(): void {
    const waker = this.#open("notify");
    check(waker.call(), "send", waker.fd);
  }

  /**
   * Returns true if there has been a notification since the last call. Does not block.
   *
   * @throws {Deno.errors.BadResource} if the notifier is closed
   */
  read(): boolean {
    return this.#open("read").drain(false);
  }

  /**
   * Closes the notifier; a second call has no effect.
   *
   * Unregister the notifier first. Its socket pair is kept open for the next notifier, `Signals` object or selector; if
   * the closed notifier is still registered, its selector reports the events of that next object.
   */
  close(): void {
    this.#waker?.giveBack();
    this.#waker = null;
  }

  /** Closes the notifier at the end of a `using` block. */
  [Symbol.dispose](): void {
    this.close();
  }

  #open(action: string): Waker {
    if (this.#waker !== null) return this.#waker;
    throw new Deno.errors.BadResource(`Cannot ${action}: the notifier is closed`);
  }
}
