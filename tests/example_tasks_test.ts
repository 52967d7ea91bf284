/**
 * The example `tasks` and its echo server, with Deno's own connections and with CPython's asyncio.
 *
 * @module
 */

import { assertEquals, assertGreaterOrEqual, assertRejects } from "@std/assert";
import { SO_LINGER, Socket, SOL_SOCKET } from "../ffi/socket/mod.ts";
import { CTRL_C } from "./support/needs.ts";
import { describeProgram, echoed, interrupt, isThere, Program, run } from "./support/program.ts";
import { bytes, RESET_ON_CLOSE, test } from "./support/util.ts";

type Server = Program & { port: number };

const PYTHON = await isThere("python3", "--version") ? null : "python3 is not installed";

async function echoServer(patience: number): Promise<Server> {
  const program = Program.example("tasks.ts", "0", String(patience));
  const [port] = await program.line(/^Listening on port (\d+); try: nc 127\.0\.0\.1 \1$/);
  return Object.assign(program, { port: Number(port) });
}

function connect(server: Server): Promise<Deno.TcpConn> {
  return Deno.connect({ hostname: "127.0.0.1", port: server.port });
}

describeProgram("tasks", () => {
  test("tasks serves many connections, each in its own coroutine", async () => {
    await using server = await echoServer(60);
    const connections = await Promise.all(Array.from({ length: 100 }, () => connect(server)));
    for (let round = 0; round < 3; round++) {
      const messages = connections.map((_, index) => `message ${index} of round ${round}`);
      assertEquals(await Promise.all(connections.map((one, index) => echoed(one, messages[index]!))), messages);
    }
    for (const connection of connections) connection.close();
    for (const _ of connections) await server.line(/^A connection ends$/);
  });

  test("tasks cancels a silent connection, and keeps an active one", async () => {
    await using server = await echoServer(0.5);
    const start = performance.now();
    using silent = await connect(server);
    using talking = await connect(server);
    const ended = silent.read(new Uint8Array(1)).then((count) => [count, performance.now() - start] as const);
    for (let isOver = false; !isOver;) {
      assertEquals(await echoed(talking, "hello"), "hello");
      isOver = await Promise.race([
        ended.then(() => true),
        new Promise<false>((resolve) => setTimeout(resolve, 50, false)),
      ]);
    }
    const [count, time] = await ended;
    assertEquals(count, null);
    assertGreaterOrEqual(time, 500);
    assertEquals(await echoed(talking, "still here"), "still here");
    await server.line(/^A connection ends$/);
  });

  test("tasks loses no data of a client that reads late, and keeps running after a reset", async () => {
    await using server = await echoServer(60);
    using witness = await connect(server);
    using client = await connect(server);
    const data = "x".repeat(20_000_000);
    const sending = (async () => {
      for (let sent = 0, all = bytes(data); sent < all.length;) sent += await client.write(all.subarray(sent));
    })();
    for (let round = 0; round < 50; round++) assertEquals(await echoed(witness, `round ${round}`), `round ${round}`);
    let received = 0;
    for (const buffer = new Uint8Array(1 << 20); received < data.length;) received += (await client.read(buffer))!;
    await sending;
    assertEquals(received, data.length);
    const rude = new Socket();
    rude.connect({ hostname: "127.0.0.1", port: server.port });
    rude.setsockopt(SOL_SOCKET, SO_LINGER, RESET_ON_CLOSE);
    rude.send(new Uint8Array(100_000));
    rude.close();
    await server.line(/^A task has failed: \w+ fd \d+: .*\((ECONNRESET|EPIPE)\)$/);
    assertEquals(await echoed(witness, "and again"), "and again");
  });

  test("tasks disconnects a client that sends and never reads", async () => {
    await using server = await echoServer(0.5);
    const client = await connect(server);
    const sending = (async () => {
      for (const data = new Uint8Array(1 << 20);;) await client.write(data);
    })();
    await server.line(/^A connection ends$/);
    client.close(); // not every system reports the server's close to a pending write
    await assertRejects(() => sending);
  });

  test("tasks cancels every task on Ctrl-C, and each task closes its socket", { needs: [CTRL_C] }, async () => {
    await using server = await echoServer(60);
    const connections = await Promise.all(Array.from({ length: 3 }, () => connect(server)));
    for (const connection of connections) assertEquals(await echoed(connection, "hello"), "hello");
    await interrupt(server);
    for (const connection of connections) {
      assertEquals(await connection.read(new Uint8Array(1)), null);
      connection.close();
    }
  });

  test("tasks serves CPython's asyncio", { needs: [PYTHON] }, async () => {
    await using server = await echoServer(60);
    const script = `
import asyncio, sys
async def talk(index):
    reader, writer = await asyncio.open_connection("127.0.0.1", int(sys.argv[1]))
    for word in range(10):
        writer.write(f"{index} {word}\\n".encode())
        assert await reader.readline() == f"{index} {word}\\n".encode()
    writer.write_eof()
    assert await reader.read() == b""
    writer.close()
async def main():
    await asyncio.gather(*map(talk, range(100)))
    print("all came back")
asyncio.run(main())`;
    assertEquals(await run("python3", "-c", script, String(server.port)), {
      code: 0,
      out: "all came back\n",
      error: "",
    });
  });
});
