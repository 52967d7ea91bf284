/**
 * The example `websocket_server`, with Deno's `WebSocket`, with Chromium's if it is installed, and with raw bytes.
 *
 * @module
 */

import { assertEquals, assertLess, assertMatch, assertStringIncludes } from "@std/assert";
import { SHUT_WR, Socket } from "../ffi/socket/mod.ts";
import { CTRL_C, PROC } from "./support/needs.ts";
import { describeProgram, interrupt, isThere, memoryOf, Program, run } from "./support/program.ts";
import { bytes, test, text } from "./support/util.ts";

const HANDSHAKE = "GET /chat HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n" +
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

/** The expected response, from RFC 6455, section 1.3. */
const ACCEPTED = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
  "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

const CHROMIUM = await isThere("chromium", "--version") ? null : "Chromium is not installed";

async function websocketServer(): Promise<Program & { port: number; address: string }> {
  const program = Program.example("websocket_server.ts", "0");
  const [address, port] = await program.line(/; try: http:\/\/(127\.0\.0\.1:(\d+)\/) in a browser$/);
  return Object.assign(program, { port: Number(port), address: address! });
}

/** Returns a client's frame. Its mask is all zeros, which leaves the payload unchanged; each character is a byte. */
function frame(opcode: number, payload: string): string {
  return String.fromCharCode(0x80 | opcode, 0x80 | payload.length) + "\0\0\0\0" + payload;
}

/** Converts between bytes and strings of the characters 0 to 255. */
const latin1 = {
  encode: (string: string) => Uint8Array.from(string, (character) => character.charCodeAt(0)),
  decode: (data: Uint8Array) => String.fromCharCode(...data),
};

function connect(port: number): Socket {
  const socket = new Socket();
  socket.connect({ hostname: "127.0.0.1", port });
  return socket;
}

/**
 * Sends bytes in pieces, and returns everything that the server sends until it closes the connection. A client must
 * wait for the response to its handshake before it sends more (RFC 6455, section 4.1).
 */
function answersTo(port: number, request: string, piece = request.length): string {
  using socket = connect(port);
  const data = latin1.encode(request);
  const pause = request.startsWith(HANDSHAKE) ? HANDSHAKE.length : data.length;
  let answers = "";
  for (const part of [data.subarray(0, pause), data.subarray(pause)]) {
    for (let at = 0; at < part.length; at += piece) socket.sendAll(part.subarray(at, at + piece));
    if (pause < data.length && answers === "") answers = latin1.decode(socket.recv(1000));
  }
  for (let chunk; (chunk = socket.recv(65_536)).length > 0;) answers += latin1.decode(chunk);
  return answers;
}

/** Opens a WebSocket, sends messages, and returns the answers and the close event. */
async function talk(address: string, messages: (string | Uint8Array<ArrayBuffer>)[]): Promise<unknown[]> {
  const { promise, resolve, reject } = Promise.withResolvers<unknown[]>();
  const heard: unknown[] = [];
  const socket = new WebSocket(`ws://${address}`);
  socket.binaryType = "arraybuffer";
  socket.onopen = () => messages.forEach((message) => socket.send(message));
  socket.onmessage = ({ data }) => {
    heard.push(typeof data === "string" ? data : new Uint8Array(data));
    if (heard.length === messages.length) socket.close(3000, "enough");
  };
  socket.onerror = (event) => reject(new Error((event as ErrorEvent).message));
  socket.onclose = ({ code, reason, wasClean }) => resolve([...heard, code, reason, wasClean]);
  return await promise;
}

