/**
 * Finds the echo servers to compare, and measures a server under a load.
 *
 * @module
 */

import {
  compileC,
  compileGo,
  compileRust,
  findBun,
  findCPython,
  findDeno,
  findNode,
  here,
  type Library,
  tryRun,
} from "./programs.ts";

/** Descriptors that a server needs in addition to its connections. */
export const SPARE_DESCRIPTORS = 64;

/** The cores for the load and for the server. */
const LOAD_CORE = 0;
const SERVER_CORE = 1;

/** Time limit for a server to print its port. */
const START_MS = 10_000;
/** Time limit for the load, in addition to its warm-up and its measured time. */
const SPARE_LOAD_MS = 60_000;

/** An echo server. It prints its port and runs until it is killed. */
export interface Server {
  /** The ID for `--peers`. */
  id: string;
  /** The name to print. */
  name: string;
  version: string;
  command: string[];
}

/** The load on a server. */
export interface Load {
  connections: number;
  idle: number;
  bytes: number;
  warmUpSeconds: number;
  seconds: number;
}

/** The output of `load.c`. */
export interface Measurement {
  requests: number;
  seconds: number;
  /** User and system processor time of all threads of the server. */
  serverCpuSeconds: number;
  loadCpuSeconds: number;
  p50Us: number;
  p99Us: number;
  p999Us: number;
  /** Resident memory of the server before the first connection. */
  emptyBytes: number;
  /** Resident memory of the server with all connections at rest. */
  restingBytes: number;
  /** Resident memory of the server at the end. */
  residentBytes: number;
  /** Connections that were closed, or that did not get their last message. */
  lost: number;
}

export const C = "c";
export const OURS = "ours";
export const OURS_ASYNC = "ours-async";
/** The servers in C. */
export const C_IDS = [C, "libevent", "libuv"];
export const SERVER_IDS = [
  ...C_IDS,
  "mio",
  "go",
  OURS,
  OURS_ASYNC,
  "selectors",
  "asyncio",
  "node",
  "bun",
  "deno-listen",
  "deno-net",
];

const LIBEVENT: Library = { name: "libevent", module: "libevent_core", debian: "libevent-dev" };
const LIBUV: Library = { name: "libuv", module: "libuv", debian: "libuv1-dev" };

/** Parses a comma-separated list of IDs; throws if an ID is unknown. */
export function parsePeers(list: string): string[] {
  const peers = list.split(",");
  const unknown = peers.find((peer) => !SERVER_IDS.includes(peer));
  if (unknown !== undefined) throw new RangeError(`Cannot measure ${unknown}: use any of ${SERVER_IDS.join()}`);
  return peers;
}

/** Returns the number given by an option; throws if it is not a number or is below the minimum. */
export function parseNumber(option: string, text: string, min: number): number {
  const number = text === "" ? NaN : Number(text);
  if (number >= min && number < Infinity) return number;
  throw new RangeError(`Cannot use --${option} ${text}: use a number that is at least ${min}`);
}

/** Finds the servers with these IDs. Prints how to install each server that this machine cannot run. */
export function findServers(ids: string[], directory: string, python: string): Server[] {
  const wants = (...some: string[]) => some.some((id) => ids.includes(id));
  const deno = findDeno();
  const c = wants(C) ? compileC("echo.c", directory) : null;
  const libevent = wants("libevent") ? compileC("echo_libevent.c", directory, LIBEVENT) : null;
  const libuv = wants("libuv") ? compileC("echo_libuv.c", directory, LIBUV) : null;
  const rust = wants("mio") ? compileRust("echo.rs", directory) : null;
  const go = wants("go") ? compileGo("echo.go", directory) : null;
  const cpython = wants("selectors", "asyncio") ? findCPython(python) : null;
  const node = wants("node") ? findNode() : null;
  const bun = wants("bun") ? findBun() : null;
  const all = [
    { id: C, name: "C, epoll", program: c, args: [] },
    { id: "libevent", name: "C, libevent", program: libevent, args: [] },
    { id: "libuv", name: "C, libuv", program: libuv, args: [] },
    { id: "mio", name: "Rust, mio", program: rust, args: [] },
    { id: "go", name: "Go, net", program: go, args: [] },
    { id: OURS, name: "this package", program: deno, args: ["--allow-ffi", here("echo_ours.ts")] },
    {
      id: OURS_ASYNC,
      name: "this, for await",
      program: deno,
      args: ["--allow-ffi", here("echo_ours.ts"), "--async"],
    },
    { id: "selectors", name: "CPython, selectors", program: cpython, args: [here("echo_selectors.py")] },
    { id: "asyncio", name: "CPython, asyncio", program: cpython, args: [here("echo_asyncio.py")] },
    { id: "node", name: "Node, node:net", program: node, args: [here("echo_node.mjs")] },
    { id: "bun", name: "Bun, Bun.listen", program: bun, args: [here("echo_bun.mjs")] },
    { id: "deno-listen", name: "Deno, Deno.listen", program: deno, args: ["--allow-net", here("echo_deno.ts")] },
    { id: "deno-net", name: "Deno, node:net", program: deno, args: ["--allow-net", here("echo_node.mjs")] },
  ];
  return all.flatMap(({ id, name, program, args }) =>
    program === null || !ids.includes(id)
      ? []
      : [{ id, name, version: program.version, command: [...program.command, ...args] }]
  );
}

