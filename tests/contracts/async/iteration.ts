import { assert, assertEquals, assertGreaterOrEqual, assertRejects, assertStrictEquals } from "@std/assert";
import { describe } from "@std/testing/bdd";
import { type BaseSelector, EVENT_READ, EVENT_WRITE, type SelectorKey, wake } from "../../../mod.ts";
import { close, type Socket } from "../../../ffi/socket/mod.ts";
import type { AsyncSubject } from "./subject.ts";
import { BOTH, bytes, nextTurns } from "../../support/util.ts";

/** Declares the tests of `for await` and `events()`. */
export function iterationContract({ name, test }: AsyncSubject): void {
  describe(`${name}: for await`, () => {
    test("for await reports a detached object that another handler keeps modifying", async (selector, cleanup) => {
      const [here, there] = cleanup.pair();
      const [busy] = cleanup.pair();
      const fd = here.fileno();
      selector.register(busy, EVENT_WRITE);
      selector.register(here, EVENT_READ);
      there.send(bytes("x"));
      here.detach();
      cleanup.defer(() => close(fd));
      let seen = false;
      let count = 0;
      for await (const [key] of selector.events({ timeout: 5 })) {
        if (key.fd === fd) seen = true;
        else selector.modify(fd, EVENT_READ, {});
        if (seen || ++count === 100) break;
      }
      assert(seen);
      selector.unregister(fd);
    });

    test("for await ends if fileno() of an entry closes the selector", async (selector, cleanup) => {
      const sockets = [cleanup.pair(), cleanup.pair()].map(([here, there]) => (there.send(bytes("x")), here));
      let isStarted = false;
      for (const socket of sockets) {
        const fd = socket.fileno();
        selector.register({ fileno: () => (isStarted && selector.close(), isStarted ? -1 : fd) }, EVENT_READ);
      }
      const iteration = selector.events();
      isStarted = true;
      assertEquals(await iteration.next(), { value: undefined, done: true });
    });

    test("for await yields one entry at a time, until the selector is closed", async (selector, cleanup) => {
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

    test("break ends an iteration, and the next one yields the remaining entries", async (selector, cleanup) => {
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

    test("for await waits until a descriptor is ready", async (selector, cleanup) => {
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
        "closed without unregister()": (_, key) => (key.fileobj as Socket).close(),
        "modified to other events": (selector, key) => selector.modify(key.fd, EVENT_READ),
      })
    ) {
      test(`for await yields no entry for a descriptor that an earlier step has ${what}`, async (selector, cleanup) => {
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
      "for await yields the new key of a descriptor that an earlier step has modified",
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
          // Modified in each step; every descriptor must still get its turn.
          for (const socket of sockets) selector.modify(socket, EVENT_READ, {});
        }
        assertEquals([...given.values()].sort(), [EVENT_READ, EVENT_READ, EVENT_READ, BOTH]);
      },
    );

    test("for await yields no entry for a file object that was registered again", async (selector, cleanup) => {
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
      "events() ends at its timeout, and throws the reason of its aborted signal",
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

    test("wakeup() yields no entry, and does not end an iteration", async (selector, cleanup) => {
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

    test("return() ends a pending next()", async (selector, cleanup) => {
      const [here] = cleanup.pair();
      selector.register(here, EVENT_READ);
      await using events = selector.events();
      const next = events.next();
      await nextTurns();
      await events.return!();
      assertEquals(await next, { value: undefined, done: true });
      assertEquals(await events.next(), { value: undefined, done: true });
    });

    test("next() ends the iteration once the selector is closed", async (selector, cleanup) => {
      const [here] = cleanup.pair();
      selector.register(here, EVENT_WRITE);
      await using events = selector.events();
      assertEquals((await events.next()).done, false);
      selector.close();
      assertEquals(await events.next(), { value: undefined, done: true });
    });
  });
}
