/**
 * `Notifier` between Workers.
 *
 * @module
 */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { describe } from "@std/testing/bdd";
import { select } from "../ffi/select/mod.ts";
import { Notifier } from "../ffi/sources/mod.ts";
import { DefaultSelector, EVENT_READ, wake } from "../mod.ts";
import "./support/sources.ts"; // creates the socket pairs that are kept for reuse
import { printedBy, SOON, test } from "./support/util.ts";

const SOURCES = import.meta.resolve("../ffi/sources/mod.ts");
const SELECTORS = import.meta.resolve("../mod.ts");

describe("Notifier", () => {
  test("several notifications count as one, and the next read() is false", () => {
    using notifier = new Notifier();
    for (let count = 0; count < 10_000; count++) notifier.notify();
    assertEquals([notifier.read(), notifier.read()], [true, false]);
    assertEquals(select([notifier], [], [], 0)[0], []);
  });

  test("wake() with the handle notifies", () => {
    using notifier = new Notifier();
    wake(notifier.handle);
    assertEquals(select([notifier], [], [], SOON)[0], [notifier]);
    assert(notifier.read());
  });

  test("wake() with the handle of a closed notifier does not notify the next notifier", () => {
    const closed = new Notifier();
    const { handle } = closed;
    closed.notify();
    closed.close();
    using next = new Notifier();
    assertEquals(next.read(), false);
    wake(handle);
    assertEquals(next.read(), false);
    next.notify();
    wake(handle);
    assertEquals([next.read(), next.read()], [true, false]);
    assertThrows(() => closed.notify(), Deno.errors.BadResource, "closed");
    assertThrows(() => closed.handle, Deno.errors.BadResource, "closed");
  });

  test("Notifier objects are distinct in a selector", () => {
    using selector = new DefaultSelector<string>();
    using one = new Notifier();
    using other = new Notifier();
    selector.register(one, EVENT_READ, "one");
    selector.register(other, EVENT_READ, "other");
    other.notify();
    assertEquals(selector.select(SOON).map(([key]) => key.data), ["other"]);
  });

  test("notify() in four Workers loses no notification in a blocking select()", async () => {
    const worker = `
      import { wake } from ${JSON.stringify(SELECTORS)};
      onmessage = ({ data: { handle, counts, index } }) => {
        for (let round = 0; round < 1000; round++) {
          Atomics.add(counts, index, 1);
          wake(handle);
        }
        Atomics.add(counts, 4, 1);
        wake(handle);
        close();
      };
    `;
    const program = `
      import { DefaultSelector, EVENT_READ } from ${JSON.stringify(SELECTORS)};
      import { Notifier } from ${JSON.stringify(SOURCES)};
      using selector = new DefaultSelector();
      using notifier = new Notifier();
      selector.register(notifier, EVENT_READ);
      const counts = new Int32Array(new SharedArrayBuffer(20));
      const url = "data:application/javascript," + encodeURIComponent(${JSON.stringify(worker)});
      for (let index = 0; index < 4; index++) {
        new Worker(url, { type: "module" }).postMessage({ handle: notifier.handle, counts, index });
      }
      let seen;
      do {
        // After a lost notification, this wait would end without another notification.
        if (selector.select(20).length === 0) throw new Error("A notification was lost");
        notifier.read();
        seen = [...counts];
      } while (seen[4] < 4);
      console.log(JSON.stringify([seen, notifier.read()]));
    `;
    const [seen] = await printedBy(program) as [number[], boolean];
    assertEquals(seen, [1000, 1000, 1000, 1000, 4]);
  });
});
