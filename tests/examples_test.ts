/**
 * Runs the echo server and the echo client as users run them, against Deno's own sockets and, where Python is
 * installed, against CPython's `selectors`.
 *
 * @module
 */

import { assert, assertEquals, assertLess, assertMatch } from "@std/assert";
import { join } from "@std/path";
import { describe } from "@std/testing/bdd";
import { DefaultSelector, EVENT_READ, EVENT_WRITE } from "../mod.ts";
import { os } from "../ffi/os/systems.ts";
import { AF_INET, AF_INET6, SO_LINGER, Socket, SOL_SOCKET } from "../ffi/socket/mod.ts";
import { CTRL_C, lackedBy, PROC } from "./support/needs.ts";
import {
  deno,
  descriptorsOf,
  echoed,
  EXAMPLES,
  interrupt,
  isThere,
  memoryOf,
  OF_WAITING,
  Program,
  run,
  until,
} from "./support/program.ts";
import { bytes, descriptorLimit, isWindows, RESET_ON_CLOSE, test, text } from "./support/util.ts";

/** Skips a test that would measure the emulator. */
const NATIVE_SPEED = lackedBy({ emulated: "it would measure the emulator" });
/** A limit on the number of descriptors. */
const DESCRIPTOR_LIMIT = lackedBy({ windows: "Windows has no limit on descriptors" });

const HOSTS = ["127.0.0.1", "::1"] as const;

/** The socket option for a receive timeout, a struct timeval. Linux has its own number for it. */
const SO_RCVTIMEO = os === "linux" ? 20 : 0x1006;

/** Length of a long message. On Windows, a command line has at most 32,767 characters. */
const LONG = isWindows ? 30_000 : 100_000;

interface EchoServer extends AsyncDisposable {
  hostname: string;
  port: number;
  pid: number;
}

async function echoServer(host: string, ...options: string[]): Promise<EchoServer> {
  const args = ["run", "--no-prompt", "--allow-ffi", join(EXAMPLES, "echo_server.ts"), "--host", host, "--port", "0"];
  const program = new Program(Deno.execPath(), [...args, ...options]);
  const [hostname, port] = await program.line(/^Listening on (\S+) port (\d+); try: nc \1 \2$/);
  return {
    hostname: hostname!,
    port: Number(port),
    pid: program.pid,
    [Symbol.asyncDispose]: () => program[Symbol.asyncDispose](),
  };
}

const PYTHON = await isThere("python3", "--version") ? null : "python3 is not installed";

