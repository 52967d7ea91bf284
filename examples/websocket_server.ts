/**
 * A WebSocket server on bare sockets, in one thread, which sends back what it is sent, and to a browser a page to try it.
 *
 * `websocket-driver` turns bytes into messages and messages into bytes, and answers pings; who moves the bytes is its
 * user's affair. A client that does not take its messages is not read, so that they do not pile up.
 *
 * ```sh
 * deno run --allow-ffi jsr:@selectors/selectors/examples/websocket-server 8002
 * ```
 *
 * @module
 */

import { Buffer } from "node:buffer";
import websocket from "websocket-driver";
import { DefaultSelector, EVENT_READ, EVENT_WRITE, OSError } from "../mod.ts";
import { createServer, SHUT_WR, type Socket } from "../ffi/socket.ts";

const PAGE = `<!doctype html><title>WebSocket</title><input autofocus><pre></pre><script>
  const socket = new WebSocket(location.href.replace("http", "ws"));
  socket.onopen = () => socket.send("The socket is open");
  socket.onmessage = ({ data }) => document.querySelector("pre").textContent += data + "\\n";
  document.querySelector("input").onchange = ({ target }) => socket.send(target.value);
</script>`;
const HTTP = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n";
const buffer = Buffer.alloc(64 * 1024);

class Client {
  readonly #socket: Socket;
  readonly #driver = websocket.server({ maxLength: 1 << 20 });
  #unsent: Buffer[] = [];
  #isEnding = false;

  constructor(socket: Socket) {
    this.#socket = socket;
    const driver = this.#driver;
    driver.io.on("data", (bytes: Buffer) => this.#unsent.push(bytes));
    driver.messages.on("data", (message: string | Buffer) => driver.messages.write(message));
    driver.on("close", () => this.#isEnding = true);
    driver.on("connect", () => {
      if (websocket.isWebSocket(driver)) return driver.start();
      if (driver.method === "GET") this.#unsent.push(Buffer.from(HTTP + PAGE));
      this.#isEnding = true;
    });
  }

  /** Takes bytes, which may be a part of a message or many of them; called when nothing is left to send. */
  receive(): void {
    const count = this.#socket.tryRecvInto(buffer);
    if (count === 0) return this.close();
    if (count === null || this.#isEnding) return; // what comes after the closing handshake is dropped
    this.#driver.io.write(Buffer.from(buffer.subarray(0, count))); // a copy: the driver keeps it
    this.send();
  }

  /** Sends what can be sent; while some of it cannot, no further message is read. */
  send(): void {
    const data = Buffer.concat(this.#unsent);
    const sent = data.length > 0 ? this.#socket.trySend(data) ?? 0 : 0;
    this.#unsent = sent < data.length ? [data.subarray(sent)] : [];
    selector.modify(this.#socket, sent < data.length ? EVENT_WRITE : EVENT_READ, this);
    // Closing is the client's part: while it still sends, that would reset the connection, and lose what was sent.
    if (this.#isEnding && sent === data.length) this.#socket.shutdown(SHUT_WR);
  }

  close(): void {
    clients.delete(this);
    selector.unregister(this.#socket);
    this.#socket.close();
    if (!selector.getMap()!.has(listener)) selector.register(listener, EVENT_READ, null);
  }
}

const clients = new Set<Client>();
const selector = new DefaultSelector<Client | null, Socket>();
const listener = createServer({ hostname: "127.0.0.1", port: Number(Deno.args[0] ?? 8002) });
listener.setBlocking(false);
selector.register(listener, EVENT_READ, null);
const { port } = listener.getsockname() as { port: number };
console.log(`Listening on port ${port}; try: http://127.0.0.1:${port}/ in a browser`);

Deno.addSignalListener("SIGINT", () => {
  console.log("Server shutting down");
  for (const client of clients) client.close();
  listener.close();
  selector.close(); // ends the loop
});

for await (const [{ data: client }, events] of selector) {
  try {
    if (client === null) accept();
    else if (events & EVENT_WRITE) client.send();
    else client.receive();
  } catch (error) {
    if (!(error instanceof OSError)) throw error;
    console.log(error.message);
    if (client !== null) client.close();
    else selector.unregister(listener); // there is no descriptor for one more client, until one ends
  }
}

function accept(): void {
  const socket = listener.tryAccept()?.[0];
  if (socket === undefined) return;
  socket.setBlocking(false);
  const client = new Client(socket);
  clients.add(client);
  selector.register(socket, EVENT_READ, client);
}
