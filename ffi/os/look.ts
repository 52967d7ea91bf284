/**
 * Checks one descriptor without waiting, for a wait without a selector.
 *
 * @module
 */

import { errnoCell, lazyLibc, result } from "./call.ts";
import { EBADF } from "./errno.ts";
import { lazy } from "./library.ts";
import { MODES } from "./events.ts";
import { eventsOf, flagsOf, POLLFD, POLLNVAL, pollSupports } from "./poll.ts";
import { eventsOf as eventsOfSets, SelectSet, selectSupports, setsOf } from "./select.ts";
import { isOpen } from "./sys.ts";
import { system } from "./systems.ts";
import { isInterruption } from "./timeout.ts";

const libc = lazyLibc({
  // int poll(struct pollfd *fds, nfds_t nfds, int timeout)
  poll: { parameters: ["buffer", "usize", "i32"], result: "i32" },
});

// One struct pollfd, in 32-bit integers: the second is events | revents << 16.
const pollfd = new Int32Array(POLLFD.size / 4);
const FD = POLLFD.fd / 4;
const MASKS = POLLFD.events / 4;
const REVENTS_SHIFT = (POLLFD.revents - POLLFD.events) * 8;

function lookByPoll(fd: number, events: number): number {
  const { poll } = libc();
  pollfd[FD] = fd;
  pollfd[MASKS] = flagsOf(events);
  for (;;) {
    const outcome = result(poll(pollfd, 1n, 0), errnoCell[0]!);
    if (isInterruption(outcome)) continue;
    if (outcome <= 0) return outcome;
    const revents = pollfd[MASKS]! >>> REVENTS_SHIFT;
    return (revents & POLLNVAL) !== 0 ? -EBADF : eventsOf(revents) & events;
  }
}

const one = lazy(() => new SelectSet());

function lookBySelect(fd: number, events: number): number {
  const set = one();
  for (;;) {
    if (!isOpen(fd)) return -EBADF; // first, because the size of a set grows with its largest descriptor
    set.set(fd, setsOf(events));
    const outcome = set.wait(0);
    const ready = outcome > 0 && set.gather(outcome) > 0 ? eventsOfSets(set.whereAt(0)) & events : 0;
    set.set(fd, 0);
    if (!isInterruption(outcome)) return outcome < 0 ? outcome : ready;
  }
}

/** System call of {@linkcode look}, for error messages. */
export const lookCall: "poll" | "select" = system.park;

/** EVENT_* bits that {@linkcode look} reports. */
export const lookSupports: number = (system.park === "select" ? selectSupports : pollSupports) & ~MODES;

/**
 * Returns those of the given EVENT_* bits for which a descriptor is ready now, or `-errno`.
 *
 * Uses the system call of parked waits, so that both agree about readiness.
 */
export const look: (fd: number, events: number) => number = system.park === "select" ? lookBySelect : lookByPoll;
