import { assertEquals, assertLess, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { describe } from "@std/testing/bdd";
import { EVENT_READ, EVENT_WRITE } from "../../../mod.ts";
import type { AsyncSubject } from "./subject.ts";
import { BOTH, bytes, nextTurns, SOON } from "../../support/util.ts";

/** Declares the tests of changes that `selectAsync()` sees during a wait, and of the ways to end a wait. */
export function waitsContract({ name, test, create }: AsyncSubject): void {
  describe(`${name}: changes during a wait`, () => {
    test(
      "abort() ends every wait with its signal, even after another of these waits has ended",
      async (selector, cleanup) => {
        const [here, there] = cleanup.pair();
        const other = cleanup.add(create());
        other.register(here, EVENT_READ);
        // The blocked call ends after two seconds anyway; the fastest of a few tries takes far less.
        let leastMs = Infinity;
        for (let tries = 0; tries < 5 && leastMs > 1_000; tries++) {
          const controller = new AbortController();
          const first = other.selectAsync(null, { signal: controller.signal });
          const second = selector.selectAsync(null, { signal: controller.signal });
          await nextTurns();
          there.send(bytes("x"));
          assertEquals((await first).length, 1);
          here.recv(1);
          const start = performance.now();
          controller.abort();
          await assertRejects(() => second, DOMException);
          leastMs = Math.min(leastMs, performance.now() - start);
        }
        assertLess(leastMs, 1_000);
      },
    );

    test("selectAsync() resolves when a descriptor becomes ready", async (selector, cleanup) => {
      const [here, there] = cleanup.pair();
      const key = selector.register(here, EVENT_READ);
      const wait = selector.selectAsync();
      await nextTurns();
      there.send(bytes("x"));
      assertEquals(await wait, [[key, EVENT_READ]]);
    });

    test("register(), modify() and unregister() take effect on a pending wait", async (selector, cleanup) => {
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

    test(
      "register(), modify() and unregister() between two waits take effect on the next",
      async (selector, cleanup) => {
        const [here] = cleanup.pair();
        const [other, peer] = cleanup.pair();
        selector.register(here, EVENT_READ);
        assertEquals(await selector.selectAsync(0.001), []);
        const key = selector.register(other, EVENT_READ);
        let wait = selector.selectAsync(SOON);
        await nextTurns();
        peer.send(bytes("x"));
        assertEquals(await wait, [[key, EVENT_READ]]);

        other.recv(1);
        assertEquals(await selector.selectAsync(0.001), []);
        other.setBlocking(false);
        peer.setBlocking(false);
        while (other.trySend(new Uint8Array(65_536)) !== null);
        const writable = selector.modify(other, EVENT_WRITE);
        wait = selector.selectAsync(SOON);
        await nextTurns();
        while (peer.tryRecvInto(new Uint8Array(65_536)) !== null);
        assertEquals(await wait, [[writable, EVENT_WRITE]]);

        selector.unregister(other);
        selector.unregister(here);
        here.close();
        const [next, there] = cleanup.pair(); // may reuse the number of the closed socket
        const nextKey = selector.register(next, EVENT_READ);
        wait = selector.selectAsync(SOON);
        await nextTurns();
        there.send(bytes("x"));
        assertEquals(await wait, [[nextKey, EVENT_READ]]);
      },
    );

    test("unregister() and close() of a socket during a wait let its peer read the end", async (selector, cleanup) => {
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

    test("selectAsync() waits in several selectors, and several times in one, at once", async (selector, cleanup) => {
      const other = cleanup.add(create());
      const [here, there] = cleanup.pair();
      const key = selector.register(here, EVENT_READ);
      const otherKey = other.register(here, EVENT_READ);
      const waits = [selector.selectAsync(), selector.selectAsync(10), other.selectAsync(), selector.selectAsync(0.01)];
      assertEquals(await waits.pop(), []);
      there.send(bytes("x"));
      assertEquals(await Promise.all(waits), [[[key, EVENT_READ]], [[key, EVENT_READ]], [[otherKey, EVENT_READ]]]);
    });

    test("select() does not affect a pending selectAsync()", async (selector, cleanup) => {
      const [here, there] = cleanup.pair();
      const key = selector.register(here, EVENT_READ);
      const wait = selector.selectAsync();
      await nextTurns();
      assertEquals(selector.select(0.01), []);
      there.send(bytes("x"));
      assertEquals(selector.select(), [[key, EVENT_READ]]);
      assertEquals(await wait, [[key, EVENT_READ]]);
    });

    test("selectAsync() reports no descriptor that is closed during the wait", async (selector, cleanup) => {
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

  describe(`${name}: the end of a wait`, () => {
    test("close() ends every wait with an empty array", async (selector, cleanup) => {
      const [here] = cleanup.pair();
      selector.register(here, EVENT_READ);
      const waits = [selector.selectAsync(), selector.selectAsync(100)];
      selector.close(); // before any wait has parked
      assertEquals(await Promise.all(waits), [[], []]);
      const other = cleanup.add(create());
      const wait = other.selectAsync();
      await nextTurns();
      other.close();
      assertEquals(await wait, []);
    });

    test("selectAsync() rejects with an abort's reason, before and during the wait", async (selector, cleanup) => {
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

    test("abort() of one wait leaves the other waits pending", async (selector, cleanup) => {
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

    test("selectAsync() and events() reject an invalid timeout", async (selector) => {
      await assertRejects(() => selector.selectAsync(NaN), RangeError, "NaN");
      await assertRejects(() => selector.selectAsync({ months: 1 }), RangeError, "P1M");
      assertThrows(() => selector.events({ timeout: NaN }), RangeError, "NaN");
    });
  });
}
