/**
 * Turns and timers of the event loop: when a turn has lasted long enough, and how to let the next begin. Fake timers in user
 * tests do not affect them.
 *
 * @module
 */

import { lazy } from "../../ffi/os/library.ts";
import { monotonicMs } from "../../ffi/os/timeout.ts";

/** Returns a global function that Deno loads when it is first read. Only its getter is read here: to load it takes long. */
function original<Name extends "setImmediate" | "setTimeout">(name: Name): () => typeof globalThis[Name] {
  const { get, value } = Object.getOwnPropertyDescriptor(globalThis, name)!;
  return lazy(() => get === undefined ? value : get.call(globalThis));
}

const immediate = original("setImmediate");
const timeout = original("setTimeout");

/** Calls a function in the next turn of the event loop. */
export function callNext(callback: () => void): void {
  immediate()(callback);
}

/** Calls a function after some milliseconds. */
export function callAfter(milliseconds: number, callback: () => void): void {
  timeout()(callback, milliseconds);
}

/** How long a turn may be, in milliseconds: timers, I/O and signals of others wait for so long. */
const TURN_MS = 1;

/** How often the clock is not asked between two times that it is: it costs a tenth of a select(). */
const UNTIMED = 8;

/**
 * How many turns are given at once. A turn brings what others do forward by a step, of which a fetch() has dozens; so many
 * turns cost 2 % of the time.
 */
const TURNS = 16;

// When the turn was first asked for, or -1 if it was not yet.
let startMs = -1;
let untimed = 0;
let giving: Promise<void> | null = null;

/**
 * Tells whether this turn has lasted for about a millisecond since it was first asked.
 *
 * To say that it has not costs next to nothing, so that it can be asked for every event.
 */
export function isTurnOver(): boolean {
  if (--untimed > 0) return false;
  if (startMs === -1) {
    startMs = monotonicMs();
    callNext(begin);
  } else if (monotonicMs() - startMs >= TURN_MS) {
    return true;
  }
  untimed = UNTIMED;
  return false;
}

/** Lets the event loop turn a few times. */
export function nextTurn(): Promise<void> {
  return giving ??= new Promise((resolve) => {
    let left = TURNS;
    function turn(): void {
      if (--left > 0) return void callNext(turn);
      giving = null;
      begin();
      resolve();
    }
    callNext(turn);
  });
}

function begin(): void {
  startMs = -1;
  untimed = 0;
}
