import { assert, assertFalse, assertLessOrEqual } from "@std/assert";
import { describe } from "@std/testing/bdd";
import { isTurnOver } from "../selectors/waits/turns.ts";
import { nextTurns, test } from "./support/util.ts";

/** Runs handlers of one millisecond until the turn is over, and returns their number. */
function slowHandlers(): number {
  let handlers = 0;
  while (!isTurnOver()) {
    handlers++;
    for (const start = performance.now(); performance.now() - start < 1;);
  }
  return handlers;
}

describe("turns", () => {
  test("a turn ends after at most eight slow handlers", async () => {
    for (let turn = 0; turn < 3; turn++) {
      await nextTurns();
      assertLessOrEqual(slowHandlers(), 8);
    }
  });

  test("a turn ends after at most 32 handlers if they become slow", async () => {
    await nextTurns();
    for (let handlers = 0; handlers < 200 && !isTurnOver(); handlers++);
    assertLessOrEqual(slowHandlers(), 32);
  });

  test("a turn of quick handlers does not make the next turn longer", async () => {
    await nextTurns();
    for (let handlers = 0; handlers < 200 && !isTurnOver(); handlers++);
    await nextTurns();
    assertLessOrEqual(slowHandlers(), 8);
  });

  test("a turn that is over stays over until the event loop has run", async () => {
    await nextTurns();
    slowHandlers();
    assert(isTurnOver());
    await nextTurns();
    assertFalse(isTurnOver());
  });
});
