import { assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { describe } from "@std/testing/bdd";
import { EVENT_READ, EVENT_WRITE } from "../../../mod.ts";
import type { AsyncSubject } from "./subject.ts";
import { BOTH, bytes, nextTurns } from "../../support/util.ts";

/** Declares the tests of what `selectAsync()` sees during a wait, and of what ends it. */
export function waitsContract({ name, test, create }: AsyncSubject): void {
  describe(`${name}: what changes during a wait`, () => {
    test("what becomes ready ends the wait", async (selector, cleanup) => {
      const [here, there] = cleanup.pair();
      const key = selector.register(here, EVENT_READ);
      const wait = selector.selectAsync();
      await nextTurns();
      there.send(bytes("x"));
      assertEquals(await wait, [[key, EVENT_READ]]);
    });

    test("what is registered, modified or unregistered takes effect in the wait", async (selector, cleanup) => {
      const [here, there] = cleanup.pair();
      let wait = selector.selectAsync();
      await nextTurns();
      selector.register(here, EVENT_READ);
      await nextTurns();
      const writable = selector.modify(here, BOTH);
      assertEquals(await wait, [[writable, EVENT_WRITE]]);

      const [other] = cleanup.pair();
      selector.modify(here, EVENT_READ);
      wait = selector.selectAsync();
      await nextTurns();
      selector.unregister(here);
      there.send(bytes("for nobody"));
      await nextTurns();
      const key = selector.register(other, EVENT_WRITE);
      assertEquals(await wait, [[key, EVENT_WRITE]]);
    });

    test("a peer sees the end of what is unregistered and closed during the wait", async (selector, cleanup) => {
      const [here, there] = cleanup.pair();
      selector.register(here, EVENT_READ);
      const wait = selector.selectAsync(1);
      await nextTurns();
      selector.unregister(here);
      here.close();
      const peer = cleanup.add(create());
      const key = peer.register(there, EVENT_READ);
      assertEquals(await peer.selectAsync(), [[key, EVENT_READ]]);
      selector.wakeup();
      assertEquals(await wait, []);
    });

    test("any number of waits of any number of selectors go on at once", async (selector, cleanup) => {
      const other = cleanup.add(create());
      const [here, there] = cleanup.pair();
      const key = selector.register(here, EVENT_READ);
      const otherKey = other.register(here, EVENT_READ);
      const waits = [selector.selectAsync(), selector.selectAsync(10), other.selectAsync(), selector.selectAsync(0.01)];
      assertEquals(await waits.pop(), []);
      there.send(bytes("x"));
      assertEquals(await Promise.all(waits), [[[key, EVENT_READ]], [[key, EVENT_READ]], [[otherKey, EVENT_READ]]]);
    });

    test("select() and selectAsync() of one selector do not disturb each other", async (selector, cleanup) => {
      const [here, there] = cleanup.pair();
      const key = selector.register(here, EVENT_READ);
      const wait = selector.selectAsync();
      await nextTurns();
      assertEquals(selector.select(0.01), []);
      there.send(bytes("x"));
      assertEquals(selector.select(), [[key, EVENT_READ]]);
      assertEquals(await wait, [[key, EVENT_READ]]);
    });

    test("a descriptor that is closed behind its back during the wait falls silent", async (selector, cleanup) => {
      const [here, there] = cleanup.pair();
      const [closed] = cleanup.pair();
      selector.register(closed, EVENT_READ);
      const key = selector.register(here, EVENT_READ);
      const wait = selector.selectAsync();
      await nextTurns();
      closed.close();
      assertEquals(await selector.selectAsync(0.02), []);
      there.send(bytes("x"));
      assertEquals(await wait, [[key, EVENT_READ]]);
    });
  });

  describe(`${name}: what ends a wait`, () => {
    test("close() ends every wait with an empty array", async (selector, cleanup) => {
      const [here] = cleanup.pair();
      selector.register(here, EVENT_READ);
      const waits = [selector.selectAsync(), selector.selectAsync(100)];
      selector.close(); // before anything is blocked
      assertEquals(await Promise.all(waits), [[], []]);
      const other = cleanup.add(create());
      const wait = other.selectAsync();
      await nextTurns();
      other.close();
      assertEquals(await wait, []);
    });

    test("an abort rejects with its reason, before, at the start and in the middle", async (selector, cleanup) => {
      const [here] = cleanup.pair();
      selector.register(here, EVENT_READ);
      const reason = new Error("enough");
      for (const start of [null, () => {}, nextTurns]) {
        const controller = new AbortController();
        if (start === null) controller.abort(reason);
        const wait = selector.selectAsync(undefined, { signal: controller.signal });
        const rejection = assertRejects(() => wait, Error, "enough");
        await start?.();
        controller.abort(reason);
        assertStrictEquals(await rejection, reason);
      }
      selector.modify(here, EVENT_WRITE);
      await assertRejects(() => selector.selectAsync(0, { signal: AbortSignal.abort(reason) }), Error, "enough");
    });

    test("an abort of one wait leaves the others", async (selector, cleanup) => {
      const [here, there] = cleanup.pair();
      const key = selector.register(here, EVENT_READ);
      const controller = new AbortController();
      const rejection = assertRejects(() => selector.selectAsync(null, { signal: controller.signal }));
      const wait = selector.selectAsync();
      await nextTurns();
      controller.abort();
      await rejection;
      there.send(bytes("x"));
      assertEquals(await wait, [[key, EVENT_READ]]);
    });

    test("timeouts that are none are refused", async (selector) => {
      await assertRejects(() => selector.selectAsync(NaN), RangeError, "NaN");
      await assertRejects(() => selector.selectAsync({ months: 1 }), RangeError, "P1M");
      assertThrows(() => selector.events({ timeout: NaN }), RangeError, "NaN");
    });
  });
}
