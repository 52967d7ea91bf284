/**
 * Wakes a waiting selector: the selector watches one end of a socket pair, and {@linkcode wake} sends to the other.
 *
 * ## Why a pair is never closed
 *
 * A handle outlives its selector in every Worker that was told it. If the descriptor behind it were closed, the system
 * would give its number to another file, and a late `wake()` would reach a stranger: an empty datagram ends a
 * SOCK_SEQPACKET connection, and a byte damages a stream. So {@linkcode lendWaker} keeps each pair for the next selector,
 * and gives every lending a serial number, which is part of the handle and the content of each datagram. A datagram
 * with an earlier serial comes from a handle whose selector is closed, and wakes nobody.
 *
 * @module
 */

import { show } from "./arguments.ts";
import { check, EAGAIN, EINTR, ENOBUFS, ENOMEM, OSError } from "./errno.ts";
import { SOCK_DGRAM } from "./socket_constants.ts";
import * as sys from "./sys.ts";

/** A handle is a serial number times this, plus a descriptor. */
const SERIAL_UNIT = 2 ** 31;

/** Serial numbers go round here, since a handle has to be a safe integer. */
const MAX_SERIAL = 2 ** 21;

/** Longer than the queue of a Unix socket. A longer queue wakes the selector once more, which is harmless. */
const MAX_CALLS = 1024;

/** The shortest queue of datagrams on any system: from here on a queue may have been full and have refused a call. */
const MIN_QUEUE = 8;

/** Calls of send() until a lack of memory is reported. */
const MAX_TRIES = 100;

const sent = new Uint32Array(1);
const sentBytes = new Uint8Array(sent.buffer);
const received = new Uint32Array(1);
const receivedBytes = new Uint8Array(received.buffer);

/** A socket pair for waking. */
export class Waker {
  /** Descriptor that becomes readable. */
  readonly fd: number;
  readonly #sender: number;
  #serial = 1;

  /** Creates the pair. */
  constructor() {
    const pair = new Int32Array(2);
    check(sys.socketpair(sys.PAIR_FAMILY, SOCK_DGRAM, 0, pair), "socketpair");
    this.fd = pair[0]!;
    this.#sender = pair[1]!;
    try {
      for (const fd of pair) check(sys.setBlocking(fd, false), "setBlocking", fd);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Number for {@linkcode wake}. */
  get handle(): number {
    return this.#serial * SERIAL_UNIT + this.#sender;
  }

  /** Makes {@linkcode fd} readable; returns `-errno` if the system has no room for the datagram, and 0 otherwise. */
  call(): number {
    return call(this.#sender, this.#serial);
  }

  /** Takes every call from the queue, and returns whether one of them was made with the present handle. */
  drain(): boolean {
    let isCalled = false;
    let calls = 0;
    for (; calls < MAX_CALLS && sys.recv(this.fd, receivedBytes, 0) >= 0; calls++) {
      if (received[0] === this.#serial) isCalled = true;
    }
    return isCalled || calls >= MIN_QUEUE;
  }

  /** Keeps the pair for the next {@linkcode lendWaker}; its present handle wakes nobody from now on. */
  giveBack(): void {
    this.drain();
    this.#serial = this.#serial % MAX_SERIAL + 1;
    spare.push(this);
  }

  /** Closes both ends of a pair whose handle nobody was told. */
  close(): void {
    sys.close(this.fd);
    sys.close(this.#sender);
  }
}

/** Pairs that were given back. */
const spare: Waker[] = [];

/**
 * Returns a pair that was given back, or a new one.
 *
 * @throws {OSError} EMFILE if too many descriptors are open
 */
export function lendWaker(): Waker {
  return spare.pop() ?? new Waker();
}

function call(sender: number, serial: number): number {
  for (let tries = 1;; tries++) {
    sent[0] = serial;
    const outcome = sys.send(sender, sentBytes, 0);
    // A full queue already holds calls that wake.
    if (outcome >= 0 || outcome === -EAGAIN) return 0;
    const isTransient = outcome === -EINTR || outcome === -ENOBUFS || outcome === -ENOMEM;
    if (!isTransient || tries === MAX_TRIES) return outcome;
  }
}

/**
 * Wakes the selector whose `wakeHandle` this is, from any Worker.
 *
 * The wait that goes on, or else the next one, returns at once with the entries that are ready. Any number of calls before
 * that count as one. A handle whose selector is closed wakes nobody and does no harm, however late the call.
 *
 * @param handle The `wakeHandle` of a selector, here or in another Worker
 * @throws {RangeError} if `handle` is not a wake handle
 * @throws {OSError} ENOBUFS or ENOMEM if the system has no memory for a datagram, also when asked again
 *
 * @example Usage
 * ```ts
 * import { DefaultSelector, wake } from "@selectors/selectors";
 * import { assertEquals } from "@std/assert";
 *
 * using selector = new DefaultSelector();
 * const handle = selector.wakeHandle; // post it to a Worker
 * wake(handle); // there
 * assertEquals(selector.select(), []);
 * ```
 */
export function wake(handle: number): void {
  const serial = typeof handle === "number" ? Math.floor(handle / SERIAL_UNIT) : 0;
  if (!Number.isSafeInteger(handle) || serial < 1 || serial > MAX_SERIAL) {
    throw new RangeError(`Cannot wake ${show(handle)}: it is not the wakeHandle of a selector`);
  }
  const outcome = call(handle % SERIAL_UNIT, serial);
  if (outcome === -ENOBUFS || outcome === -ENOMEM) throw new OSError("send", -outcome, `to wake handle ${handle}`);
}
