/**
 * Times each selector by how many descriptors are ready and how many are idle, and what else is done often.
 *
 * @module
 */

import { EpollSelector, EVENT_READ, EVENT_WRITE, PollSelector, SelectSelector } from "../mod.ts";
import { idleEventfds, readyEventfds } from "./eventfd.ts";

const SELECTORS = [EpollSelector, PollSelector, SelectSelector];
const READY = [1, 100, 1_000];
const IDLE = [0, 1_000];

// The ready ones have the lower numbers: select(2) looks at every number up to the greatest that is registered. They
// are registered last: poll(2) looks at all in this order.
const readyFds = readyEventfds(Math.max(...READY));
const idleFds = idleEventfds(Math.max(...IDLE));
const spareFd = readyFds[0]!;

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

for (const Selector of SELECTORS) {
  const selector = new Selector();
  for (const fd of idleFds) selector.register(fd, EVENT_READ);
  Deno.bench({
    group: `register + unregister, beside ${idleFds.length} others`,
    name: `${Selector.name}, register + unregister`,
    baseline: Selector === EpollSelector,
    fn() {
      selector.register(spareFd, EVENT_READ);
      selector.unregister(spareFd);
    },
  });
}

for (const Selector of SELECTORS) {
  const selector = new Selector();
  for (const fd of idleFds) selector.register(fd, EVENT_READ);
  let events = EVENT_READ;
  Deno.bench({
    group: "modify, to other events",
    name: `${Selector.name}, modify`,
    baseline: Selector === EpollSelector,
    fn() {
      events ^= EVENT_READ | EVENT_WRITE;
      selector.modify(idleFds[0]!, events);
    },
  });
}

for (const Selector of SELECTORS) {
  const selector = new Selector();
  for (const fd of idleFds) selector.register(fd, EVENT_READ);
  Deno.bench({
    group: "getKey, by descriptor",
    name: `${Selector.name}, getKey`,
    baseline: Selector === EpollSelector,
    fn() {
      selector.getKey(idleFds[0]!);
    },
  });
}
