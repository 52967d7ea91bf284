/**
 * Compares an echo server on this package with echo servers in C, CPython, Node, Bun and Deno.
 *
 * Each server runs alone on one core, and the load on another. The main result is the server's processor time per
 * request, by the kernel's accounting. Requests per second depend on the load as much as on the server, so the table
 * shows how busy the load was. Each number is the median over the rounds, and each round measures every server once in
 * every setting, in its own process.
 *
 * ```sh
 * deno task compare                                            # everything, in half an hour
 * deno task compare --connections 50 --sizes 64 --idle 0       # one setting
 * deno task compare --peers c,ours,node --rounds 5 --seconds 2
 * deno task compare --plot                                     # also draws bench/plots/*.svg
 * ```
 *
 * @module
 */

import { parseArgs } from "node:util";
import { os } from "../ffi/os/systems.ts";
import { compileC, descriptorLimit, machine, warnIfBusy } from "./programs.ts";
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
  findPinning,
  findServers,
  type Load,
  measure,
  type Measurement,
  OURS,
  OURS_ASYNC,
  type Server,
  SERVER_IDS,
} from "./servers.ts";

/** Descriptors that a server needs in addition to its connections. */
const SPARE_DESCRIPTORS = 64;

/** The measurements of a server under a load, one per round. */
interface Row {
  server: Server;
  load: Load;
  measurements: Measurement[];
}

interface Options {
  peers: string[];
  connections: number[];
  sizes: number[];
  idle: number[];
  rounds: number;
  seconds: number;
  warmUp: number;
  python: string;
  plot: boolean;
}

function parseOptions(): Options {
  const { values } = parseArgs({
    options: {
      peers: { type: "string", default: SERVER_IDS.join() },
      connections: { type: "string", default: "1,50,500,5000" },
      sizes: { type: "string", default: "64,16384" },
      idle: { type: "string", default: "0,10000" },
      rounds: { type: "string", default: "3" },
      seconds: { type: "string", default: "1" },
      "warm-up": { type: "string", default: "1" },
      python: { type: "string", default: "python3" },
      plot: { type: "boolean", default: false },
    },
  });
  const peers = values.peers.split(",");
  const unknown = peers.find((peer) => !SERVER_IDS.includes(peer));
  if (unknown !== undefined) throw new RangeError(`Cannot measure ${unknown}: use any of ${SERVER_IDS.join()}`);
  const numbers = (option: "connections" | "sizes" | "idle", min: number) =>
    values[option].split(",").map((text) => checkedNumber(option, text, min));
  return {
    peers,
    connections: numbers("connections", 1),
    sizes: numbers("sizes", 1),
    idle: numbers("idle", 0),
    rounds: checkedNumber("rounds", values.rounds, 1),
    seconds: checkedNumber("seconds", values.seconds, 0.1),
    warmUp: checkedNumber("warm-up", values["warm-up"], 0),
    python: values.python,
    plot: values.plot,
  };
}

function checkedNumber(option: string, text: string, min: number): number {
  const number = text === "" ? NaN : Number(text);
  if (number >= min && number < Infinity) return number;
  throw new RangeError(`Cannot use --${option} ${text}: use a number that is at least ${min}`);
}

/** Returns every combination of the options for which one process may open enough descriptors. */
function loadsOf({ connections, sizes, idle, seconds, warmUp }: Options): Load[] {
  const most = descriptorLimit() - SPARE_DESCRIPTORS;
  const loads: Load[] = [];
  for (const bytes of sizes) {
    for (const resting of idle) {
      for (const active of connections) {
        if (active + resting > most) {
          console.log(`Skipped ${active} connections with ${resting} idle connections: raise \`ulimit -n\``);
        } else {
          loads.push({ connections: active, idle: resting, bytes, seconds, warmUpSeconds: warmUp });
        }
      }
    }
  }
  return loads;
}

async function measureAll(rows: Row[], rounds: number, loadProgram: string): Promise<void> {
  const pin = findPinning();
  let done = 0;
  for (let round = 1; round <= rounds; round++) {
    for (const { server, load, measurements } of rows) {
      measurements.push(await measure(server, load, loadProgram, pin));
      const setting = `${load.connections} connections, ${load.idle} idle, ${load.bytes} bytes`;
      showProgress(++done, rounds * rows.length, `${server.name}, ${setting}`);
    }
  }
}

/** Returns the server's processor time per request in microseconds, for each round. */
function cpuUs({ measurements }: Row): number[] {
  return measurements.map(({ serverCpuSeconds, requests }) => serverCpuSeconds * 1e6 / requests);
}

function find(rows: Row[], id: string, load: Load): Row | undefined {
  return rows.find((row) => row.server.id === id && row.load === load);
}

