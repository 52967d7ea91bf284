/**
 * Signals such as Ctrl-C, for which a selector can wait.
 *
 * @module
 */

import { show } from "../os/arguments.ts";
import { SignalWorker } from "../os/signal_worker.ts";
import { isCatchable, isSignal, signalNumber } from "../os/signals.ts";
import { os } from "../os/systems.ts";

/**
 * Signals: readable after one of them arrives, until {@linkcode Signals.prototype.read | read} is called.
 *
 * A listener of `Deno.addSignalListener` cannot run during a synchronous wait. An object of this class makes Ctrl-C end
 * any wait, synchronous or asynchronous, as data on a socket does. Once the constructor has returned, no signal is
 * missed. Several signals of a kind before a `read()` count as one.
 *
 * A Worker listens for the signals, which costs a thread and about 12 MB. The constructor waits 10 to 50 ms for the
 * Worker, and {@linkcode Signals.prototype.close | close} about a millisecond. The object keeps the program running
 * until `close()`. Afterwards the signals do what they did before: SIGINT ends the program.
 *
 * The Worker needs no permission but `--allow-ffi`. The constructor throws if fewer than 20 descriptors are free,
 * because Deno ends a program in which a Worker cannot start. On Windows, Deno accepts the signals of a console, such
 * as SIGINT and SIGBREAK.
 *
 * @example End at Ctrl-C
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
   * Starts to listen.
   *
   * @param signals Names such as `["SIGINT", "SIGTERM"]`
   * @throws {RangeError} if `signals` is empty, or has a signal that no program can listen for, such as SIGKILL
   * @throws {TypeError} if `signals` is not an iterable of names, or has a signal that the system does not have
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
   * Returns the signals that have arrived since the last call, each once, in the order of the argument of the
   * constructor. Does not block.
   *
   * @throws {Deno.errors.BadResource} if the object is closed
   */
  read(): Deno.Signal[] {
    if (this.#worker !== null) return this.#worker.read();
    throw new Deno.errors.BadResource("Cannot read: the Signals object is closed");
  }

  /**
   * Stops listening, and ends the Worker; a second call has no effect.
   *
   * Unregister the object first: its socket pair is kept for the next notifier, `Signals` object or selector, and a
   * selector in which it is still registered would report the next user of the pair.
   *
   * Signals that were not read are lost. A signal that arrives during the call may have the effect that it has
   * without a listener.
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
  if (names.length === 0) throw new RangeError(`Cannot listen for no signal: use names, such as ["SIGINT"]`);
  for (const name of names) {
    if (!isSignal(name)) throw new TypeError(`Cannot listen for ${show(name)}: it is not the name of a signal`);
    if (!isCatchable(name)) throw new RangeError(`Cannot listen for ${name}: no program can`);
    if (signalNumber(name) === 0) throw new TypeError(`Cannot listen for ${name}: ${os} does not have this signal`);
  }
  return names;
}
