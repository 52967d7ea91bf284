/**
 * A Worker that listens for signals and makes a descriptor readable when one arrives.
 *
 * ## Why a Worker
 *
 * Deno calls signal listeners from its event loop, which stops during a synchronous wait. A Worker has an event loop of
 * its own. The alternatives fail: a signal that is blocked for signalfd(2) ends the process if it reaches another of
 * Deno's threads, and a callback that sigaction(2) calls makes Deno panic if it interrupts V8.
 *
 * ## How no signal is lost
 *
 * The Worker sets the signal's bit in shared memory, and then sends to the waker. A reader empties the waker first, and
 * then takes the bits. A signal in between leaves a datagram without a bit: the next wait returns early, and no bit is
 * lost.
 *
 * ## Why a data URL
 *
 * A Worker needs a permission to import its module from a file: or https: URL, but not from a data: URL. So the source
 * of {@linkcode listen} is the module, and the function uses nothing from outside itself.
 *
 * @module
 */

import { check } from "./errno.ts";
import { filesOf } from "./library.ts";
import { SOCK_DGRAM } from "./socket_constants.ts";
import * as sys from "./sys.ts";
import { type Library, system } from "./systems.ts";
import { borrowWaker, type Waker } from "./waker.ts";

/** Shared memory: a header of integers, and the text of an error. */
const MEMORY = {
  // Indices in the header: a state, the bits of up to 64 signals, and the length of the text.
  STATE: 0,
  BITS: 1,
  TEXT_LENGTH: 3,
  HEADER_BYTES: 16,
  TEXT_BYTES: 1024,
  // States
  STARTING: 0,
  LISTENING: 1,
  FAILED: 2,
  STOPPED: 3,
};

/** Largest number of signals for one Worker: more than any system has names for. */
export const MAX_SIGNALS = 64;

/** Milliseconds that the Worker may take to start. It usually takes 20 to 50, but a machine can be very busy. */
const PATIENCE_MS = 30_000;

/** Milliseconds that the Worker may take to stop listening, before it is terminated. It usually takes one. */
const STOP_PATIENCE_MS = 5_000;

/** Descriptors that Deno opens for the first Worker and the first signal, and some to spare. */
const WORKER_DESCRIPTORS = 20;

/** The library with send(), for each twin of sys.ts. */
const SENDERS: Readonly<Record<typeof system.sys, Library>> = { posix: "libc", winsock: "winsock" };

/** First message to the Worker. */
interface Order {
  readonly memory: SharedArrayBuffer;
  readonly signals: readonly Deno.Signal[];
  /** Files to try for the library with send(). */
  readonly files: readonly string[];
  /** Descriptor to which the Worker sends. */
  readonly sender: number;
  /** Content of the datagram. */
  readonly serial: number;
}

/** The globals of a Worker that {@linkcode listen} uses. */
interface Scope {
  onmessage: ((event: { data: Order | null }) => void) | null;
}

/** Runs in the Worker, which gets only the source of this function: the function must not use a name from outside. */
function listen(
  scope: Scope,
  { STATE, BITS, TEXT_LENGTH, HEADER_BYTES, LISTENING, FAILED, STOPPED }: typeof MEMORY,
): void {
  scope.onmessage = ({ data: order }) => {
    if (order === null) return;
    const header = new Int32Array(order.memory, 0, HEADER_BYTES / 4);
    const listeners: [signal: Deno.Signal, listener: () => void][] = [];
    const stop = (state: number) => {
      for (const [signal, listener] of listeners) Deno.removeSignalListener(signal, listener);
      Atomics.store(header, STATE, state);
      Atomics.notify(header, STATE);
    };
    try {
      let library;
      for (const file of order.files) {
        try {
          // ssize_t send(int sockfd, const void *buf, size_t len, int flags)
          // On Windows, len is an int, which is the lower half of the size_t.
          library = Deno.dlopen(file, { send: { parameters: ["usize", "buffer", "usize", "i32"], result: "i32" } });
          break;
        } catch (error) {
          if (file === order.files.at(-1)) throw error;
        }
      }
      const { send } = library!.symbols;
      const [sender, size] = [BigInt(order.sender), 4n];
      const datagram = new Uint8Array(new Uint32Array([order.serial]).buffer);
      for (const [index, signal] of order.signals.entries()) {
        const listener = () => {
          Atomics.or(header, BITS + (index >> 5), 1 << (index & 31));
          // Repeated because memory may be free again soon. A full queue needs no datagram: the waker is readable.
          for (let tries = 0; tries < 100 && send(sender, datagram, size, 0) < 0; tries++);
        };
        Deno.addSignalListener(signal, listener);
        listeners.push([signal, listener]);
      }
      scope.onmessage = () => stop(STOPPED);
      Atomics.store(header, STATE, LISTENING);
      Atomics.notify(header, STATE);
    } catch (error) {
      const text = new TextEncoder().encode(String(error)).subarray(0, order.memory.byteLength - HEADER_BYTES);
      new Uint8Array(order.memory, HEADER_BYTES).set(text);
      Atomics.store(header, TEXT_LENGTH, text.length);
      stop(FAILED);
    }
  };
}

