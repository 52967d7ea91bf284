/**
 * A server on all processors: a selector loop in each of several Workers, which listen on one port by SO_REUSEPORT, so
 * that the kernel deals the connections out (Linux, FreeBSD).
 *
 * Each connection is told which Worker serves it, and then sent back what it sends. At Ctrl-C each Worker is told to end.
 * A file of one's own disk takes `--allow-read` too, with which the Workers read it.
 *
 * ```sh
 * deno run --allow-ffi jsr:@selectors/selectors/examples/reuse-port 8006 4
 * ```
 *
 * @module
 */

import { DefaultSelector, EVENT_READ, EVENT_WRITE, OSError } from "../mod.ts";
import { SO_REUSEPORT, Socket, SOL_SOCKET } from "../ffi/socket/mod.ts";

if ("WorkerGlobalScope" in globalThis) {
  addEventListener("message", (event) => serve((event as MessageEvent).data), { once: true });
} else {
  const [port = "8006", count = String(navigator.hardwareConcurrency)] = Deno.args;
  let number = Number(port);
  const workers: Worker[] = [];
  for (let index = 1; index <= Number(count); index++) {
    const listener = new Socket();
    listener.setsockopt(SOL_SOCKET, SO_REUSEPORT, true);
    listener.bind({ hostname: "127.0.0.1", port: number });
    listener.listen();
    number = (listener.getsockname() as { port: number }).port;
    // A descriptor is one of the whole process: its number is all that a Worker needs.
    const worker = new Worker(import.meta.url, { type: "module" });
    worker.postMessage({ fd: listener.detach(), name: `worker ${index}` });
    workers.push(worker);
  }
  Deno.addSignalListener("SIGINT", () => {
    console.log("Server shutting down");
    for (const worker of workers) worker.postMessage("end");
  });
  console.log(`${count} workers listen on port ${number}; try, more than once: nc 127.0.0.1 ${number}`);
}

async function serve({ fd, name }: { fd: number; name: string }): Promise<void> {
  using listener = Socket.fromFd(fd);
  listener.setBlocking(false);
  const selector = new DefaultSelector<Uint8Array, Socket>(); // the data is what is owed to a connection
  selector.register(listener, EVENT_READ, new Uint8Array());
  addEventListener("message", () => {
    for (const { fileobj: socket } of selector.getMap()!.values()) socket.close();
    selector.close(); // ends the loop
    self.close(); // ends the Worker
  });

  const greeting = new TextEncoder().encode(`You are served by ${name}\n`);
  const buffer = new Uint8Array(64 * 1024);
  for await (const [{ fileobj: socket, data: unsent }, events] of selector) {
    try {
      if (socket === listener) accept();
      else if (events & EVENT_WRITE) send(socket, unsent);
      else receive(socket);
    } catch (error) {
      if (!(error instanceof OSError)) throw error;
      console.log(`${name}: ${error.message}`);
      if (socket !== listener) close(socket);
      else pause();
    }
  }

  function accept(): void {
    const connection = listener.tryAccept()?.[0];
    if (connection === undefined) return;
    connection.setBlocking(false);
    selector.register(connection, EVENT_WRITE, greeting);
  }

  function receive(connection: Socket): void {
    const count = connection.tryRecvInto(buffer);
    if (count === 0) close(connection);
    else if (count !== null) send(connection, buffer.slice(0, count));
  }

  /** Sends what can be sent; a connection is read again when nothing is owed to it. */
  function send(connection: Socket, data: Uint8Array): void {
    const unsent = data.subarray(connection.trySend(data) ?? 0);
    selector.modify(connection, unsent.length > 0 ? EVENT_WRITE : EVENT_READ, unsent);
  }

  function close(connection: Socket): void {
    selector.unregister(connection);
    connection.close();
  }

  /** Accepts nothing for a second: there is no descriptor for one more connection, to whichever Worker. */
  function pause(): void {
    selector.unregister(listener);
    Deno.unrefTimer(setTimeout(() => selector.closed || selector.register(listener, EVENT_READ, greeting), 1000));
  }
}
