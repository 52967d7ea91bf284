/**
 * The example `tcp_proxy`, between sockets of Deno.
 *
 * @module
 */

import { assert, assertEquals, assertLess, assertRejects, assertThrows } from "@std/assert";
import { os } from "../ffi/os/systems.ts";
import { createServer, type InetAddress, OSError, SO_LINGER, Socket, SOL_SOCKET } from "../ffi/socket/mod.ts";
import { CTRL_C, PROC } from "./support/needs.ts";
import {
  describeProgram,
  descriptorsOf,
  echoed,
  interrupt,
  memoryOf,
  OF_WAITING,
  Program,
  until,
} from "./support/program.ts";
import { bytes, RESET_ON_CLOSE, test, text } from "./support/util.ts";

type Conn = Deno.TcpConn;

/** Starts a proxy for a local port. */
async function proxyTo(target: { port: number }): Promise<Program & { port: number }> {
  const program = Program.example("tcp_proxy.ts", "0", "127.0.0.1", String(target.port));
  const [port] = await program.line(/; try: nc 127\.0\.0\.1 (\d+)$/);
  return Object.assign(program, { port: Number(port) });
}

/** Connects through a proxy, and returns both ends of the connection. */
async function pair(proxy: { port: number }, target: Deno.TcpListener): Promise<[client: Conn, server: Conn]> {
  const client = await Deno.connect({ hostname: "127.0.0.1", port: proxy.port });
  return [client, await target.accept()];
}

/** Returns a block of a stream. Its bytes encode the block's position in the stream. */
function block(seed: number, index: number): Uint8Array<ArrayBuffer> {
  const words = new Uint32Array(16 * 1024);
  for (let word = 0; word < words.length; word++) {
    words[word] = Math.imul(seed + index * words.length + word, 2654435761);
  }
  return new Uint8Array(words.buffer);
}

async function write(connection: Deno.Conn, data: Uint8Array): Promise<void> {
  for (let sent = 0; sent < data.length;) sent += await connection.write(data.subarray(sent));
}

async function sendBlocks(connection: Deno.TcpConn, seed: number, count: number): Promise<void> {
  for (let index = 0; index < count; index++) await write(connection, block(seed, index));
  await connection.closeWrite();
}

/** Reads blocks until the end of the stream, and compares them with the sent blocks. */
async function checkBlocks(connection: Deno.Conn, seed: number, count: number): Promise<void> {
  const buffer = new Uint8Array(64 * 1024);
  for (let index = 0; index < count; index++) {
    for (let filled = 0; filled < buffer.length;) {
      const read = await connection.read(buffer.subarray(filled));
      assert(read !== null, `Block ${index} of ${count} is cut short`);
      filled += read;
    }
    const expected = block(seed, index);
    assert(buffer.every((byte, at) => byte === expected[at]), `Block ${index} of ${count} is not what was sent`);
  }
  assertEquals(await connection.read(buffer), null);
}

function listen(port = 0): Deno.TcpListener {
  return Deno.listen({ hostname: "127.0.0.1", port });
}

/** Reads available bytes as a string, or returns null at the end of the stream. */
async function received(connection: Conn): Promise<string | null> {
  const buffer = new Uint8Array(1024);
  const count = await connection.read(buffer);
  return count === null ? null : text(buffer.subarray(0, count));
}

function reset(socket: Socket): void {
  socket.setsockopt(SOL_SOCKET, SO_LINGER, RESET_ON_CLOSE);
  socket.close();
}

