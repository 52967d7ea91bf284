/**
 * The echo servers that are compared, and what one of them costs under a load.
 *
 * @module
 */

import { compileC, findBun, findCPython, findDeno, findNode, here, tryRun } from "./programs.ts";

/** The first core, for the load, and the second, for the server. */
const LOAD_CORE = 0;
const SERVER_CORE = 1;

/** How long a server may take to say its port, and the load beyond the seconds that it was given. */
const START_MS = 10_000;
const SPARE_LOAD_MS = 60_000;

/** An echo server: it prints its port, and runs until it is ended. */
export interface Server {
  /** The word for `--peers`. */
  id: string;
  /** Its name for a reader. */
  name: string;
  version: string;
  command: string[];
}

/** What a server is put under. */
export interface Load {
  connections: number;
  idle: number;
  bytes: number;
  warmUpSeconds: number;
  seconds: number;
}

/** What `load.c` prints. */
export interface Measurement {
  requests: number;
  seconds: number;
  /** Of all threads of the server, user and system, by the kernel's clock for that process. */
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

/** Finds the servers of these ids that this machine can run; of each other one it says how to get it. */
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

/** How a command is started on a core of its own; as it is, with a word about it, where there is no choice. */
export function findPinning(): (core: number, command: string[]) => string[] {
  if (navigator.hardwareConcurrency > 1 && tryRun(["taskset", "--version"]) !== null) {
    return (core, command) => ["taskset", "--cpu-list", `${core}`, ...command];
  }
  console.log("Not pinned: it takes two cores, and `taskset` of util-linux");
  return (_core, command) => command;
}

/** Starts a server, puts it under a load, and ends it. */
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
    if (!(error instanceof TypeError)) throw error; // it has ended by itself
  }
  await child.status;
  if (!child.stderr.locked) await child.stderr.cancel();
}

/** Reads the line that a server begins with; null if there is none, or not in time. */
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
