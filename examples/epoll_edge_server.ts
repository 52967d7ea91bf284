/**
 * An echo server on `Epoll`, edge-triggered (Linux): the kernel says once that something has become ready.
 *
 * So everything has to be taken until it would block, and what is left over for fairness remembered. In return there
 * are no system calls to change what is waited for.
 *
 * To wait is synchronous here, so that no listener for signals would be heard: Ctrl-C ends the program in the ordinary
 * way, and the system closes what it had open.
 *
 * ```sh
 * deno run --allow-ffi jsr:@selectors/selectors/examples/epoll-edge-server 10002
 * ```
 *
 * @module
 */

import { Epoll, EPOLLET, EPOLLIN, EPOLLOUT, OSError } from "../ffi/select/mod.ts";
import { createServer, type Socket } from "../ffi/socket/mod.ts";

type Connection = { socket: Socket; unsent: Uint8Array };

const listener = createServer({ hostname: "127.0.0.1", port: Number(Deno.args[0] ?? 10002) });
listener.setBlocking(false);
const { port } = listener.getsockname() as { port: number };
console.log(`Listening on port ${port}; try: nc 127.0.0.1 ${port}`);

/** How often one connection is served before it is the others' turn. */
const TURNS = 16;
const epoll = new Epoll();
// Level-triggered: what is not accepted in this round is reported in the next.
epoll.register(listener, EPOLLIN);
const connections = new Map<number, Connection>();
const busy = new Set<number>(); // who may have more to give, of which no edge will tell
const buffer = new Uint8Array(64 * 1024);
let pauseEndMs = Infinity; // nothing is accepted until then, if there is such a time
for (;;) {
  const pauseMs = Math.max(pauseEndMs - performance.now(), 0);
  for (const [fd] of epoll.poll(busy.size > 0 ? 0 : pauseMs / 1000)) busy.add(fd);
  if (pauseMs === 0) {
    pauseEndMs = Infinity;
    epoll.modify(listener, EPOLLIN);
  }
  const fds = [...busy];
  busy.clear();
  for (const fd of fds) {
    const connection = connections.get(fd);
    try {
      if (connection === undefined) accept();
      else serve(connection);
    } catch (error) {
      if (!(error instanceof OSError)) throw error;
      console.log(error.message);
      if (connection !== undefined) {
        close(connection.socket);
      } else { // there is no descriptor for one more connection
        pauseEndMs = performance.now() + 1000;
        epoll.modify(listener, 0);
      }
    }
  }
}

function accept(): void {
  const accepted = listener.tryAccept();
  if (accepted === null) return;
  const [socket, address] = accepted;
  socket.setBlocking(false);
  connections.set(socket.fileno(), { socket, unsent: new Uint8Array() });
  epoll.register(socket, EPOLLIN | EPOLLOUT | EPOLLET);
  console.log("Connection from", address);
}

/** Receives and sends in turn, until either would block. */
function serve(connection: Connection): void {
  const { socket } = connection;
  for (let turn = 0; turn < TURNS; turn++) {
    while (connection.unsent.length > 0) {
      const sent = socket.trySend(connection.unsent);
      if (sent === null) return; // there will be an edge when there is room
      connection.unsent = connection.unsent.subarray(sent);
    }
    const count = socket.tryRecvInto(buffer);
    if (count === null) return; // there will be an edge when there is more
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
