/**
 * Measures echo servers with thousands of busy connections. With `--soak`, opens and closes connections instead, and
 * compares the descriptors and the memory of the server on this package before and after.
 *
 * The server and the load generator run in separate processes. The task fails if a connection does not receive its last
 * message.
 *
 * ```sh
 * deno task scale                                             # 19,000 connections, 60 s each for C and this package
 * deno task scale --connections 2000 --seconds 5 --rounds 1
 * deno task scale --peers c,libuv,ours,ours-async
 * deno task scale --soak 10000000                             # with select(); --async for `for await`
 * ```
 *
 * The load generator resets connections to close them (SO_LINGER of 0 seconds). After an orderly close, each connection
 * would stay in TIME_WAIT for a minute, and the ports would run out.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { os } from "../ffi/os/systems.ts";
import { lostOf, measureAll, printMeasurements, printMemory, type Row } from "./measurements.ts";
import { compileC, descriptorLimit, findDeno, here, machine, warnIfBusy } from "./programs.ts";
import { printTable, showNumber, showProgress } from "./report.ts";
import {
  C,
  findPinning,
  findServers,
  OURS,
  parseNumber,
  parsePeers,
  runLoad,
  type Server,
  SPARE_DESCRIPTORS,
  whileServing,
} from "./servers.ts";

/** Number of parts of a soak. The state of the server is printed after each part. */
const PARTS = 10;
/** Connections before the first reading of a soak, so that V8 has compiled the server. */
const WARM_UP = 20_000;
/** Time limit for one part of a soak. */
const PART_MS = 3_600_000;

/** The state of a server without connections. */
interface State {
  /** Connections opened and closed since the warm-up. */
  connections: number;
  seconds: number;
  descriptors: number;
  /** Memory of live objects in V8's heap and of external buffers, after a garbage collection. */
  heapBytes: number;
  /** Memory that V8's heap has allocated from the system, including room for new objects. */
  reservedBytes: number;
  residentBytes: number;
}

function parseOptions() {
  const { values } = parseArgs({
    options: {
      peers: { type: "string", default: `${C},${OURS}` },
      connections: { type: "string", default: "19000" },
      bytes: { type: "string", default: "64" },
      rounds: { type: "string", default: "2" },
      seconds: { type: "string", default: "60" },
      python: { type: "string", default: "python3" },
      soak: { type: "string" },
      async: { type: "boolean", default: false },
    },
  });
  return {
    peers: parsePeers(values.peers),
    connections: parseNumber("connections", values.connections, 1),
    bytes: parseNumber("bytes", values.bytes, 1),
    rounds: parseNumber("rounds", values.rounds, 1),
    seconds: parseNumber("seconds", values.seconds, 0.1),
    python: values.python,
    soak: values.soak === undefined ? null : parseNumber("soak", values.soak, PARTS),
    async: values.async,
  };
}

type Options = ReturnType<typeof parseOptions>;

/** Measures the servers in turn, all with the same connections. */
async function scale(options: Options, loadProgram: string, directory: string): Promise<void> {
  const { connections, bytes, rounds, seconds } = options;
  const needed = connections + SPARE_DESCRIPTORS;
  if (needed > descriptorLimit()) {
    throw new RangeError(
      `Cannot open ${connections} connections: raise \`ulimit -n\` to ${needed}, or use --connections`,
    );
  }
  const servers = findServers(options.peers, directory, options.python);
  for (const { name, version } of servers) console.log(`${name}: ${version}`);
  const load = { connections, idle: 0, bytes, seconds, warmUpSeconds: 2 };
  const rows: Row[] = servers.map((server) => ({ server, load, measurements: [] }));
  await measureAll(rows, rounds, loadProgram);
  console.log(`\nMedians of ${rounds} round(s) of ${seconds} s; "of C" is a ratio of CPU with its range.\n`);
  printMeasurements(rows);
  printMemory(rows);
  const requests = rows.flatMap(({ measurements }) => measurements).reduce((sum, { requests }) => sum + requests, 0);
  const lost = rows.reduce((sum, row) => sum + lostOf(row), 0);
  console.log(`\n${showNumber(requests)} requests in all; ${showNumber(lost)} connections were lost.`);
  if (lost > 0) Deno.exitCode = 1;
}

