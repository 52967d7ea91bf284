/**
 * Echoes data over TLS: `node:tls` encrypts, and the program waits for the socket underneath with `waitFor`.
 *
 * Shows how to give a socket of this package to code that expects a Node stream. A `Duplex` stream reads when the
 * descriptor is ready, writes as much as the kernel takes, and obeys back pressure in both directions. A similar class
 * can use any descriptor that can be read and written. Ctrl-C ends the program.
 *
 * Make a certificate first, and pass the paths of its two files:
 *
 * ```sh
 * openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -days 30 -keyout key.pem -out cert.pem
 * deno run --allow-ffi --allow-read=cert.pem,key.pem jsr:@selectors/selectors/examples/tls-echo cert.pem key.pem 8010
 * # in another terminal:
 * openssl s_client -quiet -connect 127.0.0.1:8010
 * ```
 *
 * @module
 */

import { Duplex } from "node:stream";
import { TLSSocket } from "node:tls";
import { EVENT_READ, EVENT_WRITE, waitFor } from "@selectors/selectors";
import { createServer, SHUT_WR, type Socket } from "@selectors/selectors/socket";

/** A connected socket as a Node stream. */
class SocketStream extends Duplex {
  readonly #socket: Socket;
  readonly #closing = new AbortController();

  constructor(socket: Socket) {
    super();
    this.#socket = socket;
    socket.setBlocking(false);
  }

  override _read(size: number): void {
    this.#attempt(async () => {
      const buffer = new Uint8Array(size);
      let count: number | null = null;
      // Waits before the first read too: in Deno 2.9, invalid data that TLSSocket gets before it has started ends the
      // program.
      while (count === null) {
        await this.#ready(EVENT_READ);
        count = this.#socket.tryRecvInto(buffer);
      }
      this.push(count === 0 ? null : buffer.subarray(0, count)); // null at the end
    });
  }

  override _write(chunk: Uint8Array, _encoding: string, done: () => void): void {
    this.#attempt(async () => {
      for (let unsent = chunk; unsent.length > 0;) {
        const sent = this.#socket.trySend(unsent);
        if (sent === null) await this.#ready(EVENT_WRITE);
        else unsent = unsent.subarray(sent);
      }
      done();
    });
  }

  override _final(done: () => void): void {
    this.#attempt(() => this.#socket.shutdown(SHUT_WR));
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#closing.abort(); // ends the waits before the descriptor is closed
    this.#socket.close();
    done(error);
  }

  #ready(events: number): Promise<number> {
    return waitFor(this.#socket, events, null, { signal: this.#closing.signal });
  }

  /** Calls a function. If it fails, destroys the stream with the error, unless the stream is already destroyed. */
  async #attempt(action: () => void | Promise<void>): Promise<void> {
    try {
      await action();
    } catch (error) {
      if (!this.destroyed) this.destroy(error as Error);
    }
  }
}

const [certFile, keyFile, port = "8010"] = Deno.args;
if (certFile === undefined || keyFile === undefined) {
  console.error("tls_echo: pass the paths of a certificate and its key");
  Deno.exit(1);
}
const [cert, key] = [certFile, keyFile].map((path) => Deno.readTextFileSync(path));
using listener = createServer({ hostname: "127.0.0.1", port: Number(port) });
listener.setBlocking(false);
Deno.addSignalListener("SIGINT", () => {
  console.log("Server shutting down");
  Deno.exit();
});
const { port: bound } = listener.getsockname() as { port: number };
console.log(`Listening; try: openssl s_client -quiet -connect 127.0.0.1:${bound}`);
for (;;) {
  await waitFor(listener, EVENT_READ);
  try {
    const accepted = listener.tryAccept();
    if (accepted !== null) serve(accepted[0]);
  } catch (error) { // accept() failed, usually with EMFILE: too many files are open
    console.log((error as Error).message);
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

function serve(socket: Socket): void {
  const stream = new SocketStream(socket);
  const connection = new TLSSocket(stream, { isServer: true, cert, key });
  connection.on("secure", () => console.log(`A client uses ${connection.getProtocol()}`));
  for (const each of [stream, connection]) {
    each.on("error", (error) => {
      console.log(error.message);
      connection.destroy();
      stream.destroy();
    });
  }
  connection.pipe(connection);
}
