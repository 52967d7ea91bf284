/**
 * The library of shim.c, opened in place of libc for every file of the package that is loaded after this one.
 *
 * The first argument of the program is the path of the compiled library, the second one the conditions to run under.
 * What the harness itself does goes to the real libc, through {@linkcode real}, and by the clocks kept in `clock`.
 *
 * @module
 */

/** Conditions under which scenarios run. */
export type Conditions = "calm" | "signals" | "clocks" | "collections";

const [path] = Deno.args as [string];
const { dlopen } = Deno;
const INT = "i32" as const;

/** The conditions here. */
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
  /** Makes `count` calls of a function fail, from the n-th on, and counts all calls anew. */
  fail: (name: string, nth: number, count: number, errno: number) =>
    symbols.shim_fail(cString(name), nth, count, errno),
  /** Makes no call fail any more. */
  clear: () => symbols.shim_clear(),
  /** Forgets how often the package has waited: it may do so only so often before the process is ended. */
  relax: () => symbols.shim_relax(),
  /** Counts the calls of a function since the last {@linkcode fail}. */
  calls: (name: string) => symbols.shim_calls(cString(name)),
  /** Counts the calls that were made to fail. */
  hits: () => symbols.shim_hits(),
  /** Counts the waits that were begun. */
  waits: () => symbols.shim_waits(),
  /** Counts the waits under way, of all threads. */
  waiting: () => symbols.shim_waiting(),
  /** Counts the waits that would have lasted longer than allowed. */
  overdue: () => symbols.shim_overdue(),
  /** Bounds how long a wait may last, and forgets those that wanted more. */
  limit: (ms: number) => symbols.shim_limit(ms),
  /** Lets waits of so many milliseconds and more pass at once, together with the time of `performance.now()`. */
  warp: (ms: number) => symbols.shim_warp(ms),
  /** Adds up the milliseconds that passed so. */
  warped: () => symbols.shim_warped(),
  /** Returns the two sockets of the last pair that the package has made. */
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

/** The clocks and timers of the harness, which nothing replaces. */
export const clock = {
  now: (): number => now.call(performance),
  sleep: (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, ms)),
  setTimeout,
  clearTimeout,
};

/** Collects garbage, if that is among the conditions. */
export const collect: () => void = conditions === "collections"
  ? (globalThis as unknown as { gc(): void }).gc
  : () => {};

type Call = (...args: unknown[]) => unknown;

Object.assign(Deno, {
  dlopen(name: string, declared: Deno.ForeignLibraryInterface) {
    const library = dlopen(name === "libc.so.6" ? path : name, declared);
    if (conditions !== "collections") return library;
    // Before each call and not after it: between a call and the reading of errno, the package allows nothing.
    const wrapped = Object.entries(library.symbols as Record<string, Call | null>).map(([key, call]) =>
      [key, call && ((...args: unknown[]) => (collect(), call(...args)))] as const
    );
    return { symbols: Object.fromEntries(wrapped) };
  },
});

// The package may keep these functions when it is loaded, so that they are replaced now. The wall clock goes back by ten
// seconds each time that it is read, as if it were set again and again.
Performance.prototype.now = () => clock.now() + shim.warped();
const dateNow = Date.now;
let steps = 0;
if (conditions === "clocks") Date.now = () => dateNow() - 10_000 * ++steps;

/** Lets signals come during a run, if they are among the conditions. */
export function storm(isWanted: boolean): void {
  if (conditions === "signals") symbols.shim_storm(isWanted ? 1 : 0);
}

/** Replaces clocks and timers, if that is among the conditions, after the package was loaded. */
export function replaceClocks(): void {
  if (conditions !== "clocks") return;
  const never = () => 0;
  for (const name of ["setTimeout", "setInterval", "setImmediate"]) Object.assign(globalThis, { [name]: never });
  Object.assign(performance, { now: () => 0 });
  Date.now = () => 0;
}
