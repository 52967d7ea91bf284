import { assertEquals, assertGreaterOrEqual, assertLess, assertRejects } from "@std/assert";
import { describe } from "@std/testing/bdd";
import { EVENT_READ, EVENT_WRITE } from "../../../mod.ts";
import { elapsedMs, type Subject } from "./subject.ts";
import { interrupted } from "../../support/signals.ts";
import { bytes } from "../../support/util.ts";

/** Declares the tests of the timeouts of `select()`. */
export function timeoutsContract({ name, test, make, select }: Subject): void {
  describe(`${name}: timeouts`, () => {
    test("select() waits out its timeout if nothing is registered", async (cleanup) => {
      const selector = make(cleanup);
      assertEquals(await select(selector, 0), []);
      assertGreaterOrEqual(await elapsedMs(async () => assertEquals(await select(selector, 0.05), [])), 50);
      const [here] = cleanup.pair();
      selector.register(here, EVENT_READ);
      selector.unregister(here);
      assertGreaterOrEqual(await elapsedMs(async () => assertEquals(await select(selector, 0.05), [])), 50);
    });

    test("select() does not wait if the timeout is 0 or less", async (cleanup) => {
      const selector = make(cleanup);
      const [here, there] = cleanup.pair();
      selector.register(here, EVENT_READ);
      for (const timeout of [0, -0, -1, -1e-100, -Infinity, { milliseconds: 0 }, { seconds: -1 }]) {
        assertLess(await elapsedMs(async () => assertEquals(await select(selector, timeout), [])), 30_000);
      }
      there.send(bytes("x"));
      for (const timeout of [0, -1, -Infinity]) assertEquals((await select(selector, timeout)).length, 1);
    });

    test("select() waits out its timeout, in seconds and in durations", async (cleanup) => {
      const selector = make(cleanup);
      const [here] = cleanup.pair();
      selector.register(here, EVENT_READ);
      for (const timeout of [0.06, 0.06, { milliseconds: 60 }, Temporal.Duration.from("PT0.06S")]) {
        const elapsed = await elapsedMs(async () => assertEquals(await select(selector, timeout), []));
        assertGreaterOrEqual(elapsed, 60);
        assertLess(elapsed, 30_000);
      }
    });

    test("select() returns at once if a descriptor is ready, whatever the timeout", async (cleanup) => {
      const selector = make(cleanup);
      const [here] = cleanup.pair();
      const key = selector.register(here, EVENT_WRITE);
      const timeouts = [undefined, null, Infinity, 1e300, Number.MAX_VALUE, 2 ** 53, 2 ** 31, 1e10, { hours: 1e6 }];
      for (const timeout of timeouts) assertEquals(await select(selector, timeout), [[key, EVENT_WRITE]]);
    });

    test("select() never returns before a timeout of less than a millisecond", async (cleanup) => {
      const selector = make(cleanup);
      const [here] = cleanup.pair();
      selector.register(here, EVENT_READ);
      for (const ms of [0.001, 0.1, 0.7, 1, 1.1, 3.1]) {
        for (let round = 0; round < 20; round++) {
          assertGreaterOrEqual(await elapsedMs(async () => assertEquals(await select(selector, ms / 1000), [])), ms);
        }
      }
    });

    test(
      "select() returns within a millisecond after a timeout of 0.1 ms",
      { needs: ["shortTimeouts"] },
      async (cleanup) => {
        const selector = make(cleanup);
        const [here] = cleanup.pair();
        selector.register(here, EVENT_READ);
        // Takes the shortest of many waits, because a busy machine delays some of them.
        let best = Infinity;
        const start = performance.now();
        for (let round = 0; round < 100 || (best >= 0.9 && performance.now() - start < 20_000); round++) {
          best = Math.min(best, await elapsedMs(() => select(selector, 0.0001)));
        }
        assertGreaterOrEqual(best, 0.1);
        assertLess(best, 0.9);
      },
    );

    test("select() throws RangeError or TypeError for an invalid timeout", async (cleanup) => {
      const selector = make(cleanup);
      await assertRejects(() => select(selector, NaN), RangeError, "NaN");
      for (const duration of [{ weeks: 1 }, { months: 1 }, { years: 1 }]) {
        await assertRejects(() => select(selector, duration), RangeError, "Cannot wait for P1");
      }
      await assertRejects(() => select(selector, {}), TypeError);
      for (const strange of ["1", 1n, true, () => 1]) {
        await assertRejects(() => select(selector, strange as unknown as number), TypeError);
      }
    });

    test(
      "select() waits for the remaining time after a signal interrupts it",
      { needs: ["signals"] },
      async (cleanup) => {
        const selector = make(cleanup);
        const [here, there] = cleanup.pair();
        selector.register(here, EVENT_READ);
        const signals = await interrupted(async () => {
          const elapsed = await elapsedMs(async () => assertEquals(await select(selector, 0.3), []));
          assertGreaterOrEqual(elapsed, 300);
          assertLess(elapsed, 30_000);
          there.send(bytes("x"));
          assertEquals((await select(selector)).length, 1);
        });
        assertGreaterOrEqual(signals, 1); // hundreds, on an idle machine
      },
    );
  });
}
