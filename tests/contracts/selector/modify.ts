import { assert, assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { describe } from "@std/testing/bdd";
import { EVENT_READ, EVENT_WRITE, type FileObject, KeyError, OSError } from "../../../mod.ts";
import { close } from "../../../ffi/socket/mod.ts";
import type { Subject } from "./subject.ts";
import { BOTH, bytes, libc } from "../../support/util.ts";

/** Declares the tests of `modify()`. */
export function modifyContract({ name, test, make, select, readyFds }: Subject): void {
  describe(`${name}: modify()`, () => {
    test("modify() replaces 0 by -0, which is different data", (cleanup) => {
      const selector = make(cleanup);
      const [here] = cleanup.pair();
      selector.register(here, EVENT_READ, 0);
      assert(Object.is(selector.modify(here, EVENT_READ, -0).data, -0));
    });

    test("modify() changes events and data, and returns the new key", async (cleanup) => {
      const selector = make(cleanup);
      const [here, there] = cleanup.pair();
      there.send(bytes("x"));
      const data = { some: "data" };
      const first = selector.register(here, EVENT_READ, data);
      const second = selector.modify(here, EVENT_WRITE, data);
      assertEquals([first.events, second.events], [EVENT_READ, EVENT_WRITE]);
      assertStrictEquals(second.data, data);
      assertStrictEquals(selector.getKey(here), second);
      assertEquals(await select(selector, 0), [[second, EVENT_WRITE]]);
      const third = selector.modify(here.fileno(), BOTH, "other");
      assertEquals([third.fileobj, third.data], [here, "other"]);
      assertEquals(await select(selector, 0), [[third, BOTH]]);
    });

    test("modify() compares data by identity, and sets omitted data to undefined", (cleanup) => {
      const selector = make(cleanup);
      const [here] = cleanup.pair();
      const [one, equal] = [{ a: 1 }, { a: 1 }];
      selector.register(here, EVENT_READ, one);
      assertStrictEquals(selector.modify(here, EVENT_READ, equal).data, equal);
      assertStrictEquals(selector.getKey(here).data, equal);
      assertStrictEquals(selector.modify(here, EVENT_READ).data, undefined);
      assertStrictEquals(selector.getKey(here).data, undefined);
    });

    test("modify() makes no system call if only data changes", (cleanup) => {
      const selector = make(cleanup);
      const [reader] = cleanup.pipe();
      selector.register(reader, EVENT_READ, "old");
      cleanup.close(reader); // a system call would fail
      assertEquals(selector.modify(reader, EVENT_READ, "new").data, "new");
      assertEquals(selector.getKey(reader).data, "new");
    });

    test("modify() throws RangeError for an invalid event mask, and changes nothing", async (cleanup) => {
      const selector = make(cleanup);
      const [here] = cleanup.pair();
      const key = selector.register(here, EVENT_WRITE, "data");
      for (const events of [0, 4, 8, -1, 1.5, NaN, 2 ** 32 + 1]) {
        assertThrows(() => selector.modify(here, events, "other"), RangeError);
      }
      assertStrictEquals(selector.getKey(here), key);
      assertEquals(await select(selector, 0), [[key, EVENT_WRITE]]);
    });

    test("modify() throws KeyError if the file object is not registered", (cleanup) => {
      const selector = make(cleanup);
      const [here] = cleanup.pair();
      assertThrows(() => selector.modify(here, EVENT_READ), KeyError, `fd ${here.fileno()}`);
      assertThrows(() => selector.modify(999_999, EVENT_READ), KeyError, "fd 999999");
      assertThrows(() => selector.modify({} as FileObject, EVENT_READ), TypeError);
    });

    test("modify() unregisters the descriptor if it fails, in the selector and in the kernel", async (cleanup) => {
      const selector = make(cleanup);
      const [reader, writer] = cleanup.pipe();
      selector.register(writer, EVENT_READ);
      cleanup.close(writer);
      const error = assertThrows(() => selector.modify(writer, EVENT_WRITE), OSError);
      assertEquals(error.code, "EBADF");
      assertThrows(() => selector.getKey(writer), KeyError);
      assertEquals(selector.getMap()!.size, 0);
      if (libc === null) return;
      libc.dup2(reader, writer);
      cleanup.defer(() => close(writer));
      assertEquals(await select(selector, 0), []);
      selector.register(writer, EVENT_READ);
    });

    test("modify() takes effect on pending events", async (cleanup) => {
      const selector = make(cleanup);
      const [here, there] = cleanup.pair();
      there.send(bytes("x"));
      selector.register(here, EVENT_READ);
      selector.modify(here, EVENT_WRITE);
      assertEquals(await readyFds(selector, 0), [[here.fileno(), EVENT_WRITE]]);
      selector.modify(here, EVENT_READ);
      assertEquals(await readyFds(selector, 0), [[here.fileno(), EVENT_READ]]);
      here.recv(10);
      assertEquals(await readyFds(selector, 0), []);
    });
  });
}
