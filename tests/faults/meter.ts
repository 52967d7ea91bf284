/**
 * Detects busy loops by the number of waits that the package begins and by the CPU time that the process uses.
 *
 * @module
 */

import { clock, conditions, real, shim } from "./shim.ts";

const RUSAGE_SELF = 0;

/** Waits per millisecond and fraction of a CPU above which a program spins. Signals interrupt and so repeat waits. */
const MOST_WAITS = conditions === "signals" ? 8 : 1;
const MOST_CPU = 0.6;

/** Waits and CPU time that never count as spinning: immediate retries, garbage collection and compilation. */
const FREE_WAITS = 30;
const FREE_CPU_MS = 10;

const rusage = new BigInt64Array(18);

/** Returns the CPU time of all threads of this process in milliseconds. */
function cpu(): number {
  real.getrusage(RUSAGE_SELF, rusage);
  return Number(rusage[0]! + rusage[2]!) * 1000 + Number(rusage[1]! + rusage[3]!) / 1000;
}

/** Measures time, waits and CPU time since its construction. */
export class Meter {
  readonly #start = clock.now();
  readonly #cpu = cpu();
  readonly #waits = shim.waits();

  /** Milliseconds since construction. */
  get elapsed(): number {
    return clock.now() - this.#start;
  }

  /** Returns true if the process has done too much work for a program that waits. */
  isSpinning(): boolean {
    return shim.waits() - this.#waits > FREE_WAITS + MOST_WAITS * this.elapsed ||
      cpu() - this.#cpu > FREE_CPU_MS + MOST_CPU * this.elapsed;
  }

  /** Formats the measurements for a message. */
  toString(): string {
    const [ms, used] = [this.elapsed, cpu() - this.#cpu].map((value) => value.toFixed(0));
    return `${shim.waits() - this.#waits} waits and ${used} ms of CPU time in ${ms} ms`;
  }
}
