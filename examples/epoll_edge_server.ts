/**
 * Echoes with edge-triggered `Epoll` (Linux): the kernel reports each change of readiness once.
 *
 * The server therefore accepts, reads and writes until the call would block. If it stops earlier, to be fair to other
 * sockets, it remembers the socket. In return, a registration never changes.
 *
 * The wait is synchronous, so no signal listener can run. The `Signals` object becomes readable at Ctrl-C instead.
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

/** Number of times that one connection is served before the others. */
const TURNS = 16;
const epoll = new Epoll();
epoll.register(listener, EPOLLIN | EPOLLET);
epoll.register(signals, EPOLLIN);
const connections = new Map<number, Connection>();
const busy = new Set<number>(); // descriptors that may still be ready, for which no edge will come
const buffer = new Uint8Array(64 * 1024);
let pauseEndMs = Infinity; // the server accepts nothing until then; Infinity if it does not pause
while (signals.read().length === 0) {
  const pauseMs = Math.max(pauseEndMs - performance.now(), 0);
  for (const [fd] of epoll.poll(busy.size > 0 ? 0 : pauseMs / 1000)) busy.add(fd);
  if (pauseMs === 0) {
    pauseEndMs = Infinity;
    busy.add(listener.fileno());
  }
  busy.delete(signals.fileno()); // read in the condition of the loop
  const fds = [...busy];
  busy.clear();
  for (const fd of fds) {
    const connection = connections.get(fd);
    try {
      if (connection !== undefined) serve(connection);
      else if (pauseEndMs === Infinity) accept();
    } catch (error) {
      if (!(error instanceof OSError)) throw error;
      console.log(error.message);
      if (connection !== undefined) close(connection.socket);
      else pauseEndMs = performance.now() + 1000; // the system has no room for another connection
    }
  }
}
console.log("Server shutting down");

function accept(): void {
  const accepted = listener.tryAccept();
  if (accepted === null) return;
  busy.add(listener.fileno());
  const [socket, address] = accepted;
  using stack = new DisposableStack(); // closes the connection if the system cannot register it
  stack.use(socket);
  socket.setBlocking(false);
  epoll.register(socket, EPOLLIN | EPOLLOUT | EPOLLET);
  connections.set(socket.fileno(), { socket, unsent: new Uint8Array() });
  stack.move();
  console.log("Connection from", address);
}

/** Receives and sends in turn, until either would block. */
function serve(connection: Connection): void {
  const { socket } = connection;
  for (let turn = 0; turn < TURNS; turn++) {
    while (connection.unsent.length > 0) {
      const sent = socket.trySend(connection.unsent);
      if (sent === null) return; // an edge will come when there is room
      connection.unsent = connection.unsent.subarray(sent);
    }
    const count = socket.tryRecvInto(buffer);
    if (count === null) return; // an edge will come with more bytes
    if (count === 0) return close(socket);
    connection.unsent = buffer.slice(0, count);
  }
  busy.add(socket.fileno());
}

function close(socket: Socket): void {
  console.log(`Closing fd ${socket.fileno()}`);
  connections.delete(socket.fileno());
  epoll.unregister(socket);
  socket.close();
}
