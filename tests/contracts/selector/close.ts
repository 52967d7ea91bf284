import { assert, assertEquals, assertFalse, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { describe } from "@std/testing/bdd";
import { type BaseSelector, EVENT_READ, EVENT_WRITE, type FileObject } from "../../../mod.ts";
import type { Subject } from "./subject.ts";
import { bytes } from "../../support/util.ts";

/** Declares the tests of `close()` and `using`. */
export function closeContract({ name, test, create, make, select }: Subject): void {
  describe(`${name}: close()`, () => {
    test("close() does nothing the second time, and closes no file object", (cleanup) => {
      const selector = make(cleanup);
      const [here, there] = cleanup.pair();
      selector.register(here, EVENT_READ);
      assertFalse(selector.closed);
      selector.close();
      selector.close();
      assert(selector.closed);
      there.send(bytes("still open"));
      assertEquals(here.recv(100).length, 10);
    });

    test("close() makes every other method throw BadResource, and empties the map", async (cleanup) => {
      const selector = make(cleanup);
      const [here, there] = cleanup.pair();
      selector.register(here, EVENT_READ);
      const map = selector.getMap()!;
      selector.close();
      const calls = [
        () => selector.register(there, EVENT_READ),
        () => selector.register(-1, EVENT_READ),
        () => selector.unregister(here),
        () => selector.modify(here, EVENT_READ),
        () => selector.getKey(here),
        () => selector.wakeup(),
        () => selector.wakeHandle,
        () => selector.events(),
      ];
      for (const call of calls) assertThrows(call, Deno.errors.BadResource, "the selector is closed");
      for (const timeout of [0, 1, undefined]) {
        await assertRejects(() => select(selector, timeout), Deno.errors.BadResource, "the selector is closed");
      }
      assertStrictEquals(selector.getMap(), null);
      assertEquals([map.size, map.get(here), map.has(here), [...map]], [0, undefined, false, []]);
    });

    test("close() in a fileno() or a duration makes the outer call throw BadResource", async (cleanup) => {
      const [here] = cleanup.pair();
      const calls: ((selector: BaseSelector, fileobj: FileObject) => unknown)[] = [
        (selector, fileobj) => selector.register(fileobj, EVENT_READ),
        (selector, fileobj) => selector.unregister(fileobj),
        (selector, fileobj) => selector.modify(fileobj, EVENT_WRITE),
        (selector, fileobj) => selector.getKey(fileobj),
        (selector, fileobj) =>
          select(selector, {
            get milliseconds() {
              return (fileobj as { fileno(): number }).fileno() && 0;
            },
          }),
      ];
      for (const call of calls) {
        const selector = make(cleanup);
        const map = selector.getMap()!;
        const fileobj = {
          fileno() {
            selector.close();
            return here.fileno();
          },
        };
        await assertRejects(
          async () => await call(selector, fileobj),
          Deno.errors.BadResource,
          "the selector is closed",
        );
        assertEquals(map.size, 0);
      }
    });

    test("Selector is closed at the end of a using block", () => {
      let selector: BaseSelector;
      {
        using inner = create();
        selector = inner;
        assertFalse(selector.closed);
      }
      assert(selector.closed);
    });

    test("close() releases every resource, 2,000 times", async (cleanup) => {
      const [here] = cleanup.pair();
      for (let round = 0; round < 2_000; round++) {
        using selector = create();
        selector.register(here, EVENT_WRITE);
        if (round % 100 === 0) assertEquals((await select(selector)).length, 1);
      }
    });
  });
}
