/**
 * Accepts connections with a selector, and hands their descriptors to a server of `node:http`.
 *
 * A program can thus choose a server for each connection before it reads a byte. The wait is asynchronous, because the
 * HTTP server needs Deno's event loop. Ctrl-C ends the program after all requests are answered.
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
  // Deno 2.9 closes a connection from a descriptor after the first answer, but announces keep-alive.
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
    server.emit("connection", new NodeSocket({ fd: connection.detach() }));
    console.log("Handed over:", address);
  } catch (error) {
    // The system has no room for another connection. If it was node:net that threw, Deno has closed the descriptor.
    console.log((error as Error).message);
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}
console.log("Ctrl-C: no more connections are accepted");
