/**
 * Times a selector's methods, the same system calls in C and the same methods in CPython, and the import of the
 * package; then prints which goals were reached.
 *
 * Each number is the median over the rounds, and each round times every peer once, in its own process.
 *
 * ```sh
 * deno task micro --rounds 7
 * deno task micro --plot        # also draws bench/plots/idle.svg and bench/plots/ready.svg
 * ```
 *
 * @module
 */

import { parseArgs } from "node:util";
import { os } from "../ffi/os/systems.ts";
import { findDeno, here, importPlots, machine, warnIfBusy } from "./programs.ts";
import {
  atLeast,
  atMost,
  type Goal,
  median,
  printGoals,
  printTable,
  ratiosOf,
  showNumber,
  showProgress,
  showRatio,
  type Spread,
  spreadOf,
} from "./report.ts";
import {
  C,
  C_WITH_THREAD,
  type Case,
  CPYTHON,
  findPeers,
  OURS,
  type Peer,
  possible,
  timeAll,
  type Timing,
} from "./timings.ts";

const select = (ready: number, idle: number = 0): Case => ({ measure: "select", ready, idle });

/** Cases for every peer. */
const CASES: Case[] = [
  ...[1, 10, 100, 1_000, 10_000].map((ready) => select(ready)),
  { measure: "register", ready: 0, idle: 1_000 },
  { measure: "modify", ready: 0, idle: 1_000 },
];
/** Cases for peers whose cost does not grow with the number of idle descriptors. */
const BESIDE_IDLE = [select(5), select(5, 19_000)];
/** Cases for the selectors of this package. */
const BY_IDLE = [10, 100, 1_000, 10_000].map((idle) => select(1, idle));

/** Measurements of an import, one per round. */
const IMPORTS = 3;

/** Cost of importing the package, and of a registration. */
interface Footprint {
  /** Milliseconds to import `mod.ts`, minus the time to import an empty module; one per round. */
  importMs: number[];
  /** Number of libraries that the import opened. */
  libraries: number;
  /** Bytes of one registered descriptor, in the heap and in external buffers. */
  bytesPerKey: number;
}

function parseOptions(): { rounds: number; python: string; plot: boolean } {
  const { values } = parseArgs({
    options: {
      rounds: { type: "string", default: "7" },
      python: { type: "string", default: "python3" },
      plot: { type: "boolean", default: false },
    },
  });
  const rounds = Number(values.rounds);
  if (Number.isInteger(rounds) && rounds > 0) return { rounds, python: values.python, plot: values.plot };
  throw new RangeError(`Cannot run ${values.rounds} rounds: use a whole number above 0`);
}

/** Runs `footprint.ts` in a new process. */
function footprintOf<T>(args: string[], flags: string[] = []): T {
  const [program, ...denoFlags] = findDeno().command;
  const { success, stdout, stderr } = new Deno.Command(program!, {
    args: [...denoFlags, "--allow-read", "--allow-ffi", ...flags, here("footprint.ts"), ...args],
  }).outputSync();
  const decoder = new TextDecoder();
  if (!success) throw new Error(`Cannot measure ${args}: ${decoder.decode(stderr)}`);
  return JSON.parse(decoder.decode(stdout));
}

function measureFootprint(rounds: number): Footprint {
  const importMs: number[] = [];
  let libraries = 0;
  // The first two runs fill V8's code cache for later runs. The command has no V8 flags, because a change of flags
  // invalidates the cache.
  for (let time = 0; time < 2; time++) footprintOf(["import", "../mod.ts"]);
  for (let round = 1; round <= rounds; round++) {
    const own: number[] = [];
    const empty: number[] = [];
    for (let time = 0; time < IMPORTS; time++) {
      const imported = footprintOf<{ ms: number; libraries: number }>(["import", "../mod.ts"]);
      own.push(imported.ms);
      libraries = imported.libraries;
      empty.push(footprintOf<{ ms: number }>(["import", "data:text/javascript,"]).ms);
    }
    importMs.push(median(own) - median(empty));
    showProgress(round, rounds, "the import of mod.ts");
  }
  const { bytes } = footprintOf<{ bytes: number }>(["register"], ["--v8-flags=--expose-gc"]);
  return { importMs, libraries, bytesPerKey: bytes };
}

function find(timings: Timing[], name: string, wanted: Case): Timing | undefined {
  return timings.find(({ peer, measure, ready, idle }) =>
    peer.name === name && measure === wanted.measure && ready === wanted.ready && idle === wanted.idle
  );
}

/** Returns the ratio of two timings; null if either was left out. */
function ratio(one: Timing | undefined, other: Timing | undefined): Spread | null {
  return one === undefined || other === undefined ? null : ratiosOf(one.ns, other.ns);
}

