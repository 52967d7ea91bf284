/**
 * Winsock's select(): three arrays of sockets, which the system reads and overwrites.
 *
 * @see {@link https://learn.microsoft.com/windows/win32/api/winsock2/nf-winsock2-select | select function}
 *
 * @module
 */

import { openWithErrno, result } from "./call.ts";
import { EBADF, ENOTSOCK } from "./errno.ts";
import { lazyLibrary } from "./library.ts";
import { IN_EXCEPT, IN_READ, IN_WRITE, type SelectSet } from "./select_set.ts";
import { pause, Timeval } from "./timeout.ts";

// int select(int nfds, fd_set *readfds, fd_set *writefds, fd_set *exceptfds, const struct timeval *timeout)
const SELECT = { parameters: ["i32", "buffer", "buffer", "buffer", "buffer"], result: "i32" } as const;

const winsock = lazyLibrary(() =>
  openWithErrno("winsock", {
    select: SELECT,
    // int WSAGetLastError(void)
    WSAGetLastError: { parameters: [], result: "i32" },
  })
);

// The same function, called on a thread of Deno's pool.
const asideWinsock = lazyLibrary(() => openWithErrno("winsock", { select: { ...SELECT, nonblocking: true } }));

/**
 * struct fd_set {           Windows
 *   u_int  fd_count;        // +0
 *   SOCKET fd_array[];      // +8, each of 8 bytes
 * };
 *
 * FD_SETSIZE (64) is the size of the type in the headers, not a limit of the call, which reads `fd_count` sockets.
 */
const FD_SET = { fd_count: 0, fd_array: 8, socket: 8 };

/** An `fd_set`: an array of sockets, in no order. */
class CountedFdSet {
  // In 32-bit words. The upper half of a SOCKET stays 0.
  #words = new Int32Array(FD_SET.fd_array / 4 + FIRST_SOCKETS * FD_SET.socket / 4);
  readonly #indexOf = new Map<number, number>();

  /** Number of sockets. */
  get size(): number {
    return this.#words[FD_SET.fd_count / 4]!;
  }

  /** Returns socket `index`. */
  at(index: number): number {
    return this.#words[wordOf(index)]!;
  }

  put(fd: number, isMember: boolean): void {
    const index = this.#indexOf.get(fd);
    if ((index !== undefined) === isMember) return;
    if (index === undefined) {
      if (wordOf(this.size) >= this.#words.length) this.#resize(this.#words.length * 2);
      this.#place(fd, this.#words[FD_SET.fd_count / 4]!++);
    } else {
      // The last socket moves to its place.
      this.#indexOf.delete(fd);
      const last = this.at(--this.#words[FD_SET.fd_count / 4]!);
      if (last !== fd) this.#place(last, index);
    }
  }

  /** Copies another set into this one for Winsock to overwrite; returns null for an empty set: Winsock rejects it. */
  load(other: CountedFdSet): Int32Array<ArrayBuffer> | null {
    this.#words[FD_SET.fd_count / 4] = 0;
    if (other.size === 0) return null;
    if (this.#words.length < other.#words.length) this.#resize(other.#words.length);
    this.#words.set(other.#words.subarray(0, wordOf(other.size)));
    return this.#words;
  }

  #place(fd: number, index: number): void {
    this.#words[wordOf(index)] = fd;
    this.#indexOf.set(fd, index);
  }

  #resize(words: number): void {
    const larger = new Int32Array(words);
    larger.set(this.#words);
    this.#words = larger;
  }
}

/** Number of sockets for which the initial array has room. */
const FIRST_SOCKETS = 64;

function wordOf(index: number): number {
  return (FD_SET.fd_array + index * FD_SET.socket) / 4;
}

/** Argument for a set; null if it is empty. */
type Loaded = Int32Array<ArrayBuffer> | null;

/** The three sets as arrays. */
export class CountedSelectSet implements SelectSet {
  readonly #winsock = winsock();
  readonly #timeval = new Timeval();
  readonly #wanted = [new CountedFdSet(), new CountedFdSet(), new CountedFdSet()] as const;
  // Copies that the system overwrites; #byFd() collects their bits in #where.
  readonly #ready = [new CountedFdSet(), new CountedFdSet(), new CountedFdSet()] as const;
  readonly #where = new Map<number, number>();
  // Descriptors that gather() has collected.
  readonly #fds: number[] = [];

  set(fd: number, where: number): void {
    this.#wanted[0].put(fd, (where & IN_READ) !== 0);
    this.#wanted[1].put(fd, (where & IN_WRITE) !== 0);
    this.#wanted[2].put(fd, (where & IN_EXCEPT) !== 0);
  }

  wait(timeoutMs: number): number {
    const count = this.#wait(timeoutMs);
    // Winsock returns "not a socket" for a closed socket too.
    return count === -ENOTSOCK ? -EBADF : count;
  }

  waitAside(timeoutMs: number): Promise<number> {
    const [reads, writes, excepts] = this.#load();
    const timeval = timeoutMs === Infinity ? null : this.#timeval.set(timeoutMs);
    return asideWinsock().select(0, reads, writes, excepts, timeval);
  }

  /** Copies the three sets for the system to overwrite. */
  #load(): [Loaded, Loaded, Loaded] {
    this.#where.clear();
    const [read, write, except] = this.#ready;
    return [read.load(this.#wanted[0]), write.load(this.#wanted[1]), except.load(this.#wanted[2])];
  }

  #wait(timeoutMs: number): number {
    const [reads, writes, excepts] = this.#load();
    if (reads === null && writes === null && excepts === null) {
      // Winsock rejects three empty sets.
      pause(timeoutMs);
      return 0;
    }
    const timeval = timeoutMs === Infinity ? null : this.#timeval.set(timeoutMs);
    const { select, WSAGetLastError } = this.#winsock;
    return result(select(0, reads, writes, excepts, timeval), WSAGetLastError());
  }

  gather(count: number): number {
    this.#fds.length = 0;
    if (count > 0) { for (const fd of this.#byFd().keys()) this.#fds.push(fd); }
    return this.#fds.length;
  }

  fdAt(index: number): number {
    return this.#fds[index]!;
  }

  whereAt(index: number): number {
    return this.#where.get(this.fdAt(index))!;
  }

  isReady(fd: number, where: number): boolean {
    return ((this.#byFd().get(fd) ?? 0) & where) !== 0;
  }

  /** Returns the bits of each ready descriptor. */
  #byFd(): ReadonlyMap<number, number> {
    if (this.#where.size > 0) return this.#where;
    for (const [index, set] of this.#ready.entries()) {
      for (let at = 0; at < set.size; at++) {
        this.#where.set(set.at(at), (this.#where.get(set.at(at)) ?? 0) | (1 << index));
      }
    }
    return this.#where;
  }
}
