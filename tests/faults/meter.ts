/**
 * Tells whether a stretch of time was spent spinning: by the waits that the package began, and by processor time.
 *
 * @module
 */

import { clock, conditions, real, shim } from "./shim.ts";

const RUSAGE_SELF = 0;

/** Waits begun in each millisecond, and part of a processor used, above which nothing is at rest. A signal takes some. */
const MOST_WAITS = conditions === "signals" ? 8 : 1;
const MOST_CPU = 0.6;

/** What is always allowed: some waits that are retried at once, and a collection of garbage or a compilation. */
const FREE_WAITS = 30;
const FREE_CPU_MS = 10;

const rusage = new BigInt64Array(18);

/** Milliseconds of processor time that all threads of this process have used. */
function cpu(): number {
  real.getrusage(RUSAGE_SELF, rusage);
  return Number(rusage[0]! + rusage[2]!) * 1000 + Number(rusage[1]! + rusage[3]!) / 1000;
}

/** Measures from when it is made. */
export class Meter {
  readonly #start = clock.now();
  readonly #cpu = cpu();
  readonly #waits = shim.waits();

  /** Milliseconds since then. */
  get elapsed(): number {
    return clock.now() - this.#start;
  }

  /** Tells whether too much was done since then for a program that waits. */
  isSpinning(): boolean {
    return shim.waits() - this.#waits > FREE_WAITS + MOST_WAITS * this.elapsed ||
      cpu() - this.#cpu > FREE_CPU_MS + MOST_CPU * this.elapsed;
  }

  /** Says what was done since then. */
  toString(): string {
    const [ms, used] = [this.elapsed, cpu() - this.#cpu].map((value) => value.toFixed(0));
    return `${shim.waits() - this.#waits} waits and ${used} ms of processor time in ${ms} ms`;
  }
}
