/**
 * Helpers for the tests of `./sources`.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { it } from "@std/testing/bdd";
import { os, system } from "../../ffi/os/systems.ts";
import { borrowWaker } from "../../ffi/os/waker.ts";
import { Signals } from "../../ffi/sources/mod.ts";
import { lackedBy } from "./needs.ts";
import { isWindows, type Need, openDescriptors, skip, type TestArguments, withOptions } from "./util.ts";

/** Timers with a descriptor. */
export const TIMERS: Need = system.timer === null ? `${os} has no descriptors for timers` : null;

/** Descriptors for processes. */
export const PROCESSES: Need = system.process === null ? `${os} has no descriptors for processes` : null;

/** PIDFD_GET_INFO, which returns the result of a child that Deno has reaped. */
export const EXIT_INFO: Need = lackedBy({
  notLinux: "only Linux keeps the result of a reaped process",
  emulated: "the emulator does not support PIDFD_GET_INFO",
}) ?? (kernelVersion() >= 6.15 ? null : "Linux keeps the result of a reaped process since 6.15");

function kernelVersion(): number {
  const [major, minor] = Deno.osRelease().split(".").map(Number);
  return major! + minor! / 100;
}

// Deno opens descriptors for the first Worker, the first signal and the first child, and the package keeps wakers.
const wakers = Array.from({ length: 4 }, borrowWaker);
if (!isWindows) {
  new Signals(["SIGWINCH"]).close();
  await new Deno.Command("true").output();
}
for (const waker of wakers) waker.giveBack();

/**
 * Declares a test that starts Workers, and that fails if it changes the number of open descriptors.
 *
 * Deno keeps two descriptors of the last Worker open. They change with each Worker, so only their count is compared.
 */
export function testOfWorkers(name: string, ...args: TestArguments<() => void | Promise<void>>): void {
  const [{ needs = [] }, body] = withOptions(args);
  const reason = needs.find((need) => need !== null);
  if (reason != null) return skip(name, reason);
  it(name, async () => {
    const before = openDescriptors().size;
    await body();
    // The thread of a terminated Worker ends after a delay.
    for (let tries = 0; tries < 100 && openDescriptors().size !== before; tries++) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    assertEquals(openDescriptors().size, before, "The test left other descriptors open than it found");
  });
}
