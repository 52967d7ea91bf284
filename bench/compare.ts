/**
 * Compares an echo server on this package with echo servers in C, libevent, libuv, Rust, Go, CPython, Node, Bun and
 * Deno.
 *
 * Each server runs alone on one core, and the load generator on another. The main result is the server's processor time
 * per request, as measured by the kernel. Requests per second depend on the load generator as much as on the server, so
 * the table also shows how busy the load generator was. Each number is the median over the rounds, and each round
 * measures every server once in every setting, in its own process.
 *
 * ```sh
 * deno task compare                                            # everything, in 40 minutes
 * deno task compare --connections 50 --sizes 64 --idle 0       # one setting
 * deno task compare --peers c,ours,node --rounds 5 --seconds 2
 * deno task compare --plot                                     # also draws bench/plots/cpu_per_request.svg
 * ```
 *
 * @module
 */

import { parseArgs } from "node:util";
import { os } from "../ffi/os/systems.ts";
import {
  cpuUs,
  find,
  lostOf,
  measureAll,
  printMeasurements,
  printMemory,
  printRatios,
  requestRate,
  type Row,
} from "./measurements.ts";
import { compileC, descriptorLimit, importPlots, machine, warnIfBusy } from "./programs.ts";
import { atLeast, atMost, type Goal, printGoals, ratiosOf, showNumber, type Spread, spreadOf } from "./report.ts";
import {
  C,
  C_IDS,
  findServers,
  type Load,
  OURS,
  OURS_ASYNC,
  parseNumber,
  parsePeers,
  SERVER_IDS,
  SPARE_DESCRIPTORS,
} from "./servers.ts";

/** Servers that run without a virtual machine. */
const COMPILED_IDS = [...C_IDS, "mio", "go"];

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
  const numbers = (option: "connections" | "sizes" | "idle", min: number) =>
    values[option].split(",").map((text) => parseNumber(option, text, min));
  return {
    peers: parsePeers(values.peers),
    connections: numbers("connections", 1),
    sizes: numbers("sizes", 1),
    idle: numbers("idle", 0),
    rounds: parseNumber("rounds", values.rounds, 1),
    seconds: parseNumber("seconds", values.seconds, 0.1),
    warmUp: parseNumber("warm-up", values["warm-up"], 0),
    python: values.python,
    plot: values.plot,
  };
}

/** Returns every combination of the options for which a process may open enough descriptors. */
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

/**
 * Returns the goals: at most a certain multiple of the processor time of C, less processor time than every server that
 * is not compiled, and nearly as many requests with `for await` as with `select()`.
 */
function goalsOf(rows: Row[]): Goal[] {
  return rows.filter(({ server, load }) =>
    server.id === OURS && load.bytes === 64 && load.idle === 0 && [50, 500].includes(load.connections)
  ).flatMap((ours) => {
    const measure = `CPU per request, ${ours.load.connections} connections, 64 B`;
    const ratioTo = (other: Row | undefined): Spread | null =>
      other === undefined ? null : ratiosOf(cpuUs(ours), cpuUs(other));
    const left = [...COMPILED_IDS, OURS, OURS_ASYNC];
    const others = rows.filter(({ server, load }) => load === ours.load && !left.includes(server.id));
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

/** Draws the processor time per request. */
async function draw(rows: Row[], rounds: number): Promise<void> {
  const { drawServers } = await importPlots();
  const drawn = rows.filter(({ load }) => load.bytes === 64 && load.idle === 0 && load.connections > 1);
  if (drawn.length === 0) {
    return console.log("Drew nothing: the plot needs 64 bytes, 0 idle, and 2 connections or more");
  }
  const bars = drawn.map((row) => ({
    name: row.server.name,
    group: `${showNumber(row.load.connections)} connections, ${row.load.bytes} bytes`,
    isOurs: [OURS, OURS_ASYNC].includes(row.server.id),
    value: spreadOf(cpuUs(row)),
  }));
  await drawServers(bars, rounds, [...new Set(drawn.map(({ server }) => server.version))]);
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
      `\nMedians of ${options.rounds} round(s) of ${options.seconds} s; "of C" is a ratio of CPU with its range.\n`,
    );
    printMeasurements(rows);
    printRatios(rows);
    printMemory(rows);
    const goals = goalsOf(rows);
    if (goals.length > 0) {
      console.log("\nGoals (`deno task micro` has the others):\n");
      printGoals(goals);
    }
    if (options.plot) await draw(rows, options.rounds);
    if (rows.some((row) => lostOf(row) > 0)) throw new Error("Connections were lost: see the last column");
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}

await main();
