/**
 * A notification from anywhere in the program, for which a selector can wait.
 *
 * @module
 */

import { check } from "../os/errno.ts";
import { lendWaker, type Waker } from "../os/waker.ts";

/**
 * A notification: readable after {@linkcode Notifier.prototype.notify | notify}, or `wake()` with its handle in any
 * Worker, until {@linkcode Notifier.prototype.read | read} is called.
 *
 * To wake a selector, its `wakeHandle` is enough. Use notifiers to distinguish several events, or with `select()`,
 * `Poll` and every other wait.
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
 * const { handle } = notifier; // post it to a Worker
 * wake(handle); // there
 * selector.select();
 * assert(notifier.read());
 * ```
 */
export class Notifier implements Disposable {
  #waker: Waker | null = lendWaker();

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
   * Handle for `wake()` in any Worker. A call after the notifier is closed reaches no other file.
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
   * Returns true if there was a notification since the last call. Does not block.
   *
   * @throws {Deno.errors.BadResource} if the notifier is closed
   */
  read(): boolean {
    return this.#open("read").drain(false);
  }

  /**
   * Closes the notifier; a second call has no effect.
   *
   * The socket pair is kept for the next notifier, `Signals` object or selector. So unregister the notifier first: a
   * selector in which it is still registered would report the next user of the pair.
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
