/**
 * A clock that all Workers of a process share: `performance.now()` begins at another moment in each.
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

/** Nanoseconds since the machine was started, which a number holds for three months. */
export function nowNs(): number {
  clock_gettime(CLOCK_MONOTONIC, timespec);
  return halves[0]! * 1e9 + halves[2]!;
}
