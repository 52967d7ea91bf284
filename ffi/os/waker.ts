/**
 * What ends a wait from outside: a pair of sockets, one end of which is waited for, while the other is sent to.
 *
 * @module
 */

import { check } from "./errno.ts";
import { filenoOf } from "./arguments.ts";
import { type Os, os } from "./platform.ts";
import { SOCK_DGRAM } from "./socket_constants.ts";
import * as sys from "./sys.ts";

/**
 * What is sent: a datagram with nothing in it.
 *
 * The number that is sent to outlives its socket in whoever was told it, and may be another's by then. To send nothing
 * does nothing to a stream, and fails where there is no socket, so that a late call harms nobody: an eventfd or a pipe
 * would write into what is not theirs. On other systems nobody has seen yet whether an empty datagram counts as something
 * to read, above all for kqueue: there a byte is sent, and a late call may write it into a stranger's socket.
 */
const CALL = new Uint8Array(({ linux: 0, android: 0, windows: 0 } as Partial<Record<Os, number>>)[os] ?? 1);

/** Greater than the queue of a Unix socket: what is left in a longer one wakes once more, and harms nobody. */
const MAX_CALLS = 1024;

const space = new Uint8Array(1);

/** A pair of sockets for waking. */
export class Waker {
  /** Number of the end that becomes readable. */
  readonly fd: number;
  /** Number of the end that {@linkcode wake} sends to. */
  readonly handle: number;

  /** Makes the pair. */
  constructor() {
    const pair = new Int32Array(2);
    check(sys.socketpair(sys.PAIR_FAMILY, SOCK_DGRAM, 0, pair), "socketpair");
    this.fd = pair[0]!;
    this.handle = pair[1]!;
    try {
      for (const fd of pair) check(sys.setBlocking(fd, false), "setBlocking", fd);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Takes every call that has come, so that the end is no longer readable. */
  drain(): void {
    for (let calls = 0; calls < MAX_CALLS && sys.recv(this.fd, space, 0) >= 0; calls++);
  }

  /** Closes both ends. */
  close(): void {
    sys.close(this.fd);
    sys.close(this.handle);
  }
}

/**
 * Wakes the selector whose `wakeHandle` this is, from any Worker.
 *
 * It is sticky and coalesced: the wait that goes on, or else the next one, returns at once, with whatever is ready; any
 * number of calls before that count as one. A handle whose selector was closed wakes nobody. On Linux, Android and Windows
 * it does no harm either, if the number is another socket's by then; on other systems let no handle outlive its selector.
 *
 * @param handle What `selector.wakeHandle` gave, here or in another Worker
 * @throws {RangeError} if it is no number of a descriptor
 *
 * @example Usage
 * ```ts
 * import { DefaultSelector, wake } from "@selectors/selectors";
 * import { assertEquals } from "@std/assert";
 *
 * using selector = new DefaultSelector();
 * const handle = selector.wakeHandle; // to be posted to a Worker
 * wake(handle); // there
 * assertEquals(selector.select(), []);
 * ```
 */
export function wake(handle: number): void {
  // A full queue is as good as one call more, and of a closed socket there is nothing to say.
  sys.send(filenoOf(handle), CALL, 0);
}
