/**
 * Finds the echo servers to compare, and measures one of them under a load.
 *
 * @module
 */

import { compileC, findBun, findCPython, findDeno, findNode, here, tryRun } from "./programs.ts";

/** Cores of the load and of the server. */
const LOAD_CORE = 0;
const SERVER_CORE = 1;

/** Time limits for a server to print its port, and for the load beyond its seconds. */
const START_MS = 10_000;
const SPARE_LOAD_MS = 60_000;

/** An echo server; it prints its port, and runs until it is killed. */
export interface Server {
  /** The name for `--peers`. */
  id: string;
  /** The name to print. */
  name: string;
  version: string;
  command: string[];
}

/** The load of a server. */
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
  /** Seconds of all threads of the server, user and system, by the kernel's clock of the process. */
  serverCpuSeconds: number;
  loadCpuSeconds: number;
  p50Us: number;
  p99Us: number;
  p999Us: number;
  residentBytes: number;
}

export const C = "c";
export const OURS = "ours";
export const OURS_ASYNC = "ours-async";
export const SERVER_IDS = [C, OURS, OURS_ASYNC, "selectors", "asyncio", "node", "bun", "deno-listen", "deno-net"];

/** Finds the servers with these ids; prints how to get each server that this machine cannot run. */
export function findServers(ids: string[], directory: string, python: string): Server[] {
  const wants = (...some: string[]) => some.some((id) => ids.includes(id));
  const deno = findDeno();
  const c = wants(C) ? compileC("echo.c", directory) : null;
  const cpython = wants("selectors", "asyncio") ? findCPython(python) : null;
  const node = wants("node") ? findNode() : null;
  const bun = wants("bun") ? findBun() : null;
  const all = [
    { id: C, name: "C, epoll", program: c, args: [] },
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

/** Returns a function that pins a command to a core; prints a line and leaves the command alone if it cannot pin. */
export function findPinning(): (core: number, command: string[]) => string[] {
  if (navigator.hardwareConcurrency > 1 && tryRun(["taskset", "--version"]) !== null) {
    return (core, command) => ["taskset", "--cpu-list", `${core}`, ...command];
  }
  console.log("Not pinned to cores: this needs two cores and `taskset` of util-linux");
  return (_core, command) => command;
}

/** Starts a server, measures it under a load, and kills it. */
export async function measure(
  server: Server,
  load: Load,
  loadProgram: string,
  pin: ReturnType<typeof findPinning>,
): Promise<Measurement> {
  const [program, ...args] = pin(SERVER_CORE, server.command);
  const child = new Deno.Command(program!, { args, stdout: "piped", stderr: "piped" }).spawn();
  try {
    const port = await readPort(child.stdout);
    if (port === null) throw new Error(`Cannot start ${server.name}: ${await new Response(child.stderr).text()}`);
    const { connections, idle, bytes, warmUpSeconds, seconds } = load;
    const numbers = [port, child.pid, connections, idle, bytes, warmUpSeconds, seconds];
    const [program, ...args] = pin(LOAD_CORE, [loadProgram, ...numbers.map(String)]);
    const { success, stdout, stderr } = await new Deno.Command(program!, {
      args,
      signal: AbortSignal.timeout((warmUpSeconds + seconds) * 1000 + SPARE_LOAD_MS),
    }).output();
    const decoder = new TextDecoder();
    if (success) return JSON.parse(decoder.decode(stdout));
    throw new Error(`Cannot measure ${server.name} under ${JSON.stringify(load)}: ${decoder.decode(stderr)}`);
  } finally {
    await end(child);
  }
}

async function end(child: Deno.ChildProcess): Promise<void> {
  try {
    child.kill("SIGKILL");
  } catch (error) {
    if (!(error instanceof TypeError)) throw error; // the server has already ended
  }
  await child.status;
  if (!child.stderr.locked) await child.stderr.cancel();
}

/** Reads the port, the first line that a server prints; returns null if it prints none in time. */
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
