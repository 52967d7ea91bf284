import { assertEquals, assertLess } from "@std/assert";
import { describe } from "@std/testing/bdd";
import { EVENT_READ, EVENT_WRITE } from "../../../mod.ts";
import type { AsyncSubject } from "./subject.ts";
import { nextTurns } from "../../support/util.ts";

/** Declares the tests of timers during waits, and of the end of a program. */
export function eventLoopContract({ name, test }: AsyncSubject): void {
  describe(`${name}: the event loop`, () => {
    test("for await does not starve timers if a descriptor is always ready", async (selector, cleanup) => {
      const [here] = cleanup.pair();
      const key = selector.register(here, EVENT_WRITE);
      const ticks = { forAwait: 0, selectAsync: 0, look: 0 };
      for (const kind of Object.keys(ticks) as (keyof typeof ticks)[]) {
        const start = performance.now();
        const interval = setInterval(() => ticks[kind]++, 10);
        if (kind === "forAwait") {
          for await (const _ of selector) if (ticks.forAwait >= 5) break;
        } else {
          while (ticks[kind] < 5) {
            assertEquals(await selector.selectAsync(kind === "look" ? 0 : null), [[key, EVENT_WRITE]]);
          }
        }
        clearInterval(interval);
        assertLess(performance.now() - start, 30_000);
      }
    });

    test("close() ends a wait whose promise is ignored", (selector, cleanup) => {
      const [here] = cleanup.pair();
      selector.register(here, EVENT_READ);
      void selector.selectAsync();
      selector.close();
      return nextTurns();
    });
  });
}