/** A Worker that listens for signals, and its waker. */
export class SignalWorker {
  readonly #worker: Worker;
  readonly #waker: Waker;
  readonly #signals: readonly Deno.Signal[];
  readonly #memory = new SharedArrayBuffer(MEMORY.HEADER_BYTES + MEMORY.TEXT_BYTES);
  readonly #header = new Int32Array(this.#memory, 0, MEMORY.HEADER_BYTES / 4);

  /**
   * Starts the Worker, and waits until it listens.
   *
   * @param signals At most {@linkcode MAX_SIGNALS} signals, without duplicates
   */
  constructor(signals: readonly Deno.Signal[]) {
    this.#signals = signals;
    const files = filesOf(SENDERS[system.sys]);
    this.#waker = borrowWaker();
    try {
      checkRoom();
      const source = `(${listen})(self, ${JSON.stringify(MEMORY)})`;
      this.#worker = new Worker(`data:text/javascript,${encodeURIComponent(source)}`, {
        type: "module",
        name: "Signals",
      });
    } catch (error) {
      this.#waker.giveBack();
      throw error;
    }
    this.#worker.postMessage({ memory: this.#memory, signals, files, ...this.#waker.parts } satisfies Order);
    Atomics.wait(this.#header, MEMORY.STATE, MEMORY.STARTING, PATIENCE_MS);
    const state = Atomics.load(this.#header, MEMORY.STATE);
    if (state === MEMORY.LISTENING) return;
    this.#end();
    const what = `Cannot listen for ${signals.join(", ")}`;
    if (state === MEMORY.FAILED) throw new Error(`${what}: ${this.#text()}`);
    throw new Deno.errors.TimedOut(`${what}: the Worker did not start within ${PATIENCE_MS / 1000} seconds`);
  }

  /** Descriptor that becomes readable. */
  get fd(): number {
    return this.#waker.fd;
  }

  /** Returns the signals that have arrived since the last call, each once. */
  read(): Deno.Signal[] {
    this.#waker.drain(); // before the bits are taken: see the top of the file
    const found: Deno.Signal[] = [];
    for (let word = 0; word < MAX_SIGNALS / 32; word++) {
      const bits = Atomics.exchange(this.#header, MEMORY.BITS + word, 0);
      for (let bit = 0; bit < 32; bit++) if ((bits & 1 << bit) !== 0) found.push(this.#signals[32 * word + bit]!);
    }
    return found;
  }

  /** Stops listening, and ends the Worker. A late datagram wakes no other selector, because its serial is old. */
  close(): void {
    // A terminated Worker keeps listening for a moment, so it is asked to stop first.
    this.#worker.postMessage(null);
    Atomics.wait(this.#header, MEMORY.STATE, MEMORY.LISTENING, STOP_PATIENCE_MS);
    this.#end();
  }

  #end(): void {
    this.#worker.terminate();
    this.#waker.giveBack();
  }

  #text(): string {
    const text = new Uint8Array(this.#memory, MEMORY.HEADER_BYTES, Atomics.load(this.#header, MEMORY.TEXT_LENGTH));
    return new TextDecoder().decode(text.slice());
  }
}

/**
 * Checks that enough descriptors are free for a Worker, because Deno ends the program if there are too few.
 *
 * @throws {OSError} EMFILE or ENFILE if too few are free
 */
function checkRoom(): void {
  const pairs: Int32Array<ArrayBuffer>[] = [];
  try {
    while (2 * pairs.length < WORKER_DESCRIPTORS) {
      const pair = new Int32Array(2);
      check(sys.socketpair(sys.PAIR_FAMILY, SOCK_DGRAM, 0, pair), "socketpair");
      pairs.push(pair);
    }
  } finally {
    for (const pair of pairs) pair.forEach(sys.close);
  }
}
