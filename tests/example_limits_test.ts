/**
 * The servers without a free descriptor, and without an open connection that could free a descriptor by closing.
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

const PRLIMIT = await isThere("prlimit", "--version") ? null : "prlimit is not installed";

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

/** Connects, sends a request that every server answers, and waits for the first byte of the response. */
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

/** Returns the lowest unused descriptor of a program. With this number as its limit, the program can open nothing. */
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
  const first = await ask(Number(port)); // the program opens its other descriptors with the first connection
  const idle = descriptorsOf(program.pid) - (server === "tcp_proxy" ? 2 : 1);
  first.close();
  await until(() => descriptorsOf(program.pid) === idle);
  // The proxy gets one descriptor of the two that a connection needs, so the client has to stay in the backlog.
  await limit(program, leastFree(program) + (server === "tcp_proxy" ? 1 : 0));
  const asking = ask(Number(port));
  asking.catch(() => {}); // a rejection before the await must not hide another failure
  await program.line(REFUSED);
  // If this process reads a line late, the next pause appears too short, so it measures several pauses.
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
  // In parallel, because each server pauses for a second before it tries again.
  test("each server accepts again when a descriptor is free, and does not spin", { needs: [PRLIMIT] }, async () => {
    const outcomes = await Promise.allSettled(SERVERS.map(exhaust));
    const failures = outcomes.map((outcome, index) => [SERVERS[index], outcome] as const)
      .filter(([, { status }]) => status === "rejected");
    assertEquals(failures, []);
  });
});
