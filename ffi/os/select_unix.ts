/**
 * select(2) on Unix: three bitmaps, which the kernel reads and overwrites.
 *
 * @see {@link https://man7.org/linux/man-pages/man2/select.2.html | select(2)}
 *
 * @module
 */

import { errnoCell, lazyLibc, result } from "./call.ts";
import { system } from "./systems.ts";
import { IN_EXCEPT, IN_READ, IN_WRITE, type SelectSet } from "./select_set.ts";
import { Timespec } from "./timeout.ts";

// int pselect(int nfds, fd_set *readfds, fd_set *writefds, fd_set *exceptfds, const struct timespec *timeout,
//             const sigset_t *sigmask)
const PSELECT_FUNCTION = {
  name: system.symbols.pselect ?? "pselect",
  parameters: ["i32", "buffer", "buffer", "buffer", "buffer", "pointer"],
  result: "i32",
} as const;

const libc = lazyLibc({ pselect: PSELECT_FUNCTION });

// The same function, called on a thread of Deno's pool.
const aside = lazyLibc({ pselect: { ...PSELECT_FUNCTION, nonblocking: true } });

/**
 * An `fd_set`: one bit for each descriptor, from the lowest bit of the first word on.
 *
 * FD_SETSIZE (1,024) is the size of the C library's type, not a limit of the kernel. The call reads as many bits as its
 * first argument says, so a larger bitmap has room for larger descriptors.
 */
class BitFdSet {
  /** Bits, 32 in a word. */
  words: Int32Array<ArrayBuffer>;
  /** Number of bits that are set. */
  size = 0;

  constructor(words: number) {
    this.words = new Int32Array(words);
  }

  put(fd: number, isMember: boolean): void {
    const word = this.words[fd >>> 5]!;
    const bit = 1 << (fd & 31);
    if (((word & bit) !== 0) === isMember) return;
    this.words[fd >>> 5] = word ^ bit;
    this.size += isMember ? 1 : -1;
  }

  resize(words: number): void {
    const larger = new Int32Array(words);
    larger.set(this.words);
    this.words = larger;
  }
}

/** Initial size of each bitmap: FD_SETSIZE bits. */
const FIRST_WORDS = 1024 / 32;

/** The three sets as bitmaps. */
export class BitSelectSet implements SelectSet {
  readonly #libc = libc();
  readonly #timespec = new Timespec();
  // The sets, and copies of them for the kernel to overwrite.
  readonly #wanted = [new BitFdSet(FIRST_WORDS), new BitFdSet(FIRST_WORDS), new BitFdSet(FIRST_WORDS)] as const;
  #ready = [new Int32Array(FIRST_WORDS), new Int32Array(FIRST_WORDS), new Int32Array(FIRST_WORDS)] as const;
  // The largest descriptor of the sets, plus 1.
  #nfds = 0;
  // Descriptors and bits that gather() has collected.
  #fds = new Int32Array(16);
  #where = new Uint8Array(16);

  set(fd: number, where: number): void {
    if (fd >= this.#wanted[0].words.length * 32) this.#grow(fd);
    this.#wanted[0].put(fd, (where & IN_READ) !== 0);
    this.#wanted[1].put(fd, (where & IN_WRITE) !== 0);
    this.#wanted[2].put(fd, (where & IN_EXCEPT) !== 0);
    if (where !== 0) this.#nfds = Math.max(this.#nfds, fd + 1);
    else if (fd + 1 === this.#nfds) this.#nfds = this.#largest() + 1;
  }

  wait(timeoutMs: number): number {
    const timespec = timeoutMs === Infinity ? null : this.#timespec.set(timeoutMs);
    return result(
      this.#libc.pselect(this.#nfds, this.#load(0), this.#load(1), this.#load(2), timespec, null),
      errnoCell[0]!,
    );
  }

  waitAside(timeoutMs: number): Promise<number> {
    const timespec = timeoutMs === Infinity ? null : this.#timespec.set(timeoutMs);
    return aside().pselect(this.#nfds, this.#load(0), this.#load(1), this.#load(2), timespec, null);
  }

  /** Number of words, of 32 descriptors each, up to the largest descriptor. */
  get words(): number {
    return (this.#nfds + 31) >>> 5;
  }

  gather(count: number): number {
    if (count > this.#fds.length) this.#growGathered(count);
    const [reads, writes, excepts] = this.#ready;
    // An empty set was passed as null, so its copy still has the bits of an earlier wait.
    const hasReads = this.#wanted[0].size > 0;
    const hasWrites = this.#wanted[1].size > 0;
    const hasExcepts = this.#wanted[2].size > 0;
    let gathered = 0;
    let left = count;
    for (let word = 0; left > 0; word++) {
      const read = hasReads ? reads[word]! : 0;
      const write = hasWrites ? writes[word]! : 0;
      const except = hasExcepts ? excepts[word]! : 0;
      for (let bits = read | write | except; bits !== 0; bits &= bits - 1) {
        const bit = bits & -bits;
        let where = 0;
        if ((read & bit) !== 0) where |= IN_READ, left--;
        if ((write & bit) !== 0) where |= IN_WRITE, left--;
        if ((except & bit) !== 0) where |= IN_EXCEPT, left--;
        this.#fds[gathered] = word * 32 + 31 - Math.clz32(bit);
        this.#where[gathered++] = where;
      }
    }
    return gathered;
  }

  #growGathered(count: number): void {
    this.#fds = new Int32Array(2 * count);
    this.#where = new Uint8Array(2 * count);
  }

  fdAt(index: number): number {
    return this.#fds[index]!;
  }

  whereAt(index: number): number {
    return this.#where[index]!;
  }

  isReady(fd: number, where: number): boolean {
    const index = where >> 1; // of the set: 0, 1 or 2 for the bits 1, 2 and 4
    return this.#wanted[index]!.size > 0 && (this.#ready[index]![fd >>> 5]! & (1 << (fd & 31))) !== 0;
  }

  /** Copies a set for the kernel to overwrite; returns null for an empty set. */
  #load(index: 0 | 1 | 2): Int32Array<ArrayBuffer> | null {
    const wanted = this.#wanted[index];
    if (wanted.size === 0) return null;
    this.#ready[index].set(wanted.words);
    return this.#ready[index];
  }

  /** Returns the largest descriptor of the sets, or -1. */
  #largest(): number {
    const [read, write, except] = this.#wanted;
    for (let word = read.words.length - 1; word >= 0; word--) {
      const bits = read.words[word]! | write.words[word]! | except.words[word]!;
      if (bits !== 0) return word * 32 + 31 - Math.clz32(bits);
    }
    return -1;
  }

  #grow(fd: number): void {
    let words = this.#wanted[0].words.length;
    while (fd >= words * 32) words *= 2;
    for (const set of this.#wanted) set.resize(words);
    this.#ready = [new Int32Array(words), new Int32Array(words), new Int32Array(words)];
  }
}