describe("echo_server and echo_client", () => {
  for (const host of HOSTS) {
    test(`echo_client receives its echo from ${host}, and exits`, async () => {
      await using server = await echoServer(host);
      const { code, out, error } = await deno("echo_client.ts", "--host", host, "--port", String(server.port));
      assertEquals([code, error], [0, ""]);
      assertMatch(out, /^Connecting to .*\nSent 20 bytes\n(Received .*\n)?Sent 20 bytes\n(Received .*\n)*All sent/);
      assertMatch(out, /All 40 bytes came back\n$/);
      const own = await deno(
        "echo_client.ts",
        "--host",
        host,
        "--port",
        String(server.port),
        "grüße",
        "x".repeat(LONG),
      );
      assertEquals([own.code, own.error], [0, ""]);
      assertMatch(own.out, /Received "grüße/);
      assertMatch(own.out, new RegExp(`All ${7 + LONG} bytes came back\n$`));
    });

    test(`echo_server at ${host} serves several Deno.connect() connections at once`, async () => {
      await using server = await echoServer(host);
      const connections = await Promise.all(Array.from({ length: 50 }, () => Deno.connect(server)));
      for (let round = 0; round < 3; round++) {
        const messages = connections.map((_, index) => `message ${index} of round ${round}`);
        assertEquals(await Promise.all(connections.map((one, index) => echoed(one, messages[index]!))), messages);
      }
      for (const connection of connections) connection.close();
    });
  }

  test("echo_server resolves a hostname", async () => {
    await using server = await echoServer("localhost");
    using connection = await Deno.connect({ hostname: "localhost", port: server.port });
    assertEquals(await echoed(connection, "hello\n"), "hello\n");
  });

  test("echo_server sends the rest of the echo after the client shuts down its write side", async () => {
    await using server = await echoServer("127.0.0.1");
    using connection = await Deno.connect(server);
    await connection.write(bytes("hello\n"));
    await connection.closeWrite();
    const chunks: Uint8Array[] = [];
    for await (const chunk of connection.readable) chunks.push(chunk);
    assertEquals(chunks.map(text).join(""), "hello\n");
  });

  test("echo_server keeps the other connections when one is reset", async () => {
    await using server = await echoServer("127.0.0.1");
    using witness = await Deno.connect(server);
    for (let round = 0; round < 20; round++) {
      const client = new Socket();
      client.connect({ hostname: server.hostname, port: server.port });
      client.setsockopt(SOL_SOCKET, SO_LINGER, RESET_ON_CLOSE);
      if (round % 2 === 0) client.send(new Uint8Array(100_000));
      client.close();
      assertEquals(await echoed(witness, `round ${round}`), `round ${round}`);
    }
  });

  test(
    "echo_server stops reading a client that does not read its echo",
    { needs: [PROC, NATIVE_SPEED] },
    async () => {
      await using server = await echoServer("127.0.0.1", "--quiet");
      using witness = await Deno.connect(server);
      await echoed(witness, "warm");
      const before = memoryOf(server.pid);
      using client = new Socket();
      client.connect({ hostname: server.hostname, port: server.port });
      client.setBlocking(false);
      using selector = new DefaultSelector();
      selector.register(client, EVENT_WRITE);
      const block = new Uint8Array(1 << 20).map((_, index) => index * 31 + (index >> 8));
      // The client sends up to 1 GB, and blocks when the server stops reading.
      let sent = 0;
      while (sent < 1 << 30 && selector.select(0.5).length > 0) {
        sent += client.trySend(block.subarray(sent % block.length)) ?? 0;
      }
      assertLess(sent, 1 << 28);
      assertEquals(await echoed(witness, "still here"), "still here");
      assertLess(memoryOf(server.pid) - before, 32 << 20);
      // The whole echo arrives in order once the client reads.
      selector.modify(client, EVENT_READ);
      const buffer = new Uint8Array(1 << 20);
      for (let received = 0; received < sent;) {
        selector.select();
        const count = client.tryRecvInto(buffer.subarray(0, block.length - received % block.length))!;
        const expected = block.subarray(received % block.length, received % block.length + count);
        assert(buffer.subarray(0, count).every((byte, index) => byte === expected[index]), `After ${received} bytes`);
        received += count;
      }
      assertEquals(await echoed(witness, "and still"), "and still");
    },
  );

  test("echo_server serves 10,000 idle and 50 busy connections, and releases their descriptors", {
    needs: [PROC, NATIVE_SPEED],
  }, async () => {
    await using server = await echoServer("127.0.0.1", "--quiet");
    using witness = await Deno.connect(server);
    await echoed(witness, "warm");
    const [descriptors, memory] = [descriptorsOf(server.pid), memoryOf(server.pid)];
    const count = Math.min(10_000, descriptorLimit() - 500);
    const idle = Array.from({ length: count }, () => {
      const socket = new Socket();
      socket.connect({ hostname: server.hostname, port: server.port });
      return socket;
    });
    await until(() => descriptorsOf(server.pid) >= descriptors + count);
    const busy = await Promise.all(Array.from({ length: 50 }, () => Deno.connect(server)));
    for (let round = 0; round < 100; round++) {
      await Promise.all(busy.map(async (one) => assertEquals(await echoed(one, `round ${round}`), `round ${round}`)));
    }
    // Every idle connection must still work.
    for (const socket of [idle[0]!, idle[count >> 1]!, idle[count - 1]!]) {
      socket.send(bytes("awake"));
      assertEquals(text(socket.recv(10)), "awake");
    }
    assertLess(memoryOf(server.pid) - memory, 64 << 20);
    for (const connection of [...idle, ...busy]) connection.close();
    await until(() => descriptorsOf(server.pid) <= descriptors + OF_WAITING);
    assertEquals(await echoed(witness, "and again"), "and again");
  });

  test("echo_server closes its connections and exits on Ctrl-C", { needs: [CTRL_C] }, async () => {
    await using program = Program.example("echo_server.ts", "--port", "0");
    const [port] = await program.line(/^Listening on \S+ port (\d+)/);
    using connection = await Deno.connect({ hostname: "127.0.0.1", port: Number(port) });
    assertEquals(await echoed(connection, "hello"), "hello");
    await interrupt(program);
    assertEquals(await connection.read(new Uint8Array(10)), null);
  });

  test("echo_server keeps running without a free descriptor, and accepts again when one is free", {
    needs: [DESCRIPTOR_LIMIT],
  }, async () => {
    const server = join(EXAMPLES, "echo_server.ts");
    const command = `ulimit -n 64; exec "$0" run --no-prompt --allow-ffi "$1" --port 0`;
    await using program = new Program("sh", ["-c", command, Deno.execPath(), server]);
    const [port] = await program.line(/^Listening on \S+ port (\d+)/);
    const address = { hostname: "127.0.0.1", port: Number(port) };
    const clients = Array.from({ length: 64 }, () => {
      const client = new Socket();
      client.setsockopt(SOL_SOCKET, SO_RCVTIMEO, new Uint8Array(new BigInt64Array([30n, 0n]).buffer));
      client.connect(address); // succeeds as soon as the connection is in the backlog
      return client;
    });
    await program.line(/^accept fd \d+: Too many open files \(EMFILE\)$/);
    clients[0]!.send(bytes("served"));
    assertEquals(text(clients[0]!.recv(10)), "served");
    for (const client of clients.slice(0, 60)) client.close();
    clients[63]!.send(bytes("served too"));
    assertEquals(text(clients[63]!.recv(10)), "served too");
    for (const client of clients.slice(60)) client.close();
  });

  test("echo_server and echo_client print one line and exit with 1 on an error", async () => {
    using taken = new Socket();
    taken.bind({ hostname: "127.0.0.1", port: 0 });
    taken.listen();
    const { port } = taken.getsockname() as { port: number };
    using free = new Socket();
    free.bind({ hostname: "127.0.0.1", port: 0 });
    const closed = String((free.getsockname() as { port: number }).port);
    const cases: [example: string, args: string[], line: RegExp][] = [
      ["echo_server.ts", ["--port", String(port)], /bind 127\.0\.0\.1:\d+: Address already in use \(EADDRINUSE\)/],
      ["echo_server.ts", ["--port", "abc"], /Cannot use port "abc": it must be an integer from 0 to 65535/],
      ["echo_server.ts", ["--port", "65536"], /Cannot use port "65536"/],
      ["echo_server.ts", ["--port", ""], /Cannot use port ""/],
      ["echo_server.ts", ["--port", "-1"], /--port/],
      ["echo_server.ts", ["--port"], /--port/],
      ["echo_server.ts", ["--what"], /Unknown option '--what'/],
      ["echo_server.ts", ["--host", "256.0.0.1.invalid"], /getaddrinfo 256\.0\.0\.1\.invalid: .*\(EAI_\w+\)/],
      ["echo_client.ts", ["--port", closed], /connect 127\.0\.0\.1:\d+: Connection refused \(ECONNREFUSED\)/],
      ["echo_client.ts", ["--port", "x"], /Cannot use port "x"/],
    ];
    for (const [example, args, line] of cases) {
      const { code, out, error } = await deno(example, ...args);
      assertEquals([code, out.replace(/^Connecting to .*\n/, "")], [1, ""], args.join(" "));
      assertMatch(error, new RegExp(`^${example.replace(".ts", "")}: .*\n$`), args.join(" "));
      assertMatch(error, line);
    }
    for (const example of ["echo_server.ts", "echo_client.ts"]) {
      const { code, error } = await run(Deno.execPath(), "run", "--no-prompt", join(EXAMPLES, example));
      assertEquals([code, error.split("\n").length], [1, 2]);
      assertMatch(error, /--allow-ffi/);
    }
  });

  for (const host of HOSTS) {
    const family = host === "::1" ? AF_INET6 : AF_INET;
    test(`CPython's echo client receives its echo from ${host}`, { needs: [PYTHON] }, async () => {
      await using server = await echoServer(host);
      const script = join(import.meta.dirname!, "python", "echo_client.py");
      const { code, out, error } = await run("python3", script, host, String(server.port));
      assertEquals([code, error], [0, ""]);
      assertMatch(out, /received 42 bytes\n$/);
    });

    test(`echo_client receives its echo from CPython's echo server at ${host}`, { needs: [PYTHON] }, async () => {
      await using program = new Program("python3", [
        "-u",
        join(import.meta.dirname!, "python", "echo_server.py"),
        host,
      ]);
      const [port] = await program.line(/^listening on port (\d+)$/);
      const { code, out, error } = await deno("echo_client.ts", "--host", host, "--port", port!);
      assertEquals([code, error], [0, ""]);
      assertMatch(out, /All 40 bytes came back\n$/);
      using direct = new Socket(family);
      direct.connect({ hostname: host, port: Number(port) });
      direct.sendAll(bytes("hello"));
      assertEquals(text(direct.recv(100)), "hello");
    });
  }
});
