/**
 * Runs each fault injection scenario with a few faults, and without faults under signals, a stepping clock and forced
 * garbage collections. `deno task faults` runs all faults.
 *
 * @module
 */

import { assertEquals, assertGreater } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { buildShim } from "./faults/build.ts";
import { none, runAll, some } from "./faults/plan.ts";
import { brokenRuns } from "./faults/run.ts";
import { isEmulated, skip } from "./support/util.ts";

const directory = await Deno.makeTempDir();
const library = isEmulated
  ? { reason: "the emulator is too slow for this many processes" }
  : await buildShim(directory);

describe("fault injection", () => {
  if ("reason" in library) skip("every scenario survives", library.reason);
  else {
    const { path } = library;
    for (
      const [title, conditions, choose] of [
        ["every scenario survives failing system calls", "calm", some],
        ["every scenario survives signals at 1 kHz", "signals", none],
        ["every scenario survives a stepping wall clock and fake timers", "clocks", none],
        ["every scenario of EpollSelector survives a garbage collection before every call", "collections", none],
      ] as const
    ) {
      it(title, async () => {
        const results = await runAll(path, conditions, choose, conditions === "collections" ? ["EpollSelector"] : []);
        assertGreater(results.length, 10);
        assertEquals(brokenRuns(results), "");
      });
    }
  }
  it("the compiled library can be removed", () => Deno.remove(directory, { recursive: true }));
});
