/**
 * Turns of Deno's event loop: when one has lasted long enough, and how to let the next begin.
 *
 * @module
 */

import { monotonicMs } from "../../ffi/os/timeout.ts";

/** How long a turn may be, in milliseconds: timers, I/O and signals of others wait for so long. */
const TURN_MS = 1;

/** How often the clock is not asked between two times that it is: it costs a tenth of a select(). */
const UNTIMED = 8;

/**
 * How many turns are given at once. A turn brings what others do forward by a step, of which a fetch() has dozens; so many
 * turns cost 2 % of the time.
 */
const TURNS = 16;

// Captured at load time, so that fake timers in user tests do not affect it.
const setImmediate = globalThis.setImmediate;

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
    setImmediate(begin);
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
      if (--left > 0) return void setImmediate(turn);
      giving = null;
      begin();
      resolve();
    }
    setImmediate(turn);
  });
}

function begin(): void {
  startMs = -1;
  untimed = 0;
}
