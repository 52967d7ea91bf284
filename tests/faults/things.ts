/**
 * File descriptors to register. They use the real libc, so that faults do not affect the harness itself.
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

/** A file descriptor to register, and its peer. */
export class Thing {
  /** The file object to register: the descriptor, or an object whose fileno() returns it. */
  fileobj: number | { fileno(): number };
  /** True until the descriptor is closed. */
  isOpen = true;
  /** True if a selector may either report the descriptor or omit it. */
  isUncertain = false;
  readonly #extra: number[] = [];

  constructor(readonly fd: number, public peer: number) {
    this.fileobj = fd;
  }

  /** Creates two connected sockets. A given number becomes the file descriptor of the first socket. */
  static pair(number?: number): Thing {
    const fds = new Int32Array(2);
    real.socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds);
    if (number === undefined || fds[0] === number) return new Thing(fds[0]!, fds[1]!);
    const peer = fds[1] === number ? real.dup(number) : fds[1]!;
    real.dup2(fds[0]!, number);
    real.close(fds[0]!);
    return new Thing(number, peer);
  }

  /** Creates a pipe; the read end is the descriptor to register. */
  static pipe(): Thing {
    const fds = new Int32Array(2);
    real.pipe2(fds, SOCK_NONBLOCK | SOCK_CLOEXEC);
    return new Thing(fds[0]!, fds[1]!);
  }

  /** Makes the descriptor readable. */
  fill(): void {
    if (this.peer >= 0) real.write(this.peer, oneByte, 1n);
  }

  /** Reads all available data, through a duplicate if the descriptor is closed. */
  drain(): void {
    for (const fd of this.isOpen ? [this.fd] : this.#extra) while (real.read(fd, buffer, 4096n) > 0);
  }

  /** Duplicates the descriptor; the duplicate stays open until the end of the scenario. */
  duplicate(): void {
    this.#extra.push(real.dup(this.fd));
  }

  /** Closes the descriptor, but not its duplicates or its peer. */
  close(): void {
    if (this.isOpen) real.close(this.fd);
    this.isOpen = false;
  }

  /** Closes the peer. */
  closePeer(): void {
    if (this.peer >= 0) real.close(this.peer);
    this.peer = -1;
  }

  /** Closes the descriptor, its duplicates and its peer. */
  dispose(): void {
    this.close();
    this.closePeer();
    this.#extra.splice(0).forEach((fd) => real.close(fd));
  }

  /** Polls a descriptor for events (1 to read, 2 to write) for up to `timeoutMs`. Returns the ready events. */
  static ready(fd: number, events: number, timeoutMs = 0): number {
    const pollfd = new Int32Array([fd, (events & 1 ? POLLIN : 0) | (events & 2 ? POLLOUT : 0)]);
    if (real.poll(pollfd, 1n, timeoutMs) <= 0) return 0;
    const flags = pollfd[1]! >>> 16;
    if (flags & POLLNVAL) return 0;
    return ((flags & ~POLLOUT ? 1 : 0) | (flags & ~POLLIN ? 2 : 0)) & events;
  }
}
