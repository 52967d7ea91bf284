import { assertEquals, assertGreaterOrEqual, assertThrows } from "@std/assert";
import { describe } from "@std/testing/bdd";
import { EVENT_READ, EVENT_WRITE, KeyError, OSError } from "../../../mod.ts";
import { close, write } from "../../../ffi/socket/mod.ts";
import { elapsedMs, type Subject } from "./subject.ts";
import { bytes, libc } from "../../support/util.ts";

/** Declares the tests of descriptors that are closed before they are unregistered. */
export function closedContract({ name, test, make, select, readyFds }: Subject): void {
  describe(`${name}: closed descriptors`, () => {
    test("select() does not report a closed descriptor, and still reports the others", async (cleanup) => {
      const selector = make(cleanup);
      const [reader, writer] = cleanup.pipe();
      const [here, there] = cleanup.pair();
      selector.register(reader, EVENT_READ);
      selector.register(writer, EVENT_WRITE);
      selector.register(here, EVENT_READ);
      there.send(bytes("x"));
      cleanup.close(reader);
      cleanup.close(writer);
      assertEquals(await readyFds(selector, 0), [[here.fileno(), EVENT_READ]]);
      for (let round = 0; round < 3; round++) assertEquals(await readyFds(selector), [[here.fileno(), EVENT_READ]]);
      here.recv(10);
      const calls = await elapsedMs(async () => assertEquals(await select(selector, 0.05), []));
      assertGreaterOrEqual(calls, 50);
      assertEquals(selector.getMap()!.size, 3);
      selector.unregister(reader);
      selector.unregister(writer);
      there.send(bytes("x"));
      assertEquals(await readyFds(selector), [[here.fileno(), EVENT_READ]]);
    });

    test("modify() throws after a wait with the closed descriptor, even if its number is reused", {
      needs: ["dup2", "reusedNumbers"],
    }, async (cleanup) => {
      const selector = make(cleanup);
      const [reader, writer] = cleanup.pipe();
      const [here, there] = cleanup.pair();
      selector.register(writer, EVENT_READ);
      cleanup.close(writer);
      assertEquals(await select(selector, 0), []);
      libc!.dup2(here.fileno(), writer);
      cleanup.defer(() => close(writer));
      assertThrows(() => selector.modify(writer, EVENT_WRITE), OSError, `fd ${writer}`);
      assertThrows(() => selector.getKey(writer), KeyError);
      selector.register(writer, EVENT_READ);
      there.send(bytes("x"));
      assertEquals(await readyFds(selector, 0), [[writer, EVENT_READ]]);
      void reader;
    });

    test("select() waits out its timeout if every descriptor is closed", async (cleanup) => {
      const selector = make(cleanup);
      const pipes = Array.from({ length: 3 }, () => cleanup.pipe());
      for (const [reader, writer] of pipes) {
        selector.register(reader, EVENT_READ);
        selector.register(writer, EVENT_WRITE);
      }
      for (const fd of pipes.flat()) cleanup.close(fd);
      assertGreaterOrEqual(await elapsedMs(async () => assertEquals(await select(selector, 0.05), [])), 50);
      assertGreaterOrEqual(await elapsedMs(async () => assertEquals(await select(selector, 0.05), [])), 50);
    });

    test("unregister() silences an open file description that a duplicate keeps open", {
      needs: ["dup2", "closedDuplicates"],
    }, async (cleanup) => {
      const selector = make(cleanup);
      const [reader, writer] = cleanup.pipe();
      const [here, there] = cleanup.pair();
      write(writer, bytes("x")); // stays ready
      selector.register(reader, EVENT_READ);
      selector.register(here, EVENT_READ);
      const duplicate = libc!.dup(reader);
      cleanup.defer(() => close(duplicate));
      cleanup.close(reader);
      selector.unregister(reader);
      const elapsed = await elapsedMs(async () => assertEquals(await select(selector, 0.05), []));
      assertGreaterOrEqual(elapsed, 50);
      there.send(bytes("x"));
      assertEquals(await readyFds(selector), [[here.fileno(), EVENT_READ]]);
    });

    test(
      "select() reports only the new descriptor after register() of a reused number",
      { needs: ["dup2", "closedDuplicates"] },
      async (cleanup) => {
        const selector = make(cleanup);
        const [reader, writer] = cleanup.pipe();
        const [here, there] = cleanup.pair();
        write(writer, bytes("x")); // stays ready
        selector.register(reader, EVENT_READ);
        const duplicate = libc!.dup(reader);
        cleanup.defer(() => close(duplicate));
        libc!.dup2(here.fileno(), reader); // closes the read end, and reuses its number
        selector.unregister(reader);
        const key = selector.register(reader, EVENT_READ, "new");
        assertEquals(await select(selector, 0), []);
        assertGreaterOrEqual(await elapsedMs(async () => assertEquals(await select(selector, 0.05), [])), 50);
        there.send(bytes("y"));
        assertEquals(await select(selector), [[key, EVENT_READ]]);
        selector.modify(reader, EVENT_WRITE);
        assertEquals(await readyFds(selector), [[reader, EVENT_WRITE]]);
      },
    );

    test(
      "select() reports an open descriptor among 100 stale descriptions",
      { needs: ["dup2", "closedDuplicates"] },
      async (cleanup) => {
        const selector = make(cleanup);
        for (let count = 0; count < 100; count++) {
          const [reader, writer] = cleanup.pipe();
          write(writer, bytes("x"));
          selector.register(reader, EVENT_READ);
          const duplicate = libc!.dup(reader);
          cleanup.defer(() => close(duplicate));
          cleanup.close(reader);
          selector.unregister(reader);
        }
        const [here] = cleanup.pair();
        selector.register(here, EVENT_WRITE);
        for (let round = 0; round < 10; round++) {
          assertEquals(await readyFds(selector, 0), [[here.fileno(), EVENT_WRITE]]);
        }
      },
    );
  });
}
