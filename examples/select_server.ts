/**
 * Echoes with plain `select()`, which takes lists of sockets to watch and returns lists of ready sockets.
 *
 * A connection is in one list at a time: in the list for writing while it has unsent bytes, otherwise in the list for
 * reading.
 *
 * The wait is synchronous, so Deno cannot call signal listeners. Instead, the `Signals` object becomes readable on
 * Ctrl-C.
 *
 * ```sh
 * deno run --allow-ffi jsr:@selectors/selectors/examples/select-server 10000
 * ```
 *
 * @module
 */

import { OSError, select } from "@selectors/selectors/select";
import { createServer, type Socket } from "@selectors/selectors/socket";
import { Signals } from "@selectors/selectors/sources";

const listener = createServer({ hostname: "127.0.0.1", port: Number(Deno.args[0] ?? 10000) });
listener.setBlocking(false);
using signals = new Signals(["SIGINT"]);
const { port } = listener.getsockname();
console.log(`Listening on port ${port}; try: nc 127.0.0.1 ${port}`);

const inputs = new Set<Socket | Signals>([listener, signals]);
const outputs = new Map<Socket, Uint8Array>(); // with their unsent bytes
const buffer = new Uint8Array(64 * 1024);
let pauseEndMs = 0; // time until which the server does not accept
while (signals.read().length === 0) {
  const pauseMs = pauseEndMs - performance.now();
  if (pauseMs <= 0) inputs.add(listener);
  const [readable, writable] = select(inputs, outputs.keys(), [], pauseMs > 0 ? pauseMs / 1000 : null);
  for (const socket of readable) {
    // The loop condition reads the signals.
    if (socket !== signals) attempt(socket as Socket, socket === listener ? accept : receive);
  }
  for (const socket of writable) attempt(socket, send);
}
console.log("Server shutting down");

/** Calls a function for a socket. If it fails, closes the connection, or pauses if the socket is the listener. */
function attempt(socket: Socket, action: (socket: Socket) => void): void {
  try {
    action(socket);
  } catch (error) {
    if (!(error instanceof OSError)) throw error;
    console.log(error.message);
    if (socket !== listener) return close(socket);
    inputs.delete(listener); // accept() failed, usually with EMFILE: too many files are open
    pauseEndMs = performance.now() + 1000;
  }
}

function accept(): void {
  const accepted = listener.tryAccept();
  if (accepted === null) return;
  const [connection, address] = accepted;
  connection.setBlocking(false);
  inputs.add(connection);
  console.log("Connection from", address);
}

function receive(connection: Socket): void {
  const count = connection.tryRecvInto(buffer);
  if (count === null) return;
  if (count === 0) return close(connection);
  inputs.delete(connection);
  outputs.set(connection, buffer.slice(0, count));
}

function send(connection: Socket): void {
  const data = outputs.get(connection)!;
  const sent = connection.trySend(data) ?? 0;
  if (sent < data.length) return void outputs.set(connection, data.subarray(sent));
  outputs.delete(connection);
  inputs.add(connection);
}

function close(connection: Socket): void {
  console.log(`Closing fd ${connection.fileno()}`);
  inputs.delete(connection);
  outputs.delete(connection);
  connection.close();
}
