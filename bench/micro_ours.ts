/**
 * Times a selector's methods in this package.
 *
 * Usage: `micro_ours.ts select|register|modify <number of ready descriptors> <number of idle descriptors> [selector]`
 *
 * Prints `{"ns": <nanoseconds per turn>}`. A turn of `select` is a call that does not wait, and a loop over its result.
 * A turn of `register` is a `register` and an `unregister`. A turn of `modify` is a change of the events.
 *
 * @module
 */

import { type BaseSelector, EpollSelector, EVENT_READ, EVENT_WRITE, PollSelector, SelectSelector } from "../mod.ts";
import { idleEventfds, readyEventfds } from "./eventfd.ts";

// The same values as in micro.c and micro.py.
const BATCH_MS = 20;
const BATCHES = 15;

/** Runs a number of turns on a selector, with a spare descriptor, and returns the elapsed milliseconds. */
type Batch = (selector: BaseSelector, spareFd: number, turns: number) => number;

const selectors = { EpollSelector, PollSelector, SelectSelector };
const batches: Record<string, Batch> = {
  select(selector, _spareFd, turns) {
    let sum = 0;
    const start = performance.now();
    for (let turn = 0; turn < turns; turn++) {
      for (const [, events] of selector.select(0)) sum += events;
    }
    const end = performance.now();
    if (sum === 0) throw new Error("select() returned no events");
    return end - start;
  },

  register(selector, spareFd, turns) {
    const start = performance.now();
    for (let turn = 0; turn < turns; turn++) {
      selector.register(spareFd, EVENT_READ);
      selector.unregister(spareFd);
    }
    return performance.now() - start;
  },

  modify(selector, spareFd, turns) {
    let events = EVENT_READ;
    const start = performance.now();
    for (let turn = 0; turn < turns; turn++) {
      events ^= EVENT_WRITE;
      selector.modify(spareFd, events);
    }
    return performance.now() - start;
  },
};

function named<T>(things: Record<string, T>, name: string): T {
  const thing = things[name];
  if (thing === undefined) throw new RangeError(`Cannot time ${name}: use ${Object.keys(things).join(", ")}`);
  return thing;
}

/**
 * Runs increasingly long batches, and returns the number of turns in the first batch that is long enough.
 *
 * The batches are long because an event loop runs for a long time, and V8 compiles a long loop differently from many
 * short calls.
 */
function warmUp(timeBatch: (turns: number) => number): number {
  let turns = 1;
  while (timeBatch(turns) < BATCH_MS) turns *= 2;
  return turns;
}

const [measure, ready, idle, name = EpollSelector.name] = Deno.args;
const [spareFd] = idleEventfds(1);
const selector: BaseSelector = new (named<new () => BaseSelector>(selectors, name))();
// The ready descriptors have the lower numbers, because select(2) checks every number up to the highest. They are
// registered last, because poll(2) checks all descriptors in the order of registration.
const readyFds = readyEventfds(Number(ready));
for (const fd of [...idleEventfds(Number(idle)), ...readyFds]) selector.register(fd, EVENT_READ);
if (selector.select(0).length !== readyFds.length) throw new Error("select() did not return every ready descriptor");
if (measure === "modify") selector.register(spareFd!, EVENT_READ);

const batch = named(batches, measure!);
const turns = warmUp((turns) => batch(selector, spareFd!, turns));
const times = Array.from({ length: BATCHES }, () => batch(selector, spareFd!, turns)).sort((a, b) => a - b);
console.log(JSON.stringify({ ns: times[Math.floor(BATCHES / 2)]! * 1e6 / turns }));
