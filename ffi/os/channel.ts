/**
 * Reads and writes a file descriptor without blocking, even if the descriptor is in blocking mode.
 *
 * O_NONBLOCK belongs to the open file description, which other processes may share: the shell has the same terminal,
 * and another program of a pipeline may have the same pipe. So the flag stays as it is, and each kind of file is
 * handled in its own way:
 *
 * - Every call on a socket has the flag MSG_DONTWAIT, which applies to this call only.
 * - Any other file is read only after poll(2), or select(2) on macOS, has reported it readable.
 * - A pipe is written only after the same call has reported it writable: this means room for PIPE_BUF bytes.
 * - A terminal is writable if it has room for one byte, and no call returns how much room there is. So the terminal
 *   becomes non-blocking for the duration of one write. (If another program waits for room in the same terminal, its
 *   write may fail: measured, 40 such writes are enough. Opening the terminal a second time would give a separate flag,
 *   but not every terminal can be opened again.)
 * - Windows lacks MSG_DONTWAIT. A read of a socket follows a select() that has reported it readable, and a write makes
 *   the socket non-blocking, as with a terminal.
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

  /** Reads bytes; returns their number, or 0 at the end. */
  read(bytes: Uint8Array): number {
    if (this.#hasFlag) return sys.recv(this.#fd, bytes, MSG_DONTWAIT);
    const ready = this.#look();
    return ready > 0 ? sys.read(this.#fd, bytes) : ready === 0 ? -EAGAIN : ready;
  }

  /** Writes bytes from `offset` on, perhaps not all of them; returns their number. */
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
    // The descriptor is closed despite these errors. FreeBSD returns ECONNRESET if the peer has reset the connection.
    return outcome === -EINTR || outcome === -ECONNRESET ? 0 : outcome;
  }

  /** True if the descriptor is the master of a pseudoterminal, whose read() fails with EIO once its slave is closed. */
  get isPtyMaster(): boolean {
    return this.#isTerminal && sys.isPtyMaster(this.#fd);
  }
}

/** Returns a function that checks a descriptor with the system call that parked waits use. */
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
