/**
 * Accepts connections with a selector, and hands their descriptors to a `node:http` server.
 *
 * This lets a program choose a server for each connection before it reads a byte. The wait is asynchronous, because the
 * HTTP server needs Deno's event loop. On Ctrl-C, the program answers the pending requests, and ends.
 *
 * ```sh
 * deno run --allow-ffi jsr:@selectors/selectors/examples/handover 8005
 * ```
 *
 * @module
 */

import { createServer as createHttpServer } from "node:http";
import { Socket as NodeSocket } from "node:net";
import { DefaultSelector, EVENT_READ } from "@selectors/selectors";
import { createServer, type Socket } from "@selectors/selectors/socket";

const server = createHttpServer((request, response) => {
  // Deno 2.9 closes a connection that comes from a descriptor after one response, but the response says keep-alive.
  response.setHeader("Connection", "close");
  response.end(`${request.method} ${request.url}, served by node:http\n`);
});

using selector = new DefaultSelector<undefined, Socket>();
using listener = createServer({ hostname: "127.0.0.1", port: Number(Deno.args[0] ?? 8005) });
listener.setBlocking(false);
selector.register(listener, EVENT_READ);
const { port } = listener.getsockname();
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
    server.emit("connection", new NodeSocket({ fd: connection.detach() })); // node:net now owns the descriptor
    console.log("Handed over:", address);
  } catch (error) {
    // Either accept() failed, usually with EMFILE: too many files are open. Or node:net could not use the descriptor,
    // and Deno has closed it.
    console.log((error as Error).message);
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}
console.log("Ctrl-C: no more connections are accepted");
