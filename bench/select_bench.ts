/**
 * Times one `select(0)` of each selector, by how many descriptors are ready and how many are idle.
 *
 * It opens 18,000 descriptors: `ulimit -n` has to allow them.
 *
 * @module
 */

import { EpollSelector, EVENT_READ, PollSelector, SelectSelector } from "../mod.ts";
import { idleEventfds, readyEventfds } from "./eventfd.ts";

const SELECTORS = [EpollSelector, PollSelector, SelectSelector];
const READY = [1, 10, 100, 1_000, 8_000];
const IDLE = [0, 1_000, 10_000];

// The ready ones have the lower numbers: select(2) looks at every number up to the greatest that is registered. They
// are registered last: poll(2) looks at all in this order.
const readyFds = readyEventfds(Math.max(...READY));
const idleFds = idleEventfds(Math.max(...IDLE));

for (const ready of READY) {
  for (const idle of IDLE) {
    for (const Selector of SELECTORS) {
      const selector = new Selector();
      for (const fd of [...idleFds.slice(0, idle), ...readyFds.slice(0, ready)]) selector.register(fd, EVENT_READ);
      Deno.bench({
        group: `select(0), ${ready} ready, ${idle} idle`,
        name: `${Selector.name}, ${ready} ready, ${idle} idle`,
        baseline: Selector === EpollSelector,
        fn() {
          let sum = 0;
          for (const [, events] of selector.select(0)) sum += events;
          if (sum !== ready * EVENT_READ) throw new Error(`select() gave ${sum} events, not ${ready}`);
        },
      });
    }
  }
}