function printTimings(timings: Timing[]): void {
  const cell = (timing: Timing, name: string) => {
    const ratios = ratio(timing, find(timings, name, timing));
    return ratios === null || timing.peer.name === name ? "" : showRatio(ratios);
  };
  const rows = timings.map((timing) => {
    const { median, min, max } = spreadOf(timing.ns);
    const words = { select: "select(0)", register: "register + unregister", modify: "modify" };
    return [
      words[timing.measure],
      showNumber(timing.ready),
      showNumber(timing.idle),
      timing.peer.name,
      showNumber(median),
      `${showNumber(min)}..${showNumber(max)}`,
      timing.measure === "select" ? showNumber(median / timing.ready, 1) : "",
      cell(timing, C),
      cell(timing, OURS),
    ];
  });
  const columns = [
    { head: "turn", isText: true },
    { head: "ready" },
    { head: "idle" },
    { head: "", isText: true },
    { head: "ns" },
    { head: "min..max" },
    { head: "ns/event" },
    { head: "of C" },
    { head: "of ours" },
  ];
  printTable(columns, rows);
}

/**
 * Returns two goals: at most `ofC` times the time of C, and at least `overCPython` times faster than CPython.
 *
 * The second goal also shows how much faster C with an idle thread is. Only the kernel's cost is left there, which
 * limits any program on Deno.
 */
function twoGoals(measure: string, timings: Timing[], wanted: Case, ofC: number, overCPython: number): Goal[] {
  const ours = find(timings, OURS, wanted);
  const cpython = find(timings, CPYTHON, wanted);
  const bound = ratio(cpython, find(timings, C_WITH_THREAD, wanted));
  const goal = atLeast(overCPython, ratio(cpython, ours));
  return [
    { measure, toReach: `<= ${ofC} x C`, ...atMost(ofC, ratio(ours, find(timings, C, wanted))) },
    {
      measure,
      toReach: `>= ${overCPython} x faster than CPython`,
      ...goal,
      measured: bound === null ? goal.measured : `${goal.measured}; C ${bound.median.toFixed(2)}`,
    },
  ];
}

function goalsOf(timings: Timing[], { importMs, libraries, bytesPerKey }: Footprint): Goal[] {
  const beside = ratio(find(timings, OURS, select(5, 19_000)), find(timings, OURS, select(5)));
  const importing = spreadOf(importMs);
  return [
    ...twoGoals("select(0), 1 ready", timings, select(1), 1.2, 3),
    ...twoGoals("select(0), 1,000 ready", timings, select(1_000), 1.3, 3),
    ...twoGoals("select(0), 10,000 ready", timings, select(10_000), 1.6, 2.5),
    ...twoGoals("register + unregister", timings, { measure: "register", ready: 0, idle: 1_000 }, 1.3, 2),
    ...twoGoals("modify", timings, { measure: "modify", ready: 0, idle: 1_000 }, 1.4, 5),
    { measure: "5 ready with 19,000 idle, compared with 0 idle", toReach: "<= 1.1", ...atMost(1.1, beside) },
    {
      measure: "import of mod.ts, minus that of an empty module",
      toReach: "<= 5 ms",
      measured: `${importing.median.toFixed(1)} ms (${importing.min.toFixed(1)}..${importing.max.toFixed(1)})`,
      isReached: importing.median <= 5,
    },
    {
      measure: "libraries opened by the import",
      toReach: "none",
      measured: `${libraries}`,
      isReached: libraries === 0,
    },
    {
      measure: "heap per registered descriptor",
      toReach: "<= 250 bytes",
      measured: `${showNumber(bytesPerKey)} bytes`,
      isReached: bytesPerKey <= 250,
    },
  ];
}

async function main(): Promise<void> {
  if (os !== "linux") throw new Deno.errors.NotSupported("Cannot time: only Linux has epoll and eventfd");
  const { rounds, python, plot } = parseOptions();
  const directory = Deno.makeTempDirSync();
  try {
    console.log(machine());
    warnIfBusy();
    const peers = findPeers(directory, python);
    for (const version of new Set(peers.map(({ version }) => version))) console.log(version);
    const cross = (cases: Case[], peers: Peer[]): Timing[] =>
      possible(cases).flatMap((one) => peers.map((peer) => ({ ...one, peer, ns: [] })));
    const flat = peers.filter(({ name }) => name !== "PollSelector" && name !== "SelectSelector");
    const own = peers.filter(({ name }) => name.endsWith("Selector"));
    const timings = [...cross(CASES, peers), ...cross(BESIDE_IDLE, flat), ...cross(BY_IDLE, own)];
    timeAll(timings, rounds);
    const footprint = measureFootprint(rounds);
    console.log(
      `\nOne turn, in nanoseconds. Median and range of ${rounds} round(s); "of C" and "of ours" are ratios.\n`,
    );
    printTimings(timings);
    console.log("\nGoals (`deno task compare` has those for servers):\n");
    printGoals(goalsOf(timings, footprint));
    if (plot) await (await importPlots()).drawSelects(timings, rounds);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}

await main();
