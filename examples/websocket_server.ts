/**
 * A WebSocket server on bare sockets, in one thread, which sends back what it is sent, and to a browser a page to try it.
 *
 * `websocket-driver` turns bytes into messages and messages into bytes, and answers pings; who moves the bytes is its
 * user's affair. A client that does not take its messages is not read, so that they do not pile up. There are no timeouts,
 * and the driver bounds the bytes of a message, but not its frames: on the open network this belongs behind a server that
 * does.
 *
 * ```sh
 * deno run --allow-ffi jsr:@selectors/selectors/examples/websocket-server 8002
 * ```
 *
 * @module
 */

import { Buffer } from "node:buffer";
import websocket from "websocket-driver";
import { DefaultSelector, EVENT_READ, EVENT_WRITE } from "../mod.ts";
import { createServer, SHUT_WR, type Socket } from "../ffi/socket/mod.ts";

const PAGE = `HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n
<!doctype html><title>WebSocket</title><input autofocus><pre></pre><script>
  const socket = new WebSocket(location.href.replace("http", "ws"));
  socket.onopen = () => socket.send("The socket is open");
  socket.onmessage = ({ data }) => document.querySelector("pre").textContent += data + "\\n";
  document.querySelector("input").onchange = ({ target }) => socket.send(target.value);
</script>`;

const buffer = Buffer.alloc(64 * 1024);
const selector = new DefaultSelector<(events: number) => void, Socket>();
const listener = createServer({ hostname: "127.0.0.1", port: Number(Deno.args[0] ?? 8002) });
listener.setBlocking(false);
selector.register(listener, EVENT_READ, accept);
const { port } = listener.getsockname() as { port: number };
console.log(`Listening on port ${port}; try: http://127.0.0.1:${port}/ in a browser`);
Deno.addSignalListener("SIGINT", () => selector.close()); // ends the loop
for await (const [{ fileobj: socket, data: handle }, events] of selector) {
  try {
    handle(events);
  } catch (error) {
    console.log((error as Error).message); // of the system or of the driver: it concerns one client only
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

/** Accepts nothing for a second: there is no descriptor for one more client. */
function pause(): void {
  selector.unregister(listener);
  Deno.unrefTimer(setTimeout(() => selector.closed || selector.register(listener, EVENT_READ, accept), 1000));
}

/** Gives what is to be done when a client is ready. */
function serve(socket: Socket): (events: number) => void {
  const driver = websocket.server({ maxLength: 1 << 20 });
  let unsent: Buffer[] = [];
  let [isOpen, isEnding] = [false, false];
  let handshake = "";
  driver.io.on("data", (bytes: Buffer) => unsent.push(bytes));
  driver.messages.on("data", (message: string | Buffer) => driver.messages.write(message));
  driver.on("open", () => isOpen = true);
  driver.on("close", () => isEnding = true);
  driver.on("connect", () => {
    if (websocket.isWebSocket(driver)) return driver.start();
    if (driver.method === "GET") unsent.push(Buffer.from(PAGE));
    isEnding = true;
  });
  return function handle(events) {
    if (events & EVENT_READ) { // nothing is left to send then
      const count = socket.tryRecvInto(buffer);
      if (count === 0) return close(socket);
      if (count === null || isEnding) return; // what comes after the closing handshake is dropped
      const data = Buffer.from(buffer.subarray(0, count)); // a copy: the driver keeps it
      if (!isOpen) handshake += data.toString("ascii"); // as the driver reads it
      // No handshake has a body; of a negative length, the driver's parser would go back, and round for ever.
      if (!isOpen && (/\n(content-length|transfer-encoding)/i.test(handshake) || handshake.length > 65_536)) {
        isEnding = true;
      } else driver.io.write(data);
    }
    const data = Buffer.concat(unsent);
    const sent = data.length > 0 ? socket.trySend(data) ?? 0 : 0;
    unsent = sent < data.length ? [data.subarray(sent)] : [];
    selector.modify(socket, sent < data.length ? EVENT_WRITE : EVENT_READ, handle);
    // Closing is the client's part: while it still sends, that would reset the connection, and lose what was sent.
    if (isEnding && sent === data.length) socket.shutdown(SHUT_WR);
  };
}
