/**
 * Times a `wakeup()`, or a `wake()` as another Worker calls it, and the `select()` that it ends, beside a `select()` that
 * finds a descriptor ready.
 *
 * @module
 */

import { EpollSelector, EVENT_READ, PollSelector, SelectSelector, wake } from "../mod.ts";
import { readyEventfds } from "./eventfd.ts";

const SELECTORS = [EpollSelector, PollSelector, SelectSelector];

const [readyFd = -1] = readyEventfds(1);

for (const Selector of SELECTORS) {
  const woken = new Selector();
  Deno.bench({
    group: "wakeup",
    name: `${Selector.name}, wakeup + select`,
    baseline: Selector === EpollSelector,
    fn() {
      woken.wakeup();
      if (woken.select().length !== 0) throw new Error("select() gave an event");
    },
  });

  const afar = new Selector();
  const handle = afar.wakeHandle;
  Deno.bench({
    group: "wakeup",
    name: `${Selector.name}, wake + select`,
    fn() {
      wake(handle);
      if (afar.select().length !== 0) throw new Error("select() gave an event");
    },
  });

  const ready = new Selector();
  ready.register(readyFd, EVENT_READ);
  Deno.bench({
    group: "wakeup",
    name: `${Selector.name}, select of a ready descriptor`,
    fn() {
      if (ready.select().length !== 1) throw new Error("select() gave no event");
    },
  });
}
