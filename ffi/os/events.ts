/**
 * Events and modes of a selector; each poller translates them into the flags of its system call.
 *
 * @module
 */

import { show } from "./arguments.ts";
import { os } from "./systems.ts";

/** The file object can be read without blocking: data, a connection to accept, end of file, or an error. */
export const EVENT_READ = 1;
/** The file object can be written without blocking: room, a completed connection, or an error. */
export const EVENT_WRITE = 2;
// The other bits are large and differ from all POLL* and EPOLL* flags, so that a mask of such flags is rejected.
/**
 * Urgent or exceptional data: TCP out-of-band data, a change of a GPIO line or of `/proc/mounts`, or a packet-mode
 * event of a pty.
 *
 * Files such as `/proc/mounts` and `/proc/pressure/memory` report a change to one call only. Register them with this
 * event, not with EVENT_ERROR alone, and without MODE_EDGE.
 */
export const EVENT_PRIORITY = 0x1_0000;
/**
 * The other end sends no more data: it has closed the connection, or shut down its writing half.
 *
 * TCP does not distinguish these two. Unread data may remain.
 */
export const EVENT_READ_CLOSED = 0x2_0000;
/** Both directions are closed. */
export const EVENT_HANGUP = 0x4_0000;
/** An error is pending: the socket option `SO_ERROR` is set, or the pipe has no reader. */
export const EVENT_ERROR = 0x10_0000;

/**
 * Mode: reports each change of readiness once (edge-triggered), instead of readiness at every wait (level-triggered).
 *
 * After an event, read or write until the call would block, because the rest is not reported. epoll and kqueue support
 * it.
 */
export const MODE_EDGE = 0x20_0000;
/** Mode: reports the file object once, and not again until `modify()`. Every selector supports it. */
export const MODE_ONCE = 0x40_0000;

/** The events of Python's selectors. */
export const BASIC_EVENTS: number = EVENT_READ | EVENT_WRITE;
/** Both modes. */
export const MODES: number = MODE_EDGE | MODE_ONCE;
/** States that the kernel always reports, even if the mask does not ask for them. */
const UNASKED = EVENT_HANGUP | EVENT_ERROR;
/** The events that Python's selectors do not have. */
const MORE_EVENTS = EVENT_PRIORITY | EVENT_READ_CLOSED | UNASKED;
const ALL = BASIC_EVENTS | MORE_EVENTS | MODES;

const NAMES = {
  EVENT_READ,
  EVENT_WRITE,
  EVENT_PRIORITY,
  EVENT_READ_CLOSED,
  EVENT_HANGUP,
  EVENT_ERROR,
  MODE_EDGE,
  MODE_ONCE,
};

/** Returns the names of the bits of a mask: `"EVENT_READ | MODE_ONCE"`. */
export function namesOf(mask: number): string {
  return Object.entries(NAMES).filter(([, bit]) => (mask & bit) !== 0).map(([name]) => name).join(" | ");
}

/** Returns true if a mask has at least one event and no unknown bit. */
export function isMask(mask: unknown): mask is number {
  return typeof mask === "number" && (mask & ALL) === mask && (mask & ~MODES) !== 0;
}

/** Returns true for EVENT_READ, EVENT_WRITE and both, which every mechanism supports. */
export function isBasic(mask: number): boolean {
  return mask === EVENT_READ || mask === EVENT_WRITE || mask === BASIC_EVENTS;
}

/**
 * Checks a mask, and returns it. If it has an event beyond reading and writing, the result also has the events that the
 * kernel always reports.
 *
 * @param supports Bits that the mechanism supports
 * @param action What the caller attempts, for the message: `"register fd 5"`
 * @param actor Name of the class or function that does not support a bit
 * @throws {RangeError} if the mask has no event or an unknown bit
 * @throws {Deno.errors.NotSupported} if the mechanism does not support a bit
 */
export function checkMask(mask: number, supports: number, action: string, actor: string): number {
  if (!isMask(mask)) {
    throw new RangeError(
      `Cannot ${action} for events ${show(mask)}: use EVENT_READ, EVENT_WRITE or both (${BASIC_EVENTS}), ` +
        "or other EVENT_* and MODE_* bits with at least one event",
    );
  }
  if ((mask & ~supports) === 0) return (mask & MORE_EVENTS) === 0 ? mask : mask | (UNASKED & supports);
  throw new Deno.errors.NotSupported(
    `Cannot ${action} for ${namesOf(mask & ~supports)}: ${actor} does not support this on ${os}`,
  );
}
