/**
 * SelectSelector, and the descriptor sets that it passes to select().
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { describe } from "@std/testing/bdd";
import * as fc from "fast-check";
import { SelectSet } from "../ffi/os/select.ts";
import { IN_EXCEPT, IN_READ, IN_WRITE } from "../ffi/os/select_set.ts";
import { BitSelectSet } from "../ffi/os/select_unix.ts";
import { close } from "../ffi/socket/mod.ts";
import { EVENT_READ, EVENT_WRITE, SelectSelector } from "../mod.ts";
import { scanContract } from "./contracts/scan_contract.ts";
import { DUP2, lackedBy, WIDE_SELECT } from "./support/needs.ts";
import { BOTH, bytes, Cleanup, duplicate, gathered, readyFds, SOON, test } from "./support/util.ts";

/** Sets that are bit masks. */
const BITS = lackedBy({ windows: "sets are arrays on Windows; see windows_select_test.ts" });

describe("SelectSet", () => {
  test("BitSelectSet spans the words up to its highest descriptor", {
    needs: [BITS, WIDE_SELECT],
  }, () => {
    using cleanup = new Cleanup();
    const [here] = cleanup.pair();
    for (const number of [1500, 9999]) duplicate(cleanup, here.fileno(), number);
    const set = new BitSelectSet();
    assertEquals(set.words, 0);
    set.set(0, IN_READ);
    assertEquals(set.words, 1);
    set.set(31, IN_WRITE);
    assertEquals(set.words, 1);
    set.set(32, IN_EXCEPT);
    assertEquals(set.words, 2);
    set.set(1500, IN_READ | IN_WRITE | IN_EXCEPT);
    assertEquals(set.words, 47);
    set.set(9999, IN_EXCEPT);
    assertEquals(set.words, 313);
    set.set(9999, 0);
    assertEquals(set.words, 47);
    set.set(1500, IN_WRITE); // keeps its words
    assertEquals(set.words, 47);
    set.set(0, 0); // not the highest descriptor
    assertEquals(set.words, 47);
    set.set(1500, 0);
    assertEquals(set.words, 2);
    set.set(32, 0);
    assertEquals(set.words, 1);
    set.set(31, 0);
    assertEquals(set.words, 0);
    set.set(31, 0); // not in the set
    assertEquals(set.words, 0);
  });

  test("SelectSet agrees with a model after any sequence of calls", { needs: [DUP2, WIDE_SELECT] }, () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    const [idle] = cleanup.pair();
    there.send(bytes("ping"));
    const isReadable = new Map<number, boolean>();
    for (const number of [1500, 1503, 1504, 1535, 1536, 2047, 2048, 4095, 4096]) {
      isReadable.set(duplicate(cleanup, here.fileno(), number), true);
      isReadable.set(duplicate(cleanup, idle.fileno(), number + 200), false);
    }
    const numbers = [...isReadable.keys()];
    const put = fc.tuple(fc.constantFrom(...numbers), fc.integer({ min: 0, max: 7 }));
    const property = fc.property(fc.array(put, { maxLength: 40, size: "max" }), (puts) => {
      const set = new SelectSet();
      const model = new Map<number, number>();
      for (const [fd, where] of puts) {
        set.set(fd, where);
        model.set(fd, where);
        let count = 0;
        const found: [number, number, number][] = [];
        const expected: [number, number, number][] = [];
        for (const number of numbers) {
          const wanted = model.get(number) ?? 0;
          const ready = wanted & (IN_WRITE | (isReadable.get(number) ? IN_READ : 0));
          count += ((ready & IN_READ) !== 0 ? 1 : 0) + ((ready & IN_WRITE) !== 0 ? 1 : 0);
          expected.push([number, ready & IN_READ, ready & IN_WRITE]);
        }
        assertEquals(set.wait(0), count);
        for (const number of numbers) {
          const reads = set.isReady(number, IN_READ);
          const writes = set.isReady(number, IN_WRITE);
          found.push([number, reads ? IN_READ : 0, writes ? IN_WRITE : 0]);
          assertEquals(set.isReady(number, IN_EXCEPT), false);
        }
        assertEquals(found, expected);
        const made = gathered(set, count).map(([fd, where]) => [fd, where & IN_READ, where & IN_WRITE] as const);
        const byNumber = ([one]: readonly number[], [other]: readonly number[]) => one! - other!;
        assertEquals(
          made.sort(byNumber),
          expected.filter(([, reads, writes]) => reads + writes > 0).sort(byNumber),
        );
      }
    });
    fc.assert(property, { seed: 1, numRuns: 100 });
  });
});

