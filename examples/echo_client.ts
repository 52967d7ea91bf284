/**
 * Sends messages to the echo server and receives the echo at the same time; ends when all bytes have come back.
 *
 * ```sh
 * deno run --allow-ffi jsr:@selectors/selectors/examples/echo-client "a message" "another message"
 * ```
 *
 * @module
 */

import { parseArgs } from "node:util";
import { DefaultSelector, EVENT_READ, EVENT_WRITE } from "@selectors/selectors";
import { getaddrinfo, Socket } from "@selectors/selectors/socket";

try {
  run();
} catch (error) {
  console.error(`echo_client: ${(error as Error).message.split("\n")[0]}`);
  Deno.exit(1);
}

function run(): void {
  const { values: { host, port }, positionals } = parseArgs({
    args: Deno.args,
    allowPositionals: true,
    options: { host: { type: "string", default: "127.0.0.1" }, port: { type: "string", default: "65432" } },
  });
  const messages = positionals.length > 0 ? positionals : ["It will be repeated.", "This is the message."];
  const outgoing = messages.map((message) => new TextEncoder().encode(message));
  const expected = outgoing.reduce((sum, message) => sum + message.length, 0);
  const [{ family, address }] = getaddrinfo(host, port);

  using socket = new Socket(family);
  const { hostname, port: number } = address;
  console.log(`Connecting to ${hostname} port ${number}`);
  socket.connect(address); // blocks until the connection is established
  socket.setBlocking(false);
  using selector = new DefaultSelector<undefined, Socket>();
  selector.register(socket, EVENT_READ | EVENT_WRITE);

  const decoder = new TextDecoder();
  const buffer = new Uint8Array(1024);
  let received = 0;
  while (received < expected) {
    for (const [, events] of selector.select()) {
      if (events & EVENT_READ) receive();
      if (events & EVENT_WRITE) send();
    }
  }
  console.log(`All ${expected} bytes came back`);

  function receive(): void {
    const count = socket.tryRecvInto(buffer);
    if (count === null) return;
    if (count === 0) throw new Error(`The server closed the connection after ${received} of ${expected} bytes`);
    console.log(`Received ${JSON.stringify(decoder.decode(buffer.subarray(0, count), { stream: true }))}`);
    received += count;
  }

  function send(): void {
    const message = outgoing.shift();
    if (message === undefined) {
      console.log("All sent; waiting for the rest");
      selector.modify(socket, EVENT_READ); // without EVENT_WRITE, for which the socket is almost always ready
      return;
    }
    const sent = socket.trySend(message) ?? 0;
    console.log(`Sent ${sent} bytes`);
    if (sent < message.length) outgoing.unshift(message.subarray(sent));
  }
}
