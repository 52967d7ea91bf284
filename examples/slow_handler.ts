/**
 * Shows why a handler that awaits something needs `MODE_ONCE`: without it, `for await` reports the socket again and again
 * until the handler has read.
 *
 * The program counts the reports of three requests, with and without the mode, while a handler takes 25 ms to read each.
 * Then it serves connections with the pattern that follows from the counts: each request is handled beside the loop, and
 * the handler arms the socket again with `modify`. Ctrl-C shuts the server down.
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

console.log(`Level-triggered, ${REQUESTS} requests are reported ${await reports(EVENT_READ)} times`);
console.log(`With MODE_ONCE, ${REQUESTS} requests are reported ${await reports(EVENT_READ | MODE_ONCE)} times`);

const selector = new DefaultSelector<Handler, Socket>();
const listener = createServer({ hostname: "127.0.0.1", port: Number(port) });
listener.setBlocking(false);
listen();
const bound = listener.getsockname();
console.log(`Listening on port ${bound.port}; try: nc 127.0.0.1 ${bound.port}`);

Deno.addSignalListener("SIGINT", () => selector.close()); // ends the loop
for await (const [key] of selector) void attempt(key.fileobj, () => key.data(key));
console.log("Server shutting down");
Deno.exit(); // handlers at work would keep the program alive

/** Returns how often a loop with a slow handler reports a few requests. */
async function reports(events: number): Promise<number> {
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
    selector.modify(key.fileobj, key.events, key.data); // without effect on a level-triggered registration
    there.send(buffer.subarray(0, 1));
  }
}

/** Calls a function for a socket. A failure ends that connection; the listener pauses for a second instead. */
async function attempt(socket: Socket, action: () => void | Promise<void>): Promise<void> {
  try {
    await action();
  } catch (error) {
    if (!(error instanceof OSError)) throw error;
    console.log(error.message);
    if (socket !== listener) return close(socket);
    if (selector.getMap()?.has(listener)) selector.unregister(listener);
    setTimeout(() => selector.closed || attempt(listener, listen), 1000); // the system has no room for a connection
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

/** Answers a request after a while. The loop does not report the connection until modify(), so handlers never overlap. */
async function serve(key: SelectorKey<Handler, Socket>): Promise<void> {
  const connection = key.fileobj;
  const count = connection.tryRecvInto(buffer);
  if (count === 0) return close(connection);
  if (count !== null) {
    const reply = buffer.slice(0, count); // the buffer is shared by all handlers
    console.log(`fd ${key.fd}: handling ${count} bytes`);
    await sleep(Number(seconds) * 1000); // stands for a query or a fetch()
    if (selector.closed) return;
    if (connection.trySend(reply) !== count) return close(connection); // the client does not read its answers
    console.log(`fd ${key.fd}: answered`);
  }
  selector.modify(connection, key.events, key.data);
}

function close(connection: Socket): void {
  if (selector.getMap()?.has(connection)) selector.unregister(connection);
  connection.close();
}
