/**
 * Times one `select(0)` of each selector, by the number of ready and idle descriptors.
 *
 * It opens 18,000 descriptors, so `ulimit -n` must be higher.
 *
 * @module
 */

import { EpollSelector, EVENT_READ, PollSelector, SelectSelector } from "../mod.ts";
import { idleEventfds, readyEventfds } from "./eventfd.ts";

const SELECTORS = [EpollSelector, PollSelector, SelectSelector];
const READY = [1, 10, 100, 1_000, 8_000];
const IDLE = [0, 1_000, 10_000];

// The ready descriptors have the lower numbers, because select(2) checks every number up to the highest. They are
// registered last, because poll(2) checks all descriptors in the order of registration.
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
          if (sum !== ready * EVENT_READ) throw new Error(`select() returned ${sum} events, not ${ready}`);
        },
      });
    }
  }
}
