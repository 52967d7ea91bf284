/**
 * Times asynchronous waits in which a descriptor is always ready, and wakeups.
 *
 * @module
 */

import { DefaultSelector, EVENT_READ, wake } from "../mod.ts";
import { readyEventfds } from "./eventfd.ts";

/** Events per iteration. The number is large enough to include turns of the event loop. */
const EVENTS = 10_000;

for (const ready of [1, 100]) {
  const selector = new DefaultSelector();
  for (const fd of readyEventfds(ready)) selector.register(fd, EVENT_READ);
  const group = `${EVENTS} events, ${ready} at a time`;

  Deno.bench("select()", { group, baseline: true }, () => {
    for (let count = 0; count < EVENTS;) {
      for (const _ of selector.select()) count++;
    }
  });

  Deno.bench("selectAsync()", { group }, async () => {
    for (let count = 0; count < EVENTS;) {
      for (const _ of await selector.selectAsync()) count++;
    }
  });

  Deno.bench("for await", { group }, async () => {
    let count = 0;
    for await (const _ of selector) if (++count === EVENTS) break;
  });
}

const woken = new DefaultSelector();
const { wakeHandle } = woken;

Deno.bench("select(0)", { group: "woken", baseline: true }, () => {
  woken.select(0);
});

Deno.bench("wakeup(), and the select() that it ends", { group: "woken" }, () => {
  woken.wakeup();
  woken.select();
});

Deno.bench("wake(), and the select() that it ends", { group: "woken" }, () => {
  wake(wakeHandle);
  woken.select();
});

Deno.bench("wakeup(), and the selectAsync() that it ends", { group: "woken" }, async () => {
  woken.wakeup();
  await woken.selectAsync();
});
