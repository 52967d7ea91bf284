/**
 * An echo server on this package, as in the README. Prints the port that it listens on.
 *
 * It waits with `select()`, or with `for await` if `--async` is given. With `--report=PATH`, it listens on a Unix
 * socket at PATH, and sends the memory that V8 uses to each client, as JSON.
 *
 * @module
 */

import { EpollSelector, EVENT_READ, OSError } from "../mod.ts";
import { createServer, type Socket } from "../ffi/socket/mod.ts";

const selector = new EpollSelector<(socket: Socket) => void, Socket>();
const listener = createServer({ hostname: "127.0.0.1", port: 0 });
const buffer = new Uint8Array(64 * 1024);

function accept(): void {
  const [connection] = listener.accept();
  selector.register(connection, EVENT_READ, echo);
}

function echo(connection: Socket): void {
  try {
    const count = connection.recvInto(buffer);
    if (count > 0) return connection.sendAll(buffer.subarray(0, count));
  } catch (error) {
    if (!(error instanceof OSError)) throw error; // the client may have reset the connection
  }
  selector.unregister(connection);
  connection.close();
}

/** Collects garbage if `gc()` is exposed, and reports the remaining memory. */
function report(reporter: Socket): void {
  const [connection] = reporter.accept();
  (globalThis as { gc?(): void }).gc?.();
  connection.sendAll(new TextEncoder().encode(JSON.stringify(Deno.memoryUsage())));
  connection.close();
}

const path = Deno.args.find((argument) => argument.startsWith("--report="))?.slice("--report=".length);
if (path !== undefined) selector.register(createServer({ path }), EVENT_READ, report);
selector.register(listener, EVENT_READ, accept);
console.log(listener.getsockname().port);
if (Deno.args.includes("--async")) { for await (const [key] of selector) key.data(key.fileobj); }
for (;;) for (const [key] of selector.select()) key.data(key.fileobj);
