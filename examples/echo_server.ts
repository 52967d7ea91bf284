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
import { createServer, getaddrinfo, type InetAddress, type Socket } from "../ffi/socket.ts";

type Handler = (socket: Socket, events: number) => void;

/** What a peer has sent and not yet taken back. There is never more than one buffer of it: see {@linkcode echo}. */
const unsent = new Map<Socket, Uint8Array>();
const buffer = new Uint8Array(64 * 1024);
const { selector, listener, log } = start();

Deno.addSignalListener("SIGINT", shutDown);
for await (const [key, events] of selector) {
  try {
    key.data(key.fileobj, events);
  } catch (error) {
    if (!(error instanceof OSError)) throw error;
    log(error.message);
    // The peer's failure, a reset above all, is the end of its own connection only.
    if (key.fileobj === listener) pause();
    else close(key.fileobj);
  }
}

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
  log(`fd ${connection.fileno()}: accepted`, address);
}

function echo(connection: Socket, events: number): void {
  if (events & EVENT_WRITE) return send(connection, unsent.get(connection)!);
  const count = connection.tryRecvInto(buffer);
  if (count === null) return;
  if (count === 0) return close(connection);
  log(`fd ${connection.fileno()}: received ${count} bytes`);
  send(connection, buffer.subarray(0, count));
}

function send(connection: Socket, data: Uint8Array): void {
  const sent = connection.trySend(data) ?? 0;
  // While the peer does not take its echo, nothing more is read from it.
  if (sent < data.length) unsent.set(connection, data.slice(sent));
  else unsent.delete(connection);
  selector.modify(connection, sent < data.length ? EVENT_WRITE : EVENT_READ, echo);
}

function close(connection: Socket): void {
  log(`fd ${connection.fileno()}: closed`);
  unsent.delete(connection);
  selector.unregister(connection);
  connection.close();
  resume();
}

/** Lets connections wait in the listener's queue where there is no descriptor for one more, until another ends. */
function pause(): void {
  selector.unregister(listener);
  Deno.unrefTimer(setTimeout(resume, 1000)); // or until somebody else has given one back
}

function resume(): void {
  if (selector.getMap()?.has(listener) === false) selector.register(listener, EVENT_READ, accept);
}

function shutDown(): void {
  console.log("Server shutting down");
  Deno.removeSignalListener("SIGINT", shutDown);
  for (const socket of [listener, ...[...selector.getMap()!.values()].map((key) => key.fileobj)]) socket.close();
  selector.close(); // ends the loop
}

function start() {
  try {
    const { host, port, quiet } = parseArgs({
      args: Deno.args,
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
