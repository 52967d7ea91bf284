/**
 * Decides when a loop of waits has to let Deno's event loop run, and lets it run.
 *
 * If every wait finds something ready, the program only runs promise callbacks, and Deno's event loop does not run. So
 * every wait calls {@linkcode isTurnOver}, and {@linkcode nextTurn} if the result is true. A turn is the time from one
 * run of the event loop to the next.
 *
 * @module
 */

import { lazy } from "../../ffi/os/library.ts";
import { monotonicMs } from "../../ffi/os/timeout.ts";

/** Milliseconds after which the next clock read ends a turn; timers, I/O and signal listeners wait for its end. */
const TURN_MS = 1;

/** Minimum number of calls between two clock reads; a read costs as much as one ready entry of a batch. */
const MIN_UNTIMED = 8;

/** Maximum number of calls between two clock reads; limits a turn whose handlers become slow in the middle of it. */
const MAX_UNTIMED = 32;

/** Milliseconds at the start of a turn during which each clock read doubles the number of calls until the next. */
const QUICK_MS = TURN_MS / 8;

/**
 * Number of iterations of the event loop between two turns. Each iteration advances other work by one step, and a
 * fetch() needs dozens of steps. 16 iterations cost a busy loop 2 % of its time.
 */
const ITERATIONS = 16;

/**
 * Returns a global function as it is when this module is loaded, so that fake timers in user tests do not affect it.
 *
 * Deno loads these functions when their getters are first called, which takes ten milliseconds. So this function only
 * captures the getter.
 */
function original<Name extends "setImmediate" | "setTimeout">(name: Name): () => typeof globalThis[Name] {
  const { get, value } = Object.getOwnPropertyDescriptor(globalThis, name)!;
  return lazy(() => get === undefined ? value : get.call(globalThis));
}

const immediate = original("setImmediate");
const timeout = original("setTimeout");

/** Calls a function after some milliseconds. */
export function callAfter(milliseconds: number, callback: () => void): void {
  timeout()(callback, milliseconds);
}

// Time of the first clock read in this turn, or -1 before it.
let startMs = -1;
// Calls of isTurnOver() left until the next clock read, and calls from the last read to the next.
let untimed = 0;
let interval = MIN_UNTIMED;
let giving: Promise<void> | null = null;

/**
 * Returns true if this turn has lasted for about a millisecond since the first call in it.
 *
 * A call that returns false costs next to nothing, so the function can be called for every event.
 */
export function isTurnOver(): boolean {
  if (--untimed > 0) return false;
  if (startMs === -1) {
    startMs = monotonicMs();
    immediate()(begin);
  } else {
    const elapsedMs = monotonicMs() - startMs;
    if (elapsedMs >= TURN_MS) return true;
    if (elapsedMs < QUICK_MS && interval < MAX_UNTIMED) interval *= 2;
  }
  untimed = interval;
  return false;
}

/** Ends this turn: lets the event loop run for a few iterations, and resolves when the next turn begins. */
export function nextTurn(): Promise<void> {
  return giving ??= new Promise((resolve) => {
    let left = ITERATIONS;
    function iterate(): void {
      if (--left > 0) return void immediate()(iterate);
      giving = null;
      begin();
      resolve();
    }
    immediate()(iterate);
  });
}

function begin(): void {
  startMs = -1;
  untimed = 0;
  interval = MIN_UNTIMED;
}