scanContract(SelectSelector, test, WIDE_SELECT);

describe("SelectSelector", () => {
  test("select() reports the events of descriptors below and beyond FD_SETSIZE", {
    needs: [DUP2, WIDE_SELECT],
  }, () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    const [idle] = cleanup.pair();
    there.send(bytes("ping"));
    using selector = new SelectSelector();
    selector.register(here, EVENT_READ);
    selector.register(idle, EVENT_READ);
    const expected: [number, number][] = [[here.fileno(), EVENT_READ]];
    for (const number of [1500, 1503, 1504, 3000, 9999]) {
      selector.register(duplicate(cleanup, here.fileno(), number), BOTH);
      selector.register(duplicate(cleanup, idle.fileno(), number + 5), BOTH);
      expected.push([number, BOTH], [number + 5, EVENT_WRITE]);
    }
    assertEquals(readyFds(selector, SOON), expected.sort((a, b) => a[0] - b[0]));
  });

  test(
    "unregister() of the highest descriptors keeps the lower descriptors",
    { needs: [DUP2, WIDE_SELECT] },
    () => {
      using cleanup = new Cleanup();
      const [here, there] = cleanup.pair();
      there.send(bytes("ping"));
      const numbers = [1024, 1503, 1504, 2500, 5000].map((number) => duplicate(cleanup, here.fileno(), number));
      using selector = new SelectSelector();
      selector.register(here, EVENT_READ);
      for (const number of numbers) selector.register(number, EVENT_READ);
      while (numbers.length > 0) {
        assertEquals(readyFds(selector, SOON), [here.fileno(), ...numbers].map((fd) => [fd, EVENT_READ]));
        selector.unregister(numbers.pop()!);
      }
      assertEquals(readyFds(selector, SOON), [[here.fileno(), EVENT_READ]]);
      selector.register(5000, EVENT_WRITE);
      assertEquals(readyFds(selector, SOON), [[here.fileno(), EVENT_READ], [5000, EVENT_WRITE]]);
    },
  );

  test("modify() moves a descriptor from one set to another", () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    using selector = new SelectSelector();
    selector.register(here, EVENT_READ);
    assertEquals(readyFds(selector, 0), []);
    selector.modify(here, EVENT_WRITE);
    assertEquals(readyFds(selector, 0), [[here.fileno(), EVENT_WRITE]]);
    there.send(bytes("ping"));
    assertEquals(readyFds(selector, 0), [[here.fileno(), EVENT_WRITE]]);
    selector.modify(here, BOTH);
    assertEquals(readyFds(selector, 0), [[here.fileno(), BOTH]]);
    selector.modify(here, EVENT_READ);
    assertEquals(readyFds(selector, 0), [[here.fileno(), EVENT_READ]]);
  });

  test("register() accepts a number again after its descriptor was closed and unregistered", {
    needs: [DUP2, WIDE_SELECT],
  }, () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    using selector = new SelectSelector();
    selector.register(duplicate(cleanup, here.fileno(), 1500), EVENT_WRITE);
    close(1500);
    assertEquals(readyFds(selector, 0), []);
    selector.unregister(1500);
    selector.register(duplicate(cleanup, there.fileno(), 1500), EVENT_WRITE);
    assertEquals(readyFds(selector, 0), [[1500, EVENT_WRITE]]);
  });
});
