/**
 * Echoes the data of any number of clients in one thread, as the server in Python's documentation of `selectors` does.
 *
 * The `data` of each registration is the function to call: `accept` for the listener, `echo` for a connection. Ctrl-C
 * shuts the server down.
 *
 * ```sh
 * deno run --allow-ffi jsr:@selectors/selectors/examples/echo-server --port 65432
 * ```
 *
 * @module
 */

import { parseArgs } from "node:util";
import { DefaultSelector, EVENT_READ, EVENT_WRITE, OSError } from "@selectors/selectors";
import { createServer, getaddrinfo, type Socket } from "@selectors/selectors/socket";

type Handler = (socket: Socket, events: number) => void;

const NOTHING = new Uint8Array();
const buffer = new Uint8Array(64 * 1024);
/** Each connection's unsent bytes. There is never more than one buffer of them: see {@linkcode send}. */
const connections = new Map<Socket, Uint8Array>();
const { selector, listener, log } = start();

Deno.addSignalListener("SIGINT", () => selector.close()); // ends the loop
for await (const [{ fileobj: socket, data: handle }, events] of selector) attempt(socket, handle, events);
console.log("Server shutting down"); // the end of the program closes all sockets

/** Calls a function for a socket. A failure, such as a reset, ends that connection; the listener pauses instead. */
function attempt(socket: Socket, handle: Handler, events = 0): void {
  try {
    handle(socket, events);
  } catch (error) {
    if (!(error instanceof OSError)) throw error;
    log(error.message);
    if (socket === listener) pause();
    else close(socket);
  }
}

function listen(): void {
  selector.register(listener, EVENT_READ, accept);
}

function accept(): void {
  const accepted = listener.tryAccept();
  if (accepted === null) return;
  const [connection, address] = accepted;
  log(`fd ${connection.fileno()}: accepted`, address);
  attempt(connection, () => {
    connection.setBlocking(false);
    selector.register(connection, EVENT_READ, echo);
    connections.set(connection, NOTHING);
  });
}

function echo(connection: Socket, events: number): void {
  if (events & EVENT_WRITE) return send(connection, connections.get(connection)!);
  const count = connection.tryRecvInto(buffer);
  if (count === null) return;
  if (count === 0) return close(connection);
  log(`fd ${connection.fileno()}: received ${count} bytes`);
  send(connection, buffer.subarray(0, count));
}

/** Sends as much as there is room for. The server reads no more from a peer until it has taken its echo. */
function send(connection: Socket, data: Uint8Array): void {
  const sent = connection.trySend(data) ?? 0;
  const isWhole = sent === data.length;
  connections.set(connection, isWhole ? NOTHING : data.slice(sent));
  selector.modify(connection, isWhole ? EVENT_READ : EVENT_WRITE, echo);
}

function close(connection: Socket): void {
  log(`fd ${connection.fileno()}: closed`);
  connections.delete(connection);
  if (selector.getMap()!.has(connection)) selector.unregister(connection); // a failed modify() has done so
  connection.close();
}

/** Leaves new connections in the listener's queue for a second, because the system has no room for another. */
function pause(): void {
  if (selector.getMap()!.has(listener)) selector.unregister(listener);
  Deno.unrefTimer(setTimeout(() => selector.closed || attempt(listener, listen), 1000));
}

function start() {
  try {
    const { host, port, quiet } = parseArgs({
      options: {
        host: { type: "string", default: "127.0.0.1" },
        port: { type: "string", default: "65432" },
        quiet: { type: "boolean", default: false },
      },
    }).values;
    const [{ family, address }] = getaddrinfo(host, port);
    const selector = new DefaultSelector<Handler, Socket>();
    const listener = createServer(address, { family });
    listener.setBlocking(false);
    selector.register(listener, EVENT_READ, accept);
    const bound = listener.getsockname();
    console.log(`Listening on ${bound.hostname} port ${bound.port}; try: nc ${bound.hostname} ${bound.port}`);
    return { selector, listener, log: quiet ? () => {} : console.log };
  } catch (error) {
    console.error(`echo_server: ${(error as Error).message.split("\n")[0]}`);
    Deno.exit(1);
  }
}
