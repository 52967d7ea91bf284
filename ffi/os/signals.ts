/**
 * Names and numbers of signals.
 *
 * @module
 */

import { system } from "./systems.ts";

/** Name of a signal, and its number on each family of systems; 0 where a family does not have the signal. */
type SignalRow = readonly [
  name: Deno.Signal,
  linux: number,
  bsd: number,
  solaris: number,
  windows: number,
];

/**
 * The signals that Deno knows. If several names have the same number, Deno reports the first of them.
 *
 * Linux: asm-generic/signal.h. Windows: signal.h of its C runtime, and the numbers that Deno and libuv add for the
 * events of a console; Deno rejects some of them. The other systems: <sys/signal.h>.
 */
const SIGNAL_TABLE: readonly SignalRow[] = [
  ["SIGHUP", 1, 1, 1, 1],
  ["SIGINT", 2, 2, 2, 2],
  ["SIGQUIT", 3, 3, 3, 3],
  ["SIGILL", 4, 4, 4, 4],
  ["SIGTRAP", 5, 5, 5, 0],
  ["SIGABRT", 6, 6, 6, 22],
  ["SIGEMT", 0, 7, 7, 0],
  ["SIGBUS", 7, 10, 10, 0],
  ["SIGFPE", 8, 8, 8, 8],
  ["SIGKILL", 9, 9, 9, 0],
  ["SIGUSR1", 10, 30, 16, 0],
  ["SIGSEGV", 11, 11, 11, 11],
  ["SIGUSR2", 12, 31, 17, 0],
  ["SIGPIPE", 13, 13, 13, 0],
  ["SIGALRM", 14, 14, 14, 0],
  ["SIGTERM", 15, 15, 15, 15],
  ["SIGSTKFLT", 16, 0, 0, 0],
  ["SIGCHLD", 17, 20, 18, 0],
  ["SIGCONT", 18, 19, 25, 0],
  ["SIGSTOP", 19, 17, 23, 0],
  ["SIGTSTP", 20, 18, 24, 0],
  ["SIGTTIN", 21, 21, 26, 0],
  ["SIGTTOU", 22, 22, 27, 0],
  ["SIGURG", 23, 16, 21, 0],
  ["SIGXCPU", 24, 24, 30, 0],
  ["SIGXFSZ", 25, 25, 31, 0],
  ["SIGVTALRM", 26, 26, 28, 0],
  ["SIGPROF", 27, 27, 29, 0],
  ["SIGWINCH", 28, 28, 20, 28],
  ["SIGIO", 29, 23, 22, 0],
  ["SIGPOLL", 29, 0, 22, 0],
  ["SIGINFO", 0, 29, 0, 0],
  ["SIGPWR", 30, 0, 19, 0],
  ["SIGSYS", 31, 12, 12, 0],
  ["SIGUNUSED", 31, 0, 0, 0],
  ["SIGBREAK", 0, 0, 0, 21],
];

/** Column of each family of systems in a {@linkcode SignalRow}. */
const COLUMNS = { linux: 1, bsd: 2, solaris: 3, windows: 4 } as const;

const column = COLUMNS[system.signals];

/** Signals that Deno cannot listen for: two always end or stop the process, and three report a fault in its code. */
const UNCATCHABLE: readonly string[] = ["SIGKILL", "SIGSTOP", "SIGILL", "SIGFPE", "SIGSEGV"];

/** Returns true if a value is the name of a signal, here or on another system. */
export function isSignal(name: unknown): name is Deno.Signal {
  return SIGNAL_TABLE.some((row) => row[0] === name);
}

/** Returns true if a program can listen for a signal, on a system that has it. */
export function isCatchable(name: Deno.Signal): boolean {
  return !UNCATCHABLE.includes(name);
}

/** Returns the name of a signal by its number on this system, or null if it has no name, such as a realtime signal. */
export function signalName(number: number): Deno.Signal | null {
  if (number === 0) return null;
  return SIGNAL_TABLE.find((row) => row[column] === number)?.[0] ?? null;
}

/** Returns the number of a signal on this system, or 0 if the system does not have it. */
export function signalNumber(name: Deno.Signal): number {
  return SIGNAL_TABLE.find((row) => row[0] === name)?.[column] ?? 0;
}
