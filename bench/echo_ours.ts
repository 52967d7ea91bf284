/**
 * Echoes on this package, as in the README, and prints the port that it listens on.
 *
 * It waits with `select()`, or with `--async` beside Deno's event loop with `for await`.
 *
 * @module
 */

import { EpollSelector, EVENT_READ } from "../mod.ts";
import { createServer, type Socket } from "../ffi/socket/mod.ts";

const selector = new EpollSelector<(socket: Socket) => void, Socket>();
const listener = createServer({ hostname: "127.0.0.1", port: 0 });
const buffer = new Uint8Array(64 * 1024);

function accept(): void {
  const [connection] = listener.accept();
  selector.register(connection, EVENT_READ, echo);
}

function echo(connection: Socket): void {
  const count = connection.recvInto(buffer);
  if (count > 0) return connection.sendAll(buffer.subarray(0, count));
  selector.unregister(connection);
  connection.close();
}

selector.register(listener, EVENT_READ, accept);
console.log(listener.getsockname().port);
if (Deno.args.includes("--async")) { for await (const [key] of selector) key.data(key.fileobj); }
for (;;) for (const [key] of selector.select()) key.data(key.fileobj);
