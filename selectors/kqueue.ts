/**
 * The selector on kqueue (macOS, FreeBSD, NetBSD; libkqueue on Linux).
 *
 * @module
 */

import { check, EPERM, errnoCode, OSError } from "../ffi/os/errno.ts";
import type { FileObject } from "../ffi/os/arguments.ts";
import { KQ_EV_ADD, KQ_EV_DELETE, KqueueInstance } from "../ffi/os/kqueue.ts";
import { isInterruption } from "../ffi/os/timeout.ts";
import { BaseSelector, EVENT_READ, EVENT_WRITE, type Ready } from "./base.ts";

/** What kevent() says of kinds that it does not know, on one system or another. */
const UNWATCHABLE: readonly string[] = ["EINVAL", "ENODEV", "EPERM", "EOPNOTSUPP"];

/**
 * Waits with kqueue, whose cost grows with what is ready and not with what is registered.
 *
 * Timeouts are exact to the nanosecond. A descriptor that is closed leaves the queue by itself.
 *
 * Regular files and directories are refused with `EPERM`, as they are by epoll, and on macOS FIFOs, `/dev/tty` and
 * `/dev/null` too, which `SelectSelector` can wait for, and `PollSelector` cannot. A pipe for writing whose reader is gone
 * may be refused with `EPIPE`.
 *
 * ## One descriptor, two filters
 *
 * kqueue knows a descriptor once for reading and once for writing, and reports each by itself. Both go in by one call, and
 * what comes out is put together, in the order of first appearance. Each registration has a tag of its own, which comes
 * back with the event: an event with another tag than its descriptor's is no event.
 *
 * @typeParam D What goes with each registration
 * @typeParam F Which file objects can be registered
 *
 * @example Usage
 * ```ts
 * import { DefaultSelector, EVENT_READ, KqueueSelector } from "@selectors/selectors";
 * import { socketpair } from "@selectors/selectors/socket";
 * import { assertEquals } from "@std/assert";
 *
 * if (DefaultSelector === KqueueSelector) {
 *   const [here, there] = socketpair();
 *   using selector = new KqueueSelector();
 *   const key = selector.register(here, EVENT_READ);
 *   there.send(new TextEncoder().encode("ping"));
 *   assertEquals(selector.select(), [[key, EVENT_READ]]);
 *   here.close();
 *   there.close();
 * }
 * ```
 */
export class KqueueSelector<D = unknown, F extends FileObject = FileObject> extends BaseSelector<D, F> {
  readonly #kqueue = new KqueueInstance();
  // Indexed by descriptor: the kernel gives the lowest free number, so that the arrays stay dense.
  #tags = new Int32Array(64);
  #places = new Int32Array(64);
  #lastTag = 0;

  /** Gives the number of the kqueue descriptor, for another selector to wait on. */
  fileno(): number {
    if (!this.closed) return this.#kqueue.fd;
    throw new Deno.errors.BadResource("Cannot ask for the descriptor: the selector is closed");
  }

  /** Adds a filter for each event, under a tag of the registration's own. */
  protected override watch(fd: number, events: number): void {
    const refusal = this.#kqueue.refusal(fd);
    if (refusal !== null) throw new OSError("kevent", EPERM, `fd ${fd}`, { text: refusal });
    const tag = this.#lastTag = (this.#lastTag + 1) | 0;
    const outcome = this.#kqueue.change(
      fd,
      transition(0, events & EVENT_READ, 0),
      transition(0, events & EVENT_WRITE, 0),
      tag,
    );
    if (outcome < 0) {
      this.unwatch(fd); // one of the two may be there
      throw controlError(outcome, fd);
    }
    if (fd >= this.#tags.length) this.#grow(fd);
    this.#tags[fd] = tag;
    // Room for both filters of every registration, so that one wait brings all that is ready.
    this.#kqueue.reserve(2 * (this.size + 1));
  }

  /** Adds the filters of the new events, removes those of the old, and asks whether one that stays is still there. */
  protected override rewatch(fd: number, events: number): void {
    const before = this.keyOf(fd)!.events;
    const outcome = this.#kqueue.change(
      fd,
      transition(before & EVENT_READ, events & EVENT_READ, this.#kqueue.system.confirm),
      transition(before & EVENT_WRITE, events & EVENT_WRITE, this.#kqueue.system.confirm),
      this.#tags[fd]!,
    );
    if (outcome < 0) throw controlError(outcome, fd);
  }

  /** Removes both filters. */
  protected override unwatch(fd: number): void {
    // Fails if a filter is not there, or the number was closed, or stands for something else: nothing is left then.
    this.#kqueue.change(fd, KQ_EV_DELETE, KQ_EV_DELETE, 0);
  }

  /** Waits with `kevent`. */
  protected override wait(timeoutMs: number): Ready<D, F>[] | null {
    const kqueue = this.#kqueue;
    const count = kqueue.wait(timeoutMs);
    if (count < 0) {
      if (isInterruption(count)) return this.interrupted(count);
      check(count, "kevent", kqueue.fd);
    }
    const ready = count > 1 ? new Array<Ready<D, F>>(count) : [];
    let filled = 0;
    for (let index = 0; index < count; index++) {
      const fd = kqueue.fdAt(index);
      const key = this.keyOf(fd);
      if (key === undefined || this.#tags[fd] !== kqueue.tagAt(index)) continue;
      // An end or an error comes under the filter that it concerns: the next call will not block, and will tell.
      const event = (kqueue.isReadAt(index) ? EVENT_READ : EVENT_WRITE) & key.events;
      if (event === 0) continue;
      // Where the descriptor's entry is if it has one, or a number of some time before, which the entry there disproves.
      const place = this.#places[fd]!;
      if (place < filled && ready[place]![0] === key) {
        ready[place]![1] |= event;
      } else {
        this.#places[fd] = filled;
        ready[filled++] = [key, event];
      }
    }
    // Nothing but strange events: the wait is not over.
    if (filled === 0 && count > 0 && timeoutMs > 0) return null;
    if (filled !== ready.length) ready.length = filled;
    return ready;
  }

  /** The kqueue descriptor itself, which is readable as long as something in its set is ready. */
  protected override get waitable(): number {
    return this.#kqueue.fd;
  }

  /** Closes the kqueue descriptor. */
  protected override release(): void {
    this.#kqueue.close();
  }

  #grow(fd: number): void {
    const length = Math.max(fd + 1, this.#tags.length * 2);
    const [tags, places] = [new Int32Array(length), new Int32Array(length)];
    tags.set(this.#tags);
    this.#tags = tags;
    this.#places = places; // of which nothing is kept from one wait to the next
  }
}

/** What a filter is told when its event was waited for or not, and shall be or not; `confirm` is what tells one that stays. */
function transition(before: number, after: number, confirm: number): number {
  if (before === 0) return after === 0 ? 0 : KQ_EV_ADD;
  // A descriptor that was closed has lost its filters, and its number may be another's: this will fail then.
  return after === 0 ? KQ_EV_DELETE : confirm;
}

function controlError(outcome: number, fd: number): OSError {
  if (!UNWATCHABLE.includes(errnoCode(-outcome))) return new OSError("kevent", -outcome, `fd ${fd}`);
  const text = "kqueue cannot wait for a descriptor of this kind, such as /dev/tty or /dev/null on macOS; " +
    `use SelectSelector (kevent said ${errnoCode(-outcome)})`;
  return new OSError("kevent", EPERM, `fd ${fd}`, { text });
}
