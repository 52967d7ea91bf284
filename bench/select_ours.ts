/**
 * One turn of an event loop on a selector of ours: a `select` that only looks, and the walk over what it gave.
 *
 * Usage: `select_ours.ts <name of a selector> <how many descriptors are ready>`
 *
 * Prints `{"ns": <nanoseconds per turn>}`.
 *
 * @module
 */

import { type BaseSelector, EpollSelector, EVENT_READ, PollSelector, SelectSelector } from "../mod.ts";
import { readyEventfds } from "./eventfd.ts";

// The same in select.c and select.py.
const WARM_UP_MS = 100;
const BATCHES = 15;
const BATCHES_PER_WARM_UP = 5;

const selectors = { EpollSelector, PollSelector, SelectSelector };

function prepare(name: string, ready: number): BaseSelector {
  const Selector = Object.entries(selectors).find(([key]) => key === name)?.[1];
  if (Selector === undefined) throw new RangeError(`Cannot time ${name}: use ${Object.keys(selectors).join(", ")}`);
  const selector = new Selector();
  for (const fd of readyEventfds(ready)) selector.register(fd, EVENT_READ);
  if (selector.select(0).length !== ready) throw new Error("select() did not give every descriptor");
  return selector;
}

function warmUp(selector: BaseSelector): number {
  let turns = 0;
  for (const start = performance.now(); performance.now() - start < WARM_UP_MS; turns++) timeBatch(selector, 1);
  return turns;
}

function timeBatch(selector: BaseSelector, turns: number): number {
  let sum = 0;
  const start = performance.now();
  for (let turn = 0; turn < turns; turn++) {
    for (const [, events] of selector.select(0)) sum += events;
  }
  const end = performance.now();
  if (sum === 0) throw new Error("select() gave no events");
  return (end - start) * 1e6 / turns;
}

const [name, ready] = Deno.args;
const selector = prepare(name!, Number(ready));
const turns = Math.floor(warmUp(selector) / BATCHES_PER_WARM_UP) + 1;
const batches = Array.from({ length: BATCHES }, () => timeBatch(selector, turns)).sort((a, b) => a - b);
console.log(JSON.stringify({ ns: batches[Math.floor(BATCHES / 2)] }));
