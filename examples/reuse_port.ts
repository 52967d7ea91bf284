/**
 * Uses all processors: each of several Workers runs its own selector loop and listens on the same port (SO_REUSEPORT).
 *
 * The kernel distributes the connections among the Workers (Linux, FreeBSD). Each Worker sends its name to its clients,
 * and then echoes. Ctrl-C ends the Workers. A local copy of this file also needs `--allow-read`, because each Worker
 * loads the file again.
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
  const [wanted = "8006", count = String(navigator.hardwareConcurrency)] = Deno.args;
  let port = Number(wanted); // 0 stands for the port that the first listener gets
  const workers: Worker[] = [];
  for (let index = 1; index <= Number(count); index++) {
    const listener = new Socket(AF_INET);
    listener.setsockopt(SOL_SOCKET, SO_REUSEPORT, true);
    listener.bind({ hostname: "127.0.0.1", port });
    listener.listen();
    port = listener.getsockname().port;
    // All threads of a process share its descriptors, so the Worker needs only the number of the descriptor.
    const worker = new Worker(import.meta.url, { type: "module" });
    worker.postMessage({ fd: listener.detach(), name: `worker ${index}` });
    workers.push(worker);
  }
  Deno.addSignalListener("SIGINT", () => {
    console.log("Server shutting down");
    for (const worker of workers) worker.postMessage("end");
  });
  console.log(`${count} workers listen on port ${port}; try, more than once: nc 127.0.0.1 ${port}`);
}

async function serve({ fd, name }: { fd: number; name: string }): Promise<void> {
  using listener = Socket.fromFd(fd);
  listener.setBlocking(false);
  const selector = new DefaultSelector<Uint8Array, Socket>(); // the data is the unsent bytes of a connection
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

  /** Calls a function for a socket. If it fails, closes the connection, or pauses if the socket is the listener. */
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

  /** Sends as much as the kernel takes. The Worker reads from the client again only after it has sent everything. */
  function send(connection: Socket, data: Uint8Array): void {
    const unsent = data.subarray(connection.trySend(data) ?? 0);
    selector.modify(connection, unsent.length > 0 ? EVENT_WRITE : EVENT_READ, unsent);
  }

  function close(connection: Socket): void {
    // A failed modify() has already unregistered the socket. getMap() is null only after selector.close().
    if (selector.getMap()!.has(connection)) selector.unregister(connection);
    connection.close();
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
}
