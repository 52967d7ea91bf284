/**
 * Opens the library of shim.c in place of libc for every file of the package that is loaded after this file.
 *
 * The first argument of the program is the path of the compiled library, the second argument names the conditions.
 * The harness itself calls the real libc through {@linkcode real} and uses the original clocks in {@linkcode clock}.
 *
 * @module
 */

/** The conditions under which scenarios run. */
export type Conditions = "calm" | "signals" | "clocks" | "collections";

const [path] = Deno.args as [string];
const { dlopen } = Deno;
const INT = "i32" as const;

/** The conditions of this process. */
export const conditions = Deno.args[1] as Conditions;

const { symbols } = dlopen(path, {
  shim_fail: { parameters: ["buffer", INT, INT, INT], result: INT },
  shim_clear: { parameters: [], result: "void" },
  shim_relax: { parameters: [], result: "void" },
  shim_calls: { parameters: ["buffer"], result: INT },
  shim_hits: { parameters: [], result: INT },
  shim_waits: { parameters: [], result: INT },
  shim_waiting: { parameters: [], result: INT },
  shim_overdue: { parameters: [], result: INT },
  shim_limit: { parameters: [INT], result: "void" },
  shim_warp: { parameters: ["f64"], result: "void" },
  shim_warped: { parameters: [], result: "f64" },
  shim_storm: { parameters: [INT], result: INT },
  shim_last_pair: { parameters: [INT], result: INT },
});

const cString = (text: string) => new TextEncoder().encode(`${text}\0`);

/** Controls the library. */
export const shim = {
  /** Makes `count` calls of a function fail, starting with the n-th, and resets all call counters. */
  fail: (name: string, nth: number, count: number, errno: number) =>
    symbols.shim_fail(cString(name), nth, count, errno),
  /** Ends the fault. */
  clear: () => symbols.shim_clear(),
  /** Resets the number of waits; the library ends the process if that number grows too large. */
  relax: () => symbols.shim_relax(),
  /** Returns the number of calls of a function since the last {@linkcode fail}. */
  calls: (name: string) => symbols.shim_calls(cString(name)),
  /** Returns the number of calls that were made to fail. */
  hits: () => symbols.shim_hits(),
  /** Returns the number of waits that have begun since the last {@linkcode relax}. */
  waits: () => symbols.shim_waits(),
  /** Returns the number of pending waits in all threads. */
  waiting: () => symbols.shim_waiting(),
  /** Returns the number of waits that reached the limit. */
  overdue: () => symbols.shim_overdue(),
  /** Limits the length of a wait and resets the number of waits that reached the limit. */
  limit: (ms: number) => symbols.shim_limit(ms),
  /** Skips waits of at least `ms` milliseconds and advances `performance.now()` by their length. */
  warp: (ms: number) => symbols.shim_warp(ms),
  /** Returns the total length of the skipped waits in milliseconds. */
  warped: () => symbols.shim_warped(),
  /** Returns the two sockets of the pair that the package created last. */
  lastPair: () => [symbols.shim_last_pair(0), symbols.shim_last_pair(1)] as const,
};

/** Functions of the real libc. */
export const real = dlopen("libc.so.6", {
  close: { parameters: [INT], result: INT },
  dup: { parameters: [INT], result: INT },
  dup2: { parameters: [INT, INT], result: INT },
  getrusage: { parameters: [INT, "buffer"], result: INT },
  pipe2: { parameters: ["buffer", INT], result: INT },
  poll: { parameters: ["buffer", "usize", INT], result: INT },
  read: { parameters: [INT, "buffer", "usize"], result: INT },
  socketpair: { parameters: [INT, INT, INT, "buffer"], result: INT },
  usleep: { parameters: ["u32"], result: INT },
  write: { parameters: [INT, "buffer", "usize"], result: INT },
}).symbols;

const { setTimeout, clearTimeout, Performance } = globalThis;
const { now } = Performance.prototype;

/** The original clocks and timers, for the harness itself. */
export const clock = {
  now: (): number => now.call(performance),
  sleep: (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, ms)),
  setTimeout,
  clearTimeout,
};

/** Collects garbage under the condition "collections". */
export const collect: () => void = conditions === "collections"
  ? (globalThis as unknown as { gc(): void }).gc
  : () => {};

type Call = (...args: unknown[]) => unknown;

Object.assign(Deno, {
  dlopen(name: string, declared: Deno.ForeignLibraryInterface) {
    const library = dlopen(name === "libc.so.6" ? path : name, declared);
    if (conditions !== "collections") return library;
    // Collect before each call and not after it, because a collection between the call and the read could change errno.
    const wrapped = Object.entries(library.symbols as Record<string, Call | null>).map(([key, call]) =>
      [key, call && ((...args: unknown[]) => (collect(), call(...args)))] as const
    );
    return { symbols: Object.fromEntries(wrapped) };
  },
});

// Replaced before the package is loaded, because the package may keep references to them. The wall clock steps back by
// ten seconds at each read.
Performance.prototype.now = () => clock.now() + shim.warped();
const dateNow = Date.now;
let steps = 0;
if (conditions === "clocks") Date.now = () => dateNow() - 10_000 * ++steps;

/** Starts or stops the signals under the condition "signals". */
export function storm(isWanted: boolean): void {
  if (conditions === "signals") symbols.shim_storm(isWanted ? 1 : 0);
}

/** Replaces clocks and timers under the condition "clocks". Call this function after the package is loaded. */
export function replaceClocks(): void {
  if (conditions !== "clocks") return;
  const never = () => 0;
  for (const name of ["setTimeout", "setInterval", "setImmediate"]) Object.assign(globalThis, { [name]: never });
  Object.assign(performance, { now: () => 0 });
  Date.now = () => 0;
}
