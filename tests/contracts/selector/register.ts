import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertLess,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { describe } from "@std/testing/bdd";
import net from "node:net";
import process from "node:process";
import { EVENT_READ, EVENT_WRITE, type FileObject, KeyError, OSError, SelectorKey } from "../../../mod.ts";
import { close } from "../../../ffi/socket/mod.ts";
import type { Subject } from "./subject.ts";
import { bytes, libc } from "../../support/util.ts";

/** Declares the tests of `register()`. */
export function registerContract({ name, test, make, select, readyFds }: Subject): void {
  describe(`${name}: register()`, () => {
    test("register() returns the key, which destructures as Python's named tuple does", (cleanup) => {
      const selector = make<string>(cleanup);
      const [here] = cleanup.pair();
      const key = selector.register(here, EVENT_READ, "my data");
      assertInstanceOf(key, SelectorKey);
      assertStrictEquals(key.fileobj, here);
      assertEquals([key.fd, key.events, key.data], [here.fileno(), EVENT_READ, "my data"]);
      const [fileobj, fd, events, data] = key;
      assertStrictEquals(fileobj, here);
      assertEquals([fd, events, data], [here.fileno(), EVENT_READ, "my data"]);
      assertStrictEquals(selector.getKey(here), key);
    });

    test("register() accepts a number, and any object with a fileno() method", async (cleanup) => {
      const selector = make(cleanup);
      const [reader, writer] = cleanup.pipe();
      const object = { fileno: () => writer };
      selector.register(reader, EVENT_READ);
      selector.register(object, EVENT_WRITE);
      assertEquals(await readyFds(selector, 0), [[writer, EVENT_WRITE]]);
      assertStrictEquals(selector.getKey(writer).fileobj, object);
    });

    test("register() leaves data undefined if it is omitted", (cleanup) => {
      const selector = make(cleanup);
      const [here] = cleanup.pair();
      assertStrictEquals(selector.register(here, EVENT_READ).data, undefined);
    });

    test("register() throws RangeError for an invalid event mask, and changes nothing", async (cleanup) => {
      const selector = make(cleanup);
      const [here] = cleanup.pair();
      for (const events of [0, 4, 7, 8, -1, -0, 1.5, NaN, Infinity, 2 ** 32 + 1, "1", undefined, null, 1n, true]) {
        assertThrows(() => selector.register(here, events as number), RangeError, "EVENT_READ");
      }
      assertEquals(selector.getMap()!.size, 0);
      assertEquals(await select(selector, 0), []);
    });

    test("register() throws RangeError for a number that C would truncate to another descriptor", (cleanup) => {
      const selector = make(cleanup);
      const [here] = cleanup.pair();
      for (const fd of [-1, -10, 2 ** 31, 2 ** 32, 2 ** 32 + here.fileno(), -(2 ** 32) + here.fileno(), 2 ** 53]) {
        assertThrows(() => selector.register(fd, EVENT_READ), RangeError, String(fd));
        assertThrows(() => selector.register({ fileno: () => fd }, EVENT_READ), RangeError, String(fd));
      }
      assertEquals(selector.getMap()!.size, 0);
    });

    test("register() throws TypeError for an invalid file object", (cleanup) => {
      const selector = make(cleanup);
      const strange: unknown[] = [1.5, NaN, Infinity, "0", true, 5n, null, undefined, {}, { fileno: 5 }, () => 5];
      strange.push({ fileno: () => "5" }, { fileno: () => 1.5 }, { fileno: () => null }, { fileno: () => 5n });
      for (const fileobj of strange) {
        assertThrows(() => selector.register(fileobj as FileObject, EVENT_READ), TypeError, "file object");
      }
      assertEquals(selector.getMap()!.size, 0);
    });

    test("register() names an alternative for an object of Deno or Node", async (cleanup) => {
      const selector = make(cleanup);
      using server = Deno.listen({ hostname: "127.0.0.1", port: 0 });
      using connection = await Deno.connect({ hostname: "127.0.0.1", port: server.addr.port });
      using accepted = await server.accept();
      using file = await Deno.open(import.meta.filename!);
      const nodeServer = net.createServer();
      const cases: [fileobj: unknown, use: string][] = [
        [Deno.stdin, "use 0, the descriptor of standard input"],
        [Deno.stdout, "use 1"],
        [Deno.stderr, "use 2"],
        [server, "use Socket or createServer() from @selectors/selectors/socket"],
        [connection, "use Socket"],
        [accepted, "use Socket"],
        [file, "use openSync() from node:fs"],
        [new net.Socket(), "use Socket"],
        [nodeServer, "use Socket"],
        [new ReadableStream(), "use pipe() from @selectors/selectors/socket as stdio of node:child_process"],
        [new WritableStream(), "use pipe()"],
        [process.stdin, "use its fd property"],
        [{ fd: 5 }, "use its fd property"],
      ];
      for (const [fileobj, use] of cases) {
        const error = assertThrows(() => selector.register(fileobj as FileObject, EVENT_READ), TypeError);
        assertStringIncludes(error.message, `it has no fileno() method; ${use}`);
      }
      const fail = () => {
        throw new SyntaxError("mine");
      };
      const proxy = new Proxy({}, { getOwnPropertyDescriptor: fail });
      for (const object of [proxy, Object.defineProperty({}, "other", { get: fail }), Object.create(null)]) {
        assertThrows(() => selector.register(object, EVENT_READ), TypeError, "it must be an integer or an object");
      }
    });

    test("register() rethrows an error of fileno(), and changes nothing", (cleanup) => {
      const selector = make(cleanup);
      const fileobj = {
        fileno(): number {
          throw new SyntaxError("mine");
        },
      };
      assertThrows(() => selector.register(fileobj, EVENT_READ), SyntaxError, "mine");
      assertEquals(selector.getMap()!.size, 0);
    });

    test("register() throws KeyError if the descriptor is already registered, and changes nothing", async (cleanup) => {
      const selector = make(cleanup);
      const [here] = cleanup.pair();
      const key = selector.register(here, EVENT_WRITE, "first");
      for (const fileobj of [here, here.fileno(), { fileno: () => here.fileno() }]) {
        const error = assertThrows(() => selector.register(fileobj, EVENT_READ, "second"), KeyError);
        assert(error.message.includes(`fd ${here.fileno()}`), error.message);
      }
      assertStrictEquals(selector.getKey(here), key);
      assertEquals(await select(selector, 0), [[key, EVENT_WRITE]]);
    });

    test("register() throws EBADF for a closed descriptor, and registers nothing", async (cleanup) => {
      const selector = make(cleanup);
      const [reader, writer] = cleanup.pipe();
      cleanup.close(writer);
      const { external } = Deno.memoryUsage();
      for (const fd of [writer, 999_999, 2 ** 31 - 1]) {
        const error = assertThrows(() => selector.register(fd, EVENT_WRITE), OSError, `fd ${fd}`);
        assertEquals(error.code, "EBADF");
        assertThrows(() => selector.getKey(fd), KeyError);
      }
      // A kernel table with room for such a descriptor would need gigabytes.
      assertLess(Deno.memoryUsage().external - external, 2 ** 26);
      if (libc === null) return;
      // The failed call must not have registered a ready descriptor with the same number.
      assertEquals(libc.dup2(reader, writer), writer);
      cleanup.defer(() => close(writer));
      assertEquals(await select(selector, 0), []);
      selector.register(writer, EVENT_READ);
    });

    test("register() works again after unregister(), for other events", async (cleanup) => {
      const selector = make(cleanup);
      const [here, there] = cleanup.pair();
      there.send(bytes("x"));
      selector.register(here, EVENT_READ);
      assertEquals(await readyFds(selector, 0), [[here.fileno(), EVENT_READ]]);
      selector.unregister(here);
      assertEquals(await readyFds(selector, 0), []);
      selector.register(here, EVENT_WRITE);
      assertEquals(await readyFds(selector, 0), [[here.fileno(), EVENT_WRITE]]);
    });

    test("register() accepts a descriptor that is registered in another selector", async (cleanup) => {
      const [one, other] = [make(cleanup), make(cleanup)];
      const [here] = cleanup.pair();
      one.register(here, EVENT_READ);
      other.register(here, EVENT_WRITE);
      assertEquals(await readyFds(one, 0), []);
      assertEquals(await readyFds(other, 0), [[here.fileno(), EVENT_WRITE]]);
      one.unregister(here);
      assertEquals(await readyFds(other, 0), [[here.fileno(), EVENT_WRITE]]);
    });

    test("register() accepts a descriptor above 1,024", { needs: ["dup2", "highDescriptors"] }, async (cleanup) => {
      const selector = make(cleanup);
      const [here, there] = cleanup.pair();
      assertEquals(libc!.dup2(here.fileno(), 1_500), 1_500);
      cleanup.defer(() => close(1_500));
      selector.register(1_500, EVENT_READ);
      assertEquals(await readyFds(selector, 0), []);
      there.send(bytes("x"));
      assertEquals(await readyFds(selector, 0), [[1_500, EVENT_READ]]);
      selector.unregister(1_500);
      assertEquals(await readyFds(selector, 0), []);
    });
  });
}
