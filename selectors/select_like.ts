/**
 * Events as membership in the sets of select(2).
 *
 * @module
 */

import { IN_READ, IN_WRITABLE } from "../ffi/select.ts";
import { EVENT_READ, EVENT_WRITE } from "./events.ts";

/** The sets in which to wait. */
export function setsOf(events: number): number {
  return ((events & EVENT_READ) !== 0 ? IN_READ : 0) | ((events & EVENT_WRITE) !== 0 ? IN_WRITABLE : 0);
}

/** The events that membership stands for. */
export function eventsOf(where: number): number {
  return ((where & IN_READ) !== 0 ? EVENT_READ : 0) | ((where & IN_WRITABLE) !== 0 ? EVENT_WRITE : 0);
}
