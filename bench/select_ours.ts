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
const BATCH_MS = 20;
const BATCHES = 15;

const selectors = { EpollSelector, PollSelector, SelectSelector };

function prepare(name: string, ready: number): BaseSelector {
  const Selector = Object.entries(selectors).find(([key]) => key === name)?.[1];
  if (Selector === undefined) throw new RangeError(`Cannot time ${name}: use ${Object.keys(selectors).join(", ")}`);
  const selector = new Selector();
  for (const fd of readyEventfds(ready)) selector.register(fd, EVENT_READ);
  if (selector.select(0).length !== ready) throw new Error("select() did not give every descriptor");
  return selector;
}

/**
 * Runs longer and longer batches, and gives the number of turns in one that is long enough.
 *
 * They are long because an event loop is: V8 compiles a loop that goes on otherwise than one that is called many times.
 */
function warmUp(selector: BaseSelector): number {
  let turns = 1;
  while (timeBatch(selector, turns) * turns < BATCH_MS * 1e6) turns *= 2;
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
const turns = warmUp(selector);
const batches = Array.from({ length: BATCHES }, () => timeBatch(selector, turns)).sort((a, b) => a - b);
console.log(JSON.stringify({ ns: batches[Math.floor(BATCHES / 2)] }));
