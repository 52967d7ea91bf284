/**
 * The three echo servers on the primitives. They behave alike, so they share one set of tests.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { join } from "@std/path";
import { SO_LINGER, Socket, SOL_SOCKET } from "../ffi/socket/mod.ts";
import { os } from "../ffi/os/systems.ts";
import { CTRL_C } from "./support/needs.ts";
import { describeProgram, echoed, EXAMPLES, interrupt, Program } from "./support/program.ts";
import { bytes, isWindows, RESET_ON_CLOSE, test } from "./support/util.ts";

const SERVERS: readonly [example: string, whyNot: string | null][] = [
  ["select_server", null],
  ["poll_server", isWindows ? "there is no poll() on Windows" : null],
  ["epoll_edge_server", os === "linux" || os === "android" ? null : "this system has no epoll"],
];

const LISTENING = /^Listening on port (\d+); try: nc 127\.0\.0\.1 \1$/;

type Server = Program & { port: number };

async function started(program: Program): Promise<Server> {
  const [port] = await program.line(LISTENING);
  return Object.assign(program, { port: Number(port) });
}

function connect({ port }: Server): Promise<Deno.TcpConn> {
  return Deno.connect({ hostname: "127.0.0.1", port });
}

for (const [example, whyNot] of SERVERS) {
  /** Declares a test that is skipped on systems that cannot run the server. */
  const testHere = (name: string, body: () => Promise<void>, reason = whyNot) =>
    test(`${example} ${name}`, { needs: [reason] }, body);

  describeProgram(example, () => {
    testHere("echoes many connections at once", async () => {
      await using server = await started(Program.example(`${example}.ts`, "0"));
      const connections = await Promise.all(Array.from({ length: 100 }, () => connect(server)));
      for (let round = 0; round < 5; round++) {
        const messages = connections.map((_, index) => `message ${index} of round ${round}`);
        assertEquals(await Promise.all(connections.map((one, index) => echoed(one, messages[index]!))), messages);
      }
      for (const connection of connections) connection.close();
      for (const _ of connections) await server.line(/^Closing fd \d+$/);
    });

    testHere("closes its connections and exits on Ctrl-C", async () => {
      await using server = await started(Program.example(`${example}.ts`, "0"));
      using connection = await connect(server);
      assertEquals(await echoed(connection, "hello"), "hello");
      await interrupt(server);
      assertEquals(await connection.read(new Uint8Array(1)), null);
    }, whyNot ?? CTRL_C);

    testHere("serves other clients while one does not read", async () => {
      await using server = await started(Program.example(`${example}.ts`, "0"));
      using witness = await connect(server);
      using client = await connect(server);
      const data = new Uint8Array(30_000_000).map((_, index) => index * 31 + (index >> 10));
      const sending = (async () => {
        for (let sent = 0; sent < data.length;) sent += await client.write(data.subarray(sent));
        await client.closeWrite();
      })();
      for (let round = 0; round < 50; round++) assertEquals(await echoed(witness, `round ${round}`), `round ${round}`);
      const received = new Uint8Array(data.length);
      for (let count = 0; count < data.length;) count += (await client.read(received.subarray(count)))!;
      await sending;
      assertEquals(await client.read(new Uint8Array(1)), null);
      assertEquals(received.every((byte, index) => byte === data[index]), true);
    });

    testHere("continues after a reset", async () => {
      await using server = await started(Program.example(`${example}.ts`, "0"));
      using witness = await connect(server);
      for (let round = 0; round < 10; round++) {
        const client = new Socket();
        client.connect({ hostname: "127.0.0.1", port: server.port });
        client.setsockopt(SOL_SOCKET, SO_LINGER, RESET_ON_CLOSE);
        if (round % 2 === 0) client.send(new Uint8Array(100_000));
        client.close();
        assertEquals(await echoed(witness, `round ${round}`), `round ${round}`);
      }
    });

    testHere("keeps running without a free descriptor, and accepts again when one is free", async () => {
      const command = `ulimit -n 64; exec "$0" run --no-prompt --allow-ffi "$1" 0`;
      const path = join(EXAMPLES, `${example}.ts`);
      await using server = await started(new Program("sh", ["-c", command, Deno.execPath(), path]));
      const clients = Array.from({ length: 64 }, () => {
        const client = new Socket();
        client.connect({ hostname: "127.0.0.1", port: server.port });
        return client;
      });
      await server.line(/^accept fd \d+: Too many open files \(EMFILE\)$/);
      const last = clients.pop()!;
      last.send(bytes("served"));
      for (const client of clients) client.close();
      assertEquals(new TextDecoder().decode(last.recv(10)), "served");
      last.close();
    }, whyNot ?? (isWindows ? "Windows has no limit on descriptors" : null));
  });
}
