/**
 * An HTTP/1.1 server on bare sockets, in one thread: connections that are kept, requests in a pipeline, bodies in chunks.
 *
 * The bytes are parsed by `http-parser-js`. Who does not take the answers is not read. There are no timeouts: on the
 * open network this belongs behind a server that has some.
 *
 * ```sh
 * deno run --allow-ffi jsr:@selectors/selectors/examples/http-server 8080
 * ```
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { HTTPParser } from "http-parser-js";
import { DefaultSelector, EVENT_READ, EVENT_WRITE, OSError } from "../mod.ts";
import { createServer, SHUT_WR, type Socket } from "../ffi/socket.ts";

const buffer = Buffer.alloc(64 * 1024);
const selector = new DefaultSelector<(events: number) => void, Socket>();
const listener = createServer({ hostname: "127.0.0.1", port: Number(Deno.args[0] ?? 8080) });
listener.setBlocking(false);
selector.register(listener, EVENT_READ, accept);
const { port } = listener.getsockname() as { port: number };
console.log(`Listening on port ${port}; try: curl -v http://127.0.0.1:${port}/hello`);
Deno.addSignalListener("SIGINT", () => selector.close()); // ends the loop
for await (const [{ fileobj: socket, data: handle }, events] of selector) {
  try {
    handle(events);
  } catch (error) {
    if (!(error instanceof OSError)) throw error;
    console.log(error.message);
    if (socket !== listener) close(socket);
    else selector.unregister(listener); // there is no descriptor for one more connection, until one ends
  }
}
console.log("Server shutting down"); // the end of the program closes what is open

function accept(): void {
  const socket = listener.tryAccept()?.[0];
  socket?.setBlocking(false);
  if (socket !== undefined) selector.register(socket, EVENT_READ, serve(socket));
}

function close(socket: Socket): void {
  selector.unregister(socket);
  socket.close();
  if (!selector.getMap()!.has(listener)) selector.register(listener, EVENT_READ, accept);
}

/** Gives what is to be done when a connection is ready. */
function serve(socket: Socket): (events: number) => void {
  const parser = new HTTPParser(HTTPParser.REQUEST);
  let request = { method: "", url: "", length: 0, isLast: true };
  let isEnding = false;
  let answers = "";
  let unsent: Uint8Array = buffer.subarray(0, 0);
  parser[HTTPParser.kOnHeadersComplete] = ({ method, url, headers, shouldKeepAlive, upgrade }) => {
    request = { method: HTTPParser.methods[method]!, url, length: 0, isLast: !shouldKeepAlive || upgrade };
    const all = (name: string) => headers.filter((_, at) => headers[at - 1]?.toLowerCase() === name && at % 2 === 1);
    if (all("expect").length > 0) answers += "HTTP/1.1 100 Continue\r\n\r\n";
    if (!all("content-length").every((length) => /^\d+$/.test(length))) refuse("Invalid Content-Length");
    return Number(isEnding); // no body is taken then: of a negative length, the parser would go back
  };
  parser[HTTPParser.kOnBody] = (_chunk, _offset, length) => request.length += length;
  parser[HTTPParser.kOnMessageComplete] = () =>
    answer("200 OK", `${request.method} ${request.url} with ${request.length} bytes\n`);

  function answer(status: string, body: string): void {
    if (isEnding) return;
    isEnding = request.isLast;
    const head = `HTTP/1.1 ${status}\r\nDate: ${new Date().toUTCString()}\r\nContent-Type: text/plain\r\n` +
      `Content-Length: ${body.length}\r\nConnection: ${isEnding ? "close" : "keep-alive"}\r\n\r\n`;
    answers += request.method === "HEAD" ? head : head + body;
  }

  function refuse(reason: string): void {
    request.isLast = true;
    answer("400 Bad Request", `${reason}\n`);
  }

  return function handle(events) {
    if (events & EVENT_READ) { // nothing is left to send then
      const count = socket.tryRecvInto(buffer);
      if (count === 0) return close(socket);
      if (count === null || isEnding) return; // what comes after the last request is dropped
      const outcome = parser.execute(buffer, 0, count);
      if (outcome instanceof Error) refuse(outcome.message);
      unsent = Buffer.from(answers);
      answers = "";
    }
    if (unsent.length > 0) unsent = unsent.subarray(socket.trySend(unsent) ?? 0);
    selector.modify(socket, unsent.length > 0 ? EVENT_WRITE : EVENT_READ, handle);
    // Closing is the client's part: while it still sends, that would reset the connection, and lose the answer.
    if (isEnding && unsent.length === 0) socket.shutdown(SHUT_WR);
  };
}
