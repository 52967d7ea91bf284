import { assert, assertEquals, assertGreaterOrEqual, assertRejects, assertStrictEquals } from "@std/assert";
import { describe } from "@std/testing/bdd";
import { type BaseSelector, EVENT_READ, EVENT_WRITE, type SelectorKey, wake } from "../../../mod.ts";
import type { Socket } from "../../../ffi/socket/mod.ts";
import type { AsyncSubject } from "./subject.ts";
import { BOTH, bytes, nextTurns } from "../../support/util.ts";

/** Declares the tests of `for await` and `events()`. */
export function iterationContract({ name, test }: AsyncSubject): void {
  describe(`${name}: for await`, () => {
    test("what is ready comes entry by entry, until the selector is closed", async (selector, cleanup) => {
      const [here, there] = cleanup.pair();
      const keys = [selector.register(here, EVENT_WRITE), selector.register(there, EVENT_WRITE)];
      const seen: [SelectorKey, number][] = [];
      for await (const [key, events] of selector) {
        seen.push([key, events]);
        if (seen.length === 4) selector.close();
      }
      assertEquals(seen.length, 4);
      for (const key of keys) assertEquals(seen.filter(([one]) => one === key).length, 2);
    });

    test("break leaves it, and what was not given is given the next time", async (selector, cleanup) => {
      const [here, there] = cleanup.pair();
      selector.register(here, EVENT_WRITE);
      selector.register(there, EVENT_WRITE);
      for await (const [key] of selector) {
        selector.unregister(key.fd);
        break;
      }
      assertEquals(selector.getMap()!.size, 1);
      for await (const [key] of selector) {
        selector.unregister(key.fd);
        break;
      }
      assertEquals(selector.getMap()!.size, 0);
    });

    test("it waits for what is not ready yet", async (selector, cleanup) => {
      const [here, there] = cleanup.pair();
      selector.register(here, EVENT_READ);
      setTimeout(() => there.send(bytes("x")), 5);
      let count = 0;
      for await (const [key, events] of selector) {
        assertEquals([key.fileobj, events], [here, EVENT_READ]);
        here.recv(10);
        if (++count === 2) break;
        setTimeout(() => there.send(bytes("x")), 5);
      }
    });

    for (
      const [what, act] of Object.entries<(selector: BaseSelector, key: SelectorKey) => void>({
        "unregistered": (selector, key) => selector.unregister(key.fd),
        "unregistered and closed": (selector, key) => {
          selector.unregister(key.fd);
          (key.fileobj as Socket).close();
        },
        "closed, and not even unregistered": (_, key) => (key.fileobj as Socket).close(),
        "modified away": (selector, key) => selector.modify(key.fd, EVENT_READ),
      })
    ) {
      test(`an entry is not given if an earlier handler has it ${what}`, async (selector, cleanup) => {
        const sockets = [...cleanup.pair(), ...cleanup.pair()];
        for (const socket of sockets) selector.register(socket, EVENT_WRITE);
        let given = 0;
        for await (const [key] of selector.events({ timeout: 0.01 })) {
          given++;
          for (const other of [...selector.getMap()!.values()]) act(selector, other);
          assert(key !== undefined);
        }
        assertEquals(given, 1);
      });
    }

    test(
      "an entry of what an earlier handler has modified has the new key, and what it still waits for",
      async (selector, cleanup) => {
        const sockets = [...cleanup.pair(), ...cleanup.pair()];
        for (const [index, socket] of sockets.entries()) {
          sockets[index ^ 1]!.send(bytes("x"));
          selector.register(socket, BOTH);
        }
        const given = new Map<number, number>();
        for await (const [key, events] of selector) {
          assertStrictEquals(selector.getKey(key.fd), key);
          given.set(key.fd, events);
          if (given.size === sockets.length) break;
          // Each time anew: nobody is kept from their turn by it.
          for (const socket of sockets) selector.modify(socket, EVENT_READ, {});
        }
        assertEquals([...given.values()].sort(), [EVENT_READ, EVENT_READ, EVENT_READ, BOTH]);
      },
    );

    test("an entry is not given if its file object was registered again", async (selector, cleanup) => {
      const sockets = cleanup.pair();
      for (const socket of sockets) selector.register(socket, EVENT_WRITE);
      const seen = new Set<SelectorKey>();
      for await (const [key] of selector) {
        assert(!seen.has(key));
        assertStrictEquals(selector.getKey(key.fd), key);
        seen.add(key);
        if (seen.size === 10) break;
        for (const socket of sockets) {
          selector.unregister(socket);
          selector.register(socket, EVENT_WRITE);
        }
      }
    });

    test(
      "a signal ends it by its reason, and a timeout when nothing was ready for so long",
      async (selector, cleanup) => {
        const [here, there] = cleanup.pair();
        selector.register(here, EVENT_READ);
        const start = performance.now();
        for await (const _ of selector.events({ timeout: { milliseconds: 20 } })) assert(false, "Nothing was ready");
        assertGreaterOrEqual(performance.now() - start, 20);

        const reason = new Error("enough");
        const controller = new AbortController();
        setTimeout(() => controller.abort(reason), 5);
        await assertRejects(
          async () => {
            for await (const _ of selector.events({ signal: controller.signal })) assert(false, "Nothing was ready");
          },
          Error,
          "enough",
        );

        there.send(bytes("x"));
        const other = new AbortController();
        let count = 0;
        await assertRejects(
          async () => {
            for await (const _ of selector.events({ signal: other.signal })) if (++count === 3) other.abort(reason);
          },
          Error,
          "enough",
        );
        assertEquals(count, 3);
      },
    );

    test("wakeup() is no entry, and does not end it", async (selector, cleanup) => {
      const [here, there] = cleanup.pair();
      selector.register(here, EVENT_READ);
      setTimeout(() => selector.wakeup(), 2);
      setTimeout(() => wake(selector.wakeHandle), 4);
      setTimeout(() => there.send(bytes("x")), 8);
      for await (const [key, events] of selector) {
        assertEquals([key.fileobj, events], [here, EVENT_READ]);
        break;
      }
    });

    test("return() ends a next() that waits", async (selector, cleanup) => {
      const [here] = cleanup.pair();
      selector.register(here, EVENT_READ);
      await using events = selector.events();
      const next = events.next();
      await nextTurns();
      await events.return!();
      assertEquals(await next, { value: undefined, done: true });
      assertEquals(await events.next(), { value: undefined, done: true });
    });

    test("next() rejects if the kernel's answer is an error, and the iteration is over", async (selector, cleanup) => {
      const [here] = cleanup.pair();
      selector.register(here, EVENT_WRITE);
      await using events = selector.events();
      assertEquals((await events.next()).done, false);
      selector.close();
      assertEquals(await events.next(), { value: undefined, done: true });
    });
  });
}
