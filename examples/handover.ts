/**
 * Accepts connections here, and lets `node:http` serve them: a descriptor can be handed on.
 *
 * So a program can decide who serves a connection before a byte of it is read, and still have a whole HTTP server. The
 * wait is the asynchronous one, since Node's server needs Deno's event loop. Ctrl-C ends it once all is answered.
 *
 * ```sh
 * deno run --allow-ffi jsr:@selectors/selectors/examples/handover 8005
 * ```
 *
 * @module
 */

import { createServer as createHttpServer } from "node:http";
import { Socket as NodeSocket } from "node:net";
import { DefaultSelector, EVENT_READ, OSError } from "../mod.ts";
import { createServer, type Socket } from "../ffi/socket/mod.ts";

const server = createHttpServer((request, response) => {
  // Deno 2.9 ends a connection that it was handed once it has answered, and should not promise to keep it.
  response.setHeader("Connection", "close");
  response.end(`${request.method} ${request.url}, served by node:http\n`);
});

using selector = new DefaultSelector<undefined, Socket>();
using listener = createServer({ hostname: "127.0.0.1", port: Number(Deno.args[0] ?? 8005) });
listener.setBlocking(false);
selector.register(listener, EVENT_READ);
const { port } = listener.getsockname() as { port: number };
console.log(`Listening on port ${port}; try: curl http://127.0.0.1:${port}/`);

Deno.addSignalListener("SIGINT", () => {
  selector.close();
  server.closeIdleConnections();
});

for await (const [{ fileobj }] of selector) {
  try {
    const accepted = fileobj.tryAccept();
    if (accepted === null) continue;
    const [connection, address] = accepted;
    server.emit("connection", new NodeSocket({ fd: connection.detach() }));
    console.log("Handed over:", address);
  } catch (error) {
    if (!(error instanceof OSError)) throw error;
    console.log(error.message); // there is no descriptor for one more connection
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}
console.log("Ctrl-C: no further connection is taken");
