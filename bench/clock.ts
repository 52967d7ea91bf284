/**
 * Provides a clock that all Workers of a process share, because `performance.now()` starts at a different time in each.
 *
 * @module
 */

const { clock_gettime } = Deno.dlopen("libc.so.6", {
  clock_gettime: {
    parameters: [
      "i32", // clockid_t clockid
      "buffer", // struct timespec *tp
    ],
    result: "i32",
  },
}).symbols;

const CLOCK_MONOTONIC = 1;
const timespec = new BigInt64Array(2);
const halves = new Int32Array(timespec.buffer);

/** Returns nanoseconds since the machine started. A JavaScript number holds them exactly for three months. */
export function nowNs(): number {
  clock_gettime(CLOCK_MONOTONIC, timespec);
  return halves[0]! * 1e9 + halves[2]!;
}
