/**
 * An echo server for any number of clients in one thread, after the one in Python's documentation of `selectors`.
 *
 * Each registration carries in its `data` the function to call: `accept` for the listener, `echo` for a connection. Ctrl-C
 * shuts it down.
 *
 * ```sh
 * deno run --allow-ffi jsr:@selectors/selectors/examples/echo-server --port 65432
 * ```
 *
 * @module
 */

import { parseArgs } from "node:util";
import { DefaultSelector, EVENT_READ, EVENT_WRITE, OSError } from "../mod.ts";
import { createServer, getaddrinfo, type InetAddress, type Socket } from "../ffi/socket/mod.ts";

type Handler = (socket: Socket, events: number) => void;

const NOTHING = new Uint8Array();
const buffer = new Uint8Array(64 * 1024);
/** What each peer has sent and not yet taken back. There is never more than one buffer of it: see {@linkcode send}. */
const connections = new Map<Socket, Uint8Array>();
const { selector, listener, log } = start();

Deno.addSignalListener("SIGINT", () => selector.close()); // ends the loop
for await (const [{ fileobj: socket, data: handle }, events] of selector) {
  try {
    handle(socket, events);
  } catch (error) {
    if (!(error instanceof OSError)) throw error;
    log(error.message);
    // The peer's failure, a reset above all, is the end of its own connection only.
    if (socket === listener) pause();
    else close(socket);
  }
}
console.log("Server shutting down"); // the end of the program closes what is open

function accept(): void {
  const accepted = listener.tryAccept();
  if (accepted === null) return;
  const [connection, address] = accepted;
  try {
    connection.setBlocking(false);
    selector.register(connection, EVENT_READ, echo);
  } catch (error) {
    connection.close();
    throw error;
  }
  connections.set(connection, NOTHING);
  log(`fd ${connection.fileno()}: accepted`, address);
}

function echo(connection: Socket, events: number): void {
  if (events & EVENT_WRITE) return send(connection, connections.get(connection)!);
  const count = connection.tryRecvInto(buffer);
  if (count === null) return;
  if (count === 0) return close(connection);
  log(`fd ${connection.fileno()}: received ${count} bytes`);
  send(connection, buffer.subarray(0, count));
}

/** Sends what can be sent. While the peer does not take its echo, nothing more is read from it. */
function send(connection: Socket, data: Uint8Array): void {
  const sent = connection.trySend(data) ?? 0;
  const isWhole = sent === data.length;
  connections.set(connection, isWhole ? NOTHING : data.slice(sent));
  selector.modify(connection, isWhole ? EVENT_READ : EVENT_WRITE, echo);
}

function close(connection: Socket): void {
  log(`fd ${connection.fileno()}: closed`);
  connections.delete(connection);
  selector.unregister(connection);
  connection.close();
}

/** Lets connections wait in the listener's queue for a second, where there is no descriptor for one more. */
function pause(): void {
  selector.unregister(listener);
  Deno.unrefTimer(setTimeout(() => selector.closed || selector.register(listener, EVENT_READ, accept), 1000));
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
    const bound = listener.getsockname() as InetAddress;
    console.log(`Listening on ${bound.hostname} port ${bound.port}; try: nc ${bound.hostname} ${bound.port}`);
    return { selector, listener, log: quiet ? () => {} : console.log };
  } catch (error) {
    console.error(`echo_server: ${(error as Error).message.split("\n")[0]}`);
    Deno.exit(1);
  }
}
