/**
 * Wakes a waiting selector: the selector watches one end of a socket pair, and {@linkcode wake} sends to the other.
 *
 * ## Why a pair with a handle is never closed
 *
 * A Worker may keep a handle after its selector was closed. If the descriptor of the handle were closed too, its number
 * could be reused, and a late `wake()` would send to another file: an empty datagram ends a SOCK_SEQPACKET connection,
 * and a byte damages a stream. So {@linkcode Waker.giveBack} keeps each pair for the next selector. Each use of a pair
 * has a serial number, which is part of the handle and the content of each datagram. A datagram with an earlier serial
 * comes from the handle of a closed selector, and is ignored. If there are so many that the queue may have been full,
 * the next wait returns early, because a valid datagram may have been dropped.
 *
 * @module
 */

import { show } from "./arguments.ts";
import { check, EAGAIN, EINTR, ENOBUFS, ENOMEM, OSError } from "./errno.ts";
import { SOCK_DGRAM } from "./socket_constants.ts";
import * as sys from "./sys.ts";

/** Unit of the serial in a handle, which is `serial * SERIAL_UNIT + descriptor`. */
const SERIAL_UNIT = 2 ** 31;

/** Largest serial number, after which 1 follows, since a handle has to be a safe integer. */
const MAX_SERIAL = 2 ** 21;

/** Maximum number of datagrams that one drain() reads: more than a Unix socket queues. Others wake it once more. */
const MAX_CALLS = 1024;

/** Shortest queue of datagrams on any system: one that had this length may have been full and dropped a datagram. */
const MIN_QUEUE = 8;

/** Number of send() calls that may fail for lack of memory before the failure is reported. */
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

  /** Handle for {@linkcode wake}. */
  get handle(): number {
    return this.#serial * SERIAL_UNIT + this.#sender;
  }

  /** Descriptor and content of the datagram that {@linkcode call} sends, for a Worker with its own send(). */
  get parts(): { sender: number; serial: number } {
    return { sender: this.#sender, serial: this.#serial };
  }

  /** Makes {@linkcode fd} readable; returns 0 or `-errno`, for example if the system has no memory for the datagram. */
  call(): number {
    return call(this.#sender, this.#serial);
  }

  /**
   * Empties the queue.
   *
   * @param isReadable True if a wait has reported {@linkcode fd}, so that the queue should not be empty
   * @returns True if there was, or may have been, a call with the current handle. An error counts as a call, because a
   * wait that returns early does less harm than a lost call
   */
  drain(isReadable = true): boolean {
    let isCalled = false;
    for (let calls = 0; calls < MAX_CALLS; calls++) {
      const outcome = sys.recv(this.fd, receivedBytes, 0);
      if (outcome < 0) return isCalled || (isReadable && calls === 0) || calls >= MIN_QUEUE || outcome !== -EAGAIN;
      isCalled ||= received[0] === this.#serial;
    }
    return true;
  }

  /** Returns true unless the program has closed {@linkcode fd}. */
  isOpen(): boolean {
    return sys.isOpen(this.fd);
  }

  /** Keeps the pair for the next {@linkcode borrowWaker}; its current handle becomes invalid. */
  giveBack(): void {
    this.drain();
    this.#serial = this.#serial % MAX_SERIAL + 1;
    spare.push(this);
  }

  /** Closes both ends of a pair whose handle was never returned to a caller. */
  close(): void {
    sys.close(this.fd);
    sys.close(this.#sender);
  }
}

/** Pairs for the next selectors. */
const spare: Waker[] = [];

/**
 * Returns a pair that another selector has given back, or a new pair.
 *
 * @throws {OSError} EMFILE if too many descriptors are open
 */
export function borrowWaker(): Waker {
  return spare.pop() ?? new Waker();
}

function call(sender: number, serial: number): number {
  for (let tries = 1;; tries++) {
    sent[0] = serial;
    const outcome = sys.send(sender, sentBytes, 0);
    // A full queue already has calls that wake the selector.
    if (outcome >= 0 || outcome === -EAGAIN) return 0;
    if (outcome === -EINTR) tries--;
    else if ((outcome !== -ENOBUFS && outcome !== -ENOMEM) || tries === MAX_TRIES) return outcome;
  }
}

/**
 * Wakes the selector or the `Notifier` that a handle belongs to, from any Worker.
 *
 * The current wait, or else the next one, returns at once with the entries that are ready. Several calls before that
 * count as one. A call with the handle of a closed selector reaches no other file, but many such calls may end one wait
 * of a later selector with an empty result.
 *
 * @param handle The `wakeHandle` of a selector, or the `handle` of a `Notifier`, here or in another Worker
 * @throws {RangeError} if `handle` is not a wake handle
 * @throws {OSError} ENOBUFS or ENOMEM if the system has no memory for a datagram, even after several tries
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
    throw new RangeError(`Cannot wake ${show(handle)}: use the wakeHandle of a selector or the handle of a Notifier`);
  }
  const outcome = call(handle % SERIAL_UNIT, serial);
  if (outcome === -ENOBUFS || outcome === -ENOMEM) throw new OSError("send", -outcome, `to wake handle ${handle}`);
}
