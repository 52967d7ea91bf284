/**
 * Stand-ins for kqueue, and the numbers of the systems that they imitate.
 *
 * @module
 */

import type { StandInSystem } from "../standins/kqueue_standin.ts";
import { Cleanup, test as declare, type TestArguments, withOptions } from "./util.ts";

/** Errors with their Linux numbers. */
export const [ENOENT, EINTR, EBADF, ENOMEM, EFAULT, EINVAL] = [2, 4, 9, 12, 14, 22];

/** Systems that the stand-in can imitate. */
export const SYSTEMS: readonly StandInSystem[] = ["darwin", "freebsd", "netbsd", "linux"];

/** The numbers of READ and WRITE from the systems' headers, not from the code under test. */
export const FILTERS: Record<StandInSystem, [read: number, write: number, timer: number, user: number]> = {
  darwin: [-1, -2, -7, -10],
  freebsd: [-1, -2, -7, -11],
  netbsd: [0, 1, 6, 8],
  linux: [-1, -2, -7, -11],
};

/** Declares a test with a `Cleanup`, which is disposed of at its end. */
export function test(name: string, ...args: TestArguments<(cleanup: Cleanup) => void | Promise<void>>): void {
  const [options, body] = withOptions(args);
  declare(name, options, async () => {
    using cleanup = new Cleanup();
    await body(cleanup);
  });
}

/** The reason why other systems skip these tests. */
export const NO_STAND_IN = "the stand-in is written over Linux's ppoll()";
