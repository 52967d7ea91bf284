/**
 * Provides descriptors for timing selectors: Linux eventfds, which need only one descriptor each.
 *
 * @module
 */

import { errnoCell, lazyLibc, result } from "../ffi/os/call.ts";
import { check } from "../ffi/os/errno.ts";

const EFD_NONBLOCK = 0o4000;
const EFD_CLOEXEC = 0o2000000;

const libc = lazyLibc({
  eventfd: {
    parameters: [
      "u32", // unsigned int initval
      "i32", // int flags
    ],
    result: "i32",
  },
});

/** Creates eventfds that stay readable. */
export function readyEventfds(count: number): number[] {
  return eventfds(count, 1);
}

/** Creates eventfds that never become readable. */
export function idleEventfds(count: number): number[] {
  return eventfds(count, 0);
}

function eventfds(count: number, value: 0 | 1): number[] {
  return Array.from(
    { length: count },
    () => check(result(libc().eventfd(value, EFD_CLOEXEC | EFD_NONBLOCK), errnoCell[0]!), "eventfd"),
  );
}
