/**
 * A part of the matrix of faults: each scenario with a few faults, and under signals, a stepping clock and forced
 * collections. `deno task faults` runs all of it.
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
  ? { reason: "the emulator takes too long for so many processes" }
  : await buildShim(directory);

describe("scenarios with system calls that fail", () => {
  if ("reason" in library) skip("every scenario survives", library.reason);
  else {
    const { path } = library;
    for (
      const [title, conditions, choose] of [
        ["every scenario survives system calls that fail", "calm", some],
        ["every scenario survives signals at 1 kHz", "signals", none],
        ["every scenario survives a stepping wall clock and fake timers", "clocks", none],
        ["every scenario of EpollSelector survives a collection between any two calls", "collections", none],
      ] as const
    ) {
      it(title, async () => {
        const results = await runAll(path, conditions, choose, conditions === "collections" ? ["EpollSelector"] : []);
        assertGreater(results.length, 10);
        assertEquals(brokenRuns(results), "");
      });
    }
  }
  it("the compiled library is removed", () => Deno.remove(directory, { recursive: true }));
});
