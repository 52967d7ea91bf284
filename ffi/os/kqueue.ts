/**
 * kqueue (macOS, FreeBSD, NetBSD; libkqueue on Linux): the kernel keeps the registrations, and one call returns those
 * that are ready.
 *
 * ## One descriptor, two filters
 *
 * kqueue has one filter for reading and one for writing, and reports each filter as an event of its own. One call
 * changes both filters of a descriptor, and {@linkcode KqueuePoller.wait} merges their events into one entry, in the
 * order of first appearance. Each registration carries a serial number, which comes back with the event.
 *
 * ## Ends and errors
 *
 * A filter reports only the end of its own direction. So a registration for EVENT_HANGUP or EVENT_ERROR has a filter
 * for each direction in which the file is open. If the mask does not contain a direction, its filter is quiet until the
 * direction ends: NOTE_LOWAT makes a filter for reading wait for more data than a buffer holds, and KQ_EV_CLEAR limits
 * a filter for writing to changes, which {@linkcode KqueuePoller.wait} discards. A quiet filter that has reported the
 * end is replaced with a level-triggered one.
 *
 * ## MODE_ONCE
 *
 * EV_ONESHOT and EV_DISPATCH apply to one filter, but the mode applies to both. So the wait that reports a descriptor
 * removes its filters, and {@linkcode KqueuePoller.modify} adds them again.
 *
 * @see {@link https://man.freebsd.org/cgi/man.cgi?kqueue | kqueue(2)}
 *
 * @module
 */

import { EBADF, EPERM, errnoCode } from "./errno.ts";
import {
  BASIC_EVENTS,
  EVENT_ERROR,
  EVENT_HANGUP,
  EVENT_PRIORITY,
  EVENT_READ,
  EVENT_READ_CLOSED,
  EVENT_WRITE,
  MODE_EDGE,
  MODES,
} from "./events.ts";
import { KqueueInstance } from "./kqueue_instance.ts";
import { isOpen } from "./sys.ts";
import type { Poller } from "./poller.ts";
import { SilentSet } from "./silent_set.ts";

const KQ_EV_ADD = 0x0001;
const KQ_EV_DELETE = 0x0002;
const KQ_EV_CLEAR = 0x0020;

const NOTE_LOWAT = 0x1;
const NOTE_OOB = 0x2; // macOS
const INT_MAX = 0x7fff_ffff;

/** From this descriptor on, the tables grow only for open descriptors, because a wrong number could take gigabytes. */
const USUAL_FDS = 65_536;

/** Errors with which kevent() rejects a kind of descriptor. libkqueue up to 2.7.0 reports every failure as EFAULT. */
const UNWATCHABLE: readonly string[] = ["EINVAL", "ENODEV", "EPERM", "EOPNOTSUPP", "EFAULT"];

/** State of a registration with events or modes beyond reading and writing. */
interface Extension {
  readonly isSocket: boolean;
  /** Directions in which the file is open: EVENT_READ, EVENT_WRITE. */
  readonly directions: number;
  /** Directions that were reported as closed, by either end. */
  closed: number;
}

/** A kqueue and the entries of its last wait. */
export class KqueuePoller implements Poller {
  readonly controlCall = "kevent";
  readonly waitCall = "kevent";
  readonly supports: number;
  readonly fd: number;
  readonly nests: boolean;
  readonly #kqueue = new KqueueInstance();
  #size = 0;
  // By descriptor: EVENT_* and MODE_* bits, and index of its entry in the last wait.
  #interests = new Int32Array(64);
  #indices = new Int32Array(64);
  // Entries of the last wait.
  #fds = new Int32Array(64);
  #serials = new Int32Array(64);
  #events = new Int32Array(64);
  // Name of the error of the last descriptor that kevent() rejected.
  #rejection = "";
  // For a kqueue that does not nest: identity of the file behind each descriptor when it was added.
  readonly #identities = new Map<number, number>();
  readonly #extensions = new Map<number, Extension>();
  readonly #silent = new SilentSet();

  /** Creates a kqueue, close-on-exec. */
  constructor() {
    const { isPollable, filters, reportsEnds } = this.#kqueue.system;
    this.fd = this.#kqueue.fd;
    this.nests = isPollable;
    this.supports = BASIC_EVENTS | MODES | (reportsEnds ? EVENT_READ_CLOSED | EVENT_HANGUP | EVENT_ERROR : 0) |
      (Number.isNaN(filters.EXCEPT) ? 0 : EVENT_PRIORITY);
  }

