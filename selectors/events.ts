/**
 * What can be waited for, and how poll, epoll and /dev/poll, and select(2), say the same.
 *
 * @module
 */

import { IN_READ, IN_WRITABLE } from "../ffi/os/select.ts";

/** The file object can be read without blocking: data, a connection to accept, end of file, or an error. */
export const EVENT_READ = 1;
/** The file object can be written without blocking: room, a connection made, or an error. */
export const EVENT_WRITE = 2;

// POLLIN is EPOLLIN, POLLOUT is EPOLLOUT, and they have the same numbers on every system.
const IN = 0x001;
const OUT = 0x004;

/** The flags with which poll, epoll and /dev/poll wait. */
export function flagsOf(events: number): number {
  return ((events & EVENT_READ) !== 0 ? IN : 0) | ((events & EVENT_WRITE) !== 0 ? OUT : 0);
}

/**
 * The events that flags stand for.
 *
 * An error or a hang-up makes a descriptor readable and writable: the next call on it will not block, and will tell.
 */
export function eventsOfFlags(flags: number): number {
  return ((flags & ~OUT) !== 0 ? EVENT_READ : 0) | ((flags & ~IN) !== 0 ? EVENT_WRITE : 0);
}

/** The sets in which select(2) waits. */
export function setsOf(events: number): number {
  return ((events & EVENT_READ) !== 0 ? IN_READ : 0) | ((events & EVENT_WRITE) !== 0 ? IN_WRITABLE : 0);
}

/** The events that membership in sets stands for. */
export function eventsOfSets(where: number): number {
  return ((where & IN_READ) !== 0 ? EVENT_READ : 0) | ((where & IN_WRITABLE) !== 0 ? EVENT_WRITE : 0);
}
