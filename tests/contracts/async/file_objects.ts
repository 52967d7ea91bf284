import { assertEquals, assertStrictEquals } from "@std/assert";
import { describe } from "@std/testing/bdd";
import { EVENT_READ, EVENT_WRITE } from "../../../mod.ts";
import { close, type Socket } from "../../../ffi/socket/mod.ts";
import type { AsyncSubject } from "./subject.ts";
import { bytes } from "../../support/util.ts";

/** Declares the tests of file objects that lose their descriptor, and of disposed keys. */
export function fileObjectsContract({ name, test }: AsyncSubject): void {
  describe(`${name}: file objects that lose their descriptor`, () => {
    const changes: Record<string, (socket: Socket) => () => number> = {
      "is detached": (socket) => () => (socket.detach(), -1),
      "throws": () => () => {
        throw new Error("no descriptor");
      },
      "gives another number": (socket) => () => socket.fileno() + 1,
    };
    for (const [what, changeOf] of Object.entries(changes)) {
      test(`waits report a file object that ${what}`, async (selector, cleanup) => {
        const [here, there] = cleanup.pair();
        const fd = here.fileno();
        let fileno = () => fd;
        const key = selector.register({ fileno: () => fileno() }, EVENT_READ);
        there.send(bytes("x"));
        fileno = changeOf(here);
        cleanup.defer(() => here.fileno() === -1 && close(fd));
        assertEquals(selector.select(), [[key, EVENT_READ]]);
        assertEquals(await selector.selectAsync(), [[key, EVENT_READ]]);
        const seen: number[] = [];
        for await (const [{ fd }] of selector.events({ timeout: 5 })) {
          seen.push(fd);
          if (seen.length === 3) break;
        }
        assertEquals(seen, [fd, fd, fd]);
        selector.unregister(fd);
      });
    }
  });

  describe(`${name}: using`, () => {
    test("SelectorKey is unregistered at the end of a using block, if it is still current", (selector, cleanup) => {
      const [here, there] = cleanup.pair();
      {
        using key = selector.register(here, EVENT_READ);
        assertEquals(selector.getMap()!.size, 1);
        assertStrictEquals(selector.getKey(here), key);
      }
      assertEquals(selector.getMap()!.size, 0);
      {
        using _ = selector.register(here, EVENT_READ);
        selector.modify(here, EVENT_WRITE);
      }
      assertEquals(selector.getKey(here).events, EVENT_WRITE);
      {
        using _ = selector.register(there, EVENT_READ);
        selector.unregister(there);
        selector.register(there, EVENT_WRITE);
      }
      assertEquals(selector.getKey(there).events, EVENT_WRITE);
      {
        using _ = selector.unregister(there);
      }
      const key = selector.register(there, EVENT_READ);
      selector.close();
      key[Symbol.dispose]();
      return Promise.resolve();
    });
  });
}
