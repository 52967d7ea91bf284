/**
 * Echoes with `Poll`, which uses descriptors, event bits such as POLLIN and POLLOUT, and milliseconds.
 *
 * The wait is synchronous, so Deno cannot call signal listeners. Instead, the `Signals` object becomes readable on
 * Ctrl-C.
 *
 * ```sh
 * deno run --allow-ffi jsr:@selectors/selectors/examples/poll-server 10001
 * ```
 *
 * @module
 */

import { OSError, Poll, POLLIN, POLLOUT } from "@selectors/selectors/select";
import { createServer, type Socket } from "@selectors/selectors/socket";
import { Signals } from "@selectors/selectors/sources";

const listener = createServer({ hostname: "127.0.0.1", port: Number(Deno.args[0] ?? 10001) });
listener.setBlocking(false);
using signals = new Signals(["SIGINT"]);
const { port } = listener.getsockname();
console.log(`Listening on port ${port}; try: nc 127.0.0.1 ${port}`);

const TIMEOUT_MS = 30_000;
const poll = new Poll();
poll.register(listener, POLLIN);
poll.register(signals, POLLIN);
const connections = new Map<number, { socket: Socket; unsent: Uint8Array }>();
const buffer = new Uint8Array(64 * 1024);
let pauseEndMs = 0; // time until which the server does not accept
while (signals.read().length === 0) {
  const pauseMs = pauseEndMs - performance.now();
  if (pauseMs <= 0) poll.modify(listener, POLLIN);
  const ready = poll.poll(pauseMs > 0 ? pauseMs : TIMEOUT_MS);
  if (ready.length === 0 && pauseMs <= 0) {
    console.log(`No event for ${TIMEOUT_MS} ms, with ${connections.size} connections`);
  }
  for (const [fd, events] of ready) {
    if (fd === signals.fileno()) continue; // the loop condition reads the signals
    try {
      if (fd === listener.fileno()) accept();
      else if (events & POLLOUT) send(fd);
      else receive(fd); // for POLLERR and POLLHUP too, because recv() reports the error
    } catch (error) {
      if (!(error instanceof OSError)) throw error;
      console.log(error.message);
      if (fd !== listener.fileno()) {
        close(fd);
      } else { // accept() failed, usually with EMFILE: too many files are open
        pauseEndMs = performance.now() + 1000;
        poll.modify(listener, 0);
      }
    }
  }
}
console.log("Server shutting down");

function accept(): void {
  const accepted = listener.tryAccept();
  if (accepted === null) return;
  const [socket, address] = accepted;
  socket.setBlocking(false);
  poll.register(socket, POLLIN);
  connections.set(socket.fileno(), { socket, unsent: new Uint8Array() });
  console.log("Connection from", address);
}

function receive(fd: number): void {
  const connection = connections.get(fd)!;
  const count = connection.socket.tryRecvInto(buffer);
  if (count === null) return;
  if (count === 0) return close(fd);
  connection.unsent = buffer.slice(0, count);
  send(fd);
}

/** Sends as much as the kernel takes. The server reads more from the connection only after it has sent everything. */
function send(fd: number): void {
  const connection = connections.get(fd)!;
  connection.unsent = connection.unsent.subarray(connection.socket.trySend(connection.unsent) ?? 0);
  poll.modify(fd, connection.unsent.length > 0 ? POLLOUT : POLLIN);
}

function close(fd: number): void {
  console.log(`Closing fd ${fd}`);
  poll.unregister(fd);
  connections.get(fd)!.socket.close();
  connections.delete(fd);
}