/** Returns the descriptors and the memory of a server that runs with `--report`. */
async function stateOf(pid: number, path: string): Promise<Omit<State, "connections" | "seconds">> {
  const reporter = await Deno.connect({ transport: "unix", path });
  const { heapUsed, heapTotal, external } = await new Response(reporter.readable).json();
  return {
    descriptors: [...Deno.readDirSync(`/proc/${pid}/fd`)].length,
    heapBytes: heapUsed + external,
    reservedBytes: heapTotal,
    residentBytes: Number(/^VmRSS:\s*(\d+) kB$/m.exec(Deno.readTextFileSync(`/proc/${pid}/status`))![1]) * 1024,
  };
}

/** Opens and closes connections, and prints the state of the server after each part. */
async function soak(count: number, isAsync: boolean, loadProgram: string, directory: string): Promise<void> {
  const { command, version } = findDeno();
  const path = `${directory}/report`;
  const server: Server = {
    id: OURS,
    name: isAsync ? "this, for await" : "this package",
    version,
    command: [
      ...command,
      "--allow-ffi",
      "--v8-flags=--expose-gc",
      here("echo_ours.ts"),
      `--report=${path}`,
      ...isAsync ? ["--async"] : [],
    ],
  };
  console.log(`${server.name}: ${version}`);
  const pin = findPinning();
  const states = await whileServing(server, pin, async (port, pid) => {
    const openAndClose = (some: number) =>
      runLoad<{ seconds: number }>(server, pin, [loadProgram, `${port}`, `${some}`], PART_MS);
    await openAndClose(WARM_UP);
    const states: State[] = [{ connections: 0, seconds: 0, ...await stateOf(pid, path) }];
    for (let part = 1; part <= PARTS; part++) {
      const connections = Math.round(count * part / PARTS);
      const { seconds } = await openAndClose(connections - states.at(-1)!.connections);
      states.push({ connections, seconds, ...await stateOf(pid, path) });
      showProgress(part, PARTS, `${showNumber(connections)} connections`);
    }
    return states;
  });
  printStates(states);
}

function printStates(states: State[]): void {
  console.log(
    `\nThe server without a connection, after ${showNumber(WARM_UP)} connections to warm up and those in the first\n` +
      "column. V8 KB are live objects after a garbage collection, V8 MB what its heap has taken from the system.\n",
  );
  printTable(
    [
      { head: "connections" },
      { head: "connections/s" },
      { head: "descriptors" },
      { head: "V8 KB" },
      { head: "V8 MB" },
      { head: "resident MB" },
    ],
    states.map(({ connections, seconds, descriptors, heapBytes, reservedBytes, residentBytes }, index) => [
      showNumber(connections),
      index === 0 ? "" : showNumber((connections - states[index - 1]!.connections) / seconds),
      showNumber(descriptors),
      showNumber(heapBytes / 1e3, 1),
      showNumber(reservedBytes / 1e6, 1),
      showNumber(residentBytes / 1e6, 1),
    ]),
  );
  const [first, last] = [states[0]!, states.at(-1)!];
  const growth = (of: (state: State) => number) => of(last) - of(first);
  const perConnection = (bytes: number) => showNumber(bytes / last.connections, 3);
  console.log(
    `\nFrom the first line to the last: ${growth(({ descriptors }) => descriptors)} descriptors, ` +
      `${perConnection(growth(({ heapBytes }) => heapBytes))} bytes of V8 and ` +
      `${perConnection(growth(({ residentBytes }) => residentBytes))} bytes of resident memory per connection.`,
  );
  if (growth(({ descriptors }) => descriptors) > 0) Deno.exitCode = 1;
}

async function main(): Promise<void> {
  if (os !== "linux") throw new Deno.errors.NotSupported("Cannot measure: only Linux has epoll");
  const options = parseOptions();
  const directory = Deno.makeTempDirSync();
  try {
    console.log(machine());
    warnIfBusy();
    const loadProgram = compileC("load.c", directory)?.command[0];
    if (loadProgram === undefined) throw new Deno.errors.NotSupported("Cannot measure: the load needs a C compiler");
    if (options.soak === null) await scale(options, loadProgram, directory);
    else await soak(options.soak, options.async, loadProgram, directory);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}

await main();