describeProgram("websocket_server", () => {
  test("websocket_server echoes the messages of Deno's WebSocket, and closes on request", async () => {
    await using server = await websocketServer();
    const messages = ["hello", "grüße", "", new Uint8Array(), new Uint8Array(1_000_000).fill(7), "x".repeat(70_000)];
    assertEquals(await talk(server.address, messages), [...messages, 3000, "enough", true]);
    await Promise.all(Array.from({ length: 50 }, async (_, index) => {
      assertEquals(await talk(server.address, [`number ${index}`]), [`number ${index}`, 3000, "enough", true]);
    }));
  });

  test("websocket_server accepts frames however they are split, and answers pings", async () => {
    await using server = await websocketServer();
    const request = HANDSHAKE + frame(1, "hello") + frame(9, "are you there") + frame(2, "\x01\x02") +
      frame(8, "\x03\xe8");
    const expected = `${ACCEPTED}\x81\x05hello\x8a\x0dare you there\x82\x02\x01\x02\x88\x02\x03\xe8`;
    for (const piece of [1, 5, 1000]) assertEquals(answersTo(server.port, request, piece), expected);
  });

  test("websocket_server closes a connection that violates the protocol, and no other", async () => {
    await using server = await websocketServer();
    using witness = connect(server.port);
    witness.send(bytes(HANDSHAKE));
    assertEquals(text(witness.recv(1000)), ACCEPTED);
    const cases: [request: string, answers: RegExp][] = [
      [HANDSHAKE + "\x81\x05hello", /^HTTP\/1.1 101 .*\x88..\xebReceived unmasked frame/s],
      [
        HANDSHAKE + "\x81\xff\0\0\0\0\0\x20\0\0\0\0\0\0",
        /^HTTP\/1.1 101 .*\x88..\xf1WebSocket frame length too large/s,
      ],
      [HANDSHAKE + "\xff\x80\0\0\0\0", /^HTTP\/1.1 101 .*\x88..\xeaOne or more reserved bits are on/s],
      [HANDSHAKE.replace("13", "12"), /^HTTP\/1.1 400 Bad Request\r\n.*Unsupported WebSocket version: 12$/s],
      [
        HANDSHAKE.replace("Sec-WebSocket-Key", "X"),
        /^HTTP\/1.1 400 Bad Request\r\n.*Missing handshake request header/s,
      ],
      ["GET / HTTP/1.1\r\n\r\n", /^HTTP\/1.1 200 OK\r\n.*<script>/s],
      ["POST / HTTP/1.1\r\n\r\n", /^$/],
      // On a negative length, the driver's parser would move backward and loop forever.
      ["POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-6\r\nX", /^$/],
      ["GET / HTTP/1.1\r\nContent-Length: -40\r\n\r\nX", /^$/],
      ["GET / HTTP/1.1\r\n\xe3ontent-Length: -40\r\n\r\nX", /^$/], // the driver ignores the highest bit of each byte
      ["GET /".padEnd(100_000), /^$/],
    ];
    for (const [request, answers] of cases) {
      assertMatch(answersTo(server.port, request), answers);
      witness.send(latin1.encode(frame(1, "hello")));
      assertEquals(latin1.decode(witness.recv(100)), "\x81\x05hello");
    }
  });

  test("websocket_server closes a connection that sends before the handshake, and no other", async () => {
    await using server = await websocketServer();
    using hasty = connect(server.port);
    hasty.send(latin1.encode(HANDSHAKE + frame(1, "hello")));
    await server.line(/^Cannot read properties/); // the driver's message
    assertEquals(await talk(server.address, ["hello"]), ["hello", 3000, "enough", true]);
  });

  test("websocket_server stops reading a client that does not read its echo", { needs: [PROC] }, async () => {
    await using server = await websocketServer();
    using client = connect(server.port);
    client.send(bytes(HANDSHAKE));
    client.recv(1000);
    const memory = memoryOf(server.pid);
    client.setBlocking(false);
    const frames = latin1.encode(frame(1, "x".repeat(94)).repeat(1000));
    let sent = 0;
    for (let quiet = 0; quiet < 20; quiet++) {
      for (let count; (count = client.trySend(frames.subarray(sent % frames.length))) !== null; quiet = 0) {
        sent += count;
      }
      assertEquals(await talk(server.address, ["hello"]), ["hello", 3000, "enough", true]);
      assertLess(sent, 100 << 20);
    }
    assertLess(memoryOf(server.pid) - memory, 32 << 20);
    // The server echoes every message once the client reads.
    client.setBlocking(true);
    client.shutdown(SHUT_WR);
    let received = 0;
    for (let chunk; (chunk = client.recv(65_536)).length > 0;) received += chunk.length;
    assertEquals(received, Math.floor(sent / 100) * 96);
  });

  test("websocket_server closes its connections and exits on Ctrl-C", { needs: [CTRL_C] }, async () => {
    await using server = await websocketServer();
    using socket = connect(server.port);
    socket.send(bytes(HANDSHAKE));
    assertEquals(text(socket.recv(1000)), ACCEPTED);
    await interrupt(server);
    assertEquals(socket.recv(1000).length, 0);
  });

  test("websocket_server talks to Chromium's WebSocket", { needs: [CHROMIUM] }, async () => {
    await using server = await websocketServer();
    const directory = await Deno.makeTempDir();
    // Chromium may print the page before the reply arrives, because it prints as soon as it is idle.
    let page = "";
    for (let tries = 0; tries < 10 && !page.includes("<pre>The"); tries++) {
      const { out } = await run(
        "chromium",
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        `--user-data-dir=${directory}`,
        "--virtual-time-budget=10000",
        "--dump-dom",
        `http://${server.address}`,
      );
      page = out;
    }
    await Deno.remove(directory, { recursive: true });
    assertStringIncludes(page, "<pre>The socket is open\n</pre>");
  });
});
