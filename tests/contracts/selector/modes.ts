import { assertEquals, assertThrows } from "@std/assert";
import { describe } from "@std/testing/bdd";
import { EVENT_READ, EVENT_WRITE, MODE_EDGE, MODE_ONCE, OSError } from "../../../mod.ts";
import { BOTH, bytes, SOON } from "../../support/util.ts";
import type { Subject } from "./subject.ts";

/** Declares the tests of the modes. */
export function modesContract({ name, test, make, select, readyFds }: Subject): void {
  describe(`${name}: MODE_ONCE`, () => {
    test("select() reports a descriptor once, and again after each modify()", async (cleanup) => {
      const selector = make(cleanup);
      const [here, there] = cleanup.pair();
      const key = selector.register(here, EVENT_READ | MODE_ONCE, "data");
      assertEquals(key.events, EVENT_READ | MODE_ONCE);
      there.send(bytes("x"));
      assertEquals(await select(selector, SOON), [[key, EVENT_READ]]);
      assertEquals(await select(selector, 0), []);
      there.send(bytes("y"));
      assertEquals(await select(selector, 0), []);
      for (let round = 0; round < 3; round++) {
        const next = selector.modify(here, EVENT_READ | MODE_ONCE, "data");
        assertEquals(await select(selector, SOON), [[next, EVENT_READ]]);
        assertEquals(await select(selector, 0), []);
      }
      there.close();
      assertEquals(await select(selector, 0), []);
      selector.modify(here, EVENT_READ);
      assertEquals(await readyFds(selector, SOON), [[here.fileno(), EVENT_READ]]);
      assertEquals(await readyFds(selector, 0), [[here.fileno(), EVENT_READ]]);
    });

    test("select() reports both events in one entry, and afterwards neither", async (cleanup) => {
      const selector = make(cleanup);
      const [here, there] = cleanup.pair();
      selector.register(here, BOTH | MODE_ONCE);
      assertEquals(await readyFds(selector, 0), [[here.fileno(), EVENT_WRITE]]);
      there.send(bytes("x"));
      assertEquals(await readyFds(selector, 0), []);
      selector.modify(here, BOTH | MODE_ONCE);
      assertEquals(await readyFds(selector, SOON), [[here.fileno(), BOTH]]);
      assertEquals(await readyFds(selector, 0), []);
    });

    test("select() keeps reporting the other descriptors", async (cleanup) => {
      const selector = make(cleanup);
      const pairs = Array.from({ length: 40 }, () => cleanup.pair());
      pairs.forEach(([here], index) =>
        selector.register(here, index % 2 === 0 ? EVENT_WRITE | MODE_ONCE : EVENT_WRITE)
      );
      assertEquals((await select(selector, 0)).length, 40);
      const odd = pairs.filter((_, index) => index % 2 === 1).map(([here]) => here.fileno()).sort((a, b) => a - b);
      assertEquals((await readyFds(selector, 0)).map(([fd]) => fd), odd);
      for (const [here] of pairs.slice(0, 10)) selector.modify(here, EVENT_WRITE | MODE_ONCE);
      assertEquals((await select(selector, 0)).length, 25);
      assertEquals((await select(selector, 0)).length, 15);
    });

    test("register() after unregister() arms a spent descriptor again", async (cleanup) => {
      const selector = make(cleanup);
      const [here] = cleanup.pair();
      selector.register(here, EVENT_WRITE | MODE_ONCE);
      assertEquals((await select(selector, 0)).length, 1);
      selector.unregister(here);
      selector.register(here, EVENT_WRITE | MODE_ONCE);
      assertEquals((await select(selector, 0)).length, 1);
      assertEquals((await select(selector, 0)).length, 0);
    });

    test("select() skips a closed spent descriptor, and modify() throws for it", async (cleanup) => {
      const selector = make(cleanup);
      const [reader, writer] = cleanup.pipe();
      selector.register(writer, EVENT_WRITE | MODE_ONCE);
      assertEquals(await readyFds(selector, 0), [[writer, EVENT_WRITE]]);
      cleanup.close(writer);
      assertEquals(await select(selector, 0), []);
      assertThrows(() => selector.modify(writer, EVENT_WRITE | MODE_ONCE), OSError, "EBADF");
      assertEquals(selector.getMap()!.size, 0);
      selector.register(reader, EVENT_READ);
    });

    test("select() waits out its timeout while a spent descriptor is ready", async (cleanup) => {
      const selector = make(cleanup);
      const [here, there] = cleanup.pair();
      there.close();
      selector.register(here, BOTH | MODE_ONCE);
      assertEquals((await select(selector, SOON)).length, 1);
      const start = performance.now();
      assertEquals(await select(selector, 0.02), []);
      const elapsed = performance.now() - start;
      assertEquals(elapsed >= 20, true, `${elapsed} ms`);
    });
  });

  describe(`${name}: MODE_EDGE`, () => {
    test("select() reports a change once, and again after more data or modify()", async (cleanup) => {
      const selector = make(cleanup);
      if (!selector.supports(EVENT_READ | MODE_EDGE)) return;
      const [here, there] = cleanup.pair();
      const key = selector.register(here, EVENT_READ | MODE_EDGE);
      there.send(bytes("x"));
      assertEquals(await select(selector, SOON), [[key, EVENT_READ]]);
      assertEquals(await select(selector, 0), []);
      there.send(bytes("y"));
      assertEquals(await select(selector, SOON), [[key, EVENT_READ]]);
      assertEquals(await select(selector, 0), []);
      const next = selector.modify(here, EVENT_READ | MODE_EDGE);
      assertEquals(await select(selector, SOON), [[next, EVENT_READ]]);
      assertEquals(await select(selector, 0), []);
    });

    test("MODE_ONCE and MODE_EDGE together report one change", async (cleanup) => {
      const selector = make(cleanup);
      if (!selector.supports(EVENT_READ | MODE_EDGE)) return;
      const [here, there] = cleanup.pair();
      selector.register(here, EVENT_READ | MODE_EDGE | MODE_ONCE);
      there.send(bytes("x"));
      assertEquals((await select(selector, SOON)).length, 1);
      there.send(bytes("y"));
      assertEquals(await select(selector, 0), []);
      selector.modify(here, EVENT_READ | MODE_EDGE | MODE_ONCE);
      assertEquals((await select(selector, SOON)).length, 1);
    });
  });
}