  get silences(): number {
    // kqueue forgets a closed descriptor by itself. But if the kqueue does not nest, parked waits pass each descriptor
    // to poll(2), which would return at once for a closed one, or for a new file with the same number.
    for (const [fd, identity] of this.#identities) {
      if (this.#silent.isClosed(fd) || this.#kqueue.identity(fd) === identity) continue;
      this.#silent.addClosed(fd);
    }
    return this.#silent.count;
  }

  isSilent(fd: number): boolean {
    return this.#silent.has(fd);
  }

  add(fd: number, events: number, serial: number): number {
    if (fd >= USUAL_FDS && fd >= this.#interests.length && !isOpen(fd)) return -EBADF;
    if (this.#kqueue.explain(fd) !== null) return -EPERM;
    this.#reserve(fd, this.#size + 1);
    const outcome = this.#change(fd, 0, events, serial);
    if (outcome < 0) {
      this.#removeFilters(fd); // some may have been added
      return this.#rejected(outcome, fd);
    }
    this.#size++;
    this.#interests[fd] = events;
    this.#silent.arm(fd, events, serial);
    if (!this.nests) this.#identities.set(fd, this.#kqueue.identity(fd));
    return 0;
  }

  modify(fd: number, events: number, serial: number): number {
    if (this.#silent.isClosed(fd)) return -EBADF;
    const outcome = this.#change(fd, this.#interests[fd]!, events, serial);
    if (outcome < 0) return this.#rejected(outcome, fd);
    this.#interests[fd] = events;
    this.#silent.arm(fd, events, serial);
    return 0;
  }

  remove(fd: number): void {
    this.#size--;
    this.#identities.delete(fd);
    this.#silent.forget(fd);
    this.#removeFilters(fd);
  }

  wait(timeoutMs: number): number {
    const kqueue = this.#kqueue;
    const count = kqueue.wait(timeoutMs);
    const isBasic = this.#extensions.size === 0;
    let entries = 0;
    for (let index = 0; index < count; index++) {
      const fd = kqueue.fdAt(index);
      const serial = kqueue.serialAt(index);
      // A filter also reports the end and an error of its direction, which the next read or write returns without
      // blocking.
      const event = isBasic ? kqueue.isReadAt(index) ? EVENT_READ : EVENT_WRITE : this.#eventsOf(index, fd, serial);
      if (event === 0) continue;
      // An index that is left over from an earlier wait leads to an entry with another descriptor or serial.
      const entry = this.#indices[fd]!;
      if (entry < entries && this.#fds[entry] === fd && this.#serials[entry] === serial) {
        this.#events[entry]! |= event;
      } else {
        this.#indices[fd] = entries;
        this.#fds[entries] = fd;
        this.#serials[entries] = serial;
        this.#events[entries++] = event;
      }
    }
    if (this.#silent.armed !== 0) this.#spend(entries);
    return count < 0 ? count : entries;
  }

  fdAt(index: number): number {
    return this.#fds[index]!;
  }

  serialAt(index: number): number {
    return this.#serials[index]!;
  }

  eventsAt(index: number): number {
    return this.#events[index]!;
  }

  explain(fd: number, errno: number): string | undefined {
    if (errno !== EPERM) return undefined;
    return this.#kqueue.explain(fd) ??
      "kqueue cannot wait for a descriptor of this kind, such as /dev/tty or /dev/null on macOS; " +
        `create the selector with { fallback: "select" } (kevent() failed with ${this.#rejection})`;
  }

  close(): void {
    this.#kqueue.close();
  }

  // Everything below is for kqueue alone.

  /** Changes the filters of a descriptor from the mask `before` to `after`. */
  #change(fd: number, before: number, after: number, serial: number): number {
    if (((before | after) & ~BASIC_EVENTS) !== 0) return this.#replace(fd, after, serial);
    const { confirm } = this.#kqueue.system;
    return this.#kqueue.change(
      fd,
      transition(before & EVENT_READ, after & EVENT_READ, confirm),
      transition(before & EVENT_WRITE, after & EVENT_WRITE, confirm),
      serial,
    );
  }

  /** Replaces all filters of a descriptor, since a filter keeps the flags with which it was added. */
  #replace(fd: number, events: number, serial: number): number {
    this.#removeFilters(fd);
    this.#interests[fd] = events; // even if this fails, so that the filters are removed later
    const isSocket = this.#kqueue.isSocket(fd);
    const directions = this.#kqueue.directionsOf(fd);
    if ((events & ~BASIC_EVENTS) !== 0) this.#extensions.set(fd, { isSocket, directions, closed: 0 });
    const { READ, WRITE, EXCEPT } = this.#kqueue.system.filters;
    const flags = (events & MODE_EDGE) !== 0 ? KQ_EV_ADD | KQ_EV_CLEAR : KQ_EV_ADD;
    const outcomes: number[] = [];
    if ((events & EVENT_READ) !== 0) outcomes.push(this.#kqueue.changeFilter(fd, READ, flags, 0, 0, serial));
    if ((events & EVENT_WRITE) !== 0) outcomes.push(this.#kqueue.changeFilter(fd, WRITE, flags, 0, 0, serial));
    if ((events & EVENT_PRIORITY) !== 0) {
      outcomes.push(this.#kqueue.changeFilter(fd, EXCEPT, flags, NOTE_OOB, 0, serial));
    }
    const quiet = (events & (EVENT_HANGUP | EVENT_ERROR)) === 0 ? 0 : directions & ~events;
    const clear = KQ_EV_ADD | KQ_EV_CLEAR;
    if ((quiet & EVENT_READ) !== 0) {
      outcomes.push(this.#kqueue.changeFilter(fd, READ, clear, NOTE_LOWAT, INT_MAX, serial));
    }
    if ((quiet & EVENT_WRITE) !== 0) outcomes.push(this.#kqueue.changeFilter(fd, WRITE, clear, 0, 0, serial));
    return Math.min(0, ...outcomes);
  }

  /** Removes all filters. Ignores errors, because a missing filter or a closed descriptor leaves nothing to remove. */
  #removeFilters(fd: number): void {
    this.#extensions.delete(fd);
    this.#kqueue.change(fd, KQ_EV_DELETE, KQ_EV_DELETE, 0);
    if ((this.#interests[fd]! & EVENT_PRIORITY) === 0) return;
    this.#kqueue.changeFilter(fd, this.#kqueue.system.filters.EXCEPT, KQ_EV_DELETE, 0, 0, 0);
  }

  /** Returns the EVENT_* bits of a kqueue event, or 0 if its registration does not ask for them. */
  #eventsOf(index: number, fd: number, serial: number): number {
    const { READ, EXCEPT } = this.#kqueue.system.filters;
    const filter = this.#kqueue.filterAt(index);
    if (filter === EXCEPT) return EVENT_PRIORITY;
    const event = filter === READ ? EVENT_READ : EVENT_WRITE;
    const asked = this.#interests[fd]!;
    const extension = this.#extensions.get(fd);
    if (extension === undefined || !this.#kqueue.isEndAt(index)) return asked & event;
    // A quiet filter reports its end only once. This is enough for a mode; otherwise, every wait has to report the end.
    if ((asked & (event | MODES)) === 0 && (extension.closed & event) === 0) this.#raise(fd, filter, serial);
    extension.closed |= event;
    const error = this.#kqueue.fflagsAt(index) !== 0 ? EVENT_ERROR : 0;
    return asked & (event | error | endsOf(extension));
  }

  /** Replaces a quiet filter with a level-triggered one. */
  #raise(fd: number, filter: number, serial: number): void {
    this.#kqueue.changeFilter(fd, filter, KQ_EV_DELETE, 0, 0, 0);
    this.#kqueue.changeFilter(fd, filter, KQ_EV_ADD, 0, 0, serial);
  }

  /** Removes the filters of registrations with MODE_ONCE that the last wait found ready; modify() adds them again. */
  #spend(entries: number): void {
    for (let index = 0; index < entries; index++) {
      const fd = this.#fds[index]!;
      if (this.#silent.spend(fd, this.#serials[index]!)) this.#removeFilters(fd);
    }
  }

  /** Makes room for a descriptor, and for both filters of `size` descriptors in one wait. */
  #reserve(fd: number, size: number): void {
    this.#kqueue.reserve(2 * size);
    if (this.#kqueue.room > this.#fds.length) {
      this.#fds = new Int32Array(this.#kqueue.room);
      this.#serials = new Int32Array(this.#kqueue.room);
      this.#events = new Int32Array(this.#kqueue.room);
    }
    if (fd < this.#interests.length) return;
    const interests = new Int32Array(Math.max(fd + 1, 2 * this.#interests.length));
    interests.set(this.#interests);
    this.#interests = interests;
    this.#indices = new Int32Array(interests.length); // not copied: indices are valid for one wait
  }

  /** Returns the outcome of a failed change, with EPERM for a kind of descriptor that kevent() rejects. */
  #rejected(outcome: number, fd: number): number {
    const code = errnoCode(-outcome);
    if (code === "EFAULT" && !isOpen(fd)) return -EBADF;
    if (!UNWATCHABLE.includes(code)) return outcome;
    this.#rejection = code;
    return -EPERM;
  }
}

/** Returns the EVENT_* bits that Linux reports for the closed directions. */
function endsOf({ isSocket, directions, closed }: Extension): number {
  if (!isSocket && directions === EVENT_WRITE) return EVENT_ERROR; // a pipe without a reader
  if (!isSocket || closed === BASIC_EVENTS) return EVENT_READ_CLOSED | EVENT_HANGUP;
  return closed === EVENT_READ ? EVENT_READ_CLOSED : 0;
}

/** Returns the flag that changes a filter from `before` to `after`; `confirm` checks that a filter still exists. */
function transition(before: number, after: number, confirm: number): number {
  if (before === 0) return after === 0 ? 0 : KQ_EV_ADD;
  // The change fails if the descriptor was closed, because its filters are gone, even if the number is in use again.
  return after === 0 ? KQ_EV_DELETE : confirm;
}
