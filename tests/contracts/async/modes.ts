import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { describe } from "@std/testing/bdd";
import { EVENT_READ, EVENT_WRITE, MODE_EDGE, MODE_ONCE, type SelectorKey } from "../../../mod.ts";
import type { Socket } from "../../../ffi/socket/mod.ts";
import type { AsyncSubject } from "./subject.ts";
import { bytes, type Cleanup, nextTurns, SOON } from "../../support/util.ts";

/** Declares the tests of MODE_ONCE and MODE_EDGE in asynchronous waits. */
export function asyncModesContract({ name, test }: AsyncSubject): void {
  describe(`${name}: modes in asynchronous waits`, () => {
    test("MODE_ONCE reports one entry per modify() to a slow handler", async (selector, cleanup) => {
      const [here, there] = cleanup.pair();
      selector.register(here, EVENT_READ | MODE_ONCE);
      there.send(bytes("x"));
      let entries = 0;
      for await (const [key, events] of selector.events({ timeout: 0.05 })) {
        assertEquals(events, EVENT_READ);
        if (++entries === 3) continue; // does not arm the descriptor again
        setTimeout(() => selector.modify(key.fd, EVENT_READ | MODE_ONCE), 10);
      }
      assertEquals(entries, 3);
    });

    test(
      "selectAsync() does not return for a ready descriptor whose MODE_ONCE is spent",
      async (selector, cleanup) => {
        const [here, there] = cleanup.pair();
        const [other, peer] = cleanup.pair();
        selector.register(here, EVENT_READ | MODE_ONCE);
        selector.register(other, EVENT_READ);
        there.close();
        assertEquals((await selector.selectAsync(SOON)).map(([key]) => key.fd), [here.fileno()]);
        const next = selector.selectAsync(SOON);
        await nextTurns();
        peer.send(bytes("x"));
        assertEquals((await next).map(([key]) => key.fd), [other.fileno()]);
      },
    );

    test("modify() arms a descriptor during a parked wait", async (selector, cleanup) => {
      const [here] = cleanup.pair();
      selector.register(here, EVENT_WRITE | MODE_ONCE);
      assertEquals((await selector.selectAsync()).length, 1);
      const next = selector.selectAsync(SOON);
      await nextTurns();
      const key = selector.modify(here, EVENT_WRITE | MODE_ONCE);
      assertEquals(await next, [[key, EVENT_WRITE]]);
    });

    for (const mode of [MODE_ONCE, MODE_EDGE]) {
      const modeName = mode === MODE_ONCE ? "MODE_ONCE" : "MODE_EDGE";

      /** Registers ten writable sockets. */
      const ten = (selector: Parameters<Parameters<typeof test>[1]>[0], cleanup: Cleanup): boolean => {
        if (!selector.supports(EVENT_WRITE | mode)) return false;
        for (let pair = 0; pair < 5; pair++) {
          for (const socket of cleanup.pair()) selector.register(socket, EVENT_WRITE | mode);
        }
        return true;
      };

      test(
        `break keeps the remaining entries with ${modeName} for the next wait`,
        async (selector, cleanup) => {
          if (!ten(selector, cleanup)) return;
          const seen = new Set<SelectorKey>();
          for (let round = 0; round < 5; round++) {
            let count = 0;
            for await (const [key] of selector.events({ timeout: SOON })) {
              assert(!seen.has(key), "the same entry twice");
              seen.add(key);
              if (++count === 2) break;
            }
          }
          assertEquals(seen.size, 10);
          assertEquals(await selector.selectAsync(0), []);
        },
      );

      test(`abort() keeps the remaining entries with ${modeName} for the next wait`, async (selector, cleanup) => {
        if (!ten(selector, cleanup)) return;
        const controller = new AbortController();
        const reason = new Error("enough");
        await assertRejects(
          async () => {
            for await (const _ of selector.events({ signal: controller.signal, timeout: SOON })) {
              controller.abort(reason);
            }
          },
          Error,
          "enough",
        );
        assertEquals((await selector.selectAsync(0)).length, 9);
      });

      test(
        `for await yields an entry with ${modeName} once, with its new key, if a handler has modified it`,
        async (selector, cleanup) => {
          if (!ten(selector, cleanup)) return;
          const keys = new Map<number, SelectorKey>();
          for await (const [key] of selector.events({ timeout: 0.02 })) {
            assertStrictEquals(selector.getKey(key.fd), key);
            assert(!keys.has(key.fd), "the same descriptor twice");
            keys.set(key.fd, key);
            if (keys.size > 1) continue;
            for (const other of [...selector.getMap()!.values()]) {
              if (other !== key) selector.modify(other.fd, EVENT_WRITE | mode, "new");
            }
          }
          assertEquals(keys.size, 10);
          assertEquals([...keys.values()].filter(({ data }) => data === "new").length, 9);
        },
      );

      test(
        `for await skips a key with ${modeName} whose file object a handler has closed`,
        async (selector, cleanup) => {
          if (!selector.supports(EVENT_WRITE | mode)) return;
          const pairs = [cleanup.pair(), cleanup.pair()];
          for (const [here] of pairs) selector.register(here, EVENT_WRITE | mode);
          const seen: SelectorKey[] = [];
          for await (const [key] of selector.events({ timeout: 0.02 })) {
            seen.push(key);
            for (const [here] of pairs) if (here.fileno() !== key.fd) here.close();
          }
          assertEquals(seen.length, 1);
          assertEquals(selector.getMap()!.size, 2);
          for (const [here] of pairs) selector.unregister(here);
        },
      );

      test(
        `break keeps entries with ${modeName} if the file object of another entry is closed`,
        async (selector, cleanup) => {
          if (!ten(selector, cleanup)) return;
          const keys = [...selector.getMap()!.values()];
          for await (const [key] of selector.events({ timeout: SOON })) {
            const pair = keys.indexOf(key) >> 1; // closing one end would change the readiness of the other
            (keys[pair === 0 ? 2 : 0]!.fileobj as Socket).close();
            break;
          }
          assertEquals((await selector.selectAsync(0)).length, 8);
          assertEquals(selector.getMap()!.size, 10);
        },
      );

      test(`next() called several times at once loses no entry with ${modeName}`, async (selector, cleanup) => {
        if (!selector.supports(EVENT_READ | mode)) return;
        const pairs = [cleanup.pair(), cleanup.pair(), cleanup.pair()];
        for (const [here] of pairs) selector.register(here, EVENT_READ | mode);
        const iteration = selector.events({ timeout: SOON });
        const entries = Promise.all([iteration.next(), iteration.next(), iteration.next()]);
        await nextTurns();
        for (const [, there] of pairs) there.send(bytes("x"));
        const seen = new Set((await entries).map(({ value }) => value?.[0].fileobj));
        assertEquals(seen, new Set(pairs.map(([here]) => here)));
      });

      test(
        `for await yields the entry with ${modeName} for an object whose fileno() has changed`,
        async (selector, cleanup) => {
          if (!selector.supports(EVENT_WRITE | mode)) return;
          const [here] = cleanup.pair();
          let hasChanged = false;
          const key = selector.register(
            { fileno: () => hasChanged ? -1 : here.fileno() },
            EVENT_WRITE | mode,
          );
          hasChanged = true;
          const seen: SelectorKey[] = [];
          for await (const [key] of selector.events({ timeout: 0.02 })) seen.push(key);
          assertEquals(seen, [key]);
        },
      );
    }
  });
}