describeProgram("tcp_proxy", () => {
  test("tcp_proxy forwards bytes in both directions at once, with little memory", { needs: [PROC] }, async () => {
    using target = listen();
    await using proxy = await proxyTo(target.addr);
    const [client, server] = await pair(proxy, target);
    await write(client, bytes("warm"));
    assertEquals(await received(server), "warm");
    const memory = memoryOf(proxy.pid);
    const count = 512; // 32 MiB in each direction
    await Promise.all([
      sendBlocks(client, 1, count),
      checkBlocks(server, 1, count),
      sendBlocks(server, 2, count),
      checkBlocks(client, 2, count),
    ]);
    for (const connection of [client, server]) connection.close();
    assertLess(memoryOf(proxy.pid) - memory, 16 << 20);
  });

  test("tcp_proxy stops reading a target whose client does not read", { needs: [PROC] }, async () => {
    using target = listen();
    await using proxy = await proxyTo(target.addr);
    const [client, server] = await pair(proxy, target);
    await write(client, bytes("warm"));
    assertEquals(await received(server), "warm");
    const memory = memoryOf(proxy.pid);
    // The client offers 1 GB; the buffers of the kernel and of the proxy hold a few megabytes of it.
    let sent = 0;
    const sending = (async () => {
      for (let index = 0; index < 16_384; index++, sent++) await write(server, block(3, index));
    })().catch((error) =>
      assert(error instanceof Deno.errors.ConnectionReset || error instanceof Deno.errors.BrokenPipe)
    );
    const [other, otherServer] = await pair(proxy, target);
    const echoing = otherServer.readable.pipeTo(otherServer.writable);
    for (let before = -1; before !== sent;) {
      before = sent;
      for (let round = 0; round < 500; round++) assertEquals(await echoed(other, `round ${round}`), `round ${round}`);
    }
    assertLess(sent, 1024);
    assertLess(memoryOf(proxy.pid) - memory, 16 << 20);
    client.close();
    await sending; // a close with unread data resets the connection, and the proxy passes on the reset
    other.close();
    await echoing;
    server.close();
  });

  test("tcp_proxy passes on the end of one direction while the other continues", async () => {
    using target = listen();
    await using proxy = await proxyTo(target.addr);
    const [client, server] = await pair(proxy, target);
    await write(client, bytes("the question"));
    await client.closeWrite();
    assertEquals([await received(server), await received(server)], ["the question", null]);
    await write(server, bytes("the answer"));
    assertEquals(await received(client), "the answer");
    await write(server, bytes(", and its end"));
    server.close();
    assertEquals([await received(client), await received(client)], [", and its end", null]);
    client.close();
  });

  test("tcp_proxy resets a client at once if the target refuses the connection", async () => {
    const none = listen();
    await using proxy = await proxyTo(none.addr);
    none.close();
    for (let round = 0; round < 3; round++) {
      await assertRejects(async () => {
        // The proxy may reset the connection before Deno.connect() returns; on macOS, that error has another class.
        using client = await Deno.connect({ hostname: "127.0.0.1", port: proxy.port });
        await client.read(new Uint8Array(1));
      }, os === "darwin" ? Error : Deno.errors.ConnectionReset);
      await proxy.line(/^connect: .*ECONNREFUSED/);
    }
    using target = listen(none.addr.port);
    const [client, server] = await pair(proxy, target);
    await write(client, bytes("now"));
    assertEquals(await received(server), "now");
    for (const connection of [client, server]) connection.close();
  });

  test("tcp_proxy passes on a reset from either side, and keeps the other connections", async () => {
    using target = createServer({ hostname: "127.0.0.1", port: 0 });
    await using proxy = await proxyTo(target.getsockname() as InetAddress);
    const pair = (): [client: Socket, server: Socket] => {
      const client = new Socket();
      client.connect({ hostname: "127.0.0.1", port: proxy.port });
      return [client, target.accept()[0]];
    };
    const [witness, echo] = pair();
    for (const fromClient of [true, false, true, false]) {
      const [one, other] = fromClient ? pair() : pair().reverse() as [Socket, Socket];
      one.send(bytes("first"));
      assertEquals(text(other.recv(10)), "first");
      other.send(new Uint8Array(100_000)); // the proxy still holds a part of it at the reset
      reset(one);
      assertEquals(assertThrows(() => other.recv(10), OSError).code, "ECONNRESET");
      other.close();
      witness.send(bytes("still here"));
      assertEquals(text(echo.recv(10)), "still here");
    }
    for (const socket of [witness, echo]) socket.close();
  });

  test("tcp_proxy resets both sides of its connections and exits on Ctrl-C", { needs: [CTRL_C] }, async () => {
    using target = listen();
    await using proxy = await proxyTo(target.addr);
    const connections = await pair(proxy, target);
    await write(connections[0], bytes("first"));
    assertEquals(await received(connections[1]), "first");
    await interrupt(proxy);
    for (const connection of connections) {
      await assertRejects(() => received(connection), Deno.errors.ConnectionReset);
      connection.close();
    }
  });

  test("tcp_proxy serves 500 clients, and releases their descriptors", { needs: [PROC] }, async () => {
    using target = listen();
    await using proxy = await proxyTo(target.addr);
    const before = descriptorsOf(proxy.pid);
    const pairs = [];
    for (let index = 0; index < 500; index++) pairs.push(await pair(proxy, target));
    await Promise.all(pairs.map(async ([client, server], index) => {
      await Promise.all([sendBlocks(client, index, 4), checkBlocks(server, index, 4)]);
      await Promise.all([sendBlocks(server, -index, 4), checkBlocks(client, -index, 4)]);
    }));
    await until(() => descriptorsOf(proxy.pid) <= before + OF_WAITING);
    for (const connection of pairs.flat()) connection.close();
  });
});
