/**
 * An HTTP/1.1 server on bare sockets, in one thread: connections that are kept, requests in a pipeline, bodies in chunks.
 *
 * The bytes are parsed by `http-parser-js`, which is lenient. Who does not take the answers is not read. There are no
 * timeouts: on the open network this belongs behind a server that has some, and that makes requests of its own from those
 * that it gets.
 *
 * ```sh
 * deno run --allow-ffi jsr:@selectors/selectors/examples/http-server 8080
 * ```
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { HTTPParser } from "http-parser-js";
import { DefaultSelector, EVENT_READ, EVENT_WRITE } from "../mod.ts";
import { createServer, SHUT_WR, type Socket } from "../ffi/socket/mod.ts";

const MOST_UNPARSED = 128 * 1024;
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
    console.log((error as Error).message); // of the system or of the parser: it concerns one connection only
    if (socket !== listener) close(socket);
    else pause();
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
}

/** Accepts nothing for a second: there is no descriptor for one more connection. */
function pause(): void {
  selector.unregister(listener);
  Deno.unrefTimer(setTimeout(() => selector.closed || selector.register(listener, EVENT_READ, accept), 1000));
}

/** Gives what is to be done when a connection is ready. */
function serve(socket: Socket): (events: number) => void {
  const parser = new HTTPParser(HTTPParser.REQUEST);
  let request = { method: "", url: "", length: 0, isLast: true };
  let isEnding = false;
  let answers = "";
  let unparsed = 0; // bytes that are neither of a body nor the end of a request, which the parser keeps
  let unsent: Uint8Array = buffer.subarray(0, 0);
  parser[HTTPParser.kOnHeadersComplete] = ({ method, url, headers, shouldKeepAlive, upgrade }) => {
    request = { method: HTTPParser.methods[method]!, url, length: 0, isLast: !shouldKeepAlive || upgrade };
    let lengths = 0;
    for (let at = 0; at < headers.length; at += 2) {
      const line = `${headers[at]}: ${headers[at + 1]}`;
      if (/^expect:/i.test(line) && !isEnding) answers += "HTTP/1.1 100 Continue\r\n\r\n";
      if (!/^(content-length|transfer-encoding):/i.test(line)) continue;
      const isClear = /^(content-length: \d+|transfer-encoding: chunked)$/i.test(line);
      if (!isClear || ++lengths > 1) refuse("Invalid length of the body");
    }
    return Number(isEnding); // if so, no body is taken
  };
  parser[HTTPParser.kOnBody] = (_chunk, _offset, length) => {
    if (length < 0) throw new Error("Invalid chunk"); // the parser would go back, and round for ever
    request.length += length;
    unparsed = 0;
  };
  parser[HTTPParser.kOnMessageComplete] = () => {
    answer("200 OK", `${request.method} ${request.url} with ${request.length} bytes\n`);
    request.method = ""; // what is wrong from here on is wrong with another
    unparsed = 0;
  };

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
      if ((unparsed += count) > MOST_UNPARSED) refuse("Too long");
      unsent = Buffer.from(answers);
      answers = "";
    }
    if (unsent.length > 0) unsent = unsent.subarray(socket.trySend(unsent) ?? 0);
    selector.modify(socket, unsent.length > 0 ? EVENT_WRITE : EVENT_READ, handle);
    // Closing is the client's part: while it still sends, that would reset the connection, and lose the answer.
    if (isEnding && unsent.length === 0) socket.shutdown(SHUT_WR);
  };
}
