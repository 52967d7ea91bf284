import { assertEquals, assertGreaterOrEqual, assertNotEquals, assertRejects, assertThrows } from "@std/assert";
import { describe } from "@std/testing/bdd";
import { EVENT_READ, EVENT_WRITE, wake } from "../../../mod.ts";
import { os } from "../../../ffi/os/systems.ts";
import { SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM } from "../../../ffi/socket/mod.ts";
import type { AsyncSubject } from "./subject.ts";
import { nextTurns } from "../../support/util.ts";

/** Declares the tests of `wakeup()` and `wake()`. */
export function wakeupContract({ name, test, create }: AsyncSubject): void {
  describe(`${name}: wakeup()`, () => {
    test("wakeup() ends the next wait of either kind once, however often it is called", async (selector, cleanup) => {
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

    test("wakeup() ends every pending wait, and no later one", async (selector, cleanup) => {
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

    test("wakeup() ends every wait that is letting the event loop run", async (selector, cleanup) => {
      const [here] = cleanup.pair();
      selector.register(here, EVENT_READ);
      const start = performance.now();
      while (performance.now() - start < 20) await selector.selectAsync(0); // until a wait lets the event loop run
      const waits = [1, 2, 3].map(() => selector.selectAsync());
      selector.wakeup();
      assertEquals(await Promise.all(waits), [[], [], []]);
    });

    test("wakeup() ends the pending waits, and not the wait that follows", async (selector, cleanup) => {
      const [here] = cleanup.pair();
      selector.register(here, EVENT_READ);
      const pending = selector.selectAsync();
      await nextTurns();
      selector.wakeup();
      const start = performance.now();
      assertEquals(selector.select(0.02), []);
      assertGreaterOrEqual(performance.now() - start, 20);
      assertEquals(await pending, []);
    });

    test("wakeup() after an iteration was left ends the next wait", async (selector, cleanup) => {
      const [here] = cleanup.pair();
      selector.register(here, EVENT_READ);
      const iteration = selector.events();
      const next = iteration.next();
      await nextTurns();
      await iteration.return!();
      await next;
      selector.wakeup();
      await nextTurns();
      assertEquals(selector.select(), []);
    });

    test("wakeup() just after return() of a waiting iteration ends the next wait", async (selector, cleanup) => {
      const [here] = cleanup.pair();
      selector.register(here, EVENT_READ);
      const iteration = selector.events();
      const next = iteration.next();
      await nextTurns();
      const left = iteration.return!();
      selector.wakeup();
      assertEquals(selector.select(), []);
      assertEquals([await next, await left], Array(2).fill({ value: undefined, done: true }));
    });

    test("wake() ends one wait that finds something ready, and no later one", (selector, cleanup) => {
      const [here] = cleanup.pair();
      const key = selector.register(here, EVENT_WRITE);
      wake(selector.wakeHandle);
      assertEquals(selector.select(), [[key, EVENT_WRITE]]);
      selector.modify(here, EVENT_READ);
      const start = performance.now();
      assertEquals(selector.select(0.02), []);
      assertGreaterOrEqual(performance.now() - start, 20);
      return Promise.resolve();
    });

    test("wake() ends a parked wait even if another wait takes the datagram first", async (selector, cleanup) => {
      const [here] = cleanup.pair();
      selector.register(here, EVENT_READ);
      const handle = selector.wakeHandle;
      for (let round = 0; round < 20; round++) {
        const wait = selector.selectAsync();
        await nextTurns();
        wake(handle);
        selector.select(0);
        assertEquals(await wait, []);
      }
    });

    test("wakeup() and wake() let a wait return the ready descriptors", async (selector, cleanup) => {
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

    test("wake() with a handle does the same as wakeup()", async (selector, cleanup) => {
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

    test("getMap() does not contain the waker", (selector, cleanup) => {
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

    test("wake() with the handle of a closed selector reaches no other descriptor", (_, cleanup) => {
      // A datagram without bytes would end a SOCK_SEQPACKET connection.
      for (const type of os === "windows" ? [SOCK_STREAM] : [SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET]) {
        const selector = create();
        const handle = selector.wakeHandle;
        selector.close();
        wake(handle);
        // The system assigns the lowest free number first.
        const sockets = Array.from({ length: 4 }, () => cleanup.pair(undefined, type)).flat();
        wake(handle);
        for (const socket of sockets) {
          socket.setBlocking(false);
          assertEquals(socket.tryRecvInto(new Uint8Array(10)), null);
        }
      }
      return Promise.resolve();
    });

    test("wake() with the handle of a closed selector wakes no selector created later", async (selector, cleanup) => {
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
      // A queue full of stale wakeups does not block a call with the current handle.
      for (let count = 0; count < 10_000; count++) wake(stale);
      wake(later.wakeHandle);
      assertEquals(later.select(), []);
    });

    test("selectAsync() rejects, and does not throw, if the options are not an object", async (selector) => {
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
}
