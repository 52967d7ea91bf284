/**
 * `Timer`: times and counts of expiries, and invalid arguments.
 *
 * @module
 */

import { assert, assertEquals, assertGreaterOrEqual, assertThrows } from "@std/assert";
import { describe } from "@std/testing/bdd";
import { Poll, POLLIN, select } from "../ffi/select/mod.ts";
import { OSError, Timer } from "../ffi/sources/mod.ts";
import { DefaultSelector, EVENT_READ, type Timeout } from "../mod.ts";
import { LINUX } from "./support/needs.ts";
import { TIMERS } from "./support/sources.ts";
import { Cleanup, libc, SOON, testNeeding } from "./support/util.ts";

const test = testNeeding(TIMERS);

/** RLIMIT_NOFILE of Linux. */
const RLIMIT_NOFILE = 7;

/** Waits until a timer expires, and returns the milliseconds since `start`. */
function expiry(timer: Timer, start: number): number {
  assertEquals(select([timer], [], [], SOON)[0], [timer]);
  return performance.now() - start;
}

/** Returns true if a timer has an unread expiry. */
function isReadable(timer: Timer): boolean {
  return select([timer], [], [], 0)[0].length > 0;
}

describe("Timer", () => {
  test("Timer never expires early", () => {
    using timer = new Timer();
    for (let round = 0; round < 200; round++) {
      const delay = (round % 20) / 4000;
      const start = performance.now();
      timer.set(delay);
      assertGreaterOrEqual(expiry(timer, start), delay * 1000);
      assertEquals(timer.read(), 1);
    }
  });

  for (const delay of [0, -1, -Infinity, { milliseconds: -3 }, 1e-12, Number.MIN_VALUE]) {
    test(`new Timer(${JSON.stringify(delay)}) expires at once`, () => {
      using timer = new Timer(delay);
      expiry(timer, 0);
      assertEquals([timer.read(), timer.read()], [1, 0]);
    });
  }

  for (const delay of [undefined, null, Infinity]) {
    test(`new Timer(${delay}) does not run until set()`, () => {
      using timer = new Timer(delay, { every: 0.001 });
      assertEquals(select([timer], [], [], 0.02)[0], []);
      timer.set(0.001);
      expiry(timer, 0);
      assertEquals(timer.read(), 1);
      assertEquals(select([timer], [], [], 0.02)[0], [], "set() without `every` must not repeat");
    });
  }

  test("set() replaces a long delay by a shorter delay", () => {
    for (const delay of [{ days: 30 }, 100_000_001, 2 ** 40, Number.MAX_VALUE] satisfies Timeout[]) {
      using timer = new Timer(delay, { every: delay });
      assertEquals(select([timer], [], [], 0.005)[0], []);
      assertEquals(timer.read(), 0);
      timer.set(0.001);
      expiry(timer, 0);
    }
  });

  test("Timer with `every` keeps its rhythm, even after a late read()", () => {
    const start = performance.now();
    using timer = new Timer(0.02, { every: 0.01 });
    let periods = 0;
    while (periods < 10) {
      expiry(timer, start);
      periods += timer.read();
      assertGreaterOrEqual(performance.now() - start, 20 + (periods - 1) * 10);
    }
  });

  test("read() counts the missed expiries", () => {
    const start = performance.now();
    using timer = new Timer(0.001, { every: 0.001 });
    const armed = performance.now(); // the timer started between `start` and now
    const cell = new Int32Array(new SharedArrayBuffer(4));
    Atomics.wait(cell, 0, 0, 50);
    const least = Math.floor(performance.now() - armed) - 1;
    const periods = timer.read();
    const most = performance.now() - start;
    assert(periods >= least && periods <= most, `${periods} periods between ${least} and ${most} ms`);
  });

  test("set() and cancel() discard an unread expiry", () => {
    using timer = new Timer(0, { every: 0.001 });
    expiry(timer, 0);
    timer.cancel();
    assertEquals([isReadable(timer), timer.read()], [false, 0]);
    timer.set(0);
    expiry(timer, 0);
    timer.set(3600);
    assertEquals([isReadable(timer), timer.read()], [false, 0]);
    timer.cancel();
    timer.cancel();
  });

  test("new Timer() and set() throw for invalid times, and change nothing", () => {
    using timer = new Timer(0.001);
    for (const make of [(delay?: Timeout, options = {}) => new Timer(delay, options), timer.set.bind(timer)]) {
      assertThrows(() => make(NaN), RangeError);
      assertThrows(() => make(1, { every: NaN }), RangeError);
      for (const every of [0, -1, -Infinity]) assertThrows(() => make(1, { every }), RangeError, "every");
      assertThrows(() => make("1" as never), TypeError);
      assertThrows(() => make(1, { every: "1" }), TypeError);
      assertThrows(() => make({ months: 1 }), RangeError);
    }
    expiry(timer, 0);
    timer.close();
    assertThrows(() => timer.set(1), Deno.errors.BadResource, "closed");
    assertThrows(() => timer.cancel(), Deno.errors.BadResource, "closed");
  });

  test("set() does not affect another file if an argument closes the timer", () => {
    const timer = new Timer();
    const next: Timer[] = [];
    const delay = {
      get milliseconds() {
        timer.close();
        next.push(new Timer());
        return 0;
      },
    };
    assertThrows(() => timer.set(delay), Deno.errors.BadResource, "closed");
    for (const other of next) {
      assertEquals(isReadable(other), false);
      other.close();
    }
  });

  test("Timer works with 10,000 timers in one selector", { needs: [LINUX] }, () => {
    const limits = new BigUint64Array(2);
    assertEquals(libc!.getrlimit(RLIMIT_NOFILE, limits), 0);
    using cleanup = new Cleanup();
    if (limits[0]! < 11_000n) {
      cleanup.defer(() => libc!.setrlimit(RLIMIT_NOFILE, limits));
      assertEquals(libc!.setrlimit(RLIMIT_NOFILE, new BigUint64Array([limits[1]!, limits[1]!])), 0);
    }
    const selector = cleanup.add(new DefaultSelector<undefined, Timer>());
    for (let index = 0; index < 10_000; index++) {
      selector.register(cleanup.add(new Timer(0.001 + index / 1e6)), EVENT_READ);
    }
    let expired = 0;
    while (expired < 10_000) {
      const ready = selector.select(SOON);
      assert(ready.length > 0, `${expired} timers have expired`);
      for (const [key] of ready) expired += key.fileobj.read();
    }
    assertEquals([expired, selector.select(0)], [10_000, []]);
  });

  test("new Timer() throws OSError EMFILE without a free descriptor, and leaks none", { needs: [LINUX] }, () => {
    const limits = new BigUint64Array(2);
    assertEquals(libc!.getrlimit(RLIMIT_NOFILE, limits), 0);
    new Timer().close();
    let error;
    try {
      assertEquals(libc!.setrlimit(RLIMIT_NOFILE, new BigUint64Array([3n, limits[1]!])), 0);
      new Timer(1);
    } catch (thrown) {
      error = thrown;
    } finally {
      assertEquals(libc!.setrlimit(RLIMIT_NOFILE, limits), 0);
    }
    assert(error instanceof OSError && error.code === "EMFILE", String(error));
  });

  test("Timer works in a Poll together with other timers", () => {
    using first = new Timer(0.02);
    using second = new Timer(0.001);
    const poll = new Poll();
    poll.register(first, POLLIN);
    poll.register(second, POLLIN);
    const order: number[] = [];
    while (order.length < 2) {
      for (const [fd] of poll.poll(SOON * 1000)) {
        order.push(fd);
        poll.unregister(fd);
      }
    }
    assert(second.read() === 1 && first.read() === 1);
  });
});
