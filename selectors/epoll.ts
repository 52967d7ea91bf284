/**
 * The selector on epoll (Linux, Android).
 *
 * @module
 */

import { EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD, EpollInstance } from "../ffi/os/epoll.ts";
import { check, EEXIST, EPERM, OSError } from "../ffi/os/errno.ts";
import type { FileObject } from "../ffi/os/arguments.ts";
import { isInterruption } from "../ffi/os/timeout.ts";
import { BaseSelector, type Ready } from "./base.ts";
import { eventsOfFlags, flagsOf } from "./events.ts";

/**
 * Waits with epoll, whose cost grows with what is ready and not with what is registered.
 *
 * Timeouts are exact to the nanosecond from Linux 5.11 on, and rounded up to milliseconds before.
 *
 * ## Stale descriptions
 *
 * The kernel registers an open file description under a number. When the number is closed while a duplicate lives, the
 * registration stays, can no longer be reached, and goes on to fire, possibly under a number that is another's by then.
 * So each registration gets a tag of its own, which comes back with the event: an event with another tag than its
 * descriptor's is no event, and the set is made anew without its cause.
 *
 * @typeParam D What goes with each registration
 * @typeParam F Which file objects can be registered
 *
 * @example Usage
 * ```ts
 * import { DefaultSelector, EpollSelector, EVENT_READ } from "@selectors/selectors";
 * import { socketpair } from "@selectors/selectors/socket";
 * import { assertEquals } from "@std/assert";
 *
 * if (DefaultSelector === EpollSelector) {
 *   const [here, there] = socketpair();
 *   using selector = new EpollSelector();
 *   const key = selector.register(here, EVENT_READ);
 *   there.send(new TextEncoder().encode("ping"));
 *   assertEquals(selector.select(), [[key, EVENT_READ]]);
 *   here.close();
 *   there.close();
 * }
 * ```
 */
export class EpollSelector<D = unknown, F extends FileObject = FileObject> extends BaseSelector<D, F> {
  readonly #epoll = new EpollInstance();
  // Indexed by descriptor: the kernel gives the lowest free number, so that the array stays dense.
  #tags = new Int32Array(64);
  #lastTag = 0;

  /**
   * Gives the number of the epoll descriptor, for another selector to wait on.
   *
   * The number stays, but what it stands for is made anew to be rid of a stale description (see above); the other
   * selector then has to register it again.
   */
  fileno(): number {
    if (!this.closed) return this.#epoll.fd;
    throw new Deno.errors.BadResource("Cannot ask for the descriptor: the selector is closed");
  }

  /** Adds the descriptor to the epoll set, under a tag of its own. */
  protected override watch(fd: number, events: number): void {
    const tag = this.#lastTag = (this.#lastTag + 1) | 0;
    let outcome = this.#epoll.ctl(EPOLL_CTL_ADD, fd, flagsOf(events), tag);
    // A description that outlived its number, and was given it again.
    if (outcome === -EEXIST) outcome = this.#epoll.ctl(EPOLL_CTL_MOD, fd, flagsOf(events), tag);
    if (outcome < 0) throw controlError(outcome, fd);
    if (fd >= this.#tags.length) this.#growTags(fd);
    this.#tags[fd] = tag;
    // Room for every registration at once, so that one wait brings all that is ready.
    this.#epoll.reserve(this.size + 1);
  }

  /** Changes the mask in the epoll set. */
  protected override rewatch(fd: number, events: number): void {
    const outcome = this.#epoll.ctl(EPOLL_CTL_MOD, fd, flagsOf(events), this.#tags[fd]!);
    if (outcome < 0) throw controlError(outcome, fd);
  }

  /** Removes the descriptor from the epoll set. */
  protected override unwatch(fd: number): void {
    this.#tags[fd] = 0;
    // Fails if the number was closed, or stands for something else. What is left in the kernel then, if anything, is a
    // stale description.
    this.#epoll.ctl(EPOLL_CTL_DEL, fd, 0, 0);
  }

  /** Waits with `epoll_wait` or `epoll_pwait2`. */
  protected override wait(timeoutMs: number): Ready<D, F>[] | null {
    const count = this.#epoll.wait(timeoutMs, this.#epoll.room);
    // The commonest case by itself, and small, so that V8 takes all of it into the caller's loop.
    const only = count === 1 ? this.#entryAt(0) : undefined;
    return only === undefined ? this.#collect(count, timeoutMs) : [only];
  }

  /** Event `index` of the last wait as an entry, or undefined if it comes from a stale description. */
  #entryAt(index: number): Ready<D, F> | undefined {
    const fd = this.#epoll.fdAt(index);
    const key = this.keyOf(fd);
    if (key === undefined || this.#tags[fd] !== this.#epoll.tagAt(index)) return undefined;
    return [key, eventsOfFlags(this.#epoll.eventsAt(index)) & key.events];
  }

  /** Every event of the last wait, which gave `count` of them. */
  #collect(count: number, timeoutMs: number): Ready<D, F>[] | null {
    if (count < 0) {
      if (isInterruption(count)) return this.interrupted(count);
      check(count, "epoll_wait", this.#epoll.fd);
    }
    const ready = new Array<Ready<D, F>>(count);
    let filled = 0;
    for (let index = 0; index < count; index++) {
      const entry = this.#entryAt(index);
      if (entry !== undefined) ready[filled++] = entry;
      else if (this.#rebuild()) return null;
    }
    if (filled === count) return ready;
    ready.length = filled;
    return this.#besideStale(ready, count, timeoutMs);
  }

  /**
   * What to give where stale descriptions stay, since there is no room for a second set: the entries that are none of
   * theirs, with more room the next time, and, if there are no entries, a pause, since the wait would end at once.
   */
  #besideStale(ready: Ready<D, F>[], count: number, timeoutMs: number): Ready<D, F>[] | null {
    if (count === this.#epoll.room) {
      this.#epoll.reserve(2 * count);
      return null;
    }
    if (ready.length > 0 || timeoutMs === 0) return ready;
    this.#epoll.pause(timeoutMs);
    return null;
  }

  /** The epoll descriptor itself, which is readable as long as something in its set is ready. */
  protected override get waitable(): number {
    return this.#epoll.fd;
  }

  /** Closes the epoll descriptor. */
  protected override release(): void {
    this.#epoll.close();
  }

  #rebuild(): boolean {
    const registrations: [fd: number, flags: number, tag: number][] = [];
    for (const key of this.watched()) registrations.push([key.fd, flagsOf(key.events), this.#tags[key.fd]!]);
    if (!this.#epoll.rebuild(registrations)) return false;
    this.disturbWaits(); // they have the old set
    return true;
  }

  #growTags(fd: number): void {
    const larger = new Int32Array(Math.max(fd + 1, this.#tags.length * 2));
    larger.set(this.#tags);
    this.#tags = larger;
  }
}

function controlError(outcome: number, fd: number): OSError {
  const meaning = outcome === -EPERM
    ? { text: "epoll cannot wait for a descriptor of this kind, as a regular file, a directory or /dev/null is" }
    : {};
  return new OSError("epoll_ctl", -outcome, `fd ${fd}`, meaning);
}
