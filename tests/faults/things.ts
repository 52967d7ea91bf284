/**
 * Descriptors to wait for, made and used through the real libc, so that no fault reaches the harness itself.
 *
 * @module
 */

import { real } from "./shim.ts";

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const POLLIN = 1;
const POLLOUT = 4;
const POLLNVAL = 0x20;

const oneByte = new Uint8Array(1);
const buffer = new Uint8Array(4096);

/** A descriptor to wait for, and the other end of it. */
export class Thing {
  /** What is registered: the number, or an object that gives it. */
  fileobj: number | { fileno(): number };
  /** Whether the kernel still has the descriptor under its number. */
  isOpen = true;
  /** Whether a selector may report it or be silent about it, as it likes. */
  isUncertain = false;
  readonly #extra: number[] = [];

  constructor(readonly fd: number, public peer: number) {
    this.fileobj = fd;
  }

  /** Makes two sockets that are connected, the first of them under a chosen number if one is given. */
  static pair(number?: number): Thing {
    const fds = new Int32Array(2);
    real.socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds);
    if (number === undefined || fds[0] === number) return new Thing(fds[0]!, fds[1]!);
    const peer = fds[1] === number ? real.dup(number) : fds[1]!;
    real.dup2(fds[0]!, number);
    real.close(fds[0]!);
    return new Thing(number, peer);
  }

  /** Makes a pipe, of which the reading end is waited for. */
  static pipe(): Thing {
    const fds = new Int32Array(2);
    real.pipe2(fds, SOCK_NONBLOCK | SOCK_CLOEXEC);
    return new Thing(fds[0]!, fds[1]!);
  }

  /** Makes it readable. */
  fill(): void {
    if (this.peer >= 0) real.write(this.peer, oneByte, 1n);
  }

  /** Takes what there is to read, also by the duplicates of a descriptor that is closed. */
  drain(): void {
    for (const fd of this.isOpen ? [this.fd] : this.#extra) while (real.read(fd, buffer, 4096n) > 0);
  }

  /** Makes a duplicate, which lives until the end of the scenario. */
  duplicate(): void {
    this.#extra.push(real.dup(this.fd));
  }

  /** Closes the descriptor, but neither its duplicates nor its peer. */
  close(): void {
    if (this.isOpen) real.close(this.fd);
    this.isOpen = false;
  }

  /** Closes the other end. */
  closePeer(): void {
    if (this.peer >= 0) real.close(this.peer);
    this.peer = -1;
  }

  /** Closes everything. */
  dispose(): void {
    this.close();
    this.closePeer();
    this.#extra.splice(0).forEach((fd) => real.close(fd));
  }

  /** Asks the kernel for which of some events (1 to read, 2 to write) a descriptor is ready, and waits for them so long. */
  static ready(fd: number, events: number, timeoutMs = 0): number {
    const pollfd = new Int32Array([fd, (events & 1 ? POLLIN : 0) | (events & 2 ? POLLOUT : 0)]);
    if (real.poll(pollfd, 1n, timeoutMs) <= 0) return 0;
    const flags = pollfd[1]! >>> 16;
    if (flags & POLLNVAL) return 0;
    return ((flags & ~POLLOUT ? 1 : 0) | (flags & ~POLLIN ? 2 : 0)) & events;
  }
}
