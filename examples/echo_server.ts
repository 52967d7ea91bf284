/**
 * Echoes the data of any number of clients in one thread, like the server in the documentation of Python's `selectors`.
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
/** Unsent bytes of each connection, never more than one buffer: see {@linkcode send}. */
const connections = new Map<Socket, Uint8Array>();
const { selector, listener, log } = start();
listen();
const { hostname, port } = listener.getsockname();
console.log(`Listening on ${hostname} port ${port}; try: nc ${hostname} ${port}`);

Deno.addSignalListener("SIGINT", () => selector.close()); // ends the loop
for await (const [{ fileobj: socket, data: handle }, events] of selector) attempt(socket, handle, events);
console.log("Server shutting down"); // the exit closes all sockets

/** Calls a function for a socket. If it fails, closes the connection, or pauses if the socket is the listener. */
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

/** Sends as much as the kernel takes. The server reads more from a client only after it has sent the whole echo. */
function send(connection: Socket, data: Uint8Array): void {
  const sent = connection.trySend(data) ?? 0;
  const isWhole = sent === data.length;
  connections.set(connection, isWhole ? NOTHING : data.slice(sent));
  selector.modify(connection, isWhole ? EVENT_READ : EVENT_WRITE, echo);
}

function close(connection: Socket): void {
  log(`fd ${connection.fileno()}: closed`);
  connections.delete(connection);
  // A failed modify() has already unregistered the socket. getMap() is null only after selector.close().
  if (selector.getMap()!.has(connection)) selector.unregister(connection);
  connection.close();
}

/**
 * Stops accepting for a second, because accept() has failed, usually with EMFILE: too many files are open. Waiting
 * connections stay in the listener's queue.
 */
function pause(): void {
  if (selector.getMap()!.has(listener)) selector.unregister(listener); // not registered if listen() has failed
  Deno.unrefTimer(setTimeout(() => {
    if (!selector.closed) attempt(listener, listen);
  }, 1000));
}

/** Creates the selector and the listener; if that fails, prints an error and exits. */
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
    return { selector, listener, log: quiet ? () => {} : console.log };
  } catch (error) {
    console.error(`echo_server: ${(error as Error).message.split("\n")[0]}`);
    Deno.exit(1);
  }
}
