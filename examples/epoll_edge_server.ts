/**
 * Echoes with edge-triggered `Epoll` (Linux): the kernel reports only once that a descriptor has become ready.
 *
 * So the server has to use a descriptor until a call would block. To be fair to the others, it accepts one connection
 * at a time, and stops after a few reads from a connection. Then it remembers the descriptor, which may still be ready.
 * In return, the server never has to change a registration.
 *
 * The wait is synchronous, so Deno cannot call signal listeners. Instead, the `Signals` object becomes readable on
 * Ctrl-C.
 *
 * ```sh
 * deno run --allow-ffi jsr:@selectors/selectors/examples/epoll-edge-server 10002
 * ```
 *
 * @module
 */

import { Epoll, EPOLLET, EPOLLIN, EPOLLOUT, OSError } from "@selectors/selectors/select";
import { createServer, type Socket } from "@selectors/selectors/socket";
import { Signals } from "@selectors/selectors/sources";

type Connection = { socket: Socket; unsent: Uint8Array };

const listener = createServer({ hostname: "127.0.0.1", port: Number(Deno.args[0] ?? 10002) });
listener.setBlocking(false);
using signals = new Signals(["SIGINT"]);
const { port } = listener.getsockname();
console.log(`Listening on port ${port}; try: nc 127.0.0.1 ${port}`);

/** Number of reads from one connection before the server turns to the others. */
const READS = 16;
const epoll = new Epoll();
epoll.register(listener, EPOLLIN | EPOLLET);
epoll.register(signals, EPOLLIN);
const connections = new Map<number, Connection>();
const busy = new Set<number>(); // descriptors that may be ready, although the kernel will not report them again
const buffer = new Uint8Array(64 * 1024);
let pauseEndMs: number | null = null; // time until which the server does not accept
while (signals.read().length === 0) {
  const nowMs = performance.now();
  if (pauseEndMs !== null && pauseEndMs <= nowMs) {
    pauseEndMs = null;
    busy.add(listener.fileno()); // the kernel has already reported the waiting connections
  }
  const pauseSeconds = pauseEndMs === null ? null : (pauseEndMs - nowMs) / 1000; // null waits forever
  for (const [fd] of epoll.poll(busy.size > 0 ? 0 : pauseSeconds)) busy.add(fd);
  busy.delete(signals.fileno()); // the loop condition reads the signals
  const fds = [...busy];
  busy.clear();
  for (const fd of fds) {
    const connection = connections.get(fd);
    try {
      if (connection !== undefined) serve(connection);
      else if (pauseEndMs === null) accept();
    } catch (error) {
      if (!(error instanceof OSError)) throw error;
      console.log(error.message);
      if (connection !== undefined) close(connection.socket);
      else pauseEndMs = performance.now() + 1000; // accept() failed, usually with EMFILE: too many open files
    }
  }
}
console.log("Server shutting down");

function accept(): void {
  const accepted = listener.tryAccept();
  if (accepted === null) return;
  busy.add(listener.fileno()); // more connections may be waiting
  const [socket, address] = accepted;
  using stack = new DisposableStack(); // closes the connection if register() fails
  stack.use(socket);
  socket.setBlocking(false);
  epoll.register(socket, EPOLLIN | EPOLLOUT | EPOLLET);
  connections.set(socket.fileno(), { socket, unsent: new Uint8Array() });
  stack.move();
  console.log("Connection from", address);
}

/** Receives and sends in turn until a call would block, or {@linkcode READS} times. */
function serve(connection: Connection): void {
  const { socket } = connection;
  for (let reads = 0; reads < READS; reads++) {
    while (connection.unsent.length > 0) {
      const sent = socket.trySend(connection.unsent);
      if (sent === null) return; // the kernel will report room for more bytes
      connection.unsent = connection.unsent.subarray(sent);
    }
    const count = socket.tryRecvInto(buffer);
    if (count === null) return; // the kernel will report more bytes
    if (count === 0) return close(socket);
    connection.unsent = buffer.slice(0, count);
  }
  busy.add(socket.fileno()); // more bytes may be waiting
}

function close(socket: Socket): void {
  console.log(`Closing fd ${socket.fileno()}`);
  connections.delete(socket.fileno());
  epoll.unregister(socket);
  socket.close();
}
