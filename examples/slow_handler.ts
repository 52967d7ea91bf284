/**
 * Shows why a handler that awaits something needs `MODE_ONCE`: without it, `for await` reports the socket again and
 * again until the handler has read from it.
 *
 * First, the program counts how often `for await` reports three requests, without and with the mode, to a handler that
 * takes 25 ms to read each. Then it serves connections with the mode: the loop starts a handler for each request and
 * does not await it, and the handler arms the socket again with `modify`. Ctrl-C shuts the server down.
 *
 * ```sh
 * deno run --allow-ffi jsr:@selectors/selectors/examples/slow-handler 8008
 * ```
 *
 * Then run `nc 127.0.0.1 8008` in two terminals, and type lines.
 *
 * @module
 */

import { setTimeout as sleep } from "node:timers/promises";
import { DefaultSelector, EVENT_READ, MODE_ONCE, OSError, type SelectorKey } from "@selectors/selectors";
import { createServer, type Socket, socketpair } from "@selectors/selectors/socket";

type Handler = (key: SelectorKey<Handler, Socket>) => void | Promise<void>;

const REQUESTS = 3;
const [port = "8008", seconds = "1"] = Deno.args;
const buffer = new Uint8Array(4096);

console.log(`Without MODE_ONCE, ${REQUESTS} requests are reported ${await countReports(EVENT_READ)} times`);
console.log(`With MODE_ONCE, ${REQUESTS} requests are reported ${await countReports(EVENT_READ | MODE_ONCE)} times`);

const selector = new DefaultSelector<Handler, Socket>();
const listener = createServer({ hostname: "127.0.0.1", port: Number(port) });
listener.setBlocking(false);
listen();
const bound = listener.getsockname();
console.log(`Listening on port ${bound.port}; try: nc 127.0.0.1 ${bound.port}`);

Deno.addSignalListener("SIGINT", () => selector.close()); // ends the loop
for await (const [key] of selector) void attempt(key.fileobj, () => key.data(key));
console.log("Server shutting down");
Deno.exit(); // unfinished handlers would keep the program alive

/** Counts how often a loop with a slow handler reports a socket with {@linkcode REQUESTS} requests. */
async function countReports(events: number): Promise<number> {
  const [here, there] = socketpair();
  const selector = new DefaultSelector();
  let [count, handled, isBusy] = [0, 0, false];
  selector.register(here, events);
  there.send(buffer.subarray(0, 1));
  for await (const [key] of selector) {
    count++;
    if (!isBusy) void handle(key);
  }
  here.close();
  there.close();
  return count;

  async function handle(key: SelectorKey): Promise<void> {
    isBusy = true;
    await sleep(25);
    here.recv(1);
    isBusy = false;
    if (++handled === REQUESTS) return selector.close();
    selector.modify(key.fileobj, key.events, key.data); // changes nothing without MODE_ONCE
    there.send(buffer.subarray(0, 1));
  }
}

/** Calls a function for a socket. If it fails, closes the connection, or pauses if the socket is the listener. */
async function attempt(socket: Socket, action: () => void | Promise<void>): Promise<void> {
  try {
    await action();
  } catch (error) {
    if (!(error instanceof OSError)) throw error;
    console.log(error.message);
    if (socket === listener) pause();
    else close(socket);
  }
}

function listen(): void {
  selector.register(listener, EVENT_READ, accept); // not MODE_ONCE, because accept() does not await anything
}

function accept(): void {
  const connection = listener.tryAccept()?.[0];
  if (connection === undefined) return;
  void attempt(connection, () => {
    connection.setBlocking(false);
    selector.register(connection, EVENT_READ | MODE_ONCE, serve);
  });
}

/**
 * Answers a request after a while.
 *
 * The loop does not report the connection again before modify(), so a connection never has two handlers at once.
 */
async function serve(key: SelectorKey<Handler, Socket>): Promise<void> {
  const connection = key.fileobj;
  const count = connection.tryRecvInto(buffer);
  if (count === 0) return close(connection);
  if (count !== null) {
    const reply = buffer.slice(0, count); // the buffer is shared by all handlers
    console.log(`fd ${key.fd}: handling ${count} bytes`);
    await sleep(Number(seconds) * 1000); // stands for a query or a fetch()
    if (selector.closed) return;
    if (connection.trySend(reply) !== count) return close(connection); // the client does not read answers
    console.log(`fd ${key.fd}: answered`);
  }
  selector.modify(connection, key.events, key.data);
}

function close(connection: Socket): void {
  // A failed modify() has already unregistered the socket. getMap() is null after selector.close().
  if (selector.getMap()?.has(connection)) selector.unregister(connection);
  connection.close();
}

/**
 * Stops accepting for a second, because accept() has failed, usually with EMFILE: too many files are open. Waiting
 * connections stay in the listener's queue.
 */
function pause(): void {
  if (selector.getMap()?.has(listener)) selector.unregister(listener); // not registered if listen() has failed
  setTimeout(() => {
    if (!selector.closed) void attempt(listener, listen);
  }, 1000);
}
