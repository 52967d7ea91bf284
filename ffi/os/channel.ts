/**
 * Reads and writes of a file descriptor that never block, whether or not the descriptor itself is non-blocking.
 *
 * O_NONBLOCK belongs to the open file description, which other processes may share: the shell has the same terminal,
 * and another program of a pipeline may have the same pipe. So the flag stays as it is, and each
 * kind of file is handled in its own way:
 *
 * - A socket is read and written with MSG_DONTWAIT, which applies to one call.
 * - A read of any other file follows a poll(2) that reported the file readable.
 * - A write to a pipe follows a poll(2) that reported it writable, which means room for PIPE_BUF bytes.
 * - A terminal is writable if it has room for one byte, and no call returns how much room there is. So the terminal
 *   becomes non-blocking for the time of one write. (Measured: 40 such writes are enough to make the write of another
 *   program fail that waits for room in the same terminal. Opening the terminal a second time would give a separate
 *   flag, but not every terminal can be opened again.) On Windows, a socket is written in the same way, because
 *   MSG_DONTWAIT is missing.
 *
 * @module
 */

import { byteLengthOf, partOf, restOf } from "./arguments.ts";
import { EAGAIN, EBADF, ECONNRESET, EINTR } from "./errno.ts";
import type { EVENT_READ, EVENT_WRITE } from "./events.ts";
import { flagsOf, PollSet } from "./poll.ts";
import { SelectSet, setsOf } from "./select.ts";
import { MSG_DONTWAIT, MSG_NOSIGNAL } from "./socket_constants.ts";
import * as sys from "./sys.ts";
import { system } from "./systems.ts";

const { PIPE_BUF } = system;

/** Flag of shutdown(): the sending half. */
const SHUT_WR = 1;

/** A file descriptor and its kind. A failure is `-errno`; `-EAGAIN` means that the call would block. */
export class Channel {
  /** False if the descriptor was closed when the channel was created. */
  readonly isOpen: boolean;
  readonly #fd: number;
  readonly #isSocket: boolean;
  readonly #isTerminal: boolean;
  // Returns 1 if the descriptor is ready, 0 if not, or -errno.
  readonly #look: () => number;

  /**
   * Finds the kind of a descriptor.
   *
   * @param fd File descriptor
   * @param events EVENT_READ to read, EVENT_WRITE to write
   */
  constructor(fd: number, events: typeof EVENT_READ | typeof EVENT_WRITE) {
    this.#fd = fd;
    const kind = sys.kindOf(fd, new Int32Array(3));
    this.isOpen = kind !== -EBADF;
    this.#isSocket = kind >= 0;
    this.#isTerminal = !this.#isSocket && sys.isTerminal(fd);
    this.#look = lookAt(fd, events);
  }

  /** True if MSG_DONTWAIT keeps every call from blocking, so that no look is needed. */
  get #hasFlag(): boolean {
    return this.#isSocket && MSG_DONTWAIT !== 0;
  }

  /** Reads bytes; 0 means the end. */
  read(bytes: Uint8Array): number {
    if (this.#hasFlag) return sys.recv(this.#fd, bytes, MSG_DONTWAIT);
    const ready = this.#look();
    return ready > 0 ? sys.read(this.#fd, bytes) : ready === 0 ? -EAGAIN : ready;
  }

  /** Writes the bytes from `offset` on, or some of them. */
  write(bytes: Uint8Array, offset: number): number {
    const fd = this.#fd;
    const rest = offset === 0 ? bytes : restOf(bytes, offset);
    if (this.#hasFlag) return sys.send(fd, rest, MSG_DONTWAIT | MSG_NOSIGNAL);
    const isBlocking = sys.getBlocking(fd);
    if (isBlocking < 0) return isBlocking;
    if (isBlocking === 0) return sys.write(fd, rest);
    const ready = this.#look();
    if (ready <= 0) return ready === 0 ? -EAGAIN : ready;
    if (!this.#isSocket && !this.#isTerminal) {
      return sys.write(fd, byteLengthOf(rest) > PIPE_BUF ? partOf(bytes, offset, PIPE_BUF) : rest);
    }
    const failure = sys.setBlocking(fd, false);
    if (failure < 0) return failure;
    const count = sys.write(fd, rest);
    sys.setBlocking(fd, true);
    return count;
  }

  /** Shuts down the sending half of a socket; does nothing for other files, and for a socket that is not connected. */
  endWriting(): void {
    if (this.#isSocket) sys.shutdown(this.#fd, SHUT_WR);
  }

  /** Closes the descriptor. */
  close(): number {
    const outcome = sys.close(this.#fd);
    // The descriptor is closed in spite of EINTR, and of ECONNRESET, with which FreeBSD reports a reset by the peer.
    return outcome === -EINTR || outcome === -ECONNRESET ? 0 : outcome;
  }

  /** True if the descriptor is the master of a pseudoterminal, whose read() fails with EIO once its slave is closed. */
  get isPtyMaster(): boolean {
    return this.#isTerminal && sys.isPtyMaster(this.#fd);
  }
}

/** Returns a function that looks at a descriptor by the system call of parked waits. */
function lookAt(fd: number, events: number): () => number {
  if (system.park === "select") {
    const set = new SelectSet();
    set.set(fd, setsOf(events));
    return () => set.wait(0);
  }
  const set = new PollSet();
  set.set(fd, flagsOf(events));
  return () => set.wait(0);
}
