import { assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { describe } from "@std/testing/bdd";
import { EVENT_READ, EVENT_WRITE, type FileObject, KeyError } from "../../../mod.ts";
import type { Subject } from "./subject.ts";
import { libc } from "../../support/util.ts";

/** Declares the tests of `unregister()`. */
export function unregisterContract({ name, test, make, select, readyFds }: Subject): void {
  describe(`${name}: unregister()`, () => {
    test("unregister() returns the key, by object and by number", async (cleanup) => {
      const selector = make(cleanup);
      const [here, there] = cleanup.pair();
      const keys = [selector.register(here, EVENT_WRITE), selector.register(there, EVENT_WRITE)];
      assertStrictEquals(selector.unregister(here), keys[0]);
      assertStrictEquals(selector.unregister(there.fileno()), keys[1]);
      assertEquals(selector.getMap()!.size, 0);
      assertEquals(await select(selector, 0), []);
    });

    test("unregister() throws KeyError if the file object is not registered or no longer registered", (cleanup) => {
      const selector = make(cleanup);
      const [here] = cleanup.pair();
      assertThrows(() => selector.unregister(here), KeyError, `fd ${here.fileno()}`);
      assertThrows(() => selector.unregister(999_999), KeyError, "fd 999999");
      selector.register(here, EVENT_READ);
      selector.unregister(here);
      assertThrows(() => selector.unregister(here), KeyError, `fd ${here.fileno()}`);
      assertThrows(() => selector.unregister(-1), RangeError, "-1");
      assertThrows(() => selector.unregister({} as FileObject), TypeError, "file object");
    });

    test("unregister() accepts the number of a closed descriptor", (cleanup) => {
      const selector = make(cleanup);
      const [reader, writer] = cleanup.pipe();
      selector.register(reader, EVENT_READ);
      selector.register(writer, EVENT_WRITE);
      cleanup.close(reader);
      cleanup.close(writer);
      selector.unregister(reader);
      selector.unregister(writer);
      assertEquals(selector.getMap()!.size, 0);
    });

    test("unregister() accepts a reused number, and does not affect the new descriptor", {
      needs: ["dup2", "reusedNumbers"],
    }, async (cleanup) => {
      const selector = make(cleanup);
      const [reader, writer] = cleanup.pipe();
      const [here, there] = cleanup.pair();
      selector.register(reader, EVENT_READ);
      selector.register(writer, EVENT_WRITE);
      libc!.dup2(here.fileno(), reader);
      libc!.dup2(there.fileno(), writer);
      selector.unregister(reader);
      selector.unregister(writer);
      assertEquals(await select(selector, 0), []);
      selector.register(writer, EVENT_WRITE);
      assertEquals(await readyFds(selector, 0), [[writer, EVENT_WRITE]]);
    });

    test("unregister() accepts a closed file object", (cleanup) => {
      const selector = make(cleanup);
      const [here, there] = cleanup.pair();
      const key = selector.register(here, EVENT_READ);
      const refusing = {
        closed: false,
        fileno(): number {
          if (this.closed) throw new Error("closed");
          return there.fileno();
        },
      };
      selector.register(refusing, EVENT_READ);
      here.close();
      refusing.closed = true;
      assertEquals(here.fileno(), -1);
      assertStrictEquals(selector.getKey(here), key);
      assertStrictEquals(selector.unregister(here), key);
      selector.unregister(refusing);
      assertEquals(selector.getMap()!.size, 0);
      assertThrows(() => selector.unregister(here), KeyError, "fd -1");
    });

    test("unregister() of some descriptors keeps the other registrations", async (cleanup) => {
      const selector = make(cleanup);
      const pairs = Array.from({ length: 20 }, () => cleanup.pair());
      for (const [here] of pairs) selector.register(here, EVENT_WRITE);
      for (const [index, [here]] of pairs.entries()) if (index % 3 === 1) selector.unregister(here);
      const left = pairs.filter((_, index) => index % 3 !== 1).map(([here]) => here.fileno()).sort((a, b) => a - b);
      assertEquals(await readyFds(selector, 0), left.map((fd) => [fd, EVENT_WRITE]));
    });
  });
}
