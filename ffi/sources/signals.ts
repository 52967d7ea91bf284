/**
 * Signals, such as SIGINT (Ctrl-C), that a selector can wait for.
 *
 * @module
 */

import { show } from "../os/arguments.ts";
import { SignalWorker } from "../os/signal_worker.ts";
import { isCatchable, isSignal, signalNumber } from "../os/signals.ts";
import { os } from "../os/systems.ts";

/**
 * Becomes readable when one of its signals arrives, and stays readable until
 * {@linkcode Signals.prototype.read | read()} is called.
 *
 * A listener that was added with `Deno.addSignalListener` cannot run during a synchronous wait. If an object of this
 * class is registered, a signal such as SIGINT (Ctrl-C) ends any wait, synchronous or asynchronous, as data on a socket
 * does. Once the constructor has returned, no signal is missed. Several arrivals of the same signal
 * before a `read()` count as one.
 *
 * A Worker listens for the signals, which costs a thread and about 12 MB of memory. The constructor waits 10 to 50 ms
 * until the Worker has started, and {@linkcode Signals.prototype.close | close()} about a millisecond until it has
 * stopped. The object keeps the program running until `close()`. Afterwards, the signals have their previous effect
 * again: SIGINT ends the program.
 *
 * The Worker needs no permission except `--allow-ffi`. The constructor throws if fewer than 20 descriptors are free,
 * because Deno ends the whole program if a Worker cannot start. On Windows, Deno accepts console signals, such as
 * SIGINT and SIGBREAK.
 *
 * @example End on Ctrl-C
 * ```ts
 * import { DefaultSelector, EVENT_READ } from "@selectors/selectors";
 * import { Signals, Timer } from "@selectors/selectors/sources";
 *
 * using selector = new DefaultSelector();
 * using signals = new Signals(["SIGINT", "SIGTERM"]);
 * selector.register(signals, EVENT_READ);
 * using timer = new Timer(0.01); // in place of a server's sockets
 * selector.register(timer, EVENT_READ);
 * loop: for (;;) {
 *   for (const [{ fileobj }] of selector.select()) {
 *     if (fileobj === signals && signals.read().length > 0) break loop;
 *     if (fileobj === timer && timer.read() > 0) break loop;
 *   }
 * }
 * ```
 */
export class Signals implements Disposable {
  #worker: SignalWorker | null;

  /**
   * Starts listening for signals.
   *
   * @param signals Signal names, such as `["SIGINT", "SIGTERM"]`
   * @throws {RangeError} if `signals` is empty, or contains a signal that Deno cannot listen for, such as SIGKILL
   * @throws {TypeError} if `signals` is not an iterable of names, or contains a signal that the system does not have
   * @throws {OSError} EMFILE or ENFILE if too many descriptors are open
   * @throws {Error} if the Worker cannot listen; the message gives the reason
   * @throws {Deno.errors.NotCapable} without `--allow-ffi`
   * @throws {Deno.errors.TimedOut} if the Worker does not start within 30 seconds
   */
  constructor(signals: Iterable<Deno.Signal>) {
    this.#worker = new SignalWorker(namesOf(signals));
  }

  /** True if the object is closed. */
  get closed(): boolean {
    return this.#worker === null;
  }

  /** Returns the file descriptor, or -1 if the object is closed. */
  fileno(): number {
    return this.#worker?.fd ?? -1;
  }

  /**
   * Returns the signals that have arrived since the last call, each only once, in the order in which the constructor
   * received their names. Does not block.
   *
   * @throws {Deno.errors.BadResource} if the object is closed
   */
  read(): Deno.Signal[] {
    if (this.#worker !== null) return this.#worker.read();
    throw new Deno.errors.BadResource("Cannot read: the Signals object is closed");
  }

  /**
   * Stops listening and ends the Worker; a second call has no effect.
   *
   * Unregister the object first. Its socket pair is kept open for the next notifier, `Signals` object or selector; if
   * the closed object is still registered, its selector reports the events of that next object.
   *
   * Signals that have not been read are lost. A signal that arrives during the call may already have its previous
   * effect again.
   */
  close(): void {
    this.#worker?.close();
    this.#worker = null;
  }

  /** Stops listening at the end of a `using` block. */
  [Symbol.dispose](): void {
    this.close();
  }
}

/** Returns the names without duplicates. */
function namesOf(signals: Iterable<Deno.Signal>): Deno.Signal[] {
  if (typeof signals === "string" || typeof signals?.[Symbol.iterator] !== "function") {
    throw new TypeError(`Cannot listen for ${show(signals)}: use an array of names, such as ["SIGINT"]`);
  }
  const names = [...new Set(signals)];
  if (names.length === 0) throw new RangeError(`Cannot listen: the list is empty; use names, such as ["SIGINT"]`);
  for (const name of names) {
    if (!isSignal(name)) throw new TypeError(`Cannot listen for ${show(name)}: it is not the name of a signal`);
    if (!isCatchable(name)) throw new RangeError(`Cannot listen for ${name}: Deno does not support it`);
    if (signalNumber(name) === 0) throw new TypeError(`Cannot listen for ${name}: ${os} does not have this signal`);
  }
  return names;
}
