/**
 * An HTTP/1.1 server on bare sockets, in one thread: connections that are kept, requests in a pipeline, bodies in chunks.
 *
 * The bytes are parsed by `http-parser-js`. A client that does not take its answers is not read, so that they do not
 * pile up. It has no timeouts: on the open network it belongs behind a server that has.
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

class Connection {
  readonly #socket: Socket;
  readonly #parser = new HTTPParser(HTTPParser.REQUEST);
  #request = { method: "", url: "", length: 0, isLast: true };
  #isEnding = false;
  #answers = "";
  #unsent: Uint8Array = buffer.subarray(0, 0);

  constructor(socket: Socket) {
    this.#socket = socket;
    this.#parser[HTTPParser.kOnHeadersComplete] = ({ method, url, headers, shouldKeepAlive, upgrade }) => {
      this.#request = { method: HTTPParser.methods[method]!, url, length: 0, isLast: !shouldKeepAlive || upgrade };
      for (let at = 0; at < headers.length; at += 2) {
        const [name, value] = [headers[at]!.toLowerCase(), headers[at + 1]!];
        if (name === "expect") this.#answers += "HTTP/1.1 100 Continue\r\n\r\n";
        if (name === "content-length" && !/^\d+$/.test(value)) this.#refuse("Invalid Content-Length");
      }
      return Number(this.#isEnding); // no body is taken then: of a negative length, the parser would go back
    };
    this.#parser[HTTPParser.kOnBody] = (_chunk, _offset, length) => this.#request.length += length;
    this.#parser[HTTPParser.kOnMessageComplete] = () => {
      const { method, url, length } = this.#request;
      this.#answer("200 OK", `${method} ${url} with ${length} bytes\n`);
    };
  }

  #answer(status: string, body: string): void {
    if (this.#isEnding) return;
    this.#isEnding = this.#request.isLast;
    const head = `HTTP/1.1 ${status}\r\nDate: ${new Date().toUTCString()}\r\nContent-Type: text/plain\r\n` +
      `Content-Length: ${body.length}\r\nConnection: ${this.#isEnding ? "close" : "keep-alive"}\r\n\r\n`;
    this.#answers += this.#request.method === "HEAD" ? head : head + body;
  }

  #refuse(reason: string): void {
    this.#request.isLast = true;
    this.#answer("400 Bad Request", `${reason}\n`);
  }

  /** Takes bytes, which may be a part of a request or many of them; called when nothing is left to send. */
  receive(): void {
    const count = this.#socket.tryRecvInto(buffer);
    if (count === 0) return this.close();
    if (count === null || this.#isEnding) return; // what comes after the last request is dropped
    const outcome = this.#parser.execute(buffer, 0, count);
    if (outcome instanceof Error) this.#refuse(outcome.message);
    this.#unsent = Buffer.from(this.#answers);
    this.#answers = "";
    this.send();
  }

  /** Sends what can be sent; while some of it cannot, no further request is read. */
  send(): void {
    const sent = this.#unsent.length > 0 ? this.#socket.trySend(this.#unsent) ?? 0 : 0;
    this.#unsent = this.#unsent.subarray(sent);
    selector.modify(this.#socket, this.#unsent.length > 0 ? EVENT_WRITE : EVENT_READ, this);
    // Closing is the client's part: while it still sends, that would reset the connection, and lose the answer.
    if (this.#isEnding && this.#unsent.length === 0) this.#socket.shutdown(SHUT_WR);
  }

  close(): void {
    connections.delete(this);
    selector.unregister(this.#socket);
    this.#socket.close();
    if (!selector.getMap()!.has(listener)) selector.register(listener, EVENT_READ, null);
  }
}

const connections = new Set<Connection>();
const selector = new DefaultSelector<Connection | null, Socket>();
const listener = createServer({ hostname: "127.0.0.1", port: Number(Deno.args[0] ?? 8080) });
listener.setBlocking(false);
selector.register(listener, EVENT_READ, null);
const { port } = listener.getsockname() as { port: number };
console.log(`Listening on port ${port}; try: curl -v http://127.0.0.1:${port}/hello`);

Deno.addSignalListener("SIGINT", () => {
  console.log("Server shutting down");
  for (const connection of connections) connection.close();
  listener.close();
  selector.close(); // ends the loop
});

for await (const [{ data: connection }, events] of selector) {
  try {
    if (connection === null) accept();
    else if (events & EVENT_WRITE) connection.send();
    else connection.receive();
  } catch (error) {
    if (!(error instanceof OSError)) throw error;
    console.log(error.message);
    if (connection !== null) connection.close();
    else selector.unregister(listener); // there is no descriptor for one more connection, until one ends
  }
}

function accept(): void {
  const socket = listener.tryAccept()?.[0];
  if (socket === undefined) return;
  socket.setBlocking(false);
  const connection = new Connection(socket);
  connections.add(connection);
  selector.register(socket, EVENT_READ, connection);
}
