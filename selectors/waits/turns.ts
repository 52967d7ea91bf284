/**
 * Decides when a loop of waits has to let Deno's event loop run, and lets it run.
 *
 * @module
 */

import { lazy } from "../../ffi/os/library.ts";
import { monotonicMs } from "../../ffi/os/timeout.ts";

/** Milliseconds after which a turn ends at the next clock read; timers, I/O and signal listeners wait until then. */
const TURN_MS = 1;

/** Fewest calls between two clock reads; a read costs as much as one ready entry of a batch. */
const MIN_UNTIMED = 8;

/** Most calls between two clock reads; limits the turn if the handlers become slow in the middle of it. */
const MAX_UNTIMED = 32;

/** Start of a turn, in milliseconds: each clock read in it doubles the number of calls before the next read. */
const QUICK_MS = TURN_MS / 8;

/**
 * Iterations of the event loop between two turns. Each advances other work by one step, and a fetch() needs dozens of
 * steps. This number costs a busy loop 2 % of its time.
 */
const TURNS = 16;

/**
 * Returns a global function as it is when this module is loaded, so that fake timers in user tests do not affect it.
 *
 * Deno loads these functions when they are first read, which takes ten milliseconds. So only the getter is read here.
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
// Calls left until the next clock read, and calls between the last read and the next.
let untimed = 0;
let interval = MIN_UNTIMED;
let giving: Promise<void> | null = null;

/**
 * Returns true if this turn has lasted for about a millisecond since the first call.
 *
 * A call that returns false costs next to nothing, so that you can call it for every event.
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

/** Lets the event loop run for a few iterations. */
export function nextTurn(): Promise<void> {
  return giving ??= new Promise((resolve) => {
    let left = TURNS;
    function turn(): void {
      if (--left > 0) return void immediate()(turn);
      giving = null;
      begin();
      resolve();
    }
    immediate()(turn);
  });
}

function begin(): void {
  startMs = -1;
  untimed = 0;
  interval = MIN_UNTIMED;
}
