/**
 * Echoes WebSocket messages on bare sockets, in one thread, and serves a page to try it in a browser.
 *
 * The npm package `websocket-driver` converts between bytes and messages, and answers pings; this program moves the
 * bytes. This example is not published with the others, because it needs that package. The server stops reading from a
 * client that does not read its messages, so that they do not pile up. There are no timeouts, and the driver limits the
 * size of a message but not the number of its frames: on the open network, run the server behind a proxy that has
 * timeouts and limits frames.
 *
 * ```sh
 * deno run --allow-ffi examples/websocket_server.ts 8002
 * ```
 *
 * @module
 */

import { Buffer } from "node:buffer";
import websocket from "websocket-driver";
import { DefaultSelector, EVENT_READ, EVENT_WRITE } from "@selectors/selectors";
import { createServer, SHUT_WR, type Socket } from "@selectors/selectors/socket";

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
listen();
const { port } = listener.getsockname();
console.log(`Listening on port ${port}; try: http://127.0.0.1:${port}/ in a browser`);
Deno.addSignalListener("SIGINT", () => selector.close()); // ends the loop
for await (const [{ fileobj: socket, data: handle }, events] of selector) attempt(socket, () => handle(events));
console.log("Server shutting down"); // the exit closes all sockets

/** Calls a function for a socket. If it fails, closes the connection, or pauses if the socket is the listener. */
function attempt(socket: Socket, action: () => void): void {
  try {
    action();
  } catch (error) { // an OSError, or an error of the driver
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

/** Returns the function to call when a client is ready. */
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
    if (events & EVENT_READ) { // reported only if nothing is unsent: see modify() below
      const count = socket.tryRecvInto(buffer);
      if (count === 0) return close(socket);
      if (count === null || isEnding) return; // drops bytes after the closing handshake
      const data = Buffer.from(buffer.subarray(0, count)); // a copy, because the driver keeps it
      if (!isOpen) handshake += data.toString("ascii"); // seven bits of each byte, as in the driver
      // A handshake has no body. A negative length would make the driver's parser loop forever.
      if (!isOpen && (/\n(content-length|transfer-encoding)/i.test(handshake) || handshake.length > 65_536)) {
        isEnding = true;
      } else driver.io.write(data);
    }
    const data = Buffer.concat(unsent);
    const sent = data.length > 0 ? socket.trySend(data) ?? 0 : 0;
    unsent = sent < data.length ? [data.subarray(sent)] : [];
    selector.modify(socket, sent < data.length ? EVENT_WRITE : EVENT_READ, handle);
    // Not close(), which would reset the connection if the client is still sending, and lose the last bytes.
    if (isEnding && sent === data.length) socket.shutdown(SHUT_WR);
  };
}
