/**
 * Times `register` and `unregister`, `modify` and `getKey` of each selector, for one descriptor among many.
 *
 * @module
 */

import { EpollSelector, EVENT_READ, EVENT_WRITE, PollSelector, SelectSelector } from "../mod.ts";
import { idleEventfds } from "./eventfd.ts";

const SELECTORS = [EpollSelector, PollSelector, SelectSelector];

const [spareFd = -1, ...idleFds] = idleEventfds(1_001);

function crowded(Selector: typeof SELECTORS[number]) {
  const selector = new Selector();
  for (const fd of idleFds) selector.register(fd, EVENT_READ);
  return selector;
}

for (const Selector of SELECTORS) {
  const selector = crowded(Selector);
  Deno.bench({
    group: `register + unregister, among ${idleFds.length} others`,
    name: `${Selector.name}, register + unregister`,
    baseline: Selector === EpollSelector,
    fn() {
      selector.register(spareFd, EVENT_READ);
      selector.unregister(spareFd);
    },
  });
}

for (const Selector of SELECTORS) {
  const selector = crowded(Selector);
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
  const selector = crowded(Selector);
  const fileobj = { fileno: () => spareFd };
  selector.register(fileobj, EVENT_READ);
  for (const [name, key] of [["descriptor", spareFd], ["file object", fileobj]] as const) {
    Deno.bench({
      group: "getKey",
      name: `${Selector.name}, getKey by ${name}`,
      baseline: Selector === EpollSelector && key === spareFd,
      fn() {
        selector.getKey(key);
      },
    });
  }
}
