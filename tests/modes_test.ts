/**
 * MODE_ONCE: the number of system calls of a wait with a spent descriptor.
 *
 * @module
 */

import { assertEquals, assertGreaterOrEqual, assertLessOrEqual } from "@std/assert";
import { describe } from "@std/testing/bdd";
import { EpollPoller } from "../ffi/os/epoll.ts";
import { PollPoller } from "../ffi/os/poll.ts";
import type { Poller } from "../ffi/os/poller.ts";
import { SelectPoller } from "../ffi/os/select.ts";
import { EVENT_READ, MODE_ONCE } from "../mod.ts";
import { EPOLL, lackedBy } from "./support/needs.ts";
import { Cleanup, CountingSelector, type Need, SOON, test } from "./support/util.ts";

const POLL = lackedBy({ windows: "Windows has no poll()" });

const pollers: [name: string, create: () => Poller, need: Need][] = [
  ["EpollSelector", () => new EpollPoller(), EPOLL],
  ["PollSelector", () => new PollPoller(), POLL],
  ["SelectSelector", () => new SelectPoller(), null],
];

describe("MODE_ONCE", () => {
  for (const [name, create, need] of pollers) {
    for (const isAsync of [false, true]) {
      const title = `${isAsync ? "selectAsync" : "select"}() of ${name} sleeps beside a spent descriptor that is ready`;
      test(title, { needs: [need] }, async () => {
        using cleanup = new Cleanup();
        using selector = new CountingSelector(create());
        const [here, there] = cleanup.pair();
        there.close();
        selector.register(here, EVENT_READ | MODE_ONCE);
        assertEquals((await selector.selectAsync(SOON)).length, 1);
        const before = selector.waits;
        const start = performance.now();
        assertEquals(isAsync ? await selector.selectAsync(0.1) : selector.select(0.1), []);
        assertGreaterOrEqual(performance.now() - start, 100);
        // One call before the wait parks, one at its end, and one more if the clock is coarse.
        assertLessOrEqual(selector.waits - before, 3);
      });
    }
  }
});