function printMeasurements(rows: Row[]): void {
  const columns = [
    { head: "connections" },
    { head: "idle" },
    { head: "bytes" },
    { head: "server", isText: true },
    { head: "requests/s" },
    { head: "CPU us/request" },
    { head: "of C" },
    { head: "p50 us" },
    { head: "p99 us" },
    { head: "p99.9 us" },
    { head: "MB" },
    { head: "load busy" },
  ];
  printTable(
    columns,
    rows.map((row) => {
      const { server, load, measurements } = row;
      const of = (value: (measurement: Measurement) => number) => median(measurements.map(value));
      const c = find(rows, C, load);
      return [
        showNumber(load.connections),
        showNumber(load.idle),
        showNumber(load.bytes),
        server.name,
        showNumber(median(requestRate(row))),
        showNumber(median(cpuUs(row)), 2),
        c === undefined || c === row ? "" : showRatio(ratiosOf(cpuUs(row), cpuUs(c))),
        showNumber(of(({ p50Us }) => p50Us)),
        showNumber(of(({ p99Us }) => p99Us)),
        showNumber(of(({ p999Us }) => p999Us)),
        showNumber(of(({ residentBytes }) => residentBytes / 1e6)),
        `${showNumber(of(({ loadCpuSeconds, seconds }) => 100 * loadCpuSeconds / seconds))} %`,
      ];
    }),
  );
}

/** Returns requests per second, for each round. */
function requestRate({ measurements }: Row): number[] {
  return measurements.map(({ requests, seconds }) => requests / seconds);
}

/**
 * Returns the goals: processor time within a limit of C's and below every other server's, and nearly as many requests
 * with `for await` as with `select()`.
 */
function goalsOf(rows: Row[]): Goal[] {
  return rows.filter(({ server, load }) =>
    server.id === OURS && load.bytes === 64 && load.idle === 0 && [50, 500].includes(load.connections)
  ).flatMap((ours) => {
    const measure = `CPU per request, ${ours.load.connections} connections, 64 B`;
    const ratioTo = (other: Row | undefined): Spread | null =>
      other === undefined ? null : ratiosOf(cpuUs(ours), cpuUs(other));
    const others = rows.filter(({ server, load }) => load === ours.load && ![C, OURS, OURS_ASYNC].includes(server.id));
    const beside = find(rows, OURS_ASYNC, ours.load);
    return [
      { measure, toReach: "<= 1.2 x C", ...atMost(1.2, ratioTo(find(rows, C, ours.load))) },
      ...others.map((other) => ({ measure, toReach: `< ${other.server.name}`, ...atMost(1, ratioTo(other)) })),
      {
        measure: `requests/s with for await, ${ours.load.connections} connections, 64 B`,
        toReach: ">= 0.9 x select()",
        ...atLeast(0.9, beside === undefined ? null : ratiosOf(requestRate(beside), requestRate(ours))),
      },
    ];
  });
}

/** Draws the pictures of the README; only this downloads the drawing library. */
async function draw(rows: Row[], { rounds, python }: Options, directory: string): Promise<void> {
  const { drawSelects, drawServers } = await import("./plots.ts");
  const all = rows.filter(({ load }) => load.bytes === 64 && load.idle === 0 && load.connections > 1).map((row) => ({
    name: row.server.name,
    group: `${showNumber(row.load.connections)} connections, ${row.load.bytes} bytes`,
    isOurs: row.server.id === OURS,
    value: spreadOf(cpuUs(row)),
  }));
  if (all.length > 0) await drawServers(all, rounds, [...new Set(rows.map(({ server }) => server.version))]);
  await drawSelects(directory, python, rounds);
}

async function main(): Promise<void> {
  if (os !== "linux") throw new Deno.errors.NotSupported("Cannot compare: only Linux has epoll");
  const options = parseOptions();
  const directory = Deno.makeTempDirSync();
  try {
    console.log(machine());
    warnIfBusy();
    const loadProgram = compileC("load.c", directory);
    if (loadProgram === null) throw new Deno.errors.NotSupported("Cannot compare: the load needs a C compiler");
    const servers = findServers(options.peers, directory, options.python);
    for (const { name, version } of servers) console.log(`${name}: ${version}`);
    const rows: Row[] = loadsOf(options).flatMap((load) =>
      servers.map((server) => ({ server, load, measurements: [] }))
    );
    await measureAll(rows, options.rounds, loadProgram.command[0]!);
    console.log(
      `\nMedians of ${options.rounds} rounds of ${options.seconds} s; "of C" is a ratio of CPU with its range.\n`,
    );
    printMeasurements(rows);
    const goals = goalsOf(rows);
    if (goals.length > 0) {
      console.log("\nGoals (`deno task micro` has the others):\n");
      printGoals(goals);
    }
    if (options.plot) await draw(rows, options, directory);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}

await main();
