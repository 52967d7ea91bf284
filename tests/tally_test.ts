import { assertEquals } from "@std/assert";
import { describe } from "@std/testing/bdd";
import { tally } from "./support/tally.ts";
import { test } from "./support/util.ts";

describe("tally", () => {
  test("tally() counts tests and innermost steps, and no groups", () => {
    const output = `
running 3 tests from ./tests/a_test.ts
alone ... ok (2ms)
outer ...
  inner ...
    first ... ok (1ms)
    second ... FAILED (1ms)
    third (skipped: there is no fourth) ... ignored (0ms)
  inner ... FAILED (due to 1 failed step) (4ms)
  after ... ok (1ms)
outer ... FAILED (due to 1 failed step) (5ms)
last ... ok (2ms)

FAILED | 2 passed (4 steps) | 1 failed (2 steps) | 0 ignored (1 step) (20ms)
`;
    assertEquals(tally(output), { passed: 4, failed: 1, skipped: 1 });
  });

  test("tally() ignores colors and accepts the line ends of Windows", () => {
    const output = "a ... \x1b[0m\x1b[32mok\x1b[0m (1ms)\r\nb ... \x1b[0m\x1b[33mignored\x1b[0m (0ms)\r\n";
    assertEquals(tally(output), { passed: 1, failed: 0, skipped: 1 });
  });

  test("tally() returns zeros for a suite without tests", () => {
    assertEquals(tally("ok | 0 passed | 0 failed (1ms)\n"), { passed: 0, failed: 0, skipped: 0 });
  });
});
