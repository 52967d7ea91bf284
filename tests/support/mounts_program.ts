/**
 * A program for a separate mount namespace: waits for changes to `/proc/self/mounts` in every kind of wait, and prints
 * the number of entries that each wait has reported.
 *
 * @module
 */

import { openSync } from "node:fs";
import {
  type BaseSelector,
  EpollSelector,
  EVENT_PRIORITY,
  MODE_ONCE,
  PollSelector,
  SelectSelector,
  waitFor,
} from "../../mod.ts";

let isMounted = false;

/** Changes the mount table. */
function changeNow(): void {
  const args = isMounted ? ["umount", "/mnt"] : ["mount", "-t", "tmpfs", "none", "/mnt"];
  const { success } = new Deno.Command(args[0]!, { args: args.slice(1) }).outputSync();
  if (!success) throw new Error(`${args.join(" ")} failed`);
  isMounted = !isMounted;
}

/** Changes the mount table once a wait has parked. */
async function changeLater(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 20));
  changeNow();
}

const reported: Record<string, number[]> = {};
const selectors: Record<string, () => BaseSelector> = {
  EpollSelector: () => new EpollSelector(),
  PollSelector: () => new PollSelector(),
  SelectSelector: () => new SelectSelector(),
};
for (const [name, create] of Object.entries(selectors)) {
  const counts: number[] = [];
  using selector = create();
  const fd = openSync("/proc/self/mounts", "r");
  selector.register(fd, EVENT_PRIORITY);
  changeNow();
  counts.push(selector.select(0).length, selector.select(0).length);
  for (let round = 0; round < 3; round++) {
    const wait = selector.selectAsync(5);
    await changeLater();
    counts.push((await wait).length, (await selector.selectAsync(0)).length);
  }
  const iteration = selector.events({ timeout: 5 });
  for (let round = 0; round < 2; round++) {
    const next = iteration.next();
    await changeLater();
    counts.push((await next).done ? 0 : 1);
  }
  selector.modify(fd, EVENT_PRIORITY | MODE_ONCE);
  const once = selector.selectAsync(5);
  await changeLater();
  counts.push((await once).length);
  changeNow();
  counts.push((await selector.selectAsync(0.05)).length);

  // The blocking call has reported the change, but the wait is aborted before the report arrives.
  selector.modify(fd, EVENT_PRIORITY);
  await selector.selectAsync(0);
  const controller = new AbortController();
  const aborted = selector.selectAsync(5, { signal: controller.signal }).catch(() => []);
  await new Promise((resolve) => setTimeout(resolve, 20));
  changeNow();
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50); // lets the other thread return from its call
  controller.abort();
  counts.push((await aborted).length);
  counts.push((await selector.selectAsync(5)).length, (await selector.selectAsync(0)).length);
  reported[name] = counts;
}

const fd = openSync("/proc/self/mounts", "r");
const waits = [waitFor(fd, EVENT_PRIORITY, 5), waitFor(fd, EVENT_PRIORITY, 5)];
await changeLater();
reported.waitFor = (await Promise.all(waits)).map((events) => (events & EVENT_PRIORITY) !== 0 ? 1 : 0);
console.log(JSON.stringify(reported));
