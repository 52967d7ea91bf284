import { assert, assertFalse, assertLessOrEqual } from "@std/assert";
import { describe } from "@std/testing/bdd";
import { isTurnOver } from "../selectors/waits/turns.ts";
import { nextTurns, test } from "./support/util.ts";

/** Runs handlers of a millisecond until the turn is over; returns their number. */
function slowHandlers(): number {
  let handlers = 0;
  while (!isTurnOver()) {
    handlers++;
    for (const start = performance.now(); performance.now() - start < 1;);
  }
  return handlers;
}

describe("turns", () => {
  test("a turn of slow handlers is over after at most eight of them", async () => {
    for (let turn = 0; turn < 3; turn++) {
      await nextTurns();
      assertLessOrEqual(slowHandlers(), 8);
    }
  });

  test("a turn whose handlers become slow is over after at most 32 of them", async () => {
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

  test("a turn stays over until the event loop has run", async () => {
    await nextTurns();
    slowHandlers();
    assert(isTurnOver());
    await nextTurns();
    assertFalse(isTurnOver());
  });
});
