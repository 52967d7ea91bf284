/**
 * What poll, epoll and /dev/poll share: their flags, which have the same numbers on every system.
 *
 * @module
 */

import { EVENT_READ, EVENT_WRITE } from "./events.ts";

const IN = 0x001;
const OUT = 0x004;

/** The flags to wait for. */
export function flagsOf(events: number): number {
  return ((events & EVENT_READ) !== 0 ? IN : 0) | ((events & EVENT_WRITE) !== 0 ? OUT : 0);
}

/**
 * The events that flags stand for.
 *
 * An error or a hang-up makes a descriptor readable and writable: the next call on it will not block, and will tell.
 */
export function eventsOf(flags: number): number {
  return ((flags & ~OUT) !== 0 ? EVENT_READ : 0) | ((flags & ~IN) !== 0 ? EVENT_WRITE : 0);
}
