/**
 * A timer in a kqueue (macOS, FreeBSD, NetBSD).
 *
 * The first delay of a kqueue timer cannot differ from its period. So each expiry is a separate one-shot event, which
 * is added when the program reads the previous expiry. The monotonic clock gives the number of expiries since then.
 *
 * @module
 */

import { check } from "./errno.ts";
import { KqueueWatch } from "./kqueue_watch.ts";
import { monotonicMs } from "./timeout.ts";
import type { TimerDescriptor } from "./timer.ts";

const KQ_EV_ONESHOT = 0x0010;

/** Identifier of the only timer in its kqueue. */
const IDENT = 1;

/** A kqueue with a timer. */
export class KqueueTimer implements TimerDescriptor {
  readonly #watch = new KqueueWatch();
  #dueMs = Infinity;
  #everyMs = Infinity;

  get fd(): number {
    return this.#watch.fd;
  }

  set(delayMs: number, everyMs: number): void {
    this.#dueMs = monotonicMs() + Math.max(delayMs, 0);
    this.#everyMs = everyMs;
    this.#watch.delete(IDENT, this.#watch.system.filters.TIMER); // fails if the timer is stopped or has expired
    this.#arm();
  }

  read(): number {
    if (this.#watch.take() === null) return 0;
    const lateMs = monotonicMs() - this.#dueMs;
    // The event is early because the delay exceeds the system's longest timer. If it is early by less than a
    // millisecond, only the two clocks differ.
    if (lateMs <= -1) {
      this.#arm();
      return 0;
    }
    const isPeriodic = this.#everyMs !== Infinity;
    const periods = isPeriodic ? 1 + Math.floor(Math.max(lateMs, 0) / this.#everyMs) : 1;
    this.#dueMs = isPeriodic ? this.#dueMs + periods * this.#everyMs : Infinity;
    this.#arm();
    return periods;
  }

  close(): void {
    this.#watch.close();
  }

  /** Adds the event of the next expiry, rounded up to at least 1 ms, because systems treat 0 differently. */
  #arm(): void {
    if (this.#dueMs === Infinity) return;
    const { filters, longestMs } = this.#watch.system;
    const leftMs = Math.min(Math.max(Math.ceil(this.#dueMs - monotonicMs()), 1), longestMs);
    check(this.#watch.add(IDENT, filters.TIMER, KQ_EV_ONESHOT, 0, leftMs), "kevent", this.fd);
  }
}