/**
 * Returns a function that pins a command to a core. If it cannot pin, it prints a line and returns the command as is.
 */
export function findPinning(): (core: number, command: string[]) => string[] {
  if (navigator.hardwareConcurrency > 1 && tryRun(["taskset", "--version"]) !== null) {
    return (core, command) => ["taskset", "--cpu-list", `${core}`, ...command];
  }
  console.log("Not pinned to cores: this needs two cores and `taskset` of util-linux");
  return (_core, command) => command;
}

/** Starts a server, measures it under a load, and kills it. */
export function measure(
  server: Server,
  { connections, idle, bytes, warmUpSeconds, seconds }: Load,
  loadProgram: string,
  pin: ReturnType<typeof findPinning>,
): Promise<Measurement> {
  const limitMs = (warmUpSeconds + seconds) * 1000 + SPARE_LOAD_MS;
  return whileServing(server, pin, (port, pid) => {
    const numbers = [port, pid, connections, idle, bytes, warmUpSeconds, seconds];
    return runLoad(server, pin, [loadProgram, ...numbers.map(String)], limitMs);
  });
}

/** Starts a server, calls a function with its port and its process, and kills it. */
export async function whileServing<T>(
  { name, command }: Server,
  pin: ReturnType<typeof findPinning>,
  use: (port: number, pid: number) => Promise<T>,
): Promise<T> {
  const [program, ...args] = pin(SERVER_CORE, command);
  const child = new Deno.Command(program!, { args, stdout: "piped", stderr: "piped" }).spawn();
  try {
    const port = await readPort(child.stdout);
    if (port === null) throw new Error(`Cannot start ${name}: ${await new Response(child.stderr).text()}`);
    return await use(port, child.pid);
  } finally {
    await end(child);
  }
}

/** Runs `load.c` against a server, and returns its output. */
export async function runLoad<T>(
  server: Server,
  pin: ReturnType<typeof findPinning>,
  command: string[],
  limitMs: number,
): Promise<T> {
  const [program, ...args] = pin(LOAD_CORE, command);
  const signal = AbortSignal.timeout(limitMs);
  const { success, stdout, stderr } = await new Deno.Command(program!, { args, signal }).output();
  const decoder = new TextDecoder();
  if (success) return JSON.parse(decoder.decode(stdout));
  throw new Error(`Cannot measure ${server.name} with ${command.slice(1).join(" ")}: ${decoder.decode(stderr)}`);
}

async function end(child: Deno.ChildProcess): Promise<void> {
  try {
    child.kill("SIGKILL");
  } catch (error) {
    if (!(error instanceof TypeError)) throw error; // the server has already exited
  }
  await child.status;
  if (!child.stderr.locked) await child.stderr.cancel();
}

/** Reads the port from the first line that a server prints; returns null if it does not appear in time. */
async function readPort(stdout: ReadableStream<Uint8Array>): Promise<number | null> {
  const timeout = setTimeout(() => reader.cancel(), START_MS);
  const reader = stdout.pipeThrough(new TextDecoderStream()).getReader();
  let line = "";
  try {
    while (!line.includes("\n")) {
      const { value, done } = await reader.read();
      if (done) return null;
      line += value;
    }
    return Number(line);
  } finally {
    clearTimeout(timeout);
    await reader.cancel();
  }
}
