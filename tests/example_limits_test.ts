/**
 * The servers where there is no descriptor for one more connection, and none of theirs is open whose end could give one.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { describeProgram, descriptorsOf, EXAMPLES, isThere, Program, run, until } from "./support/program.ts";
import { bytes, test } from "./support/util.ts";

const SERVERS = [
  "chat_server",
  "echo_server",
  "epoll_edge_server",
  "gave_up",
  "http_server",
  "poll_server",
  "reuse_port",
  "select_server",
  "slow_handler",
  "tasks",
  "tcp_proxy",
  "websocket_server",
];

const REFUSED = /Too many open files \(EMFILE\)$/;

const PRLIMIT = await isThere("prlimit", "--version") ? null : "there is no prlimit";

function start(server: string, target: number): Program {
  const args: Record<string, string[]> = {
    echo_server: ["--port", "0"],
    gave_up: ["0", "0.05"],
    reuse_port: ["0", "1"],
    slow_handler: ["0", "0.05"],
    tcp_proxy: ["0", "127.0.0.1", String(target)],
  };
  const flags = ["run", "--no-prompt", "--allow-ffi", "--allow-read"];
  return new Program(Deno.execPath(), [...flags, join(EXAMPLES, `${server}.ts`), ...args[server] ?? ["0"]]);
}

/** Connects, says something that each of the servers has an answer to, and waits for the begin of it. */
async function ask(port: number): Promise<Deno.TcpConn> {
  const connection = await Deno.connect({ hostname: "127.0.0.1", port });
  await connection.write(bytes("GET / HTTP/1.0\r\n\r\n"));
  assert(await connection.read(new Uint8Array(1)) === 1);
  return connection;
}

async function limit(program: Program, descriptors: number): Promise<void> {
  const { code, error } = await run("prlimit", `--pid=${program.pid}`, `--nofile=${descriptors}:`);
  assert(code === 0, error);
}

/** Returns the least unused descriptor of a program, which can open nothing if that is its limit. */
function leastFree(program: Program): number {
  const fds = new Set([...Deno.readDirSync(`/proc/${program.pid}/fd`)].map(({ name }) => Number(name)));
  let free = 0;
  while (fds.has(free)) free++;
  return free;
}

/** Lowers the descriptor limit of a server, and restores it after the server has tried to accept twice. */
async function exhaust(server: string): Promise<void> {
  using target = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const answering = (async () => {
    for await (const connection of target) await connection.readable.pipeTo(connection.writable);
  })();
  await using program = start(server, target.addr.port);
  const [port] = await program.line(/.*(?:port|127\.0\.0\.1) (\d+)/);
  const first = await ask(Number(port)); // from here on, the program has every descriptor that it needs beside connections
  const idle = descriptorsOf(program.pid) - (server === "tcp_proxy" ? 2 : 1);
  first.close();
  await until(() => descriptorsOf(program.pid) === idle);
  // For the proxy one is free, of the two that a connection takes: the client has to stay in the queue.
  await limit(program, leastFree(program) + (server === "tcp_proxy" ? 1 : 0));
  const asking = ask(Number(port));
  asking.catch(() => {}); // which must not hide why the test fails before it is awaited
  await program.line(REFUSED);
  // A line that is read late makes one of the pauses between them look shorter than it was.
  let pause = 0;
  for (let tries = 0; tries < 5 && pause <= 500; tries++) {
    const before = performance.now();
    await program.line(REFUSED);
    pause = performance.now() - before;
  }
  assert(pause > 500, "It has tried again at once");
  await limit(program, 1024);
  (await asking).close();
  target.close();
  await answering.catch(() => {});
}

describeProgram("a server without a free descriptor", () => {
  // All at once, since each of them waits for a second between two tries.
  test("each server accepts again when it can, and does not spin until then", { needs: [PRLIMIT] }, async () => {
    const outcomes = await Promise.allSettled(SERVERS.map(exhaust));
    const failures = outcomes.map((outcome, index) => [SERVERS[index], outcome] as const)
      .filter(([, { status }]) => status === "rejected");
    assertEquals(failures, []);
  });
});
