/**
 * What every selector does beside Deno's event loop, as tests over any of them: what ends a wait, what changes in it, and
 * what an iteration gives.
 *
 * That an asynchronous wait reports what a synchronous one does is tested by the other contract, which runs with each.
 *
 * @module
 */

import {
  assert,
  assertEquals,
  assertGreaterOrEqual,
  assertLess,
  assertNotEquals,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { describe } from "@std/testing/bdd";
import { type BaseSelector, EVENT_READ, EVENT_WRITE, type SelectorKey, wake } from "../../mod.ts";
import { os } from "../../ffi/os/systems.ts";
import { close, SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM, type Socket } from "../../ffi/socket/mod.ts";
import { BOTH, bytes, Cleanup, nextTurns, skip, test as testDescriptors } from "../support/util.ts";

/** A selector class under test. */
export interface AsyncContract {
  /** Name of the class. */
  name: string;
  /** Makes a selector. */
  create<D = unknown>(): BaseSelector<D>;
  /** Tests that do not apply, by their names, with the reason. */
  skips?: Readonly<Record<string, string>>;
}

/** Tests that cannot hold on every system, with the reason. */
const UNKNOWN_SYSTEMS: Readonly<Record<string, string>> = ["linux", "android", "windows"].includes(os) ? {} : {
  "a handle that outlives its selector harms nobody":
    "wake() sends a byte here, which a late call may write into another socket",
};

/** Declares the tests of the contract for one selector class. */
export function asyncContract({ name, create, skips = {} }: AsyncContract): void {
  function test(title: string, body: (selector: BaseSelector, cleanup: Cleanup) => Promise<void>): void {
    const reason = skips[title] ?? UNKNOWN_SYSTEMS[title];
    if (reason !== undefined) return skip(title, reason);
    testDescriptors(title, async () => {
      using cleanup = new Cleanup();
      await body(cleanup.add(create()), cleanup);
    });
  }

  describe(`${name}: what changes during a wait`, () => {
    test("what becomes ready ends the wait", async (selector, cleanup) => {
      const [here, there] = cleanup.pair();
      const key = selector.register(here, EVENT_READ);
      const wait = selector.selectAsync();
      await nextTurns();
      there.send(bytes("x"));
      assertEquals(await wait, [[key, EVENT_READ]]);
    });

    test("what is registered, modified or unregistered takes effect in the wait", async (selector, cleanup) => {
      const [here, there] = cleanup.pair();
      let wait = selector.selectAsync();
      await nextTurns();
      selector.register(here, EVENT_READ);
      await nextTurns();
      const writable = selector.modify(here, BOTH);
      assertEquals(await wait, [[writable, EVENT_WRITE]]);

      const [other] = cleanup.pair();
      selector.modify(here, EVENT_READ);
      wait = selector.selectAsync();
      await nextTurns();
      selector.unregister(here);
      there.send(bytes("for nobody"));
      await nextTurns();
      const key = selector.register(other, EVENT_WRITE);
      assertEquals(await wait, [[key, EVENT_WRITE]]);
    });

    test("a peer sees the end of what is unregistered and closed during the wait", async (selector, cleanup) => {
      const [here, there] = cleanup.pair();
      selector.register(here, EVENT_READ);
      const wait = selector.selectAsync(1);
      await nextTurns();
      selector.unregister(here);
      here.close();
      const peer = cleanup.add(create());
      const key = peer.register(there, EVENT_READ);
      assertEquals(await peer.selectAsync(), [[key, EVENT_READ]]);
      selector.wakeup();
      assertEquals(await wait, []);
    });

    test("any number of waits of any number of selectors go on at once", async (selector, cleanup) => {
      const other = cleanup.add(create());
      const [here, there] = cleanup.pair();
      const key = selector.register(here, EVENT_READ);
      const otherKey = other.register(here, EVENT_READ);
      const waits = [selector.selectAsync(), selector.selectAsync(10), other.selectAsync(), selector.selectAsync(0.01)];
      assertEquals(await waits.pop(), []);
      there.send(bytes("x"));
      assertEquals(await Promise.all(waits), [[[key, EVENT_READ]], [[key, EVENT_READ]], [[otherKey, EVENT_READ]]]);
    });

    test("select() and selectAsync() of one selector do not disturb each other", async (selector, cleanup) => {
      const [here, there] = cleanup.pair();
      const key = selector.register(here, EVENT_READ);
      const wait = selector.selectAsync();
      await nextTurns();
      assertEquals(selector.select(0.01), []);
      there.send(bytes("x"));
      assertEquals(selector.select(), [[key, EVENT_READ]]);
      assertEquals(await wait, [[key, EVENT_READ]]);
    });

    test("a descriptor that is closed behind its back during the wait falls silent", async (selector, cleanup) => {
      const [here, there] = cleanup.pair();
      const [closed] = cleanup.pair();
      selector.register(closed, EVENT_READ);
      const key = selector.register(here, EVENT_READ);
      const wait = selector.selectAsync();
      await nextTurns();
      closed.close();
      assertEquals(await selector.selectAsync(0.02), []);
      there.send(bytes("x"));
      assertEquals(await wait, [[key, EVENT_READ]]);
    });
  });

  describe(`${name}: what ends a wait`, () => {
    test("close() ends every wait with an empty array", async (selector, cleanup) => {
      const [here] = cleanup.pair();
      selector.register(here, EVENT_READ);
      const waits = [selector.selectAsync(), selector.selectAsync(100)];
      selector.close(); // before anything is blocked
      assertEquals(await Promise.all(waits), [[], []]);
      const other = cleanup.add(create());
      const wait = other.selectAsync();
      await nextTurns();
      other.close();
      assertEquals(await wait, []);
    });

    test("an abort rejects with its reason, before, at the start and in the middle", async (selector, cleanup) => {
      const [here] = cleanup.pair();
      selector.register(here, EVENT_READ);
      const reason = new Error("enough");
      for (const start of [null, () => {}, nextTurns]) {
        const controller = new AbortController();
        if (start === null) controller.abort(reason);
        const wait = selector.selectAsync(undefined, { signal: controller.signal });
        const rejection = assertRejects(() => wait, Error, "enough");
        await start?.();
        controller.abort(reason);
        assertStrictEquals(await rejection, reason);
      }
      selector.modify(here, EVENT_WRITE);
      await assertRejects(() => selector.selectAsync(0, { signal: AbortSignal.abort(reason) }), Error, "enough");
    });

    test("an abort of one wait leaves the others", async (selector, cleanup) => {
      const [here, there] = cleanup.pair();
      const key = selector.register(here, EVENT_READ);
      const controller = new AbortController();
      const rejection = assertRejects(() => selector.selectAsync(null, { signal: controller.signal }));
      const wait = selector.selectAsync();
      await nextTurns();
      controller.abort();
      await rejection;
      there.send(bytes("x"));
      assertEquals(await wait, [[key, EVENT_READ]]);
    });

    test("timeouts that are none are refused", async (selector) => {
      await assertRejects(() => selector.selectAsync(NaN), RangeError, "NaN");
      await assertRejects(() => selector.selectAsync({ months: 1 }), RangeError, "P1M");
      assertThrows(() => selector.events({ timeout: NaN }), RangeError, "NaN");
    });
  });

  describe(`${name}: wakeup()`, () => {
    test("wakeup() ends the next wait of either kind, once, however often it was called", async (selector, cleanup) => {
      const [here] = cleanup.pair();
      selector.register(here, EVENT_READ);
      for (let count = 0; count < 10_000; count++) selector.wakeup();
      assertEquals(selector.select(), []);
      const start = performance.now();
      assertEquals(selector.select(0.02), []);
      assertGreaterOrEqual(performance.now() - start, 20);
      for (let count = 0; count < 10_000; count++) selector.wakeup();
      assertEquals(await selector.selectAsync(), []);
      assertEquals(await selector.selectAsync(0.02), []);
      assertGreaterOrEqual(performance.now() - start, 40);
    });

    test("wakeup() ends every wait that goes on, and no later one", async (selector, cleanup) => {
      const [here] = cleanup.pair();
      selector.register(here, EVENT_READ);
      const waits = [selector.selectAsync(), selector.selectAsync()];
      await nextTurns();
      selector.wakeup();
      assertEquals(await Promise.all(waits), [[], []]);
      const start = performance.now();
      assertEquals(selector.select(0.02), []);
      assertGreaterOrEqual(performance.now() - start, 20);
    });

    test("a wait that is woken gives what is ready", async (selector, cleanup) => {
      const [here] = cleanup.pair();
      const key = selector.register(here, EVENT_WRITE);
      selector.wakeup();
      assertEquals(selector.select(), [[key, EVENT_WRITE]]);
      selector.wakeup();
      assertEquals(await selector.selectAsync(), [[key, EVENT_WRITE]]);
      wake(selector.wakeHandle);
      assertEquals(selector.select(), [[key, EVENT_WRITE]]);
      wake(selector.wakeHandle);
      assertEquals(await selector.selectAsync(), [[key, EVENT_WRITE]]);
    });

    test("wake() does by the handle what wakeup() does", async (selector, cleanup) => {
      const [here] = cleanup.pair();
      selector.register(here, EVENT_READ);
      const handle = selector.wakeHandle;
      assertEquals(selector.wakeHandle, handle);
      for (let count = 0; count < 10_000; count++) wake(handle);
      assertEquals(selector.select(), []);
      const start = performance.now();
      assertEquals(selector.select(0.02), []);
      assertGreaterOrEqual(performance.now() - start, 20);
      const wait = selector.selectAsync();
      await nextTurns();
      wake(handle);
      assertEquals(await wait, []);
      assertEquals(await selector.selectAsync(0.02), []);
    });

    test("the waker shows nowhere, and cannot be taken", (selector, cleanup) => {
      const [here] = cleanup.pair();
      selector.register(here, EVENT_WRITE);
      wake(selector.wakeHandle);
      assertEquals(selector.getMap()!.size, 1);
      assertEquals([...selector.getMap()!.keys()], [here.fileno()]);
      for (let fd = 0; fd < 2_000; fd++) {
        assertEquals(selector.getMap()!.get(fd) !== undefined, fd === here.fileno());
      }
      return Promise.resolve();
    });

    test("wake() with the handle of a closed selector reaches no other descriptor", (selector, cleanup) => {
      const handle = selector.wakeHandle;
      selector.close();
      wake(handle);
      // The system gives the lowest free number first. A datagram would end a connection of SOCK_SEQPACKET.
      const types = os === "windows" ? [SOCK_STREAM] : [SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET];
      const pairs = types.flatMap((type) => Array.from({ length: 4 }, () => cleanup.pair(undefined, type)));
      wake(handle);
      for (const socket of pairs.flat()) {
        socket.setBlocking(false);
        assertEquals(socket.tryRecvInto(new Uint8Array(10)), null);
      }
      return Promise.resolve();
    });

    test("wake() with the handle of a closed selector wakes no selector made later", async (selector, cleanup) => {
      const stale = selector.wakeHandle;
      selector.close();
      const later = cleanup.add(create());
      assertNotEquals(later.wakeHandle, stale);
      wake(stale);
      const start = performance.now();
      assertEquals(later.select(0.02), []);
      assertGreaterOrEqual(performance.now() - start, 20);
      const wait = later.selectAsync(0.02);
      await nextTurns();
      wake(stale);
      assertEquals(await wait, []);
      assertGreaterOrEqual(performance.now() - start, 40);
      // A queue full of stale calls keeps no call of the present handle out.
      for (let count = 0; count < 10_000; count++) wake(stale);
      wake(later.wakeHandle);
      assertEquals(later.select(), []);
    });

    test("selectAsync() rejects, and does not throw, for options that are no object", async (selector) => {
      await assertRejects(() => selector.selectAsync(0, null as unknown as undefined), TypeError);
    });

    test("wake() rejects a number that is not a handle", (selector) => {
      const { wakeHandle } = selector;
      for (const strange of [-1, 0, 5, 1.5, NaN, 2 ** 31 - 1, 2 ** 53, Infinity, wakeHandle + 0.5, -wakeHandle, "7"]) {
        assertThrows(() => wake(strange as number), RangeError, "Cannot wake");
      }
      return Promise.resolve();
    });
  });

  describe(`${name}: a file object that no longer gives its descriptor`, () => {
    const changes: Record<string, (socket: Socket) => () => number> = {
      "is detached": (socket) => () => (socket.detach(), -1),
      "throws": () => () => {
        throw new Error("no descriptor");
      },
      "gives another number": (socket) => () => socket.fileno() + 1,
    };
    for (const [what, changeOf] of Object.entries(changes)) {
      test(`one that ${what} is reported alike by every wait`, async (selector, cleanup) => {
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

  describe(`${name}: beside the event loop`, () => {
    test("what is always ready does not starve timers", async (selector, cleanup) => {
      const [here] = cleanup.pair();
      const key = selector.register(here, EVENT_WRITE);
      const ticks = { forAwait: 0, selectAsync: 0, look: 0 };
      for (const kind of Object.keys(ticks) as (keyof typeof ticks)[]) {
        const start = performance.now();
        const interval = setInterval(() => ticks[kind]++, 10);
        if (kind === "forAwait") {
          for await (const _ of selector) if (ticks.forAwait >= 5) break;
        } else {
          while (ticks[kind] < 5) {
            assertEquals(await selector.selectAsync(kind === "look" ? 0 : null), [[key, EVENT_WRITE]]);
          }
        }
        clearInterval(interval);
        assertLess(performance.now() - start, 30_000);
      }
    });

    test("a wait may be left unfinished by whoever closes the selector", (selector, cleanup) => {
      const [here] = cleanup.pair();
      selector.register(here, EVENT_READ);
      void selector.selectAsync();
      selector.close();
      return nextTurns();
    });
  });

  describe(`${name}: using`, () => {
    test("a key unregisters its file object at the end of a block, if it is still current", (selector, cleanup) => {
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
