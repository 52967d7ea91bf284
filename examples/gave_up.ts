/**
 * Stops slow work as soon as the client gives up, without reading from the connection.
 *
 * While the server works on an answer, it waits only for `EVENT_READ_CLOSED`: bytes that arrive meanwhile stay in the
 * kernel. When the client closes the connection, an `AbortSignal` stops the work.
 *
 * TCP cannot tell `close()` from `shutdown(SHUT_WR)`. This server therefore also gives up on a client that only shuts
 * down writing and still reads, such as `echo hello | nc -N`. Use the event for protocols in which a client does not
 * shut down writing before it has the answer.
 *
 * ```sh
 * deno run --allow-ffi jsr:@selectors/selectors/examples/gave-up 8007
 * ```
 *
 * Run `nc 127.0.0.1 8007`, type a question, and press Ctrl-C before the answer comes.
 *
 * @module
 */

import { setTimeout as sleep } from "node:timers/promises";
import { DefaultSelector, EVENT_READ, EVENT_READ_CLOSED, OSError } from "@selectors/selectors";
import { createServer, type Socket } from "@selectors/selectors/socket";

type Handler = (socket: Socket) => void;

const STEPS = 5;
const [port = "8007", seconds = "10"] = Deno.args;
const buffer = new Uint8Array(4096);
const selector = new DefaultSelector<Handler, Socket>();
if (!selector.supports(EVENT_READ_CLOSED)) {
  console.error("gave_up: on this system, a selector cannot report EVENT_READ_CLOSED");
  Deno.exit(1);
}
const listener = createServer({ hostname: "127.0.0.1", port: Number(port) });
listener.setBlocking(false);
listen();
const bound = listener.getsockname();
console.log(`Listening on port ${bound.port}; try: nc 127.0.0.1 ${bound.port}`);

Deno.addSignalListener("SIGINT", () => selector.close()); // ends the loop
for await (const [{ fileobj: socket, data: handle }] of selector) attempt(socket, () => handle(socket));
console.log("Server shutting down");
Deno.exit(); // unfinished work would keep the program alive

/** Calls a function for a socket. If it fails, closes the connection, or pauses if the socket is the listener. */
function attempt(socket: Socket, action: () => void): void {
  try {
    action();
  } catch (error) {
    if (!(error instanceof OSError)) throw error;
    console.log(error.message);
    if (socket === listener) pause();
    else close(socket);
  }
}

function listen(): void {
  selector.register(listener, EVENT_READ, accept);
}

function accept(): void {
  const connection = listener.tryAccept()?.[0];
  if (connection === undefined) return;
  attempt(connection, () => {
    connection.setBlocking(false);
    selector.register(connection, EVENT_READ, question);
  });
}

/** Reads a question, and starts to work on it. */
function question(connection: Socket): void {
  const count = connection.tryRecvInto(buffer);
  if (count === null) return;
  if (count === 0) return close(connection);
  const text = new TextDecoder().decode(buffer.subarray(0, count)).trim();
  const controller = new AbortController();
  selector.modify(connection, EVENT_READ_CLOSED, () => {
    controller.abort();
    close(connection);
  });
  void answer(connection, text, controller.signal);
}

/** Works on an answer, and sends it; stops if the signal is aborted. A real server would pass the signal to fetch(). */
async function answer(connection: Socket, text: string, signal: AbortSignal): Promise<void> {
  const name = `fd ${connection.fileno()}`;
  let step = 0;
  try {
    console.log(`${name}: working on ${JSON.stringify(text)}`);
    for (; step < STEPS; step++) await sleep(Number(seconds) * 1000 / STEPS, undefined, { signal });
  } catch (error) {
    if (!signal.aborted) throw error;
    return console.log(`${name}: the client gave up; stopped after ${step} of ${STEPS} steps`);
  }
  if (selector.closed) return;
  attempt(connection, () => {
    const reply = new TextEncoder().encode(`The answer to ${JSON.stringify(text)} is 42\n`);
    if (connection.trySend(reply) !== reply.length) return close(connection); // the client does not read answers
    console.log(`${name}: answered`);
    selector.modify(connection, EVENT_READ, question);
  });
}

function close(connection: Socket): void {
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
  setTimeout(() => {
    if (!selector.closed) attempt(listener, listen);
  }, 1000);
}
