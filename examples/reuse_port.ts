/**
 * Serves on all processors: several Workers run a selector loop each and listen on the same port with SO_REUSEPORT.
 *
 * The kernel distributes the connections (Linux, FreeBSD). The server sends each client the name of its Worker, and
 * then echoes its bytes. Ctrl-C ends the Workers. A local copy of this file also needs `--allow-read`, because the
 * Workers load it again.
 *
 * ```sh
 * deno run --allow-ffi jsr:@selectors/selectors/examples/reuse-port 8006 4
 * ```
 *
 * @module
 */

import { DefaultSelector, EVENT_READ, EVENT_WRITE, OSError } from "@selectors/selectors";
import { AF_INET, SO_REUSEPORT, Socket, SOL_SOCKET } from "@selectors/selectors/socket";

if ("WorkerGlobalScope" in globalThis) {
  addEventListener("message", (event) => serve((event as MessageEvent).data), { once: true });
} else {
  const [port = "8006", count = String(navigator.hardwareConcurrency)] = Deno.args;
  let number = Number(port);
  const workers: Worker[] = [];
  for (let index = 1; index <= Number(count); index++) {
    const listener = new Socket(AF_INET);
    listener.setsockopt(SOL_SOCKET, SO_REUSEPORT, true);
    listener.bind({ hostname: "127.0.0.1", port: number });
    listener.listen();
    number = listener.getsockname().port;
    // All threads of a process share its descriptors, so that a Worker needs only the number.
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
  const selector = new DefaultSelector<Uint8Array, Socket>(); // the data is a connection's unsent bytes
  listen();
  addEventListener("message", () => {
    for (const { fileobj: socket } of selector.getMap()!.values()) socket.close();
    selector.close(); // ends the loop
    self.close(); // ends the Worker
  });

  const greeting = new TextEncoder().encode(`You are served by ${name}\n`);
  const buffer = new Uint8Array(64 * 1024);
  for await (const [{ fileobj: socket, data: unsent }, events] of selector) {
    attempt(socket, () => {
      if (socket === listener) accept();
      else if (events & EVENT_WRITE) send(socket, unsent);
      else receive(socket);
    });
  }

  /** Calls a function for a socket. A failure ends only that connection; the listener pauses instead. */
  function attempt(socket: Socket, action: () => void): void {
    try {
      action();
    } catch (error) {
      if (!(error instanceof OSError)) throw error;
      console.log(`${name}: ${error.message}`);
      if (socket === listener) pause();
      else close(socket);
    }
  }

  function listen(): void {
    selector.register(listener, EVENT_READ, new Uint8Array());
  }

  function accept(): void {
    const connection = listener.tryAccept()?.[0];
    if (connection === undefined) return;
    attempt(connection, () => {
      connection.setBlocking(false);
      selector.register(connection, EVENT_WRITE, greeting);
    });
  }

  function receive(connection: Socket): void {
    const count = connection.tryRecvInto(buffer);
    if (count === 0) close(connection);
    else if (count !== null) send(connection, buffer.slice(0, count));
  }

  /** Sends as much as there is room for; the server reads from the connection again once all is sent. */
  function send(connection: Socket, data: Uint8Array): void {
    const unsent = data.subarray(connection.trySend(data) ?? 0);
    selector.modify(connection, unsent.length > 0 ? EVENT_WRITE : EVENT_READ, unsent);
  }

  function close(connection: Socket): void {
    if (selector.getMap()!.has(connection)) selector.unregister(connection); // a failed modify() has done so
    connection.close();
  }

  /** Leaves new connections in the listener's queue for a second, because the system has no room for another. */
  function pause(): void {
    if (selector.getMap()!.has(listener)) selector.unregister(listener);
    Deno.unrefTimer(setTimeout(() => selector.closed || attempt(listener, listen), 1000));
  }
}
