/**
 * Serves HTTP/1.1 on bare sockets, in one thread: persistent connections, pipelined requests, chunked bodies.
 *
 * The npm package `http-parser-js` parses the requests. This example is not published with the others, because it needs
 * that package. The server stops reading from a client that does not read its responses. The parser is lenient, and the
 * server has no timeouts: on the open network, run it behind a proxy that has timeouts and rewrites each request.
 *
 * ```sh
 * deno run --allow-ffi examples/http_server.ts 8080
 * ```
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { HTTPParser } from "http-parser-js";
import { DefaultSelector, EVENT_READ, EVENT_WRITE } from "@selectors/selectors";
import { createServer, SHUT_WR, type Socket } from "@selectors/selectors/socket";

const MOST_UNPARSED = 128 * 1024;
const buffer = Buffer.alloc(64 * 1024);
const selector = new DefaultSelector<(events: number) => void, Socket>();
const listener = createServer({ hostname: "127.0.0.1", port: Number(Deno.args[0] ?? 8080) });
listener.setBlocking(false);
listen();
const { port } = listener.getsockname();
console.log(`Listening on port ${port}; try: curl -v http://127.0.0.1:${port}/hello`);
Deno.addSignalListener("SIGINT", () => selector.close()); // ends the loop
for await (const [{ fileobj: socket, data: handle }, events] of selector) attempt(socket, () => handle(events));
console.log("Server shutting down"); // the exit closes all sockets

/** Calls a function for a socket. If it fails, closes the connection, or pauses if the socket is the listener. */
function attempt(socket: Socket, action: () => void): void {
  try {
    action();
  } catch (error) { // an OSError, or an error of the parser
    console.log((error as Error).message);
    if (socket === listener) pause();
    else close(socket);
  }
}

function listen(): void {
  selector.register(listener, EVENT_READ, accept);
}

function accept(): void {
  const socket = listener.tryAccept()?.[0];
  if (socket === undefined) return;
  attempt(socket, () => {
    socket.setBlocking(false);
    selector.register(socket, EVENT_READ, serve(socket));
  });
}

function close(socket: Socket): void {
  // A failed modify() has already unregistered the socket. getMap() is null only after selector.close().
  if (selector.getMap()!.has(socket)) selector.unregister(socket);
  socket.close();
}

/**
 * Stops accepting for a second, because accept() has failed, usually with EMFILE: too many files are open. Waiting
 * connections stay in the listener's queue.
 */
function pause(): void {
  if (selector.getMap()!.has(listener)) selector.unregister(listener); // not registered if listen() has failed
  Deno.unrefTimer(setTimeout(() => {
    if (!selector.closed) attempt(listener, listen);
  }, 1000));
}

/** Returns the function to call when a connection is ready. */
function serve(socket: Socket): (events: number) => void {
  const parser = new HTTPParser(HTTPParser.REQUEST);
  let request = { method: "", url: "", length: 0, isLast: true };
  let isEnding = false;
  let responses = "";
  let unparsed = 0; // bytes that came after the last complete request or part of a body; the parser keeps them
  let unsent: Uint8Array = buffer.subarray(0, 0);
  parser[HTTPParser.kOnHeadersComplete] = ({ method, url, headers, shouldKeepAlive, upgrade }) => {
    request = { method: HTTPParser.methods[method]!, url, length: 0, isLast: !shouldKeepAlive || upgrade };
    let lengths = 0;
    for (let at = 0; at < headers.length; at += 2) {
      const line = `${headers[at]}: ${headers[at + 1]}`;
      if (/^expect:/i.test(line) && !isEnding) responses += "HTTP/1.1 100 Continue\r\n\r\n";
      if (!/^(content-length|transfer-encoding):/i.test(line)) continue;
      // Prevents request smuggling: a proxy might read any other length differently, or use the other of two.
      const isClear = /^(content-length: \d+|transfer-encoding: chunked)$/i.test(line);
      if (!isClear || ++lengths > 1) refuse("Invalid body length");
    }
    return Number(isEnding); // 1 makes the parser skip the body
  };
  parser[HTTPParser.kOnBody] = (_chunk, _offset, length) => {
    if (length < 0) throw new Error("Invalid chunk"); // otherwise the parser would loop forever
    request.length += length;
    unparsed = 0;
  };
  parser[HTTPParser.kOnMessageComplete] = () => {
    respond("200 OK", `${request.method} ${request.url} with ${request.length} bytes\n`);
    request.method = ""; // an error from now on belongs to the next request, whose method is not known yet
    unparsed = 0;
  };

  function respond(status: string, body: string): void {
    if (isEnding) return;
    isEnding = request.isLast;
    const head = `HTTP/1.1 ${status}\r\nDate: ${new Date().toUTCString()}\r\nContent-Type: text/plain\r\n` +
      `Content-Length: ${body.length}\r\nConnection: ${isEnding ? "close" : "keep-alive"}\r\n\r\n`;
    responses += request.method === "HEAD" ? head : head + body;
  }

  function refuse(reason: string): void {
    request.isLast = true;
    respond("400 Bad Request", `${reason}\n`);
  }

  return function handle(events) {
    if (events & EVENT_READ) { // reported only if nothing is unsent: see modify() below
      const count = socket.tryRecvInto(buffer);
      if (count === 0) return close(socket);
      if (count === null || isEnding) return; // drops bytes after the last request
      const outcome = parser.execute(buffer, 0, count);
      if (outcome instanceof Error) refuse(outcome.message);
      unparsed += count;
      if (unparsed > MOST_UNPARSED) refuse("Too long");
      unsent = Buffer.from(responses);
      responses = "";
    }
    if (unsent.length > 0) unsent = unsent.subarray(socket.trySend(unsent) ?? 0);
    selector.modify(socket, unsent.length > 0 ? EVENT_WRITE : EVENT_READ, handle);
    // Not close(), which would reset the connection if the client is still sending, and lose the response.
    if (isEnding && unsent.length === 0) socket.shutdown(SHUT_WR);
  };
}
